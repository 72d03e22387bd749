//! What the tests of this folder stand on: a store on SQLite in a folder of its own and a clock that is set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use sqlx::Connection;
use tempfile::TempDir;

use super::{Change, NewConsent, NewVisit, Store};
use crate::domain::access::{Principal, Role, TenantId};
use crate::domain::card::{Card, CardField, CardState};
use crate::domain::consent::{Method, Purpose};
use crate::domain::ids::{CardId, KeyId, MomentId, VisitId};
use crate::domain::result::VisitResult;
use crate::domain::time::Clock;
use crate::domain::visit::{Party, Visit, VisitState};

/// A clock that stands still until it is told otherwise.
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::AcqRel);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::Acquire)).unwrap()
    }
}

pub(crate) struct Desk {
    pub dir: TempDir,
    pub clock: Arc<HandClock>,
    pub store: Store,
}

impl Desk {
    /// On SQLite; with `VISITSCRIBE_TEST_POSTGRES` set to an address, in a new schema there.
    pub async fn new() -> Self {
        match std::env::var("VISITSCRIBE_TEST_POSTGRES") {
            Ok(address) => Self::on(&new_schema(&address).await).await,
            Err(_) => Self::on_sqlite().await,
        }
    }

    pub async fn on_sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("deep/visits.db").display());
        Self { dir, ..Self::on(&url).await }
    }

    async fn on(url: &str) -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(1_790_000_000_000)));
        let store = Store::open(url, clock.clone()).await.unwrap();
        store.migrate().await.unwrap();
        Self { dir: tempfile::tempdir().unwrap(), clock, store }
    }

    pub async fn visit(&self, tenant: &TenantId) -> Visit {
        self.store.create_visit(tenant, new_visit()).await.unwrap()
    }

    /// A visit whose audio has all arrived.
    pub async fn ended(&self, tenant: &TenantId, purposes: &[Purpose]) -> Visit {
        let visit = self.visit(tenant).await;
        self.store.grant_consent(tenant, &visit.id, new_consent(purposes)).await.unwrap();
        let from = [VisitState::Consented];
        let to = VisitState::Ended;
        self.store.transition(tenant, &visit.id, &from, to, Change::default(), &[]).await.unwrap()
    }

    /// A visit whose card waits.
    pub async fn ready(&self, tenant: &TenantId, purposes: &[Purpose]) -> Visit {
        let visit = self.ended(tenant, purposes).await;
        self.store.put_result(tenant, &visit.id, &result(), &card(&visit.id)).await.unwrap()
    }
}

async fn new_schema(address: &str) -> String {
    sqlx::any::install_default_drivers();
    let schema = format!("test_{}", uuid::Uuid::now_v7().simple());
    let mut connection = sqlx::AnyConnection::connect(address).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    format!("{address}?options=-c%20search_path%3D{schema}")
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn new_visit() -> NewVisit {
    NewVisit {
        external_id: Some("crm-7".into()),
        customer: Party { id: "c1".into(), name: "客户".into() },
        rep: Party { id: "r1".into(), name: "销售".into() },
        scheduled_at: None,
        purpose: None,
        hotwords: vec!["云台".into()],
    }
}

pub(crate) fn new_consent(purposes: &[Purpose]) -> NewConsent {
    NewConsent {
        purposes: purposes.to_vec(),
        notice_version: "2026-01".into(),
        method: Method::Verbal,
        given_by: "客户".into(),
        given_at: Timestamp::from_millisecond(1_789_999_999_000).unwrap(),
    }
}

pub(crate) fn principal(tenant: &TenantId) -> Principal {
    Principal { tenant: tenant.clone(), role: Role::Rep, key_id: KeyId("key_1".into()) }
}

pub(crate) fn card(visit: &VisitId) -> Card {
    let stage =
        CardField {
            value: "方案报价".into(), confidence: 0.8, evidence: vec![MomentId("mom_0001".into())]
        };
    Card {
        id: CardId::generate(),
        visit_id: visit.clone(),
        version: 1,
        state: CardState::Pending,
        headline: "已报价，待回复".into(),
        fields: [("stage".to_owned(), stage)].into(),
        chips: Vec::new(),
    }
}

pub(crate) fn result() -> VisitResult {
    serde_json::from_value(serde_json::json!({
        "duration_ms": 60_000, "speech_ms": 30_000, "coverage": 1.0, "gaps": [], "segments": [], "moments": [],
        "pii": [], "timings": {}, "models": {},
        "summary": {
            "headline": "已报价，待回复", "stage": "方案报价", "next_action": null, "next_date": null,
            "latest_quote": null, "objections": [], "signing_intent": {"level": "none", "date": null},
            "moments": [], "coverage": 1.0, "confidence": {}, "evidence": {}
        },
        "pipeline": {"name": "default", "version": 1, "sha256": ""}
    }))
    .unwrap()
}

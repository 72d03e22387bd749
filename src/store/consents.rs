//! Consent, granted and taken back.

use jiff::Timestamp;
use serde_json::json;
use sqlx::any::AnyRow;

use super::Store;
use super::connect::Write;
use super::rows::{away, col, json as json_col, millis, opt_time, time, to_json};
use super::visits::{Change, wrong_state};
use crate::domain::access::TenantId;
use crate::domain::consent::{Consent, Method, Purpose};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::ids::{ConsentId, VisitId};
use crate::domain::visit::{Visit, VisitState};
use crate::error::{Code, Error, Result};

/// A consent to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewConsent {
    /// What was agreed to.
    pub purposes: Vec<Purpose>,
    /// The version of the notice that was shown or read out.
    pub notice_version: String,
    /// How it was given.
    pub method: Method,
    /// Who gave it.
    pub given_by: String,
    /// When, by the device's clock.
    pub given_at: Timestamp,
}

/// The consent that stands: the newest that was not taken back.
const ACTIVE: &str = "SELECT * FROM consents WHERE tenant = $1 AND visit_id = $2 AND withdrawn_ms IS NULL \
    ORDER BY id DESC LIMIT 1";

impl Store {
    /// Records a consent; a scheduled visit becomes `consented`. A later one replaces it.
    ///
    /// `ConsentWithdrawn` once it was taken back: that ends the visit. `WrongState` if it failed or is archived.
    pub async fn grant_consent(
        &self,
        tenant: &TenantId,
        visit: &VisitId,
        new: NewConsent,
    ) -> Result<Consent> {
        let mut write = self.write().await?;
        let state = write.lock_visit(tenant, visit).await?.state;
        match state {
            VisitState::Withdrawn | VisitState::Erased | VisitState::Failed | VisitState::Archived => {
                return Err(wrong_state(state));
            }
            VisitState::Scheduled => {
                write.set_state(tenant, visit, VisitState::Consented, Change::default()).await?;
            }
            _ => {}
        }
        let row = sqlx::query(
            "INSERT INTO consents (tenant, visit_id, id, purposes, notice_version, method, given_by, given_ms, \
             recorded_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *",
        )
        .bind(tenant.as_str())
        .bind(visit.as_str())
        .bind(ConsentId::generate().as_str())
        .bind(to_json(&new.purposes)?)
        .bind(new.notice_version)
        .bind(to_json(&new.method)?)
        .bind(new.given_by)
        .bind(millis(new.given_at))
        .bind(write.now_ms())
        .fetch_one(&mut *write.tx)
        .await
        .map_err(away)?;
        let consent = consent(&row)?;
        write.audit(tenant, "service", "consent.granted", visit.as_str(), consent.id.as_str()).await?;
        write.commit().await?;
        Ok(consent)
    }

    /// Takes consent back: the visit is `withdrawn` and receivers are told. Doing so again changes nothing.
    ///
    /// `WrongState` if there is none to take back.
    pub async fn withdraw_consent(&self, tenant: &TenantId, visit: &VisitId) -> Result<Visit> {
        let mut write = self.write().await?;
        let before = write.lock_visit(tenant, visit).await?;
        if matches!(before.state, VisitState::Withdrawn | VisitState::Erased) {
            return Ok(before);
        }
        let withdrawn = sqlx::query(
            "UPDATE consents SET withdrawn_ms = $3 \
             WHERE tenant = $1 AND visit_id = $2 AND withdrawn_ms IS NULL RETURNING id",
        )
        .bind(tenant.as_str())
        .bind(visit.as_str())
        .bind(write.now_ms())
        .fetch_all(&mut *write.tx)
        .await
        .map_err(away)?;
        if withdrawn.is_empty() {
            return Err(Error::new(Code::WrongState, "there is no consent on record to take back"));
        }
        let after = write.set_state(tenant, visit, VisitState::Withdrawn, Change::default()).await?;
        let told = NewEvent::new(EventKind::ConsentWithdrawn, json!({"withdrawn_at": write.now}));
        write.record(tenant, visit, &[told]).await?;
        for row in &withdrawn {
            write.audit(tenant, "service", "consent.withdrawn", visit.as_str(), col(row, "id")?).await?;
        }
        write.commit().await?;
        Ok(after)
    }

    /// The consent that stands, if any. `NotFound` if there is no such visit.
    pub async fn active_consent(&self, tenant: &TenantId, visit: &VisitId) -> Result<Option<Consent>> {
        self.row_of_visit(ACTIVE, tenant, visit).await?.map(|row| consent(&row)).transpose()
    }
}

impl Write {
    /// Whether the standing consent of a locked visit covers a purpose.
    pub async fn consent_allows(
        &mut self,
        tenant: &TenantId,
        visit: &VisitId,
        purpose: Purpose,
    ) -> Result<bool> {
        let row = sqlx::query(ACTIVE)
            .bind(tenant.as_str())
            .bind(visit.as_str())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(away)?;
        Ok(row.as_ref().map(consent).transpose()?.is_some_and(|consent| consent.allows(purpose)))
    }
}

fn consent(row: &AnyRow) -> Result<Consent> {
    Ok(Consent {
        id: ConsentId(col(row, "id")?),
        purposes: json_col(row, "purposes")?,
        notice_version: col(row, "notice_version")?,
        method: json_col(row, "method")?,
        given_by: col(row, "given_by")?,
        given_at: time(row, "given_ms")?,
        recorded_at: time(row, "recorded_ms")?,
        withdrawn_at: opt_time(row, "withdrawn_ms")?,
    })
}

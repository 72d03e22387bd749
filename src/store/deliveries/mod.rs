//! Deliveries: one event on its way to one endpoint. The dispatcher claims and settles them, an operator lists
//! and replays them.
//!
//! Order is kept by one rule: of the open deliveries of one endpoint and visit at most one is due or being sent,
//! the others wait, and whoever settles it wakes the next. A claim is a lease: it runs out by itself if its
//! holder is gone, and its fence keeps a holder who comes back late from settling what another has claimed since.

mod queue;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use super::Store;
use super::connect::Write;
use super::endpoints::disabled;
use super::rows::{absent, away, col, opt_time, time, word};
use crate::domain::access::TenantId;
use crate::domain::event::EventKind;
use crate::domain::ids::{DeliveryId, EndpointId, EventId, VisitId};
use crate::error::{Code, Error, Result};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// An earlier event of the visit has still to reach the endpoint.
    Waiting,
    /// To be tried at `due_at`.
    Due,
    /// Being tried; due again at `due_at` if the one who tries it is gone.
    Sending,
    /// Answered with 2xx.
    Delivered,
    /// Given up.
    Dead,
}

impl DeliveryState {
    /// The name used in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Due => "due",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Waiting, Self::Due, Self::Sending, Self::Delivered, Self::Dead]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// A delivery, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Where it goes.
    pub endpoint_id: EndpointId,
    /// What is delivered.
    pub event_id: EventId,
    /// Its kind.
    pub kind: EventKind,
    /// The visit it is about.
    pub visit_id: VisitId,
    /// Its place among the visit's events.
    pub seq: i64,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next.
    pub due_at: Option<Timestamp>,
    /// Why the last attempt failed: a word, never the receiver's own text.
    pub last_error: Option<String>,
    /// When the event happened.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub settled_at: Option<Timestamp>,
}

/// Which deliveries to list, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only to this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Only in this state.
    pub state: Option<DeliveryState>,
    /// At most so many.
    pub limit: u32,
    /// Only those made before this one.
    pub before: Option<DeliveryId>,
}

/// A delivery claimed for one attempt.
#[derive(Debug, Clone)]
pub struct Due {
    /// The delivery.
    pub id: DeliveryId,
    /// Proof of the claim; a later claim of the same delivery carries a greater one.
    pub fence: i64,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it goes.
    pub endpoint_id: EndpointId,
    /// Where exactly.
    pub url: String,
    /// The secrets to sign with, newest first.
    pub secrets: Vec<SecretString>,
    /// The `webhook-id`.
    pub event_id: EventId,
    /// The body, the same bytes each attempt.
    pub body: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx.
    Delivered,
    /// To be tried again.
    Retry {
        /// When.
        at: Timestamp,
        /// Why, in a word.
        reason: String,
    },
    /// Given up.
    Dead {
        /// Why, in a word.
        reason: String,
    },
}

impl Store {
    /// The tenant's deliveries, newest first.
    pub async fn list_deliveries(&self, tenant: &TenantId, filter: DeliveryFilter) -> Result<Vec<Delivery>> {
        let rows = sqlx::query(
            "SELECT d.*, e.id AS event_id, e.kind, e.at_ms FROM deliveries d \
             JOIN events e ON e.tenant = d.tenant AND e.visit_id = d.visit_id AND e.seq = d.seq \
             WHERE d.tenant = $1 AND ($2 IS NULL OR d.endpoint_id = $2) AND ($3 IS NULL OR d.state = $3) \
             AND ($4 IS NULL OR d.id < $4) ORDER BY d.id DESC LIMIT $5",
        )
        .bind(tenant.as_str())
        .bind(filter.endpoint.map(|id| id.0))
        .bind(filter.state.map(DeliveryState::as_str))
        .bind(filter.before.map(|id| id.0))
        .bind(i64::from(filter.limit))
        .fetch_all(&self.reader)
        .await
        .map_err(away)?;
        rows.iter().map(delivery).collect()
    }

    /// One delivery. `NotFound` if there is none.
    pub async fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Delivery> {
        let row = sqlx::query(
            "SELECT d.*, e.id AS event_id, e.kind, e.at_ms FROM deliveries d \
             JOIN events e ON e.tenant = d.tenant AND e.visit_id = d.visit_id AND e.seq = d.seq \
             WHERE d.tenant = $1 AND d.id = $2",
        )
        .bind(tenant.as_str())
        .bind(id.as_str())
        .fetch_optional(&self.reader)
        .await
        .map_err(away)?;
        delivery(&row.ok_or_else(|| absent("delivery"))?)
    }

    /// Sends a delivered or dead one again: same id, same body, in its turn if others of its visit are open.
    ///
    /// `WrongState` while it is still open or if its endpoint is out of use.
    pub async fn replay_delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Delivery> {
        let mut write = self.write().await?;
        let row = sqlx::query("SELECT visit_id, endpoint_id FROM deliveries WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.as_str())
            .fetch_optional(&mut *write.tx)
            .await
            .map_err(away)?
            .ok_or_else(|| absent("delivery"))?;
        let (visit, endpoint) = (VisitId(col(&row, "visit_id")?), EndpointId(col(&row, "endpoint_id")?));
        write.lock_visit(tenant, &visit).await?;
        if write.lock_endpoint(tenant, &endpoint).await?.disabled_at.is_some() {
            return Err(disabled());
        }
        let reopened = sqlx::query(
            "UPDATE deliveries SET state = 'waiting', attempts = 0, last_error = NULL, settled_ms = NULL \
             WHERE tenant = $1 AND id = $2 AND state IN ('delivered', 'dead')",
        )
        .bind(tenant.as_str())
        .bind(id.as_str())
        .execute(&mut *write.tx)
        .await
        .map_err(away)?;
        if reopened.rows_affected() == 0 {
            return Err(Error::new(Code::WrongState, "this delivery is still under way"));
        }
        write.wake_next(&endpoint, &visit).await?;
        write.commit().await?;
        self.delivery(tenant, id).await
    }
}

impl Write {
    /// Makes the first waiting delivery of an endpoint and a locked visit due, unless another one is.
    pub(in crate::store) async fn wake_next(&mut self, endpoint: &EndpointId, visit: &VisitId) -> Result<()> {
        let woken = sqlx::query(
            "UPDATE deliveries SET state = 'due', due_ms = $3 WHERE id = (SELECT id FROM deliveries \
             WHERE endpoint_id = $1 AND visit_id = $2 AND state = 'waiting' ORDER BY seq LIMIT 1) \
             AND NOT EXISTS (SELECT 1 FROM deliveries \
             WHERE endpoint_id = $1 AND visit_id = $2 AND state IN ('due', 'sending'))",
        )
        .bind(endpoint.as_str())
        .bind(visit.as_str())
        .bind(self.now_ms())
        .execute(&mut *self.tx)
        .await
        .map_err(away)?;
        self.wakes |= woken.rows_affected() > 0;
        Ok(())
    }
}

fn delivery(row: &AnyRow) -> Result<Delivery> {
    Ok(Delivery {
        id: DeliveryId(col(row, "id")?),
        endpoint_id: EndpointId(col(row, "endpoint_id")?),
        event_id: EventId(col(row, "event_id")?),
        kind: word(row, "kind", EventKind::parse)?,
        visit_id: VisitId(col(row, "visit_id")?),
        seq: col(row, "seq")?,
        state: word(row, "state", DeliveryState::parse)?,
        attempts: u32::try_from(col::<i64>(row, "attempts")?).map_err(Error::internal)?,
        due_at: opt_time(row, "due_ms")?,
        last_error: col(row, "last_error")?,
        created_at: time(row, "at_ms")?,
        settled_at: opt_time(row, "settled_ms")?,
    })
}

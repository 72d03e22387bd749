//! Visits and the states they pass through. Every other table of a visit hangs on its row, and every write about
//! it begins by locking that row.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::Store;
use super::connect::Write;
use super::rows::{absent, away, col, json, millis, opt_time, time, to_json, word};
use crate::domain::access::TenantId;
use crate::domain::event::NewEvent;
use crate::domain::ids::VisitId;
use crate::domain::visit::{Party, Visit, VisitState};
use crate::error::{Code, Error, Result};
use crate::telemetry;

/// A visit to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVisit {
    /// The CRM's own id for it.
    pub external_id: Option<String>,
    /// Who is visited.
    pub customer: Party,
    /// Who visits.
    pub rep: Party,
    /// When it is planned.
    pub scheduled_at: Option<Timestamp>,
    /// What the visit is for.
    pub purpose: Option<String>,
    /// Names and terms that the recogniser should expect.
    pub hotwords: Vec<String>,
}

/// Which visits to list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct VisitFilter {
    /// Only those in this state.
    pub state: Option<VisitState>,
    /// At most so many.
    pub limit: u32,
    /// Only those made before this one: the last of the page before.
    pub before: Option<VisitId>,
}

/// What changes with a state, besides the state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// When the first audio arrived.
    pub started_at: Option<Timestamp>,
    /// When the last audio had arrived.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub failure: Option<String>,
}

impl Store {
    /// Records a visit, `scheduled`.
    pub async fn create_visit(&self, tenant: &TenantId, new: NewVisit) -> Result<Visit> {
        let mut write = self.write().await?;
        let row = sqlx::query(
            "INSERT INTO visits (tenant, id, external_id, state, customer_id, customer_name, rep_id, rep_name, \
             scheduled_ms, purpose, hotwords, created_ms, last_seq) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0) RETURNING *",
        )
        .bind(tenant.as_str())
        .bind(VisitId::generate().as_str())
        .bind(new.external_id)
        .bind(VisitState::Scheduled.as_str())
        .bind(new.customer.id)
        .bind(new.customer.name)
        .bind(new.rep.id)
        .bind(new.rep.name)
        .bind(new.scheduled_at.map(millis))
        .bind(new.purpose)
        .bind(to_json(&new.hotwords)?)
        .bind(write.now_ms())
        .fetch_one(&mut *write.tx)
        .await
        .map_err(away)?;
        let visit = visit(&row)?;
        write.commit().await?;
        metrics::counter!(telemetry::VISITS, "state" => visit.state.as_str()).increment(1);
        Ok(visit)
    }

    /// One visit. `NotFound` if there is none.
    pub async fn visit(&self, tenant: &TenantId, id: &VisitId) -> Result<Visit> {
        let row = sqlx::query("SELECT * FROM visits WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.as_str())
            .fetch_optional(&self.reader)
            .await
            .map_err(away)?;
        visit(&row.ok_or_else(|| absent("visit"))?)
    }

    /// The tenant's visits, newest first.
    pub async fn list_visits(&self, tenant: &TenantId, filter: VisitFilter) -> Result<Vec<Visit>> {
        let rows = sqlx::query(
            "SELECT * FROM visits WHERE tenant = $1 AND ($2 IS NULL OR state = $2) AND ($3 IS NULL OR id < $3) \
             ORDER BY id DESC LIMIT $4",
        )
        .bind(tenant.as_str())
        .bind(filter.state.map(VisitState::as_str))
        .bind(filter.before.map(|id| id.0))
        .bind(i64::from(filter.limit))
        .fetch_all(&self.reader)
        .await
        .map_err(away)?;
        rows.iter().map(visit).collect()
    }

    /// Moves a visit from one of `from` to `to` and records `events` with it.
    ///
    /// From `withdrawn` or `erased` it fails with `ConsentWithdrawn`, from any other state with `WrongState`.
    pub async fn transition(
        &self,
        tenant: &TenantId,
        id: &VisitId,
        from: &[VisitState],
        to: VisitState,
        change: Change,
        events: &[NewEvent],
    ) -> Result<Visit> {
        let mut write = self.write().await?;
        let now = write.lock_visit(tenant, id).await?;
        if !from.contains(&now.state) {
            return Err(wrong_state(now.state));
        }
        let visit = write.set_state(tenant, id, to, change).await?;
        write.record(tenant, id, events).await?;
        write.commit().await?;
        Ok(visit)
    }

    /// What a restart must take up again, of all tenants: `live` visits whose sender declared the end (compare
    /// [`StreamRow::total_bytes`](super::StreamRow) with the audio log), and `ended` ones without a card.
    pub async fn unfinished(&self) -> Result<Vec<(TenantId, VisitId, VisitState)>> {
        let rows = sqlx::query(
            "SELECT tenant, id, state FROM visits v WHERE state = 'live' AND EXISTS (SELECT 1 FROM streams s \
             WHERE s.tenant = v.tenant AND s.visit_id = v.id AND s.total_bytes IS NOT NULL) \
             UNION ALL \
             SELECT tenant, id, state FROM visits v WHERE state = 'ended' AND NOT EXISTS (SELECT 1 FROM cards c \
             WHERE c.tenant = v.tenant AND c.visit_id = v.id) ORDER BY id",
        )
        .fetch_all(&self.reader)
        .await
        .map_err(away)?;
        rows.iter()
            .map(|row| {
                let tenant = word(row, "tenant", TenantId::parse)?;
                Ok((tenant, VisitId(col(row, "id")?), word(row, "state", VisitState::parse)?))
            })
            .collect()
    }
}

impl Write {
    /// Reads a visit and keeps others from changing it until commit. `NotFound` if there is none.
    pub async fn lock_visit(&mut self, tenant: &TenantId, id: &VisitId) -> Result<Visit> {
        // An update that changes nothing: the row lock that both databases know.
        let row =
            sqlx::query("UPDATE visits SET last_seq = last_seq WHERE tenant = $1 AND id = $2 RETURNING *")
                .bind(tenant.as_str())
                .bind(id.as_str())
                .fetch_optional(&mut *self.tx)
                .await
                .map_err(away)?;
        visit(&row.ok_or_else(|| absent("visit"))?)
    }

    /// Changes a locked visit.
    pub async fn set_state(
        &mut self,
        tenant: &TenantId,
        id: &VisitId,
        to: VisitState,
        change: Change,
    ) -> Result<Visit> {
        let row = sqlx::query(
            "UPDATE visits SET state = $3, started_ms = COALESCE($4, started_ms), \
             ended_ms = COALESCE($5, ended_ms), failure = COALESCE($6, failure) \
             WHERE tenant = $1 AND id = $2 RETURNING *",
        )
        .bind(tenant.as_str())
        .bind(id.as_str())
        .bind(to.as_str())
        .bind(change.started_at.map(millis))
        .bind(change.ended_at.map(millis))
        .bind(change.failure)
        .fetch_one(&mut *self.tx)
        .await
        .map_err(away)?;
        metrics::counter!(telemetry::VISITS, "state" => to.as_str()).increment(1);
        visit(&row)
    }
}

/// Why a visit in this state cannot do what was asked.
pub(super) fn wrong_state(state: VisitState) -> Error {
    match state {
        VisitState::Withdrawn | VisitState::Erased => {
            Error::new(Code::ConsentWithdrawn, "the customer took the consent back")
        }
        _ => Error::new(
            Code::WrongState,
            format!("the visit is {}, which does not allow this", state.as_str()),
        ),
    }
}

fn visit(row: &AnyRow) -> Result<Visit> {
    Ok(Visit {
        id: VisitId(col(row, "id")?),
        external_id: col(row, "external_id")?,
        state: word(row, "state", VisitState::parse)?,
        customer: Party { id: col(row, "customer_id")?, name: col(row, "customer_name")? },
        rep: Party { id: col(row, "rep_id")?, name: col(row, "rep_name")? },
        scheduled_at: opt_time(row, "scheduled_ms")?,
        purpose: col(row, "purpose")?,
        hotwords: json(row, "hotwords")?,
        created_at: time(row, "created_ms")?,
        started_at: opt_time(row, "started_ms")?,
        ended_at: opt_time(row, "ended_ms")?,
        failure: col(row, "failure")?,
    })
}

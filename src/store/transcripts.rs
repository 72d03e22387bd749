//! What was said: final segments as they come, and the result with the card made from it.

use serde_json::json;

use super::Store;
use super::rows::{away, json as json_col, to_json};
use super::visits::{Change, wrong_state};
use crate::domain::access::TenantId;
use crate::domain::card::Card;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::ids::VisitId;
use crate::domain::result::VisitResult;
use crate::domain::transcript::Segment;
use crate::domain::visit::{Visit, VisitState};
use crate::error::{Code, Error, Result};

impl Store {
    /// Keeps a final segment; one of the same id is replaced. Nothing more is kept once consent is withdrawn.
    pub async fn put_final(&self, tenant: &TenantId, visit: &VisitId, segment: &Segment) -> Result<()> {
        let mut write = self.write().await?;
        let state = write.lock_visit(tenant, visit).await?.state;
        if !matches!(state, VisitState::Live | VisitState::Ended) {
            return Err(wrong_state(state));
        }
        sqlx::query(
            "INSERT INTO segments (tenant, visit_id, id, start_ms, body) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (tenant, visit_id, id) DO UPDATE SET start_ms = excluded.start_ms, body = excluded.body",
        )
        .bind(tenant.as_str())
        .bind(visit.as_str())
        .bind(segment.id.0.as_str())
        .bind(i64::try_from(segment.start_ms.0).map_err(Error::internal)?)
        .bind(to_json(segment)?)
        .execute(&mut *write.tx)
        .await
        .map_err(away)?;
        write.commit().await
    }

    /// The final segments so far, in time order.
    pub async fn finals(&self, tenant: &TenantId, visit: &VisitId) -> Result<Vec<Segment>> {
        let rows = sqlx::query(
            "SELECT body FROM segments WHERE tenant = $1 AND visit_id = $2 ORDER BY start_ms, id",
        )
        .bind(tenant.as_str())
        .bind(visit.as_str())
        .fetch_all(&self.reader)
        .await
        .map_err(away)?;
        if rows.is_empty() {
            self.visit(tenant, visit).await?;
        }
        rows.iter().map(|row| json_col(row, "body")).collect()
    }

    /// Keeps result and card, moves the visit from `ended` to `card_ready` and records `visit.transcribed` and
    /// `card.ready`: all or nothing. Fails from any other state as [`Store::transition`] does.
    pub async fn put_result(
        &self,
        tenant: &TenantId,
        visit: &VisitId,
        result: &VisitResult,
        card: &Card,
    ) -> Result<Visit> {
        let mut write = self.write().await?;
        let state = write.lock_visit(tenant, visit).await?.state;
        if state != VisitState::Ended {
            return Err(wrong_state(state));
        }
        for (table, body) in [
            ("INSERT INTO results (tenant, visit_id, body) VALUES ($1, $2, $3)", to_json(result)?),
            ("INSERT INTO cards (tenant, visit_id, body) VALUES ($1, $2, $3)", to_json(card)?),
        ] {
            sqlx::query(table)
                .bind(tenant.as_str())
                .bind(visit.as_str())
                .bind(body)
                .execute(&mut *write.tx)
                .await
                .map_err(away)?;
        }
        let ready = write.set_state(tenant, visit, VisitState::CardReady, Change::default()).await?;
        let transcribed = json!({
            "duration_ms": result.duration_ms,
            "speech_ms": result.speech_ms,
            "coverage": result.coverage,
            "segments": result.segments.len(),
            "moments": result.moments.len(),
            "gaps": result.gaps,
        });
        let card = json!({"card_id": card.id, "version": card.version, "state": card.state});
        let events = [
            NewEvent::new(EventKind::VisitTranscribed, transcribed),
            NewEvent::new(EventKind::CardReady, card),
        ];
        write.record(tenant, visit, &events).await?;
        write.commit().await?;
        Ok(ready)
    }

    /// The result. `ResultNotReady` before it exists.
    pub async fn result(&self, tenant: &TenantId, visit: &VisitId) -> Result<VisitResult> {
        let sql = "SELECT body FROM results WHERE tenant = $1 AND visit_id = $2";
        let not_ready = || Error::new(Code::ResultNotReady, "the result of this visit does not exist yet");
        json_col(&self.row_of_visit(sql, tenant, visit).await?.ok_or_else(not_ready)?, "body")
    }
}

//! Events: recorded in the transaction of the change they tell of, given their place in the visit, and set on
//! their way to every endpoint that wants them. There is no second step that could be lost.

use sqlx::any::AnyRow;

use super::Store;
use super::connect::Write;
use super::rows::{away, col, json, millis, time, word};
use crate::domain::access::TenantId;
use crate::domain::event::{Event, EventKind, NewEvent};
use crate::domain::ids::{DeliveryId, EndpointId, EventId, VisitId};
use crate::error::Result;

impl Store {
    /// The visit's events with a greater `seq`, in order. `NotFound` if there is no such visit.
    pub async fn visit_events(
        &self,
        tenant: &TenantId,
        visit: &VisitId,
        after_seq: i64,
    ) -> Result<Vec<Event>> {
        let rows =
            sqlx::query("SELECT * FROM events WHERE tenant = $1 AND visit_id = $2 AND seq > $3 ORDER BY seq")
                .bind(tenant.as_str())
                .bind(visit.as_str())
                .bind(after_seq)
                .fetch_all(&self.reader)
                .await
                .map_err(away)?;
        if rows.is_empty() {
            self.visit(tenant, visit).await?;
        }
        rows.iter().map(event).collect()
    }
}

impl Write {
    /// Records events of a locked visit and one delivery for each endpoint that subscribes to them.
    pub async fn record(&mut self, tenant: &TenantId, visit: &VisitId, events: &[NewEvent]) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let endpoints =
            sqlx::query("SELECT id, events FROM endpoints WHERE tenant = $1 AND disabled_ms IS NULL")
                .bind(tenant.as_str())
                .fetch_all(&mut *self.tx)
                .await
                .map_err(away)?;
        for new in events {
            let event = self.record_one(tenant, visit, new).await?;
            for row in &endpoints {
                let wanted: Vec<EventKind> = json(row, "events")?;
                if wanted.is_empty() || wanted.contains(&new.kind) {
                    self.send(tenant, &EndpointId(col(row, "id")?), &event).await?;
                }
            }
        }
        self.wakes = true;
        Ok(())
    }

    async fn record_one(&mut self, tenant: &TenantId, visit: &VisitId, new: &NewEvent) -> Result<Event> {
        let row = sqlx::query(
            "UPDATE visits SET last_seq = last_seq + 1 WHERE tenant = $1 AND id = $2 \
             RETURNING last_seq, external_id",
        )
        .bind(tenant.as_str())
        .bind(visit.as_str())
        .fetch_one(&mut *self.tx)
        .await
        .map_err(away)?;
        let event = Event::record(new, visit, col(&row, "external_id")?, col(&row, "last_seq")?, self.now);
        sqlx::query(
            "INSERT INTO events (tenant, visit_id, seq, id, kind, at_ms, body) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(tenant.as_str())
        .bind(visit.as_str())
        .bind(event.seq)
        .bind(event.id.as_str())
        .bind(event.kind.as_str())
        .bind(millis(event.at))
        .bind(event.body.as_str())
        .execute(&mut *self.tx)
        .await
        .map_err(away)?;
        Ok(event)
    }

    /// Queues an event behind those of its visit that the endpoint has still to get.
    async fn send(&mut self, tenant: &TenantId, endpoint: &EndpointId, event: &Event) -> Result<()> {
        sqlx::query(
            "INSERT INTO deliveries (tenant, id, endpoint_id, visit_id, seq, state, fence, attempts) \
             VALUES ($1, $2, $3, $4, $5, 'waiting', 0, 0)",
        )
        .bind(tenant.as_str())
        .bind(DeliveryId::generate().as_str())
        .bind(endpoint.as_str())
        .bind(event.visit_id.as_str())
        .bind(event.seq)
        .execute(&mut *self.tx)
        .await
        .map_err(away)?;
        self.wake_next(endpoint, &event.visit_id).await
    }
}

fn event(row: &AnyRow) -> Result<Event> {
    Ok(Event {
        id: EventId(col(row, "id")?),
        visit_id: VisitId(col(row, "visit_id")?),
        seq: col(row, "seq")?,
        kind: word(row, "kind", EventKind::parse)?,
        at: time(row, "at_ms")?,
        body: col(row, "body")?,
    })
}

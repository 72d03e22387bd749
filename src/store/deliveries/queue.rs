//! The dispatcher's side of deliveries: claim what is due, settle what was tried, know when to come back. The
//! only queries that cross tenants.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::super::Store;
use super::super::connect::Write;
use super::super::rows::{away, col, millis, word};
use super::{DeliveryState, Due, Outcome};
use crate::domain::access::TenantId;
use crate::domain::ids::{DeliveryId, EndpointId, EventId, VisitId};
use crate::error::{Error, Result};

/// An endpoint with something due, and how much is under way to it.
struct Receiver {
    tenant: TenantId,
    id: EndpointId,
    url: String,
    under_way: u32,
}

impl Store {
    /// Claims up to `limit` due deliveries until `now + lease_ms`. At most `per_endpoint` are under way to any
    /// one endpoint and those with the fewest come first, so that a slow one delays no other.
    pub async fn claim_due(
        &self,
        now: Timestamp,
        limit: u32,
        per_endpoint: u32,
        lease_ms: i64,
    ) -> Result<Vec<Due>> {
        let mut receivers = self.receivers(now).await?;
        receivers.retain(|receiver| receiver.under_way < per_endpoint);
        receivers.sort_by_key(|receiver| receiver.under_way);
        let mut claimed = Vec::new();
        if receivers.is_empty() || limit == 0 {
            return Ok(claimed);
        }
        let mut write = self.write().await?;
        for receiver in receivers {
            let room = limit.saturating_sub(u32::try_from(claimed.len()).unwrap_or(u32::MAX));
            let share = room.min(per_endpoint - receiver.under_way);
            if share > 0 {
                claimed.extend(write.claim(&receiver, now, share, lease_ms).await?);
            }
        }
        write.commit().await?;
        Ok(claimed)
    }

    /// Ends an attempt. False if the claim was lost meanwhile: then nothing changes.
    pub async fn settle(&self, id: &DeliveryId, fence: i64, outcome: Outcome) -> Result<bool> {
        let mut write = self.write().await?;
        let row = sqlx::query("SELECT tenant, visit_id, endpoint_id FROM deliveries WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&mut *write.tx)
            .await
            .map_err(away)?;
        let Some(row) = row else { return Ok(false) };
        let tenant = word(&row, "tenant", TenantId::parse)?;
        let (visit, endpoint) = (VisitId(col(&row, "visit_id")?), EndpointId(col(&row, "endpoint_id")?));
        write.lock_visit(&tenant, &visit).await?;
        let settled_ms = write.now_ms();
        let (state, due_ms, reason, settled_ms) = match outcome {
            Outcome::Delivered => (DeliveryState::Delivered, None, None, Some(settled_ms)),
            Outcome::Retry { at, reason } => (DeliveryState::Due, Some(millis(at)), Some(reason), None),
            Outcome::Dead { reason } => (DeliveryState::Dead, None, Some(reason), Some(settled_ms)),
        };
        let settled = sqlx::query(
            "UPDATE deliveries SET state = $3, due_ms = $4, last_error = $5, settled_ms = $6 \
             WHERE id = $1 AND fence = $2 AND state = 'sending'",
        )
        .bind(id.as_str())
        .bind(fence)
        .bind(state.as_str())
        .bind(due_ms)
        .bind(reason)
        .bind(settled_ms)
        .execute(&mut *write.tx)
        .await
        .map_err(away)?;
        if settled.rows_affected() == 0 {
            return Ok(false);
        }
        write.wake_next(&endpoint, &visit).await?;
        write.commit().await?;
        Ok(true)
    }

    /// When the next delivery falls due after `now`, a claim that runs out included; none if nothing is open
    /// or all that is open is due already.
    pub async fn next_due_at(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let mut next = None;
        for state in [DeliveryState::Due, DeliveryState::Sending] {
            let row = sqlx::query(
                "SELECT due_ms FROM deliveries WHERE state = $1 AND due_ms > $2 ORDER BY due_ms LIMIT 1",
            )
            .bind(state.as_str())
            .bind(millis(now))
            .fetch_optional(&self.reader)
            .await
            .map_err(away)?;
            let ms: Option<i64> = row.map(|row| col(&row, "due_ms")).transpose()?;
            next = [next, ms].into_iter().flatten().min();
        }
        next.map(Timestamp::from_millisecond).transpose().map_err(Error::internal)
    }

    async fn receivers(&self, now: Timestamp) -> Result<Vec<Receiver>> {
        let rows = sqlx::query(
            "SELECT e.tenant, e.id, e.url, (SELECT COUNT(*) FROM deliveries d \
             WHERE d.endpoint_id = e.id AND d.state = 'sending' AND d.due_ms > $1) AS under_way \
             FROM endpoints e WHERE e.disabled_ms IS NULL AND EXISTS (SELECT 1 FROM deliveries d \
             WHERE d.endpoint_id = e.id AND d.state IN ('due', 'sending') AND d.due_ms <= $1)",
        )
        .bind(millis(now))
        .fetch_all(&self.reader)
        .await
        .map_err(away)?;
        rows.iter()
            .map(|row| {
                Ok(Receiver {
                    tenant: word(row, "tenant", TenantId::parse)?,
                    id: EndpointId(col(row, "id")?),
                    url: col(row, "url")?,
                    under_way: u32::try_from(col::<i64>(row, "under_way")?).map_err(Error::internal)?,
                })
            })
            .collect()
    }
}

impl Write {
    async fn claim(
        &mut self,
        receiver: &Receiver,
        now: Timestamp,
        share: u32,
        lease_ms: i64,
    ) -> Result<Vec<Due>> {
        // The condition stands twice: on PostgreSQL another dispatcher may have claimed in between.
        let rows = sqlx::query(
            "UPDATE deliveries SET state = 'sending', fence = fence + 1, attempts = attempts + 1, due_ms = $4 \
             WHERE id IN (SELECT id FROM deliveries WHERE endpoint_id = $1 AND state IN ('due', 'sending') \
             AND due_ms <= $2 ORDER BY due_ms, id LIMIT $3) \
             AND state IN ('due', 'sending') AND due_ms <= $2 \
             RETURNING id, visit_id, seq, fence, attempts",
        )
        .bind(receiver.id.as_str())
        .bind(millis(now))
        .bind(i64::from(share))
        .bind(millis(now).saturating_add(lease_ms))
        .fetch_all(&mut *self.tx)
        .await
        .map_err(away)?;
        let secrets = self.secrets(&receiver.tenant, &receiver.id).await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in &rows {
            let (event_id, body) = self.content(&receiver.tenant, row).await?;
            claimed.push(Due {
                id: DeliveryId(col(row, "id")?),
                fence: col(row, "fence")?,
                tenant: receiver.tenant.clone(),
                endpoint_id: receiver.id.clone(),
                url: receiver.url.clone(),
                secrets: secrets.clone(),
                event_id,
                body,
                attempt: u32::try_from(col::<i64>(row, "attempts")?).map_err(Error::internal)?,
            });
        }
        Ok(claimed)
    }

    /// The event of a claimed delivery.
    async fn content(&mut self, tenant: &TenantId, delivery: &AnyRow) -> Result<(EventId, String)> {
        let row = sqlx::query("SELECT id, body FROM events WHERE tenant = $1 AND visit_id = $2 AND seq = $3")
            .bind(tenant.as_str())
            .bind(col::<&str>(delivery, "visit_id")?)
            .bind(col::<i64>(delivery, "seq")?)
            .fetch_one(&mut *self.tx)
            .await
            .map_err(away)?;
        Ok((EventId(col(&row, "id")?), col(&row, "body")?))
    }
}

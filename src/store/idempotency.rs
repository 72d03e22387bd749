//! `Idempotency-Key`: one effect per key and tenant for seven days.

use sqlx::any::AnyRow;

use super::Store;
use super::rows::{away, col};
use crate::domain::access::TenantId;
use crate::error::{Error, Result};

/// How long an answer is kept.
const KEPT_MS: i64 = 7 * 24 * 3_600_000;

/// After this long a request that never finished counts as lost with the process that worked on it. Far above
/// the time a request may take.
const LOST_MS: i64 = 5 * 60_000;

/// What is known of an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idempotency {
    /// Not seen before and now reserved: do the work, then finish or release.
    Fresh,
    /// Done before: answer this again.
    Replay {
        /// Status code.
        status: u16,
        /// Body.
        body: String,
    },
    /// Another request with it is being worked on.
    InProgress,
    /// It came with another request before.
    Conflict,
}

impl Store {
    /// Looks a key up and reserves it if it is fresh. `request` is method and path, `body_sha256` in hex.
    pub async fn idempotency_begin(
        &self,
        tenant: &TenantId,
        key: &str,
        request: &str,
        body_sha256: &str,
    ) -> Result<Idempotency> {
        let mut write = self.write().await?;
        let now = write.now_ms();
        sqlx::query(
            "DELETE FROM idempotency WHERE created_ms <= $1 OR (created_ms <= $2 AND status IS NULL)",
        )
        .bind(now - KEPT_MS)
        .bind(now - LOST_MS)
        .execute(&mut *write.tx)
        .await
        .map_err(away)?;
        let reserved = sqlx::query(
            "INSERT INTO idempotency (tenant, idem_key, request, body_sha256, created_ms) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, idem_key) DO NOTHING",
        )
        .bind(tenant.as_str())
        .bind(key)
        .bind(request)
        .bind(body_sha256)
        .bind(now)
        .execute(&mut *write.tx)
        .await
        .map_err(away)?;
        let known = if reserved.rows_affected() == 1 {
            Idempotency::Fresh
        } else {
            let row = sqlx::query("SELECT * FROM idempotency WHERE tenant = $1 AND idem_key = $2")
                .bind(tenant.as_str())
                .bind(key)
                .fetch_one(&mut *write.tx)
                .await
                .map_err(away)?;
            seen_before(&row, request, body_sha256)?
        };
        write.commit().await?;
        Ok(known)
    }

    /// Keeps the answer to a reserved key.
    pub async fn idempotency_finish(
        &self,
        tenant: &TenantId,
        key: &str,
        status: u16,
        body: &str,
    ) -> Result<()> {
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE idempotency SET status = $3, body = $4 \
             WHERE tenant = $1 AND idem_key = $2 AND status IS NULL",
        )
        .bind(tenant.as_str())
        .bind(key)
        .bind(i64::from(status))
        .bind(body)
        .execute(&mut *write.tx)
        .await
        .map_err(away)?;
        write.commit().await
    }

    /// Frees a reserved key whose request had no effect, so that it may be tried again.
    pub async fn idempotency_release(&self, tenant: &TenantId, key: &str) -> Result<()> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM idempotency WHERE tenant = $1 AND idem_key = $2 AND status IS NULL")
            .bind(tenant.as_str())
            .bind(key)
            .execute(&mut *write.tx)
            .await
            .map_err(away)?;
        write.commit().await
    }
}

fn seen_before(row: &AnyRow, request: &str, body_sha256: &str) -> Result<Idempotency> {
    if col::<&str>(row, "request")? != request || col::<&str>(row, "body_sha256")? != body_sha256 {
        return Ok(Idempotency::Conflict);
    }
    let status: Option<i64> = col(row, "status")?;
    Ok(match status {
        None => Idempotency::InProgress,
        Some(status) => Idempotency::Replay {
            status: u16::try_from(status).map_err(Error::internal)?,
            body: col(row, "body")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Desk, tenant};
    use super::*;

    #[tokio::test]
    async fn one_effect_per_key_for_seven_days() {
        let desk = Desk::new().await;
        let (store, acme) = (&desk.store, tenant("acme"));
        let begin = async |key: &str, hash: &str| {
            store.idempotency_begin(&acme, key, "POST /v1/visits", hash).await.unwrap()
        };
        assert_eq!(begin("k", "h").await, Idempotency::Fresh);
        assert_eq!(begin("k", "h").await, Idempotency::InProgress);
        assert_eq!(begin("k", "other").await, Idempotency::Conflict);
        let other = store.idempotency_begin(&acme, "k", "POST /v1/other", "h").await.unwrap();
        assert_eq!(other, Idempotency::Conflict);
        let foreign = store.idempotency_begin(&tenant("rival"), "k", "POST /v1/visits", "h").await.unwrap();
        assert_eq!(foreign, Idempotency::Fresh);

        store.idempotency_finish(&acme, "k", 201, "{}").await.unwrap();
        let replay = Idempotency::Replay { status: 201, body: "{}".into() };
        assert_eq!(begin("k", "h").await, replay);
        store.idempotency_release(&acme, "k").await.unwrap();
        desk.clock.advance_ms(KEPT_MS - 1);
        assert_eq!(begin("k", "h").await, replay);
        desk.clock.advance_ms(1);
        assert_eq!(begin("k", "h").await, Idempotency::Fresh);
    }

    #[tokio::test]
    async fn a_request_without_effect_may_be_tried_again() {
        let desk = Desk::new().await;
        let acme = tenant("acme");
        let begin = async || desk.store.idempotency_begin(&acme, "k", "POST /x", "h").await.unwrap();
        assert_eq!(begin().await, Idempotency::Fresh);
        desk.store.idempotency_release(&acme, "k").await.unwrap();
        assert_eq!(begin().await, Idempotency::Fresh);
        desk.clock.advance_ms(LOST_MS);
        assert_eq!(begin().await, Idempotency::Fresh, "its worker is gone");
    }
}

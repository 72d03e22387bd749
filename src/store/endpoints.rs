//! Webhook endpoints and the secrets that sign what they get. The secrets are kept as they are: signing needs them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::any::AnyRow;

use super::Store;
use super::connect::Write;
use super::keys::random_bytes;
use super::rows::{absent, away, col, json, opt_time, time, to_json};
use crate::domain::access::TenantId;
use crate::domain::event::EventKind;
use crate::domain::ids::EndpointId;
use crate::error::{Code, Error, Result};

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Where events are posted.
    pub url: String,
    /// The kinds it gets; empty means all.
    pub events: Vec<EventKind>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was taken out of use, by a person or by answering 410.
    pub disabled_at: Option<Timestamp>,
}

impl Store {
    /// Makes an endpoint; the secret (`whsec_...`, 32 random bytes) is returned this once. Whether the URL may
    /// be called at all is for the webhook client to say.
    pub async fn create_endpoint(
        &self,
        tenant: &TenantId,
        url: &str,
        events: &[EventKind],
    ) -> Result<(Endpoint, SecretString)> {
        let mut write = self.write().await?;
        let id = EndpointId::generate();
        let row = sqlx::query(
            "INSERT INTO endpoints (tenant, id, url, events, created_ms) VALUES ($1, $2, $3, $4, $5) RETURNING *",
        )
        .bind(tenant.as_str())
        .bind(id.as_str())
        .bind(url)
        .bind(to_json(events)?)
        .bind(write.now_ms())
        .fetch_one(&mut *write.tx)
        .await
        .map_err(away)?;
        let endpoint = endpoint(&row)?;
        let secret = write.add_secret(tenant, &id).await?;
        write.audit(tenant, "service", "endpoint.created", id.as_str(), "").await?;
        write.commit().await?;
        Ok((endpoint, secret))
    }

    /// The tenant's endpoints, oldest first, disabled ones included.
    pub async fn list_endpoints(&self, tenant: &TenantId) -> Result<Vec<Endpoint>> {
        let sql = "SELECT * FROM endpoints WHERE tenant = $1 ORDER BY id";
        self.rows_of_tenant(sql, tenant).await?.iter().map(endpoint).collect()
    }

    /// One endpoint. `NotFound` if there is none.
    pub async fn endpoint(&self, tenant: &TenantId, id: &EndpointId) -> Result<Endpoint> {
        let row = sqlx::query("SELECT * FROM endpoints WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.as_str())
            .fetch_optional(&self.reader)
            .await
            .map_err(away)?;
        endpoint(&row.ok_or_else(|| absent("endpoint"))?)
    }

    /// Takes an endpoint out of use: what was still to be sent to it becomes a dead letter with `reason`, a
    /// word of ours. Doing so again changes nothing.
    pub async fn disable_endpoint(&self, tenant: &TenantId, id: &EndpointId, reason: &str) -> Result<()> {
        let mut write = self.write().await?;
        if write.lock_endpoint(tenant, id).await?.disabled_at.is_some() {
            return Ok(());
        }
        sqlx::query("UPDATE endpoints SET disabled_ms = $3 WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.as_str())
            .bind(write.now_ms())
            .execute(&mut *write.tx)
            .await
            .map_err(away)?;
        // A greater fence: an attempt under way can no longer settle what is given up here.
        sqlx::query(
            "UPDATE deliveries SET state = 'dead', due_ms = NULL, fence = fence + 1, last_error = $3, \
             settled_ms = $4 WHERE tenant = $1 AND endpoint_id = $2 AND state IN ('waiting', 'due', 'sending')",
        )
        .bind(tenant.as_str())
        .bind(id.as_str())
        .bind(reason)
        .bind(write.now_ms())
        .execute(&mut *write.tx)
        .await
        .map_err(away)?;
        write.audit(tenant, "service", "endpoint.disabled", id.as_str(), reason).await?;
        write.commit().await
    }

    /// A new secret, returned this once; those before it sign as well until `overlap_ms` have passed.
    pub async fn rotate_secret(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
        overlap_ms: i64,
    ) -> Result<SecretString> {
        let mut write = self.write().await?;
        if write.lock_endpoint(tenant, id).await?.disabled_at.is_some() {
            return Err(disabled());
        }
        let expires_ms = write.now_ms().saturating_add(overlap_ms);
        sqlx::query(
            "UPDATE endpoint_secrets SET expires_ms = $3 \
             WHERE tenant = $1 AND endpoint_id = $2 AND (expires_ms IS NULL OR expires_ms > $3)",
        )
        .bind(tenant.as_str())
        .bind(id.as_str())
        .bind(expires_ms)
        .execute(&mut *write.tx)
        .await
        .map_err(away)?;
        let secret = write.add_secret(tenant, id).await?;
        write.audit(tenant, "service", "endpoint.secret_rotated", id.as_str(), "").await?;
        write.commit().await?;
        Ok(secret)
    }
}

impl Write {
    /// Reads an endpoint and keeps others from changing it until commit.
    pub async fn lock_endpoint(&mut self, tenant: &TenantId, id: &EndpointId) -> Result<Endpoint> {
        let row = sqlx::query("UPDATE endpoints SET url = url WHERE tenant = $1 AND id = $2 RETURNING *")
            .bind(tenant.as_str())
            .bind(id.as_str())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(away)?;
        endpoint(&row.ok_or_else(|| absent("endpoint"))?)
    }

    async fn add_secret(&mut self, tenant: &TenantId, id: &EndpointId) -> Result<SecretString> {
        let secret = SecretString::from(format!("whsec_{}", STANDARD.encode(random_bytes()?)));
        sqlx::query(
            "INSERT INTO endpoint_secrets (tenant, endpoint_id, secret, created_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(tenant.as_str())
        .bind(id.as_str())
        .bind(secret.expose_secret())
        .bind(self.now_ms())
        .execute(&mut *self.tx)
        .await
        .map_err(away)?;
        Ok(secret)
    }

    /// The secrets that sign now, newest first.
    pub async fn secrets(&mut self, tenant: &TenantId, id: &EndpointId) -> Result<Vec<SecretString>> {
        let rows = sqlx::query(
            "SELECT secret FROM endpoint_secrets WHERE tenant = $1 AND endpoint_id = $2 \
             AND (expires_ms IS NULL OR expires_ms > $3) ORDER BY created_ms DESC, secret",
        )
        .bind(tenant.as_str())
        .bind(id.as_str())
        .bind(self.now_ms())
        .fetch_all(&mut *self.tx)
        .await
        .map_err(away)?;
        rows.iter().map(|row| col::<String>(row, "secret").map(SecretString::from)).collect()
    }
}

pub(super) fn disabled() -> Error {
    Error::new(Code::WrongState, "the endpoint is out of use")
}

fn endpoint(row: &AnyRow) -> Result<Endpoint> {
    Ok(Endpoint {
        id: EndpointId(col(row, "id")?),
        url: col(row, "url")?,
        events: json(row, "events")?,
        created_at: time(row, "created_ms")?,
        disabled_at: opt_time(row, "disabled_ms")?,
    })
}

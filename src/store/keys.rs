//! API keys: made, listed, revoked, and looked up at every request. A secret is kept as its SHA-256 alone: it is
//! 32 random bytes, so there is nothing to guess and no need of a slow hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;

use super::Store;
use super::rows::{absent, away, col, opt_time, time, word};
use crate::domain::access::{Principal, Role, TenantId};
use crate::domain::hex::hex;
use crate::domain::ids::KeyId;
use crate::error::{Error, Result};

/// A key on record; its secret is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Store {
    /// Makes a key; the secret (`vsk_...`) is returned this once.
    pub async fn create_key(&self, tenant: &TenantId, role: Role) -> Result<(KeyId, SecretString)> {
        let secret = SecretString::from(format!("vsk_{}", URL_SAFE_NO_PAD.encode(random_bytes()?)));
        let id = KeyId::generate();
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO api_keys (id, tenant, role, secret_sha256, created_ms) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id.as_str())
        .bind(tenant.as_str())
        .bind(role.as_str())
        .bind(hash(secret.expose_secret()))
        .bind(write.now_ms())
        .execute(&mut *write.tx)
        .await
        .map_err(away)?;
        write.audit(tenant, "operator", "key.created", id.as_str(), role.as_str()).await?;
        write.commit().await?;
        Ok((id, secret))
    }

    /// The tenant's keys, oldest first.
    pub async fn list_keys(&self, tenant: &TenantId) -> Result<Vec<Key>> {
        let sql = "SELECT * FROM api_keys WHERE tenant = $1 ORDER BY id";
        self.rows_of_tenant(sql, tenant).await?.iter().map(key).collect()
    }

    /// Whether any tenant has a key that stands: without one nobody can use the service yet.
    pub async fn has_keys(&self) -> Result<bool> {
        let row = sqlx::query("SELECT id FROM api_keys WHERE revoked_ms IS NULL LIMIT 1")
            .fetch_optional(&self.reader)
            .await
            .map_err(away)?;
        Ok(row.is_some())
    }

    /// Revokes a key; revoking it again changes nothing. `NotFound` if there is none.
    pub async fn revoke_key(&self, tenant: &TenantId, id: &KeyId) -> Result<()> {
        let mut write = self.write().await?;
        let row = sqlx::query("SELECT * FROM api_keys WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.as_str())
            .fetch_optional(&mut *write.tx)
            .await
            .map_err(away)?;
        if key(&row.ok_or_else(|| absent("key"))?)?.revoked_at.is_some() {
            return Ok(());
        }
        sqlx::query("UPDATE api_keys SET revoked_ms = $3 WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.as_str())
            .bind(write.now_ms())
            .execute(&mut *write.tx)
            .await
            .map_err(away)?;
        write.audit(tenant, "operator", "key.revoked", id.as_str(), "").await?;
        write.commit().await
    }

    /// Who holds this secret, if it is a valid one.
    pub async fn principal(&self, secret: &str) -> Result<Option<Principal>> {
        let row = sqlx::query("SELECT * FROM api_keys WHERE secret_sha256 = $1 AND revoked_ms IS NULL")
            .bind(hash(secret))
            .fetch_optional(&self.reader)
            .await
            .map_err(away)?;
        row.map(|row| {
            let tenant = word(&row, "tenant", TenantId::parse)?;
            Ok(Principal { tenant, role: word(&row, "role", Role::parse)?, key_id: KeyId(col(&row, "id")?) })
        })
        .transpose()
    }

    /// Whether the key a principal came with still stands: open sockets ask this every few seconds.
    pub async fn still_valid(&self, principal: &Principal) -> Result<bool> {
        let row = sqlx::query("SELECT id FROM api_keys WHERE tenant = $1 AND id = $2 AND revoked_ms IS NULL")
            .bind(principal.tenant.as_str())
            .bind(principal.key_id.as_str())
            .fetch_optional(&self.reader)
            .await
            .map_err(away)?;
        Ok(row.is_some())
    }
}

fn key(row: &AnyRow) -> Result<Key> {
    Ok(Key {
        id: KeyId(col(row, "id")?),
        role: word(row, "role", Role::parse)?,
        created_at: time(row, "created_ms")?,
        revoked_at: opt_time(row, "revoked_ms")?,
    })
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

/// 32 bytes from the system's generator.
pub(super) fn random_bytes() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal(anyhow::anyhow!("no randomness: {e}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Desk, tenant};
    use super::*;
    use crate::error::Code;

    #[tokio::test]
    async fn a_key_opens_its_tenant_until_revoked() {
        let desk = Desk::new().await;
        let store = &desk.store;
        let (acme, rival) = (tenant("acme"), tenant("rival"));
        let (id, secret) = store.create_key(&acme, Role::Rep).await.unwrap();
        assert!(secret.expose_secret().starts_with("vsk_") && secret.expose_secret().len() == 47);
        let principal = store.principal(secret.expose_secret()).await.unwrap().unwrap();
        let expected = Principal { tenant: acme.clone(), role: Role::Rep, key_id: id.clone() };
        assert_eq!(principal, expected);
        assert!(store.still_valid(&principal).await.unwrap());
        assert_eq!(store.principal("vsk_other").await.unwrap(), None);

        assert_eq!(store.revoke_key(&rival, &id).await.unwrap_err().code, Code::NotFound);
        assert!(store.list_keys(&rival).await.unwrap().is_empty());
        assert!(store.principal(secret.expose_secret()).await.unwrap().is_some());
        store.revoke_key(&acme, &id).await.unwrap();
        store.revoke_key(&acme, &id).await.unwrap();
        assert_eq!(store.principal(secret.expose_secret()).await.unwrap(), None);
        assert!(!store.still_valid(&principal).await.unwrap());
        let keys = store.list_keys(&acme).await.unwrap();
        assert!(matches!(keys.as_slice(), [key] if key.revoked_at.is_some()));
        assert_eq!(store.verify_audit().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn the_secret_is_nowhere_in_the_database() {
        let desk = Desk::on_sqlite().await;
        let (_, secret) = desk.store.create_key(&tenant("acme"), Role::Admin).await.unwrap();
        for file in std::fs::read_dir(desk.dir.path().join("deep")).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let needle = secret.expose_secret().as_bytes();
            assert!(!bytes.windows(needle.len()).any(|window| window == needle));
        }
    }
}

//! The audit chain: who did what to which thing, each row's hash covering the row before. Rows are appended in
//! the transaction they tell of and hold ids and words of ours, never personal data, so that they may outlive
//! what they speak of.

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;

use super::Store;
use super::connect::Write;
use super::rows::{away, col};
use crate::domain::access::TenantId;
use crate::domain::hex::hex;
use crate::error::{Code, Error, Result};

impl Write {
    /// Appends an entry. `actor` is a key id, or `operator` at the command line, or `service`.
    pub async fn audit(
        &mut self,
        tenant: &TenantId,
        actor: &str,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> Result<()> {
        // The update holds the head until commit: nobody else can append to the same one.
        let head = sqlx::query("UPDATE audit_head SET seq = seq + 1 WHERE id = 1 RETURNING seq, hash")
            .fetch_one(&mut *self.tx)
            .await
            .map_err(away)?;
        let (seq, before): (i64, String) = (col(&head, "seq")?, col(&head, "hash")?);
        let at_ms = self.now_ms();
        let entry = Entry { seq, tenant: tenant.as_str(), at_ms, actor, action, subject, detail };
        let hash = entry.hash(&before);
        sqlx::query(
            "INSERT INTO audit (seq, tenant, at_ms, actor, action, subject, detail, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(seq)
        .bind(entry.tenant)
        .bind(at_ms)
        .bind(actor)
        .bind(action)
        .bind(subject)
        .bind(detail)
        .bind(hash.as_str())
        .execute(&mut *self.tx)
        .await
        .map_err(away)?;
        sqlx::query("UPDATE audit_head SET hash = $1 WHERE id = 1")
            .bind(hash)
            .execute(&mut *self.tx)
            .await
            .map_err(away)?;
        Ok(())
    }
}

impl Store {
    /// Checks the whole chain: the number of its rows, or `Internal` naming the first broken one.
    pub async fn verify_audit(&self) -> Result<u64> {
        // Rows may be appended meanwhile: the end must be at least this head and at most the later one.
        let (least, hash_at_least) = self.audit_head().await?;
        let (mut last, mut before) = (0, String::new());
        {
            let mut rows = sqlx::query("SELECT * FROM audit ORDER BY seq").fetch(&self.reader);
            while let Some(row) = rows.try_next().await.map_err(away)? {
                let seq: i64 = col(&row, "seq")?;
                let stored: String = col(&row, "hash")?;
                let entry = Entry::read(&row)?;
                let chained = seq == last + 1 && entry.hash(&before) == stored;
                if !chained || (seq == least && stored != hash_at_least) {
                    return Err(broken(last + 1));
                }
                (last, before) = (seq, stored);
            }
        }
        let (most, _) = self.audit_head().await?;
        if last < least || last > most {
            return Err(broken(last.min(most) + 1));
        }
        u64::try_from(last).map_err(Error::internal)
    }

    async fn audit_head(&self) -> Result<(i64, String)> {
        let row = sqlx::query("SELECT seq, hash FROM audit_head WHERE id = 1")
            .fetch_optional(&self.reader)
            .await
            .map_err(away)?
            .ok_or_else(|| broken(1))?;
        Ok((col(&row, "seq")?, col(&row, "hash")?))
    }
}

fn broken(seq: i64) -> Error {
    Error::new(Code::Internal, format!("the audit chain is broken at row {seq}"))
}

struct Entry<'a> {
    seq: i64,
    tenant: &'a str,
    at_ms: i64,
    actor: &'a str,
    action: &'a str,
    subject: &'a str,
    detail: &'a str,
}

impl<'a> Entry<'a> {
    fn read(row: &'a AnyRow) -> Result<Self> {
        Ok(Self {
            seq: col(row, "seq")?,
            tenant: col(row, "tenant")?,
            at_ms: col(row, "at_ms")?,
            actor: col(row, "actor")?,
            action: col(row, "action")?,
            subject: col(row, "subject")?,
            detail: col(row, "detail")?,
        })
    }

    /// SHA-256 over the fields, each led by its length, so that no two entries read alike.
    fn hash(&self, before: &str) -> String {
        let mut sha = Sha256::new();
        let (seq, at_ms) = (self.seq.to_string(), self.at_ms.to_string());
        for field in [before, &seq, self.tenant, &at_ms, self.actor, self.action, self.subject, self.detail] {
            sha.update((field.len() as u64).to_le_bytes());
            sha.update(field);
        }
        hex(&sha.finalize())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::super::testing::{Desk, tenant};

    async fn desk_with_five_rows() -> Desk {
        let desk = Desk::new().await;
        for subject in ["a", "b", "c", "d", "e"] {
            let mut write = desk.store.write().await.unwrap();
            write.audit(&tenant("acme"), "key_1", "test.done", subject, "{}").await.unwrap();
            write.commit().await.unwrap();
        }
        assert_eq!(desk.store.verify_audit().await.unwrap(), 5);
        desk
    }

    #[tokio::test]
    async fn every_kind_of_tampering_is_found_at_its_row() {
        let swap = "UPDATE audit SET seq = CASE seq WHEN 2 THEN -3 WHEN 3 THEN -2 ELSE seq END";
        for (tampering, row) in [
            ("UPDATE audit SET subject = 'x' WHERE seq = 3", 3),
            ("UPDATE audit SET actor = 'key_2' WHERE seq = 1", 1),
            ("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 5", 5),
            ("UPDATE audit SET hash = 'x' WHERE seq = 4", 4),
            ("DELETE FROM audit WHERE seq = 2", 2),
            ("DELETE FROM audit WHERE seq >= 4", 4),
            ("DELETE FROM audit", 1),
            (
                "INSERT INTO audit SELECT 6, tenant, at_ms, actor, action, subject, detail, hash FROM audit WHERE seq = 5",
                6,
            ),
            (swap, 2),
            ("UPDATE audit_head SET seq = 4", 4),
        ] {
            let desk = desk_with_five_rows().await;
            for statement in [tampering, "UPDATE audit SET seq = -seq WHERE seq < 0"] {
                let mut write = desk.store.write().await.unwrap();
                sqlx::query(AssertSqlSafe(statement)).execute(&mut *write.tx).await.unwrap();
                write.commit().await.unwrap();
            }
            let error = desk.store.verify_audit().await.expect_err(tampering);
            assert_eq!(error.detail, format!("the audit chain is broken at row {row}"), "{tampering}");
        }
    }

    #[tokio::test]
    async fn an_entry_of_a_transaction_that_failed_is_not_there() {
        let desk = desk_with_five_rows().await;
        let mut write = desk.store.write().await.unwrap();
        write.audit(&tenant("acme"), "key_1", "test.done", "f", "{}").await.unwrap();
        drop(write);
        assert_eq!(desk.store.verify_audit().await.unwrap(), 5);
    }
}

//! The one audio stream of a visit: its format, who writes it (by epoch), the length its sender declared.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;

use super::Store;
use super::connect::Write;
use super::rows::{absent, away, col, json, to_json};
use super::visits::wrong_state;
use crate::domain::access::TenantId;
use crate::domain::audio::{AudioFormat, Samples};
use crate::domain::consent::Purpose;
use crate::domain::ids::VisitId;
use crate::domain::visit::VisitState;
use crate::error::{Code, Error, Result};

const CUTS: &str = "SELECT cuts FROM streams WHERE tenant = $1 AND visit_id = $2";

/// A visit's stream. How many bytes are here is told by the audio log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRow {
    /// As first declared.
    pub format: AudioFormat,
    /// Grows with each claim; only the newest claim may finish.
    pub epoch: i64,
    /// The length the sender declared at the end.
    pub total_bytes: Option<u64>,
}

impl Store {
    /// Makes the caller the stream's one writer.
    ///
    /// The visit must take audio and recording must be consented to now, checked in the same transaction:
    /// `ConsentRequired`, `ConsentWithdrawn`, `WrongState`. `AudioConflict` if another format was declared before.
    pub async fn claim_stream(
        &self,
        tenant: &TenantId,
        visit: &VisitId,
        format: AudioFormat,
    ) -> Result<StreamRow> {
        let mut write = self.write().await?;
        write.may_record(tenant, visit).await?;
        let row = sqlx::query(
            "INSERT INTO streams (tenant, visit_id, format, epoch) VALUES ($1, $2, $3, 1) \
             ON CONFLICT (tenant, visit_id) DO UPDATE SET epoch = streams.epoch + 1 RETURNING *",
        )
        .bind(tenant.as_str())
        .bind(visit.as_str())
        .bind(to_json(&format)?)
        .fetch_one(&mut *write.tx)
        .await
        .map_err(away)?;
        let claimed = stream(&row)?;
        if claimed.format != format {
            let detail = "the visit's audio was begun in another format; send the rest in that one";
            return Err(Error::new(Code::AudioConflict, detail));
        }
        write.commit().await?;
        Ok(claimed)
    }

    /// The stream, if one was ever claimed. `NotFound` if there is no such visit.
    pub async fn stream(&self, tenant: &TenantId, visit: &VisitId) -> Result<Option<StreamRow>> {
        let sql = "SELECT * FROM streams WHERE tenant = $1 AND visit_id = $2";
        self.row_of_visit(sql, tenant, visit).await?.map(|row| stream(&row)).transpose()
    }

    /// Records that `finalize` cut the stream here. The same cut again changes nothing.
    pub async fn add_cut(&self, tenant: &TenantId, visit: &VisitId, at: Samples) -> Result<()> {
        let mut write = self.write().await?;
        write.lock_visit(tenant, visit).await?;
        let row = sqlx::query(CUTS)
            .bind(tenant.as_str())
            .bind(visit.as_str())
            .fetch_optional(&mut *write.tx)
            .await
            .map_err(away)?;
        let mut cuts: BTreeSet<Samples> = json(&row.ok_or_else(|| absent("stream"))?, "cuts")?;
        if cuts.insert(at) {
            sqlx::query("UPDATE streams SET cuts = $3 WHERE tenant = $1 AND visit_id = $2")
                .bind(tenant.as_str())
                .bind(visit.as_str())
                .bind(to_json(&cuts)?)
                .execute(&mut *write.tx)
                .await
                .map_err(away)?;
        }
        write.commit().await
    }

    /// Where `finalize` cut the stream, in order; empty if there is no stream. `NotFound` if there is no such visit.
    pub async fn cuts(&self, tenant: &TenantId, visit: &VisitId) -> Result<Vec<Samples>> {
        let row = self.row_of_visit(CUTS, tenant, visit).await?;
        row.map_or(Ok(Vec::new()), |row| json(&row, "cuts"))
    }

    /// Records the length that the sender declares; the same one again changes nothing.
    ///
    /// State and consent are checked as at the claim. `WrongState` for an epoch that was taken over,
    /// `AudioConflict` for another length than declared before.
    pub async fn finish_stream(
        &self,
        tenant: &TenantId,
        visit: &VisitId,
        epoch: i64,
        total_bytes: u64,
    ) -> Result<StreamRow> {
        let mut write = self.write().await?;
        write.may_record(tenant, visit).await?;
        let total = i64::try_from(total_bytes)
            .map_err(|_| Error::new(Code::InvalidRequest, "total_bytes is larger than any stream"))?;
        let row = sqlx::query(
            "UPDATE streams SET total_bytes = COALESCE(total_bytes, $3) \
             WHERE tenant = $1 AND visit_id = $2 RETURNING *",
        )
        .bind(tenant.as_str())
        .bind(visit.as_str())
        .bind(total)
        .fetch_optional(&mut *write.tx)
        .await
        .map_err(away)?;
        let finished = stream(&row.ok_or_else(|| absent("stream"))?)?;
        if finished.epoch != epoch {
            return Err(Error::new(Code::WrongState, "a newer connection has taken this stream over"));
        }
        if finished.total_bytes != Some(total_bytes) {
            return Err(Error::new(Code::AudioConflict, "another total length was declared before"));
        }
        write.commit().await?;
        Ok(finished)
    }
}

impl Write {
    /// Locks the visit and checks that its audio may be taken now.
    async fn may_record(&mut self, tenant: &TenantId, visit: &VisitId) -> Result<()> {
        let state = self.lock_visit(tenant, visit).await?.state;
        if state == VisitState::Scheduled {
            return Err(Error::new(Code::ConsentRequired, "there is no consent to recording on record"));
        }
        if !state.takes_audio() {
            return Err(wrong_state(state));
        }
        if !self.consent_allows(tenant, visit, Purpose::Recording).await? {
            return Err(Error::new(Code::ConsentRequired, "the consent on record does not cover recording"));
        }
        Ok(())
    }
}

fn stream(row: &AnyRow) -> Result<StreamRow> {
    let total: Option<i64> = col(row, "total_bytes")?;
    Ok(StreamRow {
        format: json(row, "format")?,
        epoch: col(row, "epoch")?,
        total_bytes: total.map(u64::try_from).transpose().map_err(Error::internal)?,
    })
}

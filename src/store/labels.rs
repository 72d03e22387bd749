//! What later training may take from here: confirmed visits whose consent stands, with what a person corrected.

use jiff::Timestamp;

use super::Store;
use super::connect::Write;
use super::rows::{away, col, json as json_col, millis};
use crate::domain::access::TenantId;
use crate::domain::consent::Purpose;
use crate::domain::edit::Label;
use crate::domain::ids::VisitId;
use crate::domain::result::VisitResult;
use crate::domain::visit::{Visit, VisitState};
use crate::error::{Code, Error, Result};

/// A confirmed visit, as training takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// The visit.
    pub visit: Visit,
    /// What the models made of it, masked.
    pub result: VisitResult,
    /// What a person corrected, by field name.
    pub labels: Vec<Label>,
}

impl Store {
    /// The tenant's visits that were confirmed at `since` or later and may be taken, in order of their making.
    pub async fn labelled_visits(&self, tenant: &TenantId, since: Timestamp) -> Result<Vec<VisitId>> {
        let sql = "SELECT visit_id FROM cards WHERE tenant = $1 AND confirmed_ms >= $2 ORDER BY visit_id";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(millis(since));
        let mut visits = Vec::new();
        for row in query.fetch_all(&self.reader).await.map_err(away)? {
            let id = VisitId(col(&row, "visit_id")?);
            if self.may_be_taken(&self.visit(tenant, &id).await?, tenant).await? {
                visits.push(id);
            }
        }
        Ok(visits)
    }

    async fn may_be_taken(&self, visit: &Visit, tenant: &TenantId) -> Result<bool> {
        let consent = self.active_consent(tenant, &visit.id).await?;
        Ok(is_confirmed(visit) && consent.is_some_and(|consent| consent.allows(Purpose::Transcription)))
    }

    /// The visit with its labels; `None` if it may not be taken: unconfirmed, or without a consent to
    /// transcription that stands. `NotFound` if there is no such visit.
    pub async fn labelled(&self, tenant: &TenantId, id: &VisitId) -> Result<Option<Labelled>> {
        let visit = self.visit(tenant, id).await?;
        if !self.may_be_taken(&visit, tenant).await? {
            return Ok(None);
        }
        let sql = "SELECT * FROM labels WHERE tenant = $1 AND visit_id = $2 ORDER BY field";
        let rows = sqlx::query(sql).bind(tenant.as_str()).bind(id.as_str());
        let rows = rows.fetch_all(&self.reader).await.map_err(away)?;
        let label = |row| {
            let (predicted, chosen) = (json_col(row, "predicted")?, json_col(row, "chosen")?);
            Ok(Label { field: col(row, "field")?, predicted, chosen })
        };
        let labels = rows.iter().map(label).collect::<Result<_>>()?;
        Ok(Some(Labelled { visit, result: self.result(tenant, id).await?, labels }))
    }

    /// Writes into the audit log that the operator takes the visit's labels; `detail` says in what form.
    /// `ConsentWithdrawn` or `WrongState` if it may not be taken any more: then nothing may be handed out.
    pub async fn record_export(&self, tenant: &TenantId, id: &VisitId, detail: &str) -> Result<()> {
        let mut write = self.write().await?;
        write.check_labelled(tenant, id).await?;
        write.audit(tenant, "operator", "labels.exported", id.as_str(), detail).await?;
        write.commit().await
    }
}

impl Write {
    async fn check_labelled(&mut self, tenant: &TenantId, id: &VisitId) -> Result<()> {
        let visit = self.lock_visit(tenant, id).await?;
        if !is_confirmed(&visit) {
            return Err(super::visits::wrong_state(visit.state));
        }
        if !self.consent_allows(tenant, id, Purpose::Transcription).await? {
            return Err(Error::new(Code::ConsentRequired, "the customer has not agreed to transcription"));
        }
        Ok(())
    }
}

fn is_confirmed(visit: &Visit) -> bool {
    matches!(visit.state, VisitState::Confirmed | VisitState::Archived)
}

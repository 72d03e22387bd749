//! Cards and their confirmation: the one moment when a record becomes binding.

use serde_json::json;
use sqlx::any::AnyRow;

use super::Store;
use super::connect::Write;
use super::rows::{away, col, json as json_col, to_json};
use super::visits::{Change, wrong_state};
use crate::domain::access::{Principal, TenantId};
use crate::domain::card::{Card, CardState};
use crate::domain::confirmation::{Confirmation, Redrawn};
use crate::domain::consent::Purpose;
use crate::domain::edit::Label;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::ids::VisitId;
use crate::domain::visit::{Visit, VisitState};
use crate::error::{Code, Error, Result};

/// What confirming gives back.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmed {
    /// The card, edits applied.
    pub card: Card,
    /// The visit, `confirmed` or further.
    pub visit: Visit,
    /// Whether an earlier request had done it already.
    pub already: bool,
}

impl Store {
    /// The card. `CardNotReady` before it exists.
    pub async fn card(&self, tenant: &TenantId, visit: &VisitId) -> Result<Card> {
        let sql = "SELECT body FROM cards WHERE tenant = $1 AND visit_id = $2";
        json_col(&self.row_of_visit(sql, tenant, visit).await?.ok_or_else(not_ready)?, "body")
    }

    /// Confirms the card as it was seen, with edits applied; `redrawn` is what it shows without the dismissed
    /// moments, if there are any. Card, visit, labels, audit entry and event are written in one transaction; the
    /// same request again gets the same answer and has no second effect.
    ///
    /// `StaleVersion` for another version, `InvalidRequest` for an edit that cannot be, `WrongState` if it was
    /// confirmed with other edits or the visit is elsewhere, `ConsentWithdrawn` once consent was taken back.
    pub async fn confirm(
        &self,
        tenant: &TenantId,
        visit: &VisitId,
        by: &Principal,
        said: &Confirmation,
        redrawn: Option<Redrawn>,
    ) -> Result<Confirmed> {
        let mut write = self.write().await?;
        let before = write.lock_visit(tenant, visit).await?;
        if matches!(before.state, VisitState::Withdrawn | VisitState::Erased) {
            return Err(wrong_state(before.state));
        }
        let (mut card, earlier) = write.card(tenant, visit).await?;
        if let Some(earlier) = earlier {
            return earlier.answer(card, before, said);
        }
        if said.version != card.version {
            return Err(stale());
        }
        if before.state != VisitState::CardReady {
            return Err(wrong_state(before.state));
        }
        let labels = said
            .apply(&mut card, redrawn)
            .map_err(|refusal| Error::new(Code::InvalidRequest, refusal.to_string()))?;
        card.version += 1;
        card.state = CardState::Confirmed;

        write.keep_confirmation(tenant, &card, by, said).await?;
        write.keep_labels(tenant, visit, &labels).await?;
        let after = write.set_state(tenant, visit, VisitState::Confirmed, Change::default()).await?;
        let edited: Vec<&str> = labels.iter().map(|label| label.field.as_str()).collect();
        let detail = json!({"card_id": card.id, "version": card.version, "edited": edited}).to_string();
        write.audit(tenant, by.key_id.as_str(), "card.confirmed", visit.as_str(), &detail).await?;
        let told = write.confirmation_event(tenant, &after, &card).await?;
        write.record(tenant, visit, &[told]).await?;
        write.commit().await?;
        Ok(Confirmed { card, visit: after, already: false })
    }
}

/// The request that confirmed a card.
struct Earlier(Confirmation);

impl Earlier {
    /// What a request gets that comes after it.
    fn answer(self, card: Card, visit: Visit, said: &Confirmation) -> Result<Confirmed> {
        if said.version != self.0.version {
            return Err(stale());
        }
        if *said != self.0 {
            return Err(Error::new(Code::WrongState, "the card was confirmed already, with other edits"));
        }
        Ok(Confirmed { card, visit, already: true })
    }
}

impl Write {
    async fn card(&mut self, tenant: &TenantId, visit: &VisitId) -> Result<(Card, Option<Earlier>)> {
        let row = sqlx::query("SELECT * FROM cards WHERE tenant = $1 AND visit_id = $2")
            .bind(tenant.as_str())
            .bind(visit.as_str())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(away)?
            .ok_or_else(not_ready)?;
        Ok((json_col(&row, "body")?, earlier(&row)?))
    }

    async fn keep_confirmation(
        &mut self,
        tenant: &TenantId,
        card: &Card,
        by: &Principal,
        said: &Confirmation,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE cards SET body = $3, seen_version = $4, edits = $5, dismissed = $6, confirmed_by = $7, \
             confirmed_ms = $8 WHERE tenant = $1 AND visit_id = $2",
        )
        .bind(tenant.as_str())
        .bind(card.visit_id.as_str())
        .bind(to_json(card)?)
        .bind(said.version)
        .bind(to_json(&said.edits)?)
        .bind(to_json(&said.dismissed)?)
        .bind(by.key_id.as_str())
        .bind(self.now_ms())
        .execute(&mut *self.tx)
        .await
        .map_err(away)?;
        Ok(())
    }

    async fn keep_labels(&mut self, tenant: &TenantId, visit: &VisitId, labels: &[Label]) -> Result<()> {
        for label in labels {
            sqlx::query(
                "INSERT INTO labels (tenant, visit_id, field, predicted, chosen, at_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(tenant.as_str())
            .bind(visit.as_str())
            .bind(label.field.as_str())
            .bind(label.predicted.to_string())
            .bind(label.chosen.to_string())
            .bind(self.now_ms())
            .execute(&mut *self.tx)
            .await
            .map_err(away)?;
        }
        Ok(())
    }

    /// `visit.confirmed`. The card's content goes to the CRM only where the customer agreed to that.
    async fn confirmation_event(
        &mut self,
        tenant: &TenantId,
        visit: &Visit,
        card: &Card,
    ) -> Result<NewEvent> {
        let mut data = json!({
            "card_id": card.id,
            "version": card.version,
            "confirmed_at": self.now,
            "customer_id": visit.customer.id,
            "rep_id": visit.rep.id,
        });
        if self.consent_allows(tenant, &visit.id, Purpose::CrmDelivery).await? {
            data["card"] = serde_json::to_value(card).map_err(Error::internal)?;
        }
        Ok(NewEvent::new(EventKind::VisitConfirmed, data))
    }
}

fn earlier(row: &AnyRow) -> Result<Option<Earlier>> {
    let seen_version: Option<i64> = col(row, "seen_version")?;
    let said = |version| {
        let (edits, dismissed) = (json_col(row, "edits")?, json_col(row, "dismissed")?);
        Ok(Earlier(Confirmation { version, edits, dismissed }))
    };
    seen_version.map(said).transpose()
}

fn stale() -> Error {
    Error::new(
        Code::StaleVersion,
        "the card is not at this version; read it again and confirm what it says now",
    )
}

fn not_ready() -> Error {
    Error::new(Code::CardNotReady, "the card of this visit does not exist yet")
}

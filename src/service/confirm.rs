//! Confirming a card: what it shows without the dismissed moments is worked out here, everything is written by
//! the store at once.

use super::App;
use crate::domain::access::Principal;
use crate::domain::card::CardField;
use crate::domain::confirmation::{Confirmation, Redrawn};
use crate::domain::ids::VisitId;
use crate::error::{Code, Error, Result};
use crate::stage::summarize::card_fields;
use crate::store::Confirmed;

/// The fields that a salesperson reads in the chips. The others stand on the screen with their values, which are
/// confirmed as they were seen.
const IN_CHIPS: [&str; 3] = ["latest_quote", "objections", "signing_intent"];

impl App {
    /// Confirms a card as [`Store::confirm`](crate::store::Store::confirm) does; `InvalidRequest` too if a dismissed
    /// moment is none of the visit's.
    pub async fn confirm(&self, by: &Principal, visit: &VisitId, said: &Confirmation) -> Result<Confirmed> {
        let redrawn =
            if said.dismissed.is_empty() { None } else { Some(self.redraw(by, visit, said).await?) };
        self.store.confirm(&by.tenant, visit, by, said, redrawn).await
    }

    /// The result no longer changes once there is a card, so that it may be read before the card is locked.
    async fn redraw(&self, by: &Principal, visit: &VisitId, said: &Confirmation) -> Result<Redrawn> {
        self.store.card(&by.tenant, visit).await?;
        let result = self.store.result(&by.tenant, visit).await?;
        let (left, labels) = said
            .divide(&result.moments)
            .map_err(|refusal| Error::new(Code::InvalidRequest, refusal.to_string()))?;
        let summary = self.hearing.declared.summarize(&left, &result.segments, result.coverage);
        let (fields, chips) = card_fields(&summary, &left);
        let in_chips = |(name, _): &(String, CardField)| IN_CHIPS.contains(&name.as_str());
        Ok(Redrawn { labels, fields: fields.into_iter().filter(in_chips).collect(), chips })
    }
}

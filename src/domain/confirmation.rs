//! What a salesperson says with the tap that confirms a card: which version was seen, what of it was wrong, and
//! which moments were none. Each correction is kept as a [`Label`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::card::{Card, CardField, Chip};
use super::edit::{self, EditError, Label};
use super::ids::MomentId;
use super::moment::Moment;

/// What the name of a label about a moment begins with; the moment's id follows.
pub const MOMENT_LABEL: &str = "moments.";

/// A request to confirm a card.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Confirmation {
    /// The version that was on the screen.
    pub version: i64,
    /// New values by field name.
    pub edits: BTreeMap<String, Value>,
    /// Moments that were none.
    pub dismissed: BTreeSet<MomentId>,
}

/// What a card shows when moments are dismissed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Redrawn {
    /// One for each dismissed moment.
    pub labels: Vec<Label>,
    /// The fields that rest on moments alone, from those that are left.
    pub fields: BTreeMap<String, CardField>,
    /// The chips of those that are left.
    pub chips: Vec<Chip>,
}

impl Confirmation {
    /// The moments that are left, and a label for each that is not: its kind was predicted, nothing was chosen.
    /// Fails if the visit has no moment of a dismissed id.
    pub fn divide(&self, moments: &[Moment]) -> Result<(Vec<Moment>, Vec<Label>), EditError> {
        let unknown = |id: &&MomentId| !moments.iter().any(|moment| moment.id == **id);
        if let Some(unknown) = self.dismissed.iter().find(unknown) {
            // As much of it as an id has: what a client sends may be anything.
            return Err(EditError::UnknownMoment(unknown.0.chars().take(24).collect()));
        }
        let (gone, left): (Vec<&Moment>, Vec<&Moment>) =
            moments.iter().partition(|moment| self.dismissed.contains(&moment.id));
        let label = |moment: &Moment| Label {
            field: format!("{MOMENT_LABEL}{}", moment.id),
            predicted: moment.kind.as_str().into(),
            chosen: Value::Null,
        };
        Ok((left.into_iter().cloned().collect(), gone.into_iter().map(label).collect()))
    }

    /// Changes `card` as asked, all or nothing, and tells what was corrected.
    ///
    /// What was edited stands as it was edited. A field that was on the screen keeps its value when a moment
    /// behind it is dismissed, and loses that moment as its proof.
    pub fn apply(&self, card: &mut Card, redrawn: Option<Redrawn>) -> Result<Vec<Label>, EditError> {
        let mut labels = edit::apply(card, &self.edits)?;
        let Some(redrawn) = redrawn else { return Ok(labels) };
        for (name, field) in redrawn.fields {
            if !self.edits.contains_key(&name) {
                card.fields.insert(name, field);
            }
        }
        for field in card.fields.values_mut() {
            field.evidence.retain(|id| !self.dismissed.contains(id));
        }
        card.chips = redrawn.chips;
        labels.extend(redrawn.labels);
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::card::CardState;
    use super::super::ids::{CardId, VisitId};
    use super::super::moment::MomentKind;
    use super::*;

    fn id(n: usize) -> MomentId {
        MomentId(format!("mom_{n:04}"))
    }

    fn moment(n: usize) -> Moment {
        let body = json!({
            "id": id(n), "kind": "objection_handling", "start_ms": 0, "end_ms": 1, "segment_ids": [],
            "score": 0.9, "evidence": "", "slots": {}
        });
        serde_json::from_value(body).unwrap()
    }

    fn dismissing(n: usize) -> Confirmation {
        Confirmation { version: 1, dismissed: [id(n)].into(), ..Confirmation::default() }
    }

    #[test]
    fn a_dismissed_moment_is_a_label_and_the_rest_is_left() {
        let (left, labels) = dismissing(2).divide(&[moment(1), moment(2)]).unwrap();
        assert_eq!(left, [moment(1)]);
        let kind = MomentKind::ObjectionHandling.as_str();
        let field = "moments.mom_0002".to_owned();
        assert_eq!(labels, [Label { field, predicted: json!(kind), chosen: Value::Null }]);
        let refused = dismissing(3).divide(&[moment(1)]).unwrap_err();
        assert!(refused.to_string().contains("mom_0003"), "{refused}");
    }

    #[test]
    fn a_card_keeps_what_was_seen_and_loses_what_was_dismissed() {
        let field = |value: &str, ids: &[usize]| CardField {
            value: json!(value),
            confidence: 0.5,
            evidence: ids.iter().map(|n| id(*n)).collect(),
        };
        let chip = |n| Chip { kind: MomentKind::Quote, label: "".into(), moment_id: id(n) };
        let mut card = Card {
            id: CardId("crd_1".into()),
            visit_id: VisitId("vis_1".into()),
            version: 1,
            state: CardState::Pending,
            headline: "".into(),
            fields: [
                ("stage".to_owned(), field("方案报价", &[1, 2])),
                ("latest_quote".to_owned(), field("2", &[2])),
                ("objections".to_owned(), field("old", &[2])),
            ]
            .into(),
            chips: vec![chip(1), chip(2)],
        };
        let said = Confirmation { edits: [("objections".to_owned(), json!([]))].into(), ..dismissing(2) };
        let redrawn = Redrawn {
            labels: Vec::new(),
            fields: [
                ("latest_quote".to_owned(), field("1", &[1])),
                ("objections".to_owned(), field("anew", &[])),
            ]
            .into(),
            chips: vec![chip(1)],
        };
        assert_eq!(said.apply(&mut card, Some(redrawn)).unwrap().len(), 1);
        assert_eq!(card.fields["stage"], field("方案报价", &[1]));
        assert_eq!(card.fields["latest_quote"], field("1", &[1]));
        assert_eq!(card.fields["objections"].value, json!([]), "edited");
        assert_eq!(card.chips, [chip(1)]);
    }
}

//! A salesperson's corrections: which fields of a card may be changed, and to what.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::card::{Card, CardField};
use super::moment::QuoteSlots;
use super::summary::{IntentSummary, ObjectionSummary, Stage};

/// Most characters of a next action.
pub const NEXT_ACTION_CHARS: usize = 200;

/// What was shown and what the salesperson made of it: an example for later training.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The field's name; of a dismissed moment `moments.` and its id.
    pub field: String,
    /// As it was prefilled; of a moment its kind.
    pub predicted: Value,
    /// As it was corrected; of a moment null.
    pub chosen: Value,
}

/// Why an edit cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No such field.
    #[error(
        "a card has no such field; there are stage, next_action, next_date, latest_quote, objections and signing_intent"
    )]
    UnknownField,
    /// A value that the field does not take.
    #[error("{field} must be {expected}, or null")]
    BadValue {
        /// The field's name.
        field: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A dismissed moment that the visit does not have.
    #[error("dismissed: the visit has no moment {0}; see the chips and the evidence of its card")]
    UnknownMoment(String),
}

/// Changes `card` as asked, all edits or none, and tells what was corrected.
///
/// An edited field is sure (confidence 1) and rests on the salesperson, no longer on moments. An edit to the
/// value that is there already confirms it and changes nothing.
pub fn apply(card: &mut Card, edits: &BTreeMap<String, Value>) -> Result<Vec<Label>, EditError> {
    for (field, value) in edits {
        check(field, value)?;
    }
    let mut labels = Vec::new();
    for (field, value) in edits {
        let predicted = card.fields.get(field).map_or(Value::Null, |shown| shown.value.clone());
        if predicted != *value {
            let edited = CardField { value: value.clone(), confidence: 1.0, evidence: Vec::new() };
            card.fields.insert(field.clone(), edited);
            labels.push(Label { field: field.clone(), predicted, chosen: value.clone() });
        }
    }
    Ok(labels)
}

fn check(field: &str, value: &Value) -> Result<(), EditError> {
    let (field, expected, fits) = match field {
        "stage" => ("stage", "one of the seven stages", reads_as::<Stage>(value)),
        "next_action" => {
            ("next_action", "a line of 1 to 200 characters", value.as_str().is_some_and(is_line))
        }
        "next_date" => ("next_date", "a date as YYYY-MM-DD", value.as_str().is_some_and(is_date)),
        "latest_quote" => {
            ("latest_quote", "an object with the slots of a quote", reads_as::<QuoteSlots>(value))
        }
        "objections" => {
            ("objections", "a list of {category, handled}", reads_as::<Vec<ObjectionSummary>>(value))
        }
        "signing_intent" => ("signing_intent", "an object {level, date}", reads_as::<IntentSummary>(value)),
        _ => return Err(EditError::UnknownField),
    };
    if fits || value.is_null() { Ok(()) } else { Err(EditError::BadValue { field, expected }) }
}

fn reads_as<T: DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= NEXT_ACTION_CHARS
        && !text.chars().any(char::is_control)
}

fn is_date(text: &str) -> bool {
    // jiff reads more forms than the one that receivers are promised.
    text.parse::<Date>().is_ok_and(|date| date.to_string() == text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::card::CardState;
    use super::super::ids::{CardId, MomentId, VisitId};
    use super::*;

    fn card() -> Card {
        let field = |value| CardField { value, confidence: 0.5, evidence: vec![MomentId("mom_0001".into())] };
        Card {
            id: CardId("crd_1".into()),
            visit_id: VisitId("vis_1".into()),
            version: 1,
            state: CardState::Pending,
            headline: "".into(),
            fields: BTreeMap::from([
                ("stage".to_owned(), field(json!("方案报价"))),
                ("next_date".to_owned(), field(json!("2026-11-25"))),
            ]),
            chips: Vec::new(),
        }
    }

    fn edits(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
        pairs.iter().map(|(field, value)| ((*field).to_owned(), value.clone())).collect()
    }

    #[test]
    fn an_edit_replaces_the_value_and_leaves_a_label() {
        let mut card = card();
        let asked = edits(&[
            ("stage", json!("签约")),
            ("next_date", json!("2026-11-25")),
            ("next_action", json!("寄合同")),
        ]);
        let labels = apply(&mut card, &asked).unwrap();
        let label = |field: &str, predicted, chosen| Label { field: field.into(), predicted, chosen };
        assert_eq!(
            labels,
            [
                label("next_action", Value::Null, json!("寄合同")),
                label("stage", json!("方案报价"), json!("签约")),
            ]
        );
        assert_eq!(
            card.fields["stage"],
            CardField { value: json!("签约"), confidence: 1.0, evidence: vec![] }
        );
        assert_eq!(card.fields["next_date"].confidence, 0.5, "confirmed as it was");
    }

    #[test]
    fn what_a_field_does_not_take_is_refused_and_nothing_changes() {
        let long = "好".repeat(201);
        for (field, value) in [
            ("stage", json!("签了")),
            ("stage", json!(3)),
            ("next_date", json!("2026-02-30")),
            ("next_date", json!("20261125")),
            ("next_date", json!("下周三")),
            ("next_action", json!(long)),
            ("next_action", json!("  ")),
            ("next_action", json!("a\r\nb")),
            ("latest_quote", json!({"amount_cny": "many"})),
            ("objections", json!([{"category": "weather", "handled": true}])),
            ("signing_intent", json!("strong")),
        ] {
            let mut edited = card();
            let refused =
                apply(&mut edited, &edits(&[("next_action", json!("寄合同")), (field, value.clone())]));
            assert!(matches!(refused, Err(EditError::BadValue { .. })), "{field} {value}");
            assert_eq!(edited, card());
        }
        assert_eq!(apply(&mut card(), &edits(&[("headline", json!("x"))])), Err(EditError::UnknownField));
    }

    #[test]
    fn every_field_takes_its_own_shape_and_null() {
        for (field, value) in [
            ("stage", json!("商务谈判")),
            ("next_action", json!("好".repeat(200))),
            ("next_date", json!("2028-02-29")),
            ("latest_quote", json!({"amount_cny": 288000})),
            ("objections", json!([{"category": "price", "handled": true}])),
            ("signing_intent", json!({"level": "strong", "date": null})),
        ] {
            assert!(apply(&mut card(), &edits(&[(field, value)])).is_ok(), "{field}");
            assert!(apply(&mut card(), &edits(&[(field, Value::Null)])).is_ok(), "{field}");
        }
    }
}

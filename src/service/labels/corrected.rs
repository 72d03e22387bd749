//! The labels of a confirmed visit, utterance by utterance: the model's, but where a person said otherwise.
//!
//! A correction of the card is about the visit; it becomes one of an utterance only where it leaves no doubt
//! which. The rest is counted as not placed, for whoever labels by hand.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::confirmation::MOMENT_LABEL;
use crate::domain::edit::Label;
use crate::domain::ids::{MomentId, SegmentId};
use crate::domain::moment::{IntentLevel, Moment, MomentKind, ObjectionCategory, QuoteSlots, Slots};
use crate::domain::result::VisitResult;
use crate::domain::summary::{IntentSummary, ObjectionSummary};

/// A visit's labels.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Corrected {
    /// By number of the segment, counted from 0: each kind with its category or level, else an empty word.
    pub(super) labels: BTreeMap<usize, BTreeMap<MomentKind, String>>,
    /// How many labels the model gave.
    pub(super) given: usize,
    /// What a person changed: number of the segment, the model's label, and the person's, none if dismissed.
    pub(super) by_hand: Vec<(usize, String, Option<String>)>,
    /// Corrected fields that say nothing certain of any utterance.
    pub(super) not_placed: Vec<String>,
}

/// One label of the model's, and what became of it.
struct Mark {
    moment: MomentId,
    segment: usize,
    kind: MomentKind,
    detail: String,
    /// The person's: another detail, or none of this kind at all.
    by_hand: Option<Option<String>>,
}

impl Corrected {
    /// From what the models made of a visit and what a person corrected.
    pub(super) fn of(result: &VisitResult, labels: &[Label]) -> Self {
        let mut marks: Vec<Mark> = marks(result);
        // What was said of a moment itself comes before what was said of the whole visit.
        let (of_moments, of_fields): (Vec<&Label>, Vec<&Label>) =
            labels.iter().partition(|label| label.field.starts_with(MOMENT_LABEL));
        let mut not_placed = Vec::new();
        for label in of_moments.into_iter().chain(of_fields) {
            if !place(&mut marks, label, result) {
                not_placed.push(label.field.clone());
            }
        }
        let mut corrected = Self { given: marks.len(), not_placed, ..Self::default() };
        for mark in marks {
            let named = |detail: &str| labelled(mark.kind, detail);
            if let Some(by_hand) = &mark.by_hand {
                let theirs = by_hand.as_deref().map(named);
                corrected.by_hand.push((mark.segment, named(&mark.detail), theirs));
            }
            if let Some(detail) = mark.by_hand.unwrap_or(Some(mark.detail)) {
                corrected.labels.entry(mark.segment).or_default().insert(mark.kind, detail);
            }
        }
        corrected
    }
}

/// A label as the training format writes it.
pub(super) fn labelled(kind: MomentKind, detail: &str) -> String {
    let kind = kind.as_str();
    if detail.is_empty() { kind.to_owned() } else { format!("{kind}:{detail}") }
}

fn marks(result: &VisitResult) -> Vec<Mark> {
    let of = |moment: &Moment| {
        let detail = match &moment.slots {
            Slots::Objection(slots) => word(&slots.category),
            Slots::Signing(slots) => word(&slots.level),
            _ => String::new(),
        };
        let at = |id: &SegmentId| result.segments.iter().position(|segment| segment.id == *id);
        let (moment, kind, segments) = (moment.id.clone(), moment.kind, &moment.segment_ids);
        let mark = move |segment| {
            let (moment, detail) = (moment.clone(), detail.clone());
            Mark { moment, segment, kind, detail, by_hand: None }
        };
        segments.iter().filter_map(at).map(mark).collect::<Vec<_>>()
    };
    result.moments.iter().flat_map(of).collect()
}

/// Applies one correction; false if it leaves open which utterance it is about, or is about none.
fn place(marks: &mut [Mark], label: &Label, result: &VisitResult) -> bool {
    let open = marks.iter_mut().filter(|mark| mark.by_hand.is_none());
    if let Some(id) = label.field.strip_prefix(MOMENT_LABEL) {
        open.filter(|mark| mark.moment.0 == id).for_each(dismiss);
        return true;
    }
    match label.field.as_str() {
        // No quote at all. What was quoted is not the classifier's to know.
        "latest_quote" if read::<Option<QuoteSlots>>(&label.chosen).is_none() => {
            open.filter(|mark| mark.kind == MomentKind::Quote).for_each(dismiss);
            true
        }
        "signing_intent" => {
            let level = |value: &Value| read::<IntentSummary>(value).level;
            let (shown, chosen) = (level(&label.predicted), level(&label.chosen));
            let intents = open.filter(|mark| mark.kind == MomentKind::SigningIntent);
            if shown == chosen {
                false
            } else if chosen == IntentLevel::None {
                intents.for_each(dismiss);
                true
            } else {
                let proof = result.summary.evidence.get("signing_intent");
                let proves = |mark: &&mut Mark| proof.is_some_and(|ids| ids.contains(&mark.moment));
                change_the_only(intents.filter(proves), &word(&chosen))
            }
        }
        "objections" => {
            let categories = |value: &Value| -> BTreeSet<ObjectionCategory> {
                read::<Vec<ObjectionSummary>>(value).into_iter().map(|objection| objection.category).collect()
            };
            let (shown, chosen) = (categories(&label.predicted), categories(&label.chosen));
            let wrong: Vec<String> = shown.difference(&chosen).map(word).collect();
            let right: Vec<String> = chosen.difference(&shown).map(word).collect();
            let about =
                open.filter(|mark| mark.kind == MomentKind::Objection && wrong.contains(&mark.detail));
            match (wrong.as_slice(), right.as_slice()) {
                ([], _) => false,
                (_, []) => {
                    about.for_each(dismiss);
                    true
                }
                ([_], [right]) => change_the_only(about, right),
                _ => false,
            }
        }
        _ => false,
    }
}

fn dismiss(mark: &mut Mark) {
    mark.by_hand = Some(None);
}

/// Gives the one mark another detail; of several it is not known which was meant.
fn change_the_only<'a>(mut marks: impl Iterator<Item = &'a mut Mark>, detail: &str) -> bool {
    match (marks.next(), marks.next()) {
        (Some(mark), None) => {
            mark.by_hand = Some(Some(detail.to_owned()));
            true
        }
        _ => false,
    }
}

/// A field's value; null and what cannot be read are what the field is when nothing was found.
fn read<T: DeserializeOwned + Default>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_default()
}

/// The word that a category or level is serialised as.
fn word<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Segment n holds moment n: price objection, trust objection, strong intent, quote.
    fn visit() -> VisitResult {
        let slots = [
            ("objection", json!({"category": "price"})),
            ("objection", json!({"category": "trust"})),
            ("signing_intent", json!({"level": "strong"})),
            ("quote", json!({"amount_cny": 20000})),
        ];
        let segment = |n: usize| {
            json!({"id": format!("seg_{n:04}"), "start_ms": 0, "end_ms": 1, "text": "", "raw_text": "",
                "speaker": null, "confidence": 1.0})
        };
        let moment = |n: usize| {
            json!({"id": format!("mom_{n:04}"), "kind": slots[n - 1].0, "start_ms": 0, "end_ms": 1,
                "segment_ids": [format!("seg_{n:04}")], "score": 0.9, "evidence": "", "slots": slots[n - 1].1})
        };
        let mut result = crate::store::testing::result();
        let list = |of: &dyn Fn(usize) -> Value| Value::Array((1..=slots.len()).map(of).collect());
        result.segments = serde_json::from_value(list(&segment)).unwrap();
        result.moments = serde_json::from_value(list(&moment)).unwrap();
        result.summary.evidence.insert("signing_intent".into(), vec![MomentId("mom_0003".into())]);
        result
    }

    fn label(field: &str, predicted: Value, chosen: Value) -> Label {
        Label { field: field.into(), predicted, chosen }
    }

    /// The labels as they are written, a word for each segment.
    fn written(corrected: &Corrected) -> Vec<String> {
        let of = |n| corrected.labels.get(&n).and_then(|all| all.iter().next());
        (0..4).map(|n| of(n).map_or("-".into(), |(kind, detail)| labelled(*kind, detail))).collect()
    }

    const PLAIN: [&str; 4] = ["objection:price", "objection:trust", "signing_intent:strong", "quote"];

    #[test]
    fn without_corrections_the_labels_are_the_models() {
        let corrected = Corrected::of(&visit(), &[]);
        assert_eq!(written(&corrected), PLAIN);
        assert_eq!((corrected.given, corrected.by_hand.len()), (4, 0));
    }

    #[test]
    fn a_persons_word_wins_over_the_models() {
        let shown = json!([{"category": "price", "handled": false}, {"category": "trust", "handled": false}]);
        let other = |category| json!([{"category": "price", "handled": true}, {"category": category, "handled": true}]);
        let strong = json!({"level": "strong", "date": null});
        for (label, segment, expected) in [
            (label("moments.mom_0004", json!("quote"), Value::Null), 3, None),
            (label("latest_quote", json!({"amount_cny": 20000}), Value::Null), 3, None),
            (label("signing_intent", strong.clone(), Value::Null), 2, None),
            (
                label("signing_intent", strong, json!({"level": "conditional"})),
                2,
                Some("signing_intent:conditional"),
            ),
            (label("objections", shown.clone(), json!([{"category": "trust", "handled": true}])), 0, None),
            (label("objections", shown, other("service")), 1, Some("objection:service")),
        ] {
            let corrected = Corrected::of(&visit(), std::slice::from_ref(&label));
            let mut wanted = PLAIN.map(str::to_owned);
            wanted[segment] = expected.unwrap_or("-").to_owned();
            assert_eq!(written(&corrected), wanted, "{label:?}");
            let by_hand = (segment, PLAIN[segment].to_owned(), expected.map(str::to_owned));
            assert_eq!((corrected.by_hand, corrected.not_placed.len()), (vec![by_hand], 0), "{label:?}");
        }
    }

    #[test]
    fn what_leaves_open_which_utterance_is_meant_changes_none() {
        let shown = json!([{"category": "price", "handled": false}, {"category": "trust", "handled": false}]);
        for label in [
            label("stage", json!("方案报价"), json!("签约")),
            label("next_action", Value::Null, json!("打给13800138000")),
            label("latest_quote", Value::Null, json!({"amount_cny": 1})),
            label(
                "signing_intent",
                json!({"level": "strong"}),
                json!({"level": "strong", "date": "2026-12-01"}),
            ),
            label("objections", shown.clone(), json!([{"category": "need", "handled": true}])),
            label("objections", json!([]), shown),
        ] {
            let corrected = Corrected::of(&visit(), std::slice::from_ref(&label));
            assert_eq!(written(&corrected), PLAIN, "{label:?}");
            assert_eq!((corrected.by_hand.len(), corrected.not_placed), (0, vec![label.field]));
        }
        // Two moments of the same category: either may be the one that was meant.
        let mut twice = visit();
        twice.moments[0] = serde_json::from_value({
            let mut moment = serde_json::to_value(&twice.moments[1]).unwrap();
            moment["id"] = json!("mom_0001");
            moment
        })
        .unwrap();
        let trust = |category| json!([{"category": category, "handled": false}]);
        let corrected = Corrected::of(&twice, &[label("objections", trust("trust"), trust("need"))]);
        assert_eq!(corrected.not_placed, ["objections"]);
    }
}

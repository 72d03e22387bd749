//! Slots of moments and fields of the summary: right or wrong, counted by name.
//!
//! Compared as JSON, label against result, so that a label may hold what this version does not know.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::outcome::Told;
use super::score::Counts;
use super::set::{Labelled, Utterance};
use crate::domain::moment::MomentKind;

/// The slots that are compared: `kind.slot`.
pub(super) const SLOTS: [&str; 7] = [
    "quote.amount_cny",
    "quote.discount",
    "objection.category",
    "signing_intent.level",
    "signing_intent.date",
    "next_step.date",
    "next_step.owner",
];

/// The fields of the summary that are right or wrong.
pub(super) const SUMMARY: [&str; 4] = ["stage", "next_date", "latest_quote_amount", "signing_level"];

/// Right answers among all.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(super) struct Share {
    /// 0..=1.
    pub(super) accuracy: f64,
    /// Answers.
    pub(super) n: usize,
}

/// Counts of slots and summary fields, in the order of [`SLOTS`] and [`SUMMARY`].
#[derive(Debug, Default, Clone)]
pub(super) struct Fields {
    slots: [Answers; SLOTS.len()],
    summary: [Answers; SUMMARY.len()],
    categories: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Answers {
    right: usize,
    all: usize,
}

impl Fields {
    /// Counts the slots of the labelled utterances that `hits` finds a moment for; of several the first.
    pub(super) fn count_slots(
        &mut self,
        visit: &Labelled,
        moments: &[Told],
        hits: impl Fn(&Told, &Utterance) -> bool,
    ) {
        for kind in MomentKind::ALL {
            for utterance in visit.utterances.iter().filter(|u| u.is(kind)) {
                let Some(moment) = moments.iter().find(|m| m.kind == kind && hits(m, utterance)) else {
                    continue;
                };
                let empty = Map::new();
                let gold = utterance.slots.get(kind.as_str()).and_then(Value::as_object).unwrap_or(&empty);
                self.count_moment(kind, gold, &moment.slots);
            }
        }
    }

    fn count_moment(&mut self, kind: MomentKind, gold: &Map<String, Value>, told: &Value) {
        for (answers, name) in self.slots.iter_mut().zip(SLOTS) {
            let Some(slot) = name.strip_prefix(kind.as_str()).and_then(|s| s.strip_prefix('.')) else {
                continue;
            };
            let (gold, told) = (gold.get(slot).unwrap_or(&Value::Null), &told[slot]);
            // Every objection has a category and every intent a level; the others may not have been said.
            let always = matches!(slot, "category" | "level");
            if always || !gold.is_null() {
                answers.count(match slot {
                    "amount_cny" => near(gold, told),
                    "discount" => gold.as_f64().zip(told.as_f64()).is_some_and(|(g, t)| (g - t).abs() < 1e-6),
                    _ => gold == told,
                });
            }
        }
    }

    /// Counts the fields of a summary against those that are labelled.
    pub(super) fn count_summary(&mut self, told: &Value, gold: &Value) {
        let unwilling = Value::from("none");
        for (answers, name) in self.summary.iter_mut().zip(SUMMARY) {
            let (gold, told) = match name {
                "latest_quote_amount" => {
                    (&gold["latest_quote"]["amount_cny"], &told["latest_quote"]["amount_cny"])
                }
                "signing_level" => match &told["signing_intent"]["level"] {
                    Value::Null => (&gold["signing_intent"]["level"], &unwilling),
                    level => (&gold["signing_intent"]["level"], level),
                },
                name => (&gold[name], &told[name]),
            };
            // A date or a price may be missing, and that is to be told; a stage and a level are never.
            match name {
                "latest_quote_amount" => answers.count(gold.is_null() && told.is_null() || near(gold, told)),
                "next_date" => answers.count(gold == told),
                _ if gold.is_null() => {}
                _ => answers.count(gold == told),
            }
        }
        let categories = |of: &Value| -> BTreeSet<String> {
            let list = of["objections"].as_array().into_iter().flatten();
            list.filter_map(|o| o["category"].as_str().map(str::to_owned)).collect()
        };
        let (gold, told) = (categories(gold), categories(told));
        let both = gold.intersection(&told).count();
        self.categories.hits += both;
        self.categories.found += both;
        self.categories.predicted += told.len();
        self.categories.labelled += gold.len();
    }

    /// Adds the counts of another visit.
    pub(super) fn add(&mut self, other: &Self) {
        let mine = self.slots.iter_mut().chain(&mut self.summary);
        for (mine, c) in mine.zip(other.slots.iter().chain(&other.summary)) {
            mine.right += c.right;
            mine.all += c.all;
        }
        self.categories.hits += other.categories.hits;
        self.categories.found += other.categories.found;
        self.categories.predicted += other.categories.predicted;
        self.categories.labelled += other.categories.labelled;
    }

    /// Slots that were compared at all.
    pub(super) fn slots(&self) -> BTreeMap<&'static str, Share> {
        shares(&SLOTS, &self.slots)
    }

    /// Summary fields that were compared at all.
    pub(super) fn summary(&self) -> BTreeMap<&'static str, Share> {
        shares(&SUMMARY, &self.summary)
    }

    /// F1 of the categories of objections in the summary; `None` where there are none on either side.
    pub(super) fn categories_f1(&self) -> Option<f64> {
        self.categories.f1()
    }
}

impl Answers {
    fn count(&mut self, right: bool) {
        self.right += usize::from(right);
        self.all += 1;
    }
}

fn shares(names: &[&'static str], answers: &[Answers]) -> BTreeMap<&'static str, Share> {
    let known = names.iter().zip(answers).filter(|(_, a)| a.all > 0);
    known.map(|(name, a)| (*name, Share { accuracy: a.right as f64 / a.all as f64, n: a.all })).collect()
}

/// Whether both are amounts and within half a per cent of each other.
fn near(gold: &Value, told: &Value) -> bool {
    gold.as_f64().zip(told.as_f64()).is_some_and(|(g, t)| (g - t).abs() < 0.005 * g.abs() + 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn slots_are_compared_where_they_were_said() {
        let mut fields = Fields::default();
        let mut count = |kind, gold: Value, told: Value| {
            fields.count_moment(kind, gold.as_object().unwrap(), &told);
        };
        count(MomentKind::Quote, json!({"amount_cny": 1000}), json!({"amount_cny": 1004, "discount": 0.9}));
        count(MomentKind::Quote, json!({"amount_cny": 1000}), json!({"amount_cny": 1006}));
        count(MomentKind::Quote, json!({"amount_cny": null, "discount": 0.9}), json!({"discount": 0.9}));
        count(MomentKind::Objection, json!({}), json!({"category": "price"}));
        count(
            MomentKind::SigningIntent,
            json!({"level": "strong"}),
            json!({"level": "strong", "date": "2026-01-01"}),
        );
        let slots = fields.slots();
        let share = |name| slots.get(name).map(|s| (s.accuracy, s.n));
        assert_eq!(share("quote.amount_cny"), Some((0.5, 2)));
        assert_eq!(share("quote.discount"), Some((1.0, 1)));
        assert_eq!(share("objection.category"), Some((0.0, 1)));
        assert_eq!(share("signing_intent.level"), Some((1.0, 1)));
        assert_eq!(share("signing_intent.date"), None);
    }

    #[test]
    fn a_summary_is_compared_with_what_is_labelled() {
        let summary = json!({
            "stage": "签约", "next_date": null, "latest_quote": null,
            "objections": [{"category": "price", "handled": true}], "signing_intent": {"level": "strong"}
        });
        let mut fields = Fields::default();
        let gold = json!({
            "stage": "签约", "next_date": "2026-01-01", "latest_quote": null,
            "objections": [{"category": "price"}, {"category": "terms"}]
        });
        fields.count_summary(&summary, &gold);
        let summary = fields.summary();
        let share = |name| summary.get(name).map(|s| (s.accuracy, s.n));
        assert_eq!(share("stage"), Some((1.0, 1)));
        assert_eq!(share("next_date"), Some((0.0, 1)));
        assert_eq!(share("latest_quote_amount"), Some((1.0, 1)), "no price was said, none was told");
        assert_eq!(share("signing_level"), None, "nobody labelled it");
        assert!((fields.categories_f1().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    }
    #[test]
    fn no_summary_is_a_wrong_one_but_for_what_is_not_there() {
        let mut fields = Fields::default();
        let gold = json!({"stage": "签约", "next_date": null, "signing_intent": {"level": "none"}});
        fields.count_summary(&Value::Null, &gold);
        let right: Vec<&str> =
            fields.summary().into_iter().filter(|(_, s)| s.accuracy == 1.0).map(|(name, _)| name).collect();
        assert_eq!(right, ["latest_quote_amount", "next_date", "signing_level"]);
    }
}

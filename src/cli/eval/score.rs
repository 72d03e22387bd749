//! Counts over labelled visits and the figures made of them.
//!
//! What counts as a hit, and what is left out, follows the rule of record of the labelled sets: a moment hits
//! an utterance of its kind if it names it, or if their times overlap by half of the shorter of the two.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fields::{Fields, Share};
use super::outcome::{Outcome, Told};
use super::read_aloud::Aloud;
use super::set::{Labelled, Utterance};
use super::speakers;
use crate::domain::moment::MomentKind;
use crate::stage::mandarin::align::Part;

/// The kinds that the core figure is the mean of.
const CORE: [MomentKind; 3] = [MomentKind::Quote, MomentKind::Objection, MomentKind::SigningIntent];

/// Counts; add them up before making figures of them.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) basic: Basic,
    fields: Fields,
    speakers: speakers::Counts,
    /// Moments told of visits that hold none.
    false_alarms: Option<usize>,
}

/// The counts that two candidates are compared by; small, since they are added up thousands of times.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Basic {
    pub(super) edits: usize,
    pub(super) reference: usize,
    pub(super) kinds: [Counts; 5],
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) hits: usize,
    pub(super) predicted: usize,
    pub(super) found: usize,
    pub(super) labelled: usize,
}

/// Figures.
#[derive(Debug, Serialize)]
pub(super) struct Score {
    /// Character error rate.
    pub(super) cer: f64,
    /// Characters that were wrong, missing or too many.
    pub(super) edits: usize,
    /// Characters that were said.
    pub(super) characters: usize,
    /// F1 by kind, of kinds that are labelled or predicted.
    pub(super) f1: BTreeMap<MomentKind, f64>,
    /// Mean F1 of quote, objection and signing intent; absent where one of them has no figure.
    pub(super) core_f1: Option<f64>,
    /// Mean F1 of all five; likewise.
    pub(super) all_f1: Option<f64>,
    /// What F1 is made of, of the same kinds.
    pub(super) moments: BTreeMap<MomentKind, Rates>,
    /// Moments told of visits that hold none; absent where moments are not scored.
    pub(super) moments_on_visit_without_any: Option<usize>,
    /// Right answers by slot, on the labelled utterances that were hit.
    pub(super) slots: BTreeMap<&'static str, Share>,
    /// Right answers by field of the summary.
    pub(super) summary: BTreeMap<&'static str, Share>,
    /// F1 of the categories of objections in the summary.
    pub(super) objection_categories_f1: Option<f64>,
    /// Whether it is told who spoke, and rightly; absent where no labels say.
    pub(super) speakers: Option<speakers::Shares>,
}

/// How a kind of moment was told.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Rates {
    /// Told moments that are there; absent if none was told.
    pub(super) precision: Option<f64>,
    /// Labelled utterances that were told; absent if none is labelled.
    pub(super) recall: Option<f64>,
    /// Told moments.
    pub(super) predicted: usize,
    /// Labelled utterances.
    pub(super) labelled: usize,
}

impl Tally {
    /// Counts of one visit, of which this was said and heard, aligned in `parts`.
    pub(super) fn of(
        visit: &Labelled,
        outcome: &Outcome,
        said: &[Aloud],
        heard: &Aloud,
        parts: &[Part],
    ) -> Self {
        let edits = if parts.is_empty() { heard.chars.len() } else { parts.iter().map(|p| p.cost).sum() };
        let reference = said.iter().map(|s| s.chars.len()).sum();
        let mut tally = Self { basic: Basic { edits, reference, ..Basic::default() }, ..Self::default() };
        if let Some(moments) = outcome.moments.as_ref().filter(|m| scorable(visit, m)) {
            tally.basic.kinds = MomentKind::ALL.map(|kind| counts(visit, moments, kind));
            if !visit.utterances.iter().any(|u| MomentKind::ALL.iter().any(|k| u.is(*k))) {
                tally.false_alarms = Some(moments.len());
            }
            tally.fields.count_slots(visit, moments, hits);
        }
        if let (Some(summary), Some(gold)) = (&outcome.summary, &visit.gold) {
            tally.fields.count_summary(summary, gold);
        }
        tally.speakers = speakers::Counts::of(visit, &outcome.turns);
        tally
    }

    /// Adds the counts of another visit.
    pub(super) fn add(&mut self, other: &Self) {
        self.basic.add(&other.basic);
        self.fields.add(&other.fields);
        self.speakers.add(&other.speakers);
        if let Some(n) = other.false_alarms {
            *self.false_alarms.get_or_insert(0) += n;
        }
    }

    /// The figures of these counts.
    pub(super) fn score(&self) -> Score {
        let known = || MomentKind::ALL.into_iter().zip(self.basic.kinds);
        let share = |n: usize, of: usize| (of > 0).then(|| n as f64 / of as f64);
        let rates = |c: Counts| Rates {
            precision: share(c.hits, c.predicted),
            recall: share(c.found, c.labelled),
            predicted: c.predicted,
            labelled: c.labelled,
        };
        Score {
            cer: self.basic.cer(),
            edits: self.basic.edits,
            characters: self.basic.reference,
            f1: known().filter_map(|(k, c)| c.f1().map(|f| (k, f))).collect(),
            core_f1: self.basic.core_f1(),
            all_f1: self.basic.all_f1(),
            moments: known().filter(|(_, c)| c.f1().is_some()).map(|(k, c)| (k, rates(c))).collect(),
            moments_on_visit_without_any: self.false_alarms,
            slots: self.fields.slots(),
            summary: self.fields.summary(),
            objection_categories_f1: self.fields.categories_f1(),
            speakers: self.speakers.shares(),
        }
    }
}

impl Basic {
    pub(super) fn add(&mut self, other: &Self) {
        self.edits += other.edits;
        self.reference += other.reference;
        for (mine, c) in self.kinds.iter_mut().zip(other.kinds) {
            mine.hits += c.hits;
            mine.predicted += c.predicted;
            mine.found += c.found;
            mine.labelled += c.labelled;
        }
    }

    /// Character error rate.
    pub(super) fn cer(&self) -> f64 {
        self.edits as f64 / self.reference.max(1) as f64
    }

    /// Mean F1 of the three kinds that matter most; `None` where one of them has no figure.
    pub(super) fn core_f1(&self) -> Option<f64> {
        self.mean(&CORE)
    }

    /// Mean F1 of all five; likewise.
    pub(super) fn all_f1(&self) -> Option<f64> {
        self.mean(&MomentKind::ALL)
    }

    fn mean(&self, of: &[MomentKind]) -> Option<f64> {
        let kinds = MomentKind::ALL.into_iter().zip(self.kinds).filter(|(k, _)| of.contains(k));
        let sum: Option<f64> = kinds.map(|(_, c)| c.f1()).sum();
        sum.map(|sum| sum / of.len() as f64)
    }
}

impl Counts {
    pub(super) fn f1(self) -> Option<f64> {
        if self.labelled == 0 && self.predicted == 0 {
            return None;
        }
        let precision = self.hits as f64 / self.predicted.max(1) as f64;
        let recall = self.found as f64 / self.labelled.max(1) as f64;
        let sum = precision + recall;
        Some(if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum })
    }
}

/// Whether it can be told which moments are right: somebody labelled all utterances, and they can be found.
fn scorable(visit: &Labelled, moments: &[Told]) -> bool {
    let timed = visit.utterances.iter().all(|u| u.span().is_some());
    visit.has_labels() && (timed || moments.iter().all(|m| m.utterances.is_some()))
}

fn counts(visit: &Labelled, moments: &[Told], kind: MomentKind) -> Counts {
    let moments: Vec<&Told> = moments.iter().filter(|m| m.kind == kind).collect();
    let labelled: Vec<&Utterance> = visit.utterances.iter().filter(|u| u.is(kind)).collect();
    Counts {
        hits: moments.iter().filter(|m| labelled.iter().any(|u| hits(m, u))).count(),
        predicted: moments.len(),
        found: labelled.iter().filter(|u| moments.iter().any(|m| hits(m, u))).count(),
        labelled: labelled.len(),
    }
}

/// Whether it names the utterance, or shares at least half of the shorter of the two with it.
fn hits(moment: &Told, utterance: &Utterance) -> bool {
    if let Some(named) = &moment.utterances {
        return named.contains(&utterance.i);
    }
    let Some((from, to)) = utterance.span() else { return false };
    let (start, end) = (moment.start_ms.0 as f64 / 1000.0, moment.end_ms.0 as f64 / 1000.0);
    let shared = end.min(to) - start.max(from);
    shared >= 0.5 * (end - start).max(1e-3).min(to - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_nobody_mentions_has_no_figure() {
        assert_eq!(Counts::default().f1(), None);
        let missed = Counts { labelled: 3, ..Counts::default() };
        assert_eq!(missed.f1(), Some(0.0));
        let half = Counts { hits: 1, predicted: 2, found: 1, labelled: 1 };
        assert!((half.f1().unwrap() - 2.0 / 3.0).abs() < 1e-9);
        let mut basic = Basic { kinds: [half; 5], ..Basic::default() };
        assert!((basic.core_f1().unwrap() - 2.0 / 3.0).abs() < 1e-9);
        basic.kinds[4] = Counts::default();
        assert_eq!((basic.core_f1().is_some(), basic.all_f1()), (true, None));
    }

    fn visit(json: serde_json::Value) -> Labelled {
        serde_json::from_value(json).unwrap()
    }

    fn quote() -> Told {
        serde_json::from_value(serde_json::json!({
            "kind": "quote", "start_ms": 1000, "end_ms": 3000, "slots": {"amount_cny": 100}
        }))
        .unwrap()
    }

    fn score(visit: &Labelled, moments: Vec<Told>) -> Score {
        let outcome = Outcome { moments: Some(moments), ..Outcome::default() };
        Tally::of(visit, &outcome, &[], &Aloud::default(), &[]).score()
    }

    #[test]
    fn moments_are_scored_only_where_they_can_be() {
        let at = "2026-11-23T10:00:00+08:00";
        let utterance = |more: serde_json::Value| {
            let mut u = serde_json::json!({"i": 4, "text": "一百块"});
            u.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            visit(serde_json::json!({"id": "a", "visit_at": at, "utterances": [u]}))
        };
        let labelled = utterance(serde_json::json!({"labels": ["quote"], "start": 0.0, "end": 2.0}));
        assert_eq!(score(&labelled, vec![quote()]).f1.get(&MomentKind::Quote), Some(&1.0));
        let none = utterance(serde_json::json!({"labels": [], "start": 0.0, "end": 2.0}));
        let told = score(&none, vec![quote()]);
        assert_eq!(
            (told.f1.get(&MomentKind::Quote), told.moments_on_visit_without_any),
            (Some(&0.0), Some(1))
        );
        let unlabelled = utterance(serde_json::json!({"start": 0.0, "end": 2.0}));
        assert!(score(&unlabelled, vec![quote()]).f1.is_empty());
        let untimed = utterance(serde_json::json!({"labels": ["quote"]}));
        assert!(score(&untimed, vec![quote()]).f1.is_empty());
        let named = |i| vec![Told { utterances: Some(vec![i]), ..quote() }];
        assert_eq!(score(&untimed, named(4)).f1.get(&MomentKind::Quote), Some(&1.0));
        assert_eq!(score(&labelled, named(5)).f1.get(&MomentKind::Quote), Some(&0.0), "the name counts");
    }
}

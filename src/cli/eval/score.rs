//! Counts over labelled visits and the figures made of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::read_aloud::fold;
use crate::cli::analyze;
use crate::domain::moment::{Moment, MomentKind};
use crate::domain::result::VisitResult;

/// One labelled visit; keys that are not needed here are not read.
#[derive(Debug, Deserialize)]
pub(super) struct Labelled {
    pub(super) id: String,
    pub(super) visit_at: String,
    #[serde(default)]
    pub(super) hotwords: Vec<String>,
    pub(super) acoustics: Option<String>,
    utterances: Vec<Utterance>,
}

#[derive(Debug, Deserialize)]
struct Utterance {
    i: u32,
    text: String,
    labels: Vec<MomentKind>,
    start: f64,
    end: f64,
}

/// Counts; add them up before making figures of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    edits: usize,
    reference: usize,
    kinds: BTreeMap<MomentKind, Counts>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    hits: usize,
    predicted: usize,
    found: usize,
    labelled: usize,
}

/// Figures.
#[derive(Debug, Serialize)]
pub(super) struct Score {
    /// Character error rate.
    pub(super) cer: f64,
    /// F1 by kind, of kinds that are labelled or predicted.
    pub(super) f1: BTreeMap<MomentKind, f64>,
    /// Mean F1 of quote, objection and signing intent; absent where one of them has no figure.
    pub(super) core_f1: Option<f64>,
    /// Mean F1 of all five; likewise.
    pub(super) all_f1: Option<f64>,
}

impl Labelled {
    /// Its words, as `analyze` takes them.
    pub(super) fn words(&self) -> Vec<analyze::Utterance> {
        let words = |u: &Utterance| analyze::Utterance {
            i: u.i,
            text: u.text.clone(),
            start: Some(u.start),
            end: Some(u.end),
        };
        self.utterances.iter().map(words).collect()
    }
}

impl Tally {
    /// Counts of one visit.
    pub(super) fn of(visit: &Labelled, result: &VisitResult) -> Self {
        let said: Vec<char> = visit.utterances.iter().flat_map(|u| fold(&u.text)).collect();
        let heard: Vec<char> = result.segments.iter().flat_map(|s| fold(&s.text)).collect();
        let kinds = MomentKind::ALL.map(|kind| (kind, counts(visit, result, kind))).into();
        Self { edits: distance(&said, &heard), reference: said.len(), kinds }
    }

    /// Adds the counts of another visit.
    pub(super) fn add(&mut self, other: &Self) {
        self.edits += other.edits;
        self.reference += other.reference;
        for (kind, c) in &other.kinds {
            let mine = self.kinds.entry(*kind).or_default();
            mine.hits += c.hits;
            mine.predicted += c.predicted;
            mine.found += c.found;
            mine.labelled += c.labelled;
        }
    }

    /// The figures of these counts.
    pub(super) fn score(&self) -> Score {
        let f1: BTreeMap<MomentKind, f64> =
            self.kinds.iter().filter_map(|(k, c)| c.f1().map(|f| (*k, f))).collect();
        let mean = |kinds: &[MomentKind]| {
            let known: Option<Vec<f64>> = kinds.iter().map(|k| f1.get(k).copied()).collect();
            known.map(|f| f.iter().sum::<f64>() / f.len() as f64)
        };
        Score {
            cer: self.edits as f64 / self.reference.max(1) as f64,
            core_f1: mean(&[MomentKind::Quote, MomentKind::Objection, MomentKind::SigningIntent]),
            all_f1: mean(&MomentKind::ALL),
            f1,
        }
    }
}

impl Counts {
    fn f1(self) -> Option<f64> {
        if self.labelled == 0 && self.predicted == 0 {
            return None;
        }
        let precision = self.hits as f64 / self.predicted.max(1) as f64;
        let recall = self.found as f64 / self.labelled.max(1) as f64;
        let sum = precision + recall;
        Some(if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum })
    }
}

fn counts(visit: &Labelled, result: &VisitResult, kind: MomentKind) -> Counts {
    let moments: Vec<&Moment> = result.moments.iter().filter(|m| m.kind == kind).collect();
    let labelled: Vec<&Utterance> = visit.utterances.iter().filter(|u| u.labels.contains(&kind)).collect();
    Counts {
        hits: moments.iter().filter(|m| labelled.iter().any(|u| overlaps(m, u))).count(),
        predicted: moments.len(),
        found: labelled.iter().filter(|u| moments.iter().any(|m| overlaps(m, u))).count(),
        labelled: labelled.len(),
    }
}

/// Whether they share at least half of the shorter of the two.
fn overlaps(moment: &Moment, utterance: &Utterance) -> bool {
    let (start, end) = (moment.start_ms.0 as f64 / 1000.0, moment.end_ms.0 as f64 / 1000.0);
    let shared = end.min(utterance.end) - start.max(utterance.start);
    shared >= 0.5 * (end - start).max(1e-3).min(utterance.end - utterance.start)
}

/// Edit distance in two rows.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row.first().copied().unwrap_or_default();
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let distance =
            |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(distance("二十八万八", "二十八万白"), 1);
        assert_eq!(distance("", "好的"), 2);
        assert_eq!(distance("价格有点高", "价格高"), 2);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_kind_that_nobody_mentions_has_no_figure() {
        assert_eq!(Counts::default().f1(), None);
        let missed = Counts { labelled: 3, ..Counts::default() };
        assert_eq!(missed.f1(), Some(0.0));
        let half = Counts { hits: 1, predicted: 2, found: 1, labelled: 1 };
        assert!((half.f1().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    }
}

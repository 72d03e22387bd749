//! Who spoke: of how many segments the side is told, and of how many of those it is the right one.
//!
//! A segment is of the side that speaks most of its time by the labels; one that no labelled utterance touches
//! does not count.

use serde::{Deserialize, Serialize};

use super::set::Labelled;
use crate::domain::time::Millis;
use crate::domain::transcript::Speaker;

/// A segment, as far as it is scored.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Turn {
    #[serde(default)]
    start_ms: Millis,
    #[serde(default)]
    end_ms: Millis,
    #[serde(default)]
    speaker: Option<Speaker>,
}

/// Counts of segments.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    right: usize,
    told: usize,
    all: usize,
}

/// Shares of segments.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Shares {
    /// Of the right side, of those of which one is told.
    pub(super) right: f64,
    /// Of which a side is told.
    pub(super) told: f64,
    /// How many there are.
    pub(super) segments: usize,
}

impl Counts {
    pub(super) fn of(visit: &Labelled, turns: &[Turn]) -> Self {
        let mut counts = Self::default();
        for turn in turns {
            let (start, end) = (turn.start_ms.0 as f64 / 1000.0, turn.end_ms.0 as f64 / 1000.0);
            let shared = |side: Speaker| -> f64 {
                let spoken = visit.utterances.iter().filter(|u| u.side() == Some(side));
                spoken
                    .filter_map(|u| u.span())
                    .map(|(from, to)| (end.min(to) - start.max(from)).max(0.0))
                    .sum()
            };
            let (rep, customer) = (shared(Speaker::Rep), shared(Speaker::Customer));
            if rep + customer == 0.0 {
                continue;
            }
            let side = if rep > customer { Speaker::Rep } else { Speaker::Customer };
            counts.all += 1;
            counts.told += usize::from(turn.speaker.is_some());
            counts.right += usize::from(turn.speaker == Some(side));
        }
        counts
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.right += other.right;
        self.told += other.told;
        self.all += other.all;
    }

    /// `None` where no speaker was told: by a pipeline without voices, or of words alone.
    pub(super) fn shares(&self) -> Option<Shares> {
        (self.told > 0).then(|| Shares {
            right: self.right as f64 / self.told as f64,
            told: self.told as f64 / self.all as f64,
            segments: self.all,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_segment_is_of_whoever_speaks_most_of_it() {
        let said = |i: u32, speaker: &str, start: f64, end: f64| json!({"i": i, "text": "好", "speaker": speaker, "start": start, "end": end});
        let visit: Labelled = serde_json::from_value(json!({
            "id": "a", "visit_at": "2026-11-23T10:00:00+08:00",
            "utterances": [said(0, "rep", 0.0, 2.0), said(1, "customer2", 2.5, 6.0), {"i": 2, "text": "好"}]
        }))
        .unwrap();
        let turns: Vec<Turn> = serde_json::from_value(json!([
            {"start_ms": 0, "end_ms": 2100, "speaker": "rep"}, {"start_ms": 1500, "end_ms": 6000, "speaker": "rep"},
            {"start_ms": 3000, "end_ms": 5000, "speaker": null}, {"start_ms": 7000, "end_ms": 9000, "speaker": "rep"}
        ]))
        .unwrap();
        let counts = Counts::of(&visit, &turns);
        assert_eq!(counts, Counts { right: 1, told: 2, all: 3 });
        let shares = counts.shares().unwrap();
        assert_eq!((shares.right, shares.segments), (0.5, 3));
        let untold: Vec<Turn> = serde_json::from_value(json!([{"start_ms": 0, "end_ms": 2100}])).unwrap();
        assert!(Counts::of(&visit, &untold).shares().is_none());
    }
}

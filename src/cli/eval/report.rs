//! What is known of a candidate once it has run: the JSON of `eval --json`, and what tables are made of.

use serde::Serialize;

use super::compare::Versus;
use super::score::{Score, Tally};
use super::set::Labelled;

/// Figures of one candidate.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) pipeline: String,
    pub(super) visits: Vec<VisitReport>,
    /// By room, where rooms are known.
    pub(super) conditions: Vec<Condition>,
    #[serde(flatten)]
    pub(super) pooled: Measured,
    /// Peak resident memory, MiB.
    pub(super) peak_memory_mib: Option<f64>,
    /// Visits that an outside command failed on; they count as nothing heard.
    pub(super) failed: usize,
    /// The difference to the first candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) versus: Option<Versus>,
}

/// One visit.
#[derive(Debug, Serialize)]
pub(super) struct VisitReport {
    pub(super) id: String,
    pub(super) acoustics: Option<String>,
    #[serde(flatten)]
    pub(super) measured: Measured,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
    #[serde(skip)]
    pub(super) tally: Tally,
    /// What was heard of each utterance.
    #[serde(skip)]
    pub(super) utterances: Vec<Heard>,
    #[serde(skip)]
    spent: Option<(f64, f64)>,
    #[serde(skip)]
    waits: Vec<f64>,
}

/// Visits in the same room.
#[derive(Debug, Serialize)]
pub(super) struct Condition {
    pub(super) acoustics: String,
    /// How many.
    pub(super) visits: usize,
    #[serde(flatten)]
    pub(super) measured: Measured,
}

/// How right and how fast.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    #[serde(flatten)]
    pub(super) score: Score,
    /// Wall clock over audio length; absent where sound came at the speed of speech, or every visit failed.
    pub(super) realtime: Option<f64>,
    /// How long somebody waited.
    pub(super) latency: Option<Latency>,
}

/// Seconds until the result of a visit was there; live, from the end of its sound until a final was there.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Latency {
    /// Waits.
    pub(super) n: usize,
    /// Half of them were no longer.
    pub(super) p50_s: f64,
    /// 95 of 100 were no longer.
    pub(super) p95_s: f64,
}

/// What was heard of an utterance.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) edits: usize,
    pub(super) text: String,
}

impl Report {
    /// Adds up the visits.
    pub(super) fn of(name: &str, visits: Vec<VisitReport>, peak_memory_mib: Option<f64>) -> Self {
        let mut rooms: Vec<&str> = Vec::new();
        for room in visits.iter().filter_map(|v| v.acoustics.as_deref()) {
            if !rooms.contains(&room) {
                rooms.push(room);
            }
        }
        let condition = |room: &str| {
            let inside = || visits.iter().filter(|v| v.acoustics.as_deref() == Some(room));
            Condition { acoustics: room.to_owned(), visits: inside().count(), measured: pool(inside()) }
        };
        Self {
            pipeline: name.to_owned(),
            conditions: rooms.into_iter().map(condition).collect(),
            pooled: pool(visits.iter()),
            peak_memory_mib,
            failed: visits.iter().filter(|v| v.failed.is_some()).count(),
            versus: None,
            visits,
        }
    }
}

impl VisitReport {
    /// `spent` is wall clock and audio length, `waits` how long somebody waited, all in seconds.
    pub(super) fn new(
        visit: &Labelled,
        tally: Tally,
        spent: Option<(f64, f64)>,
        waits: Vec<f64>,
        failed: Option<String>,
        utterances: Vec<Heard>,
    ) -> Self {
        Self {
            id: visit.id.clone(),
            acoustics: visit.acoustics.clone(),
            measured: measured(&tally, spent, &waits),
            failed,
            tally,
            utterances,
            spent,
            waits,
        }
    }
}

fn pool<'a>(visits: impl Iterator<Item = &'a VisitReport>) -> Measured {
    let (mut tally, mut spent, mut waits) = (Tally::default(), None, Vec::new());
    for visit in visits {
        tally.add(&visit.tally);
        waits.extend_from_slice(&visit.waits);
        if let Some((wall, audio)) = visit.spent {
            let (w, a) = spent.unwrap_or((0.0, 0.0));
            spent = Some((w + wall, a + audio));
        }
    }
    measured(&tally, spent, &waits)
}

fn measured(tally: &Tally, spent: Option<(f64, f64)>, waits: &[f64]) -> Measured {
    let realtime = spent.filter(|(_, audio)| *audio > 0.0).map(|(wall, audio)| wall / audio);
    let micros: Vec<u64> = waits.iter().map(|s| (s * 1e6) as u64).collect();
    let at = |percent| crate::cli::replay::percentile(&micros, percent).map(|u| u as f64 / 1e6);
    let latency = at(50).zip(at(95)).map(|(p50_s, p95_s)| Latency { n: waits.len(), p50_s, p95_s });
    Measured { score: tally.score(), realtime, latency }
}

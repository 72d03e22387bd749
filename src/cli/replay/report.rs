//! What one replay measured.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;

/// When each stretch of sound was first sent, and what came back how much later.
#[derive(Debug, Default)]
pub struct Report {
    /// Length of the sound.
    pub audio_ms: u64,
    /// From the first byte sent to `done`.
    pub wall: Duration,
    /// For each segment that had one: from its start being sent to its first partial, milliseconds.
    pub first_partial_ms: Vec<u64>,
    /// For each segment: from its end being sent to its final, milliseconds.
    pub final_ms: Vec<u64>,
    /// From `stop` to `done`, which names the card.
    pub card_after: Duration,
    /// Key moments that were told and not taken back.
    pub moments: HashSet<String>,
    /// Stretches without a transcript.
    pub gaps: usize,
    /// Share of the speech that has a transcript, 0..=1.
    pub coverage: f64,
    /// Times the connection was taken up again.
    pub reconnects: usize,
    /// What `done` said of the card.
    pub card: Value,

    sent: Vec<(u64, Instant)>,
    stopped: Option<Instant>,
    /// Segments whose first partial came.
    begun: HashSet<String>,
    /// Segments whose final came; a new connection may repeat them.
    ended: HashSet<String>,
}

impl Report {
    /// Of a recording of this length; nothing was sent yet.
    pub(super) fn of(audio_ms: u64) -> Self {
        Self { audio_ms, ..Self::default() }
    }

    /// Sound up to `until_ms` has just been sent. Sending it again changes nothing.
    pub(super) fn on_sent(&mut self, until_ms: u64) {
        if self.sent.last().is_none_or(|(last, _)| *last < until_ms) {
            self.sent.push((until_ms, Instant::now()));
        }
    }

    pub(super) fn on_stop(&mut self) {
        self.stopped.get_or_insert_with(Instant::now);
    }

    pub(super) fn on_partial(&mut self, segment_id: &str, start_ms: u64) {
        if self.begun.insert(segment_id.to_owned()) {
            self.first_partial_ms.extend(self.since_sent(start_ms));
        }
    }

    /// Returns false for a final that is a repetition.
    pub(super) fn on_final(&mut self, segment_id: &str, end_ms: u64) -> bool {
        let new = self.ended.insert(segment_id.to_owned());
        if new {
            // A partial after its final would not be the first the user sees.
            self.begun.insert(segment_id.to_owned());
            self.final_ms.extend(self.since_sent(end_ms));
        }
        new
    }

    pub(super) fn on_done(&mut self, coverage: f64, card: Value) {
        (self.coverage, self.card) = (coverage, card);
        self.card_after = self.stopped.map(|at| at.elapsed()).unwrap_or_default();
        self.wall = self.sent.first().map(|(_, at)| at.elapsed()).unwrap_or_default();
    }

    /// Milliseconds since the sound at `ms` was sent; nothing if it never was.
    fn since_sent(&self, ms: u64) -> Option<u64> {
        let chunk = self.sent.partition_point(|(until_ms, _)| *until_ms < ms);
        let (_, at) = self.sent.get(chunk).or_else(|| self.sent.last())?;
        u64::try_from(at.elapsed().as_millis()).ok()
    }
}

/// The value below which `percent` of the values lie (nearest rank); nothing for no values.
pub fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.audio_ms as f64 / 1000.0;
        let wall = self.wall.as_secs_f64();
        writeln!(
            f,
            "{seconds:.1} s of sound in {wall:.1} s ({:.1} x), coverage {:.1} %, {} finals, {} moments, {} gaps, {} reconnects",
            seconds / wall.max(0.001),
            self.coverage * 100.0,
            self.ended.len(),
            self.moments.len(),
            self.gaps,
            self.reconnects,
        )?;
        for (name, values) in [("first partial", &self.first_partial_ms), ("final", &self.final_ms)] {
            if let (Some(median), Some(p95)) = (percentile(values, 50), percentile(values, 95)) {
                writeln!(f, "{name}: median {median} ms, p95 {p95} ms, of {} segments", values.len())?;
            }
        }
        write!(f, "card: {} ms after the end", self.card_after.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=20).rev().collect();
        assert_eq!([0, 50, 95, 100].map(|p| percentile(&values, p)), [1, 10, 19, 20].map(Some));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn a_segment_is_measured_once_and_only_if_its_sound_was_sent() {
        let mut report = Report::default();
        report.on_partial("seg_0001", 0);
        assert!(report.first_partial_ms.is_empty(), "nothing was sent yet");
        report.on_sent(100);
        report.on_sent(200);
        report.on_sent(100);
        assert_eq!(report.sent.len(), 2);
        report.on_partial("seg_0002", 150);
        report.on_partial("seg_0002", 150);
        assert!(report.on_final("seg_0002", 190));
        assert!(!report.on_final("seg_0002", 190));
        assert_eq!((report.first_partial_ms.len(), report.final_ms.len()), (1, 1));
    }
}

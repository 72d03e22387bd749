//! Joins stretches of speech into one request and maps its times back to the visit.

use super::Clip;
use crate::domain::audio::Samples;
use crate::domain::time::{Millis, Span};

/// Where each joined stretch lies in the request and in the visit.
#[derive(Debug, Default)]
pub(super) struct TimeMap {
    /// (start in the request, start in the visit, length), in order.
    parts: Vec<(u64, u64, u64)>,
}

/// The samples of all clips in a row, and the way back.
pub(super) fn join(clips: Vec<Clip>) -> (Vec<f32>, TimeMap) {
    let mut audio = Vec::with_capacity(clips.iter().map(|c| c.samples.len()).sum());
    let mut map = TimeMap::default();
    for clip in clips {
        map.parts.push((audio.len() as u64, clip.speech.start.0, clip.samples.len() as u64));
        audio.extend(clip.samples);
    }
    (audio, map)
}

impl TimeMap {
    /// Which of the joined stretches a time of the request lies in.
    pub(super) fn stretch(&self, at_ms: Millis) -> usize {
        let at = Samples::from_millis(at_ms).0;
        self.parts.iter().rposition(|p| p.0 <= at).unwrap_or(0)
    }

    /// The stretch of the visit that a stretch of the request covers.
    ///
    /// A start on the seam of two clips belongs to the later one and an end to the earlier one, so that a
    /// sentence does not reach across the silence that was left out.
    pub(super) fn span(&self, start_ms: Millis, end_ms: Millis) -> Span {
        let (start, end) = (Samples::from_millis(start_ms).0, Samples::from_millis(end_ms).0);
        let visit = |at: u64, part: &(u64, u64, u64)| part.1 + at.saturating_sub(part.0).min(part.2);
        let from = self.parts.iter().rev().find(|p| p.0 <= start).map_or(0, |p| visit(start, p));
        let to = self.parts.iter().rev().find(|p| p.0 < end).map_or(from, |p| visit(end, p));
        Span { start_ms: Samples(from).to_millis(), end_ms: Samples(to.max(from)).to_millis() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Draft;
    use crate::stage::vad::Speech;

    fn clip(start_ms: u64, end_ms: u64) -> Clip {
        let speech = Speech {
            start: Samples::from_millis(Millis(start_ms)),
            end: Samples::from_millis(Millis(end_ms)),
        };
        Clip { speech, samples: vec![0.0; (speech.end.0 - speech.start.0) as usize], draft: Draft::default() }
    }

    #[test]
    fn times_come_back_to_the_visit() {
        let (audio, map) = join(vec![clip(1_000, 3_000), clip(10_000, 11_000), clip(20_000, 25_000)]);
        assert_eq!(audio.len(), 8 * 16_000);
        assert_eq!(map.span(Millis(0), Millis(2_000)), Span::new(1_000, 3_000));
        assert_eq!(map.span(Millis(2_000), Millis(3_000)), Span::new(10_000, 11_000));
        assert_eq!(map.span(Millis(2_500), Millis(4_000)), Span::new(10_500, 21_000));
        assert_eq!([0, 1_999, 2_000, 3_500].map(|at| map.stretch(Millis(at))), [0, 0, 1, 2]);
        assert_eq!(map.span(Millis(7_000), Millis(99_000)), Span::new(24_000, 25_000));
    }
}

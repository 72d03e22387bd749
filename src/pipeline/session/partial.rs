//! The text of a segment while it is being spoken: what two hypotheses in a row agree on is stable
//! (LocalAgreement-2, Liu et al. 2020), and what was once stable stays.

use std::time::Duration;

use super::Partial;
use crate::domain::audio::Samples;
use crate::domain::ids::SegmentId;
use crate::domain::time::Millis;
use crate::engine::Draft;

/// New audio that makes another hypothesis worth its cost.
pub(super) const STEP: Duration = Duration::from_millis(500);

/// Partials of one segment.
#[derive(Debug, Default)]
pub(super) struct Partials {
    of: Option<Samples>,
    rev: u32,
    last: Vec<char>,
    stable: Vec<char>,
    heard_to: Samples,
    draft: Draft,
}

impl Partials {
    /// Whether a segment open since `start` and heard up to `position` is due for a hypothesis.
    pub(super) fn due(&self, start: Samples, position: Samples) -> bool {
        let from = if self.of == Some(start) { self.heard_to } else { start };
        position.0.saturating_sub(from.0) >= Samples::from_millis(Millis(STEP.as_millis() as u64)).0
    }

    /// Notes that a hypothesis for `start..position` is being made.
    pub(super) fn begin(&mut self, start: Samples, position: Samples) {
        if self.of != Some(start) {
            *self = Self { of: Some(start), ..Self::default() };
        }
        self.heard_to = position;
    }

    /// What was heard so far of the segment that began at `start`; a new one where nothing was.
    pub(super) fn draft(&self, start: Samples) -> Draft {
        if self.of == Some(start) { self.draft.clone() } else { Draft::default() }
    }

    /// Takes a hypothesis of the segment that began at `start`. `None` if it says nothing new.
    pub(super) fn take(
        &mut self,
        id: SegmentId,
        start: Samples,
        end: Samples,
        text: &str,
    ) -> Option<Partial> {
        if self.of != Some(start) {
            return None;
        }
        let fresh: Vec<char> = text.chars().collect();
        let agreed = self.last.iter().zip(&fresh).take_while(|(a, b)| a == b).count();
        if agreed > self.stable.len() && fresh.starts_with(&self.stable) {
            self.stable = fresh.iter().take(agreed).copied().collect();
        }
        // A hypothesis that contradicts what is stable keeps only its tail.
        let mut shown = self.stable.clone();
        shown.extend(fresh.iter().skip(self.stable.len()));
        self.last = fresh;
        if shown.is_empty() {
            return None;
        }
        self.rev += 1;
        Some(Partial {
            segment_id: id,
            rev: self.rev,
            text: shown.into_iter().collect(),
            stable_chars: self.stable.len(),
            start_ms: start.to_millis(),
            end_ms: end.to_millis(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_two_agree_on_is_stable() {
        let mut partials = Partials::default();
        partials.begin(Samples(0), Samples(8_000));
        let mut hear = |text| {
            let p = partials.take(SegmentId::nth(1), Samples(0), Samples(8_000), text).unwrap();
            (p.rev, p.text, p.stable_chars)
        };
        assert_eq!(hear("这套一共"), (1, "这套一共".into(), 0));
        assert_eq!(hear("这套一共二十巴"), (2, "这套一共二十巴".into(), 4));
        assert_eq!(hear("这套一共二十八万"), (3, "这套一共二十八万".into(), 6));
        assert_eq!(hear("这淘一共二十八万八"), (4, "这套一共二十八万八".into(), 6));
    }

    proptest! {
        #[test]
        fn the_stable_part_never_shrinks_or_changes(texts in proptest::collection::vec("[一二三四]{0,8}", 1..20)) {
            let mut partials = Partials::default();
            partials.begin(Samples(0), Samples(1));
            let mut stable: Vec<char> = Vec::new();
            for text in texts {
                if let Some(p) = partials.take(SegmentId::nth(1), Samples(0), Samples(1), &text) {
                    let now: Vec<char> = p.text.chars().take(p.stable_chars).collect();
                    prop_assert!(now.starts_with(&stable), "{stable:?} -> {now:?}");
                    stable = now;
                }
            }
        }
    }
}

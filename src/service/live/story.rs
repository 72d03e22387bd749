//! What there is to tell about a visit in flight: one value that grows, watched by whoever wants to know.
//!
//! A `watch` and not a `broadcast`: a client that reads slowly finds the newest partial and every lasting
//! entry since its last look, so partials are what it loses, finals never, and nothing queues up for it.

use std::sync::Arc;

use crate::domain::card::Card;
use crate::domain::ids::MomentId;
use crate::domain::moment::Moment;
use crate::domain::time::Millis;
use crate::domain::transcript::{Gap, Segment};
use crate::error::Code;
use crate::pipeline::session::Partial;

/// Something that stays said.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A final segment.
    Final(Arc<Segment>),
    /// Other words of a segment told before: of the second pass, or the audio was gone over again.
    Corrected(Arc<Segment>),
    /// A key moment. One with an id told before replaces that one.
    Moment(Arc<Moment>),
    /// A moment told before is none.
    Retracted(MomentId),
    /// Audio without a transcript.
    Gap(Gap),
}

/// How far the engine has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Audio decoded.
    pub decoded_ms: Millis,
    /// Audio recognised, silence included.
    pub recognized_ms: Millis,
}

/// How it ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// The result and the card are stored.
    Done {
        /// Share of the speech that has a transcript, 0..=1.
        coverage: f64,
        /// What has none.
        gaps: Vec<Gap>,
        /// The card that waits for the salesperson.
        card: Arc<Card>,
    },
    /// It cannot go on: consent taken back, audio that is none, an engine that gave up.
    Failed {
        /// Which.
        code: Code,
        /// Cause and way out; safe to show.
        detail: String,
    },
}

/// The whole story so far.
#[derive(Debug, Default)]
pub struct Story {
    /// What stays said, in order of telling; only ever appended to.
    pub entries: Vec<Entry>,
    /// The segment being spoken, until its final comes.
    pub partial: Option<Partial>,
    /// How far the engine has come.
    pub progress: Progress,
    /// Once set, nothing more follows.
    pub ending: Option<Ending>,
}

impl Story {
    /// The story of a visit taken up again, as far as it was stored.
    pub fn resumed(finals: Vec<Segment>) -> Self {
        let entries = finals.into_iter().map(|segment| Entry::Final(Arc::new(segment))).collect();
        Self { entries, ..Self::default() }
    }

    /// Adds a segment: as a final one the first time, as corrected if other words of it were told last. Ends its
    /// partial. True if it was news.
    pub fn tell_segment(&mut self, segment: &Arc<Segment>) -> bool {
        if self.partial.as_ref().is_some_and(|partial| partial.segment_id == segment.id) {
            self.partial = None;
        }
        let told = self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Final(told) | Entry::Corrected(told) if told.id == segment.id => Some(told),
            _ => None,
        });
        match told {
            Some(told) if told == segment => return false,
            Some(_) => self.entries.push(Entry::Corrected(segment.clone())),
            None => self.entries.push(Entry::Final(segment.clone())),
        }
        true
    }

    /// Adds a moment unless it was told just so. True if none of that id stood before.
    pub fn tell_moment(&mut self, moment: Moment) -> bool {
        let told = self.standing(&moment.id);
        let is_new = told.is_none();
        if told != Some(&moment) {
            self.entries.push(Entry::Moment(Arc::new(moment)));
        }
        is_new
    }

    /// Takes a moment back, if it stands.
    pub fn tell_retracted(&mut self, id: MomentId) {
        if self.standing(&id).is_some() {
            self.entries.push(Entry::Retracted(id));
        }
    }

    /// The moment of that id as it was told last, unless it was taken back since.
    fn standing(&self, id: &MomentId) -> Option<&Moment> {
        let told = self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Moment(told) if told.id == *id => Some(Some(told.as_ref())),
            Entry::Retracted(gone) if gone == id => Some(None),
            _ => None,
        });
        told.flatten()
    }

    /// Adds a gap unless it was told before.
    pub fn tell_gap(&mut self, gap: Gap) {
        if !self.entries.iter().any(|entry| matches!(entry, Entry::Gap(told) if *told == gap)) {
            self.entries.push(Entry::Gap(gap));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SegmentId;

    fn segment(n: usize, text: &str) -> Arc<Segment> {
        Arc::new(Segment {
            id: SegmentId::nth(n),
            start_ms: Millis(0),
            end_ms: Millis(1000),
            text: text.to_owned(),
            raw_text: text.to_owned(),
            speaker: None,
            confidence: 0.9,
        })
    }

    #[test]
    fn going_over_the_audio_again_tells_only_what_is_new() {
        let mut story = Story::resumed(vec![segment(1, "一").as_ref().clone()]);
        assert!(!story.tell_segment(&segment(1, "一")));
        assert!(story.tell_segment(&segment(2, "二")));
        assert!(story.tell_segment(&segment(1, "改")), "another text under the same id is news");
        assert_eq!(story.entries.len(), 3);
        assert!(matches!(story.entries.last(), Some(Entry::Corrected(_))), "a final is told once");
    }

    #[test]
    fn a_moment_taken_back_and_found_again_is_news() {
        let moment: Moment = serde_json::from_value(serde_json::json!({
            "id": "mom_0001_quote", "kind": "quote", "start_ms": 0, "end_ms": 1, "segment_ids": ["seg_0001"],
            "score": 0.9, "evidence": "一", "slots": {},
        }))
        .unwrap();
        let mut story = Story::default();
        assert!(story.tell_moment(moment.clone()));
        assert!(!story.tell_moment(moment.clone()), "told just so");
        let other = Moment { score: 0.5, ..moment.clone() };
        assert!(!story.tell_moment(other), "told anew, counted once");
        story.tell_retracted(moment.id.clone());
        story.tell_retracted(moment.id.clone());
        assert!(story.tell_moment(moment));
        assert_eq!(story.entries.len(), 4);
    }

    #[test]
    fn a_final_ends_its_own_partial_and_no_other() {
        let mut story = Story::default();
        let partial = |n| Partial {
            segment_id: SegmentId::nth(n),
            rev: 1,
            text: "一".to_owned(),
            stable_chars: 1,
            start_ms: Millis(0),
            end_ms: Millis(100),
        };
        story.partial = Some(partial(2));
        story.tell_segment(&segment(1, "一"));
        assert_eq!(story.partial, Some(partial(2)));
        story.tell_segment(&segment(2, "二"));
        assert_eq!(story.partial, None);
    }
}

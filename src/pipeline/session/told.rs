//! What moments were told, so that what is judged anew is told as what changed.

use std::collections::BTreeMap;

use super::SessionEvent;
use crate::domain::ids::SegmentId;
use crate::domain::moment::Moment;

#[derive(Default)]
pub(super) struct Told(BTreeMap<SegmentId, Vec<Moment>>);

impl Told {
    /// Takes note of what is told elsewhere.
    pub(super) fn note(&mut self, segment: &SegmentId, moments: &[Moment]) {
        self.0.insert(segment.clone(), moments.to_vec());
    }

    /// What is to be told now that these are the moments of the segment.
    pub(super) fn change(&mut self, segment: SegmentId, moments: Vec<Moment>) -> Vec<SessionEvent> {
        let told = self.0.insert(segment, moments.clone()).unwrap_or_default();
        let gone = told.iter().filter(|old| moments.iter().all(|new| new.id != old.id));
        let mut changes: Vec<SessionEvent> =
            gone.map(|moment| SessionEvent::Retracted(moment.id.clone())).collect();
        let other = moments.into_iter().filter(|moment| !told.contains(moment));
        changes.extend(other.map(SessionEvent::Moment));
        changes
    }
}

//! A second opinion without any effect: what a candidate says of the same utterance is counted and forgotten.
//!
//! It is asked after the active classifier has answered, by a task of its own, so that nobody waits for it; with
//! enough utterances waiting the next one is dropped, and its failures are only counted.

use std::time::Instant;

use metrics::{counter, histogram};

use crate::domain::moment::MomentKind;
use crate::engine::candidate::Shadow;
use crate::engine::{ClassifyRequest, Lane};
use crate::telemetry;

/// Has the shadow judge what the active classifier judged `active`, in the order of `MomentKind::ALL`.
pub(super) fn judge(shadow: &Shadow, request: ClassifyRequest, active: [bool; 5]) {
    let classifier = shadow.classifier.clone();
    let outcome = |outcome: &'static str, name: &str| {
        counter!(telemetry::SHADOW_UTTERANCES, "candidate" => name.to_owned(), "outcome" => outcome)
            .increment(1);
    };
    let Ok(place) = shadow.places.clone().try_acquire_owned() else {
        return outcome("dropped", &classifier.name);
    };
    tokio::spawn(async move {
        let begin = Instant::now();
        let replies = classifier.pool.run(Lane::Deferred, vec![request]).await;
        let spent = begin.elapsed();
        drop(place);
        let name = classifier.name.clone();
        let Some(scores) = replies.ok().and_then(|replies| replies.into_iter().next()) else {
            return outcome("failed", &name);
        };
        histogram!(telemetry::SHADOW_SECONDS, "candidate" => name.clone()).record(spent);
        let candidate = super::over(&scores, &classifier.thresholds);
        for ((kind, active), candidate) in MomentKind::ALL.into_iter().zip(active).zip(candidate) {
            let outcome = match (active, candidate) {
                (true, true) => "agreed",
                (true, false) => "only_active",
                (false, true) => "only_candidate",
                (false, false) => continue,
            };
            counter!(telemetry::SHADOW_LABELS, "candidate" => name.clone(), "kind" => kind.as_str(),
                "outcome" => outcome)
            .increment(1);
        }
        // Last, so that what was judged has been counted.
        outcome("judged", &name);
    });
}

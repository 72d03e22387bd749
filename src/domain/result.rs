//! The whole result of one visit: the JSON of `transcribe`, `analyze` and `GET /v1/visits/{id}/result`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::summary::Summary;
use super::time::Millis;
use super::transcript::{Gap, Pii, Segment};

/// Which declared pipeline made a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineRef {
    /// Its name, the file's stem.
    pub name: String,
    /// Its version, as declared.
    pub version: u32,
    /// SHA-256 of its file, lower-case hex.
    pub sha256: String,
}

/// Which weights took part in a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// The manifest's version.
    pub version: String,
    /// SHA-256 of the weights, lower-case hex.
    pub sha256: String,
}

/// Everything a visit's audio (or a given transcript) yielded. Personal data is masked throughout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisitResult {
    /// Length of the audio.
    pub duration_ms: Millis,
    /// How much of it is speech.
    pub speech_ms: Millis,
    /// Share of the speech that has a transcript, 0..=1; 1 when there is no speech.
    pub coverage: f64,
    /// What has no transcript.
    pub gaps: Vec<Gap>,
    /// What was said, in order.
    pub segments: Vec<Segment>,
    /// What mattered, in order.
    pub moments: Vec<Moment>,
    /// What was masked.
    pub pii: Vec<Pii>,
    /// Where it leaves the deal.
    pub summary: Summary,
    /// Time spent by each stage, in milliseconds of wall clock.
    pub timings: BTreeMap<String, u64>,
    /// The pipeline that ran.
    pub pipeline: PipelineRef,
    /// The models that took part, by manifest name.
    pub models: BTreeMap<String, ModelRef>,
}

//! What was said: segments, what is missing between them, and the personal data masked inside them.

use serde::{Deserialize, Serialize};

use super::ids::SegmentId;
use super::time::{Millis, Span};

/// Who spoke. Absent (`null`) rather than wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The salesperson.
    Rep,
    /// The visited customer, any of them.
    Customer,
}

/// One stretch of speech and its words, masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Its id within the visit.
    pub id: SegmentId,
    /// Start of the speech.
    pub start_ms: Millis,
    /// End of the speech.
    pub end_ms: Millis,
    /// The shown text: Simplified, punctuated, business numbers, personal data masked.
    pub text: String,
    /// What `recognize` made of the sound, hotwords and homophones mended: Simplified and masked, numbers and
    /// marks as they were heard.
    pub raw_text: String,
    /// Who spoke, if known.
    pub speaker: Option<Speaker>,
    /// Mean token probability, 0..=1.
    pub confidence: f32,
}

impl Segment {
    /// Where it lies.
    pub fn span(&self) -> Span {
        Span { start_ms: self.start_ms, end_ms: self.end_ms }
    }
}

/// A stretch of audio that was received but has no transcript, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Start of the missing stretch.
    pub start_ms: Millis,
    /// End of the missing stretch.
    pub end_ms: Millis,
    /// A word a program can act on.
    pub reason: GapReason,
}

/// Why audio has no transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Nobody spoke there; nothing is missing.
    NoSpeech,
    /// The bytes there could not be decoded.
    Undecodable,
    /// The recogniser failed on it; it will be tried again.
    EngineFailed,
}

/// Kinds of personal data that are masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PiiKind {
    /// A mainland mobile number.
    Mobile,
    /// An e-mail address.
    Email,
    /// An 18-digit resident identity number.
    IdCard,
    /// A bank card number.
    BankCard,
    /// A vehicle's licence plate.
    Plate,
}

/// That personal data was said, where, and never what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pii {
    /// What kind.
    pub kind: PiiKind,
    /// Start of the segment(s) that hold it (audio).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<Millis>,
    /// End of the segment(s) that hold it (audio).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<Millis>,
    /// The utterances that hold it (`analyze` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utterances: Option<Vec<u32>>,
}

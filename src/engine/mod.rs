//! Native models: what each kind of model does (the traits), and the threads that own them.
//!
//! Stages see the traits and [`Pool`] only. whisper.cpp lives in `whisper`, ONNX Runtime in `onnx`; both are
//! chosen by manifest, so a CTC recogniser on ONNX Runtime fits beside Whisper. Nothing here knows what a
//! visit is.

mod blocks;
pub mod candidate;
pub mod fake;
pub mod fetch;
pub mod ggml;
pub mod installed;
pub mod load;
pub mod manifest;
pub mod onnx;
pub mod pool;
#[cfg(test)]
pub mod real;
#[cfg(test)]
mod recognizer_tests;
pub mod whisper;
mod window;

pub use blocks::return_large_blocks;
pub use load::{EngineConfig, load};
pub use pool::{Expected, Lane, Pool, PoolError};

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::time::Millis;
use crate::domain::transcript::Speaker;

/// A failure of a model, told to the operator; clients see `engine_failed`.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Weights or the runtime library are not there: `visitscribe models fetch`.
    #[error("{0}")]
    Missing(String),
    /// A file is not what its manifest says.
    #[error("{0}")]
    Altered(String),
    /// The input cannot be given to this model.
    #[error("bad input: {0}")]
    Input(String),
    /// The model failed.
    #[error("{0}")]
    Failed(String),
}

/// How much of Whisper's 30 s encoder window is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderWindow {
    /// All 30 s: slower, better on hard audio.
    #[default]
    Full,
    /// As long as the audio and a margin: for live use.
    Trimmed,
}

/// What a recogniser heard last of a stretch of speech that grows: the next request over the same stretch begins with
/// it, and has only to check most of its words. It saves time and changes none of them.
#[derive(Debug, Clone, Default)]
pub struct Draft(Arc<Mutex<Vec<u32>>>);

impl Draft {
    /// The recogniser's own numbers for the words.
    pub fn tokens(&self) -> Vec<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what was heard now.
    pub fn keep(&self, tokens: &[u32]) {
        tokens.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One piece of audio to recognise.
#[derive(Debug, Clone, Default)]
pub struct RecognizeRequest {
    /// Mono samples at 16 kHz, at most 30 s. Shorter than 0.1 s is padded.
    pub audio: Vec<f32>,
    /// Language code, `zh`.
    pub language: String,
    /// Text before this audio, or a vocabulary, to lean on. Never comes back as output.
    pub prompt: Option<String>,
    /// Candidates kept while decoding; 1 is greedy.
    pub beam: u8,
    /// When to decode once more. whisper.cpp has no part in it.
    pub retry: Option<Retry>,
    /// Full or trimmed encoder window.
    pub window: EncoderWindow,
    /// Ask for pieces with times inside the audio; otherwise one piece covers all.
    pub timestamps: bool,
    /// What was heard of the beginning of this audio, if it was asked for before. Greedy decoding on ONNX Runtime
    /// makes use of it.
    pub draft: Draft,
}

/// A second try at audio whose first text is not sure enough; it costs no second look at the audio.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Taken when the mean natural-log probability of the text's tokens is below this.
    pub below: f32,
    /// Candidates kept.
    pub beam: u8,
}

/// A stretch of recognised text inside one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Start, from the request's first sample.
    pub start_ms: Millis,
    /// End, from the request's first sample.
    pub end_ms: Millis,
    /// The words, whole characters only.
    pub text: String,
    /// Mean natural-log probability of its tokens.
    pub avg_logprob: f32,
    /// Probability that there is no speech at all.
    pub no_speech_prob: f32,
    /// Number of text tokens.
    pub tokens: u32,
}

/// Turns speech into words. One instance per worker thread.
pub trait Recognizer: Send + 'static {
    /// Recognises one request. An empty list means: no words.
    fn recognize(&mut self, request: &RecognizeRequest) -> Result<Vec<Piece>, EngineError>;
}

/// The memory of a voice detector between two windows; the visit owns it, the model does not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VoiceState {
    /// Opaque recurrent state; empty at the start of a stream.
    pub recurrent: Vec<f32>,
    /// The last samples of the previous window; empty at the start of a stream.
    pub context: Vec<f32>,
}

/// A run of windows to judge.
#[derive(Debug, Clone, Default)]
pub struct VoiceRequest {
    /// State after the previous run.
    pub state: VoiceState,
    /// A whole number of windows of [`VOICE_WINDOW`] samples at 16 kHz.
    pub samples: Vec<f32>,
}

/// Speech probability of each window, and the state to go on with.
#[derive(Debug, Clone, Default)]
pub struct VoiceReply {
    /// State for the next run.
    pub state: VoiceState,
    /// One probability a window.
    pub probabilities: Vec<f32>,
}

/// Samples in one window of the voice detector (32 ms at 16 kHz; Silero VAD v5 and later take no other).
pub const VOICE_WINDOW: usize = 512;

/// Tells speech from everything else.
pub trait VoiceDetector: Send + 'static {
    /// Judges a run of windows.
    fn detect(&mut self, request: &VoiceRequest) -> Result<VoiceReply, EngineError>;
}

/// Samples in one window of the voice encoder: 1.6 s at 16 kHz.
pub const VOICEPRINT_WINDOW: usize = 25_600;

/// How a voice sounds: a direction of length 1 in 256 dimensions. It tells a person, so it lives in memory only.
#[derive(Debug, Clone, PartialEq)]
pub struct Voiceprint(pub Vec<f32>);

/// Windows of speech to tell the voices of.
#[derive(Debug, Clone, Default)]
pub struct VoiceprintRequest {
    /// Mono samples at 16 kHz, from 0.2 s to [`VOICEPRINT_WINDOW`] each; what is shorter than that is repeated.
    pub windows: Vec<Vec<f32>>,
}

/// Tells how voices sound.
pub trait VoiceEncoder: Send + 'static {
    /// One print for each window, in order.
    fn encode(&mut self, request: &VoiceprintRequest) -> Result<Vec<Voiceprint>, EngineError>;
}

/// An utterance as a classifier is shown it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its words.
    pub text: String,
    /// Who speaks, if that is known.
    pub speaker: Option<Speaker>,
}

/// One utterance with what was said around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassifyRequest {
    /// Some utterances before, oldest first.
    pub before: Vec<Said>,
    /// The utterance to judge.
    pub judged: Said,
    /// The one after it, if it is known by now.
    pub after: Option<Said>,
}

impl ClassifyRequest {
    /// Who speaks in each of its utterances, in order.
    pub fn speakers(&self) -> Vec<Option<Speaker>> {
        self.before.iter().chain([&self.judged]).chain(&self.after).map(|said| said.speaker).collect()
    }
}

/// Calibrated probabilities for one utterance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MomentScores {
    /// In the order of `MomentKind::ALL`, each on its own (multi-label).
    pub kinds: [f32; 5],
    /// In the order of `ObjectionCategory::ALL`, summing to 1; meaningful if it is an objection.
    pub categories: [f32; 10],
    /// Strong, conditional; summing to 1; meaningful if it is a signing intent.
    pub levels: [f32; 2],
    /// Probability that a customer speaks, by the words alone; 0.5 from a
    /// classifier that does not tell.
    pub customer: f32,
}

/// Finds the kinds of moment in an utterance.
pub trait MomentClassifier: Send + 'static {
    /// One reply for each request, in order.
    fn classify(&mut self, batch: &[ClassifyRequest]) -> Result<Vec<MomentScores>, EngineError>;
    /// Decision thresholds in the order of `MomentKind::ALL`, from the manifest.
    fn thresholds(&self) -> [f32; 5];
}

/// A request type that a pool can run: which model it needs and what it gives back.
pub trait Job<M: ?Sized>: Send + 'static {
    /// The reply.
    type Reply: Send + 'static;
    /// Runs on the thread that owns the model.
    fn run(self, model: &mut M) -> Result<Self::Reply, EngineError>;
}

impl<'a> Job<dyn Recognizer + 'a> for RecognizeRequest {
    type Reply = Vec<Piece>;
    fn run(self, model: &mut (dyn Recognizer + 'a)) -> Result<Self::Reply, EngineError> {
        model.recognize(&self)
    }
}

impl<'a> Job<dyn VoiceDetector + 'a> for VoiceRequest {
    type Reply = VoiceReply;
    fn run(self, model: &mut (dyn VoiceDetector + 'a)) -> Result<Self::Reply, EngineError> {
        model.detect(&self)
    }
}

impl<'a> Job<dyn VoiceEncoder + 'a> for VoiceprintRequest {
    type Reply = Vec<Voiceprint>;
    fn run(self, model: &mut (dyn VoiceEncoder + 'a)) -> Result<Self::Reply, EngineError> {
        model.encode(&self)
    }
}

impl<'a> Job<dyn MomentClassifier + 'a> for Vec<ClassifyRequest> {
    type Reply = Vec<MomentScores>;
    fn run(self, model: &mut (dyn MomentClassifier + 'a)) -> Result<Self::Reply, EngineError> {
        model.classify(&self)
    }
}

/// The pools that a pipeline runs on. Cheap to clone.
#[derive(Clone)]
pub struct Engines {
    /// Speech to words; as many workers as configured.
    pub recognizer: Pool<dyn Recognizer>,
    /// Speech or not; one worker serves many visits.
    pub voice: Pool<dyn VoiceDetector>,
    /// How voices sound; one worker. `None` where the pipeline does not tell them apart.
    pub voiceprints: Option<Pool<dyn VoiceEncoder>>,
    /// Words to moments; one worker.
    pub moments: Pool<dyn MomentClassifier>,
    /// Decision thresholds of the classifier, in the order of `MomentKind::ALL`.
    pub thresholds: [f32; 5],
    /// A classifier that judges beside it without any effect.
    pub shadow: Option<candidate::Shadow>,
    /// What is loaded, by manifest name: goes into every result.
    pub models: std::collections::BTreeMap<String, crate::domain::result::ModelRef>,
}

//! From manifests to running pools: check every file, load it, warm it up.
//!
//! Called at start by whatever runs a pipeline. Ready means that one request has gone through each model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{Kind, Manifest, Manifests, RUNTIME};
use super::onnx::{self, Environment, OnnxMoments, OnnxVoices, OnnxWhisper, SileroVoice};
use super::whisper::WhisperWeights;
use super::{
    ClassifyRequest, EngineError, Engines, MomentClassifier, Pool, RecognizeRequest, Recognizer,
    VOICE_WINDOW, VOICEPRINT_WINDOW, VoiceDetector, VoiceEncoder, VoiceRequest, VoiceprintRequest, installed,
};
use crate::error::{Code, Error, Result};

/// Which models, and how many threads they get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Recogniser threads, each with its own decoding state.
    pub workers: usize,
    /// Threads inside each of them: 1 where workers run side by side, more for one file at a time.
    pub threads: usize,
    /// Jobs that may wait in each lane of each pool.
    pub queue: usize,
    /// Manifest of the recogniser.
    pub recognizer: String,
    /// Manifest of the voice detector.
    pub vad: String,
    /// Manifest of the voice encoder, where voices are told apart.
    pub voiceprints: Option<String>,
    /// Manifest of the classifier.
    pub moments: String,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            threads: 1,
            queue: 64,
            recognizer: "whisper-base".to_owned(),
            vad: "silero-vad".to_owned(),
            voiceprints: Some("ge2e-voice".to_owned()),
            moments: "moments".to_owned(),
        }
    }
}

impl From<EngineError> for Error {
    fn from(e: EngineError) -> Self {
        let code = match e {
            EngineError::Missing(_) => Code::ModelMissing,
            EngineError::Altered(_) => Code::ModelAltered,
            EngineError::Input(_) | EngineError::Failed(_) => Code::EngineFailed,
        };
        Self::caused(code, e.to_string(), e)
    }
}

/// Loads and warms up all models. Fails with [`Code::ModelMissing`] or [`Code::ModelAltered`] before
/// anything is loaded if a file is not what its manifest says.
pub fn load(models_dir: &Path, config: &EngineConfig) -> Result<Engines> {
    let manifests = Manifests::read(models_dir)?;
    let runtime = of_kind(&manifests, RUNTIME, Kind::Onnxruntime)?;
    let recognizer = manifests.get(&config.recognizer)?;
    if recognizer.kind != Kind::WhisperGgml {
        of_kind(&manifests, &config.recognizer, Kind::WhisperOnnx)?;
    }
    let vad = of_kind(&manifests, &config.vad, Kind::SileroVad)?;
    let moments = of_kind(&manifests, &config.moments, Kind::MomentClassifier)?;

    let encoder = config.voiceprints.as_ref().map(|name| of_kind(&manifests, name, Kind::VoiceEncoder));
    let encoder = encoder.transpose()?;

    let library = installed::require(runtime, models_dir)?;
    let weights = installed::require(recognizer, models_dir)?;
    let graph = installed::require(vad, models_dir)?;
    let prints = encoder.map(|encoder| installed::require(encoder, models_dir)).transpose()?;

    let environment = onnx::environment(&library)?;
    let models = [runtime, recognizer, vad, moments].into_iter().chain(encoder);
    Ok(Engines {
        recognizer: recognizer_pool(environment, recognizer.kind, weights, config)?,
        voice: voice_pool(environment, vad, &graph, config.queue)?,
        voiceprints: prints.map(|weights| voiceprint_pool(environment, weights, config.queue)).transpose()?,
        moments: moments_pool(environment, moments, models_dir, config.queue)?,
        thresholds: onnx::thresholds(moments)?,
        shadow: None,
        models: models.map(|m| (m.name.clone(), m.model_ref())).collect(),
    })
}

pub(super) fn of_kind<'a>(manifests: &'a Manifests, name: &str, kind: Kind) -> Result<&'a Manifest> {
    let manifest = manifests.get(name)?;
    if manifest.kind == kind {
        return Ok(manifest);
    }
    Err(Error::new(Code::InvalidConfig, format!("the model {name} is of another kind: a {kind:?} is needed")))
}

fn recognizer_pool(
    environment: &'static Environment,
    kind: Kind,
    weights: PathBuf,
    config: &EngineConfig,
) -> Result<Pool<dyn Recognizer>, EngineError> {
    let threads = config.threads;
    let shared = if kind == Kind::WhisperGgml { Some(WhisperWeights::load(&weights)?) } else { None };
    Pool::start("recognizer", config.workers, config.queue, move || {
        let mut recognizer: Box<dyn Recognizer> = match &shared {
            Some(shared) => Box::new(shared.recognizer(threads)?),
            None => Box::new(OnnxWhisper::load(environment, &weights, threads)?),
        };
        recognizer.recognize(&RecognizeRequest {
            audio: vec![0.0; 8_000],
            language: "zh".to_owned(),
            beam: 1,
            window: super::EncoderWindow::Trimmed,
            ..RecognizeRequest::default()
        })?;
        Ok(recognizer)
    })
}

fn voice_pool(
    environment: &'static Environment,
    manifest: &Manifest,
    graph: &Path,
    queue: usize,
) -> Result<Pool<dyn VoiceDetector>, EngineError> {
    let graph: Arc<[u8]> = std::fs::read(graph)
        .map_err(|e| EngineError::Missing(format!("cannot read {}: {e}", graph.display())))?
        .into();
    let manifest = manifest.clone();
    Pool::start("voice", 1, queue, move || {
        let mut voice = SileroVoice::load(environment, &manifest, &graph)?;
        voice.detect(&VoiceRequest { samples: vec![0.0; VOICE_WINDOW], ..VoiceRequest::default() })?;
        Ok(Box::new(voice) as Box<dyn VoiceDetector>)
    })
}

fn voiceprint_pool(
    environment: &'static Environment,
    weights: PathBuf,
    queue: usize,
) -> Result<Pool<dyn VoiceEncoder>, EngineError> {
    Pool::start("voiceprint", 1, queue, move || {
        let mut voices = OnnxVoices::load(environment, &weights)?;
        voices.encode(&VoiceprintRequest { windows: vec![vec![0.0; VOICEPRINT_WINDOW]] })?;
        Ok(Box::new(voices) as Box<dyn VoiceEncoder>)
    })
}

fn moments_pool(
    environment: &'static Environment,
    manifest: &Manifest,
    models_dir: &Path,
    queue: usize,
) -> Result<Pool<dyn MomentClassifier>, EngineError> {
    let (manifest, models_dir) = (manifest.clone(), models_dir.to_owned());
    Pool::start("moments", 1, queue, move || {
        let mut moments = OnnxMoments::load(environment, &manifest, &models_dir)?;
        moments.classify(&[ClassifyRequest::default()])?;
        Ok(Box::new(moments) as Box<dyn MomentClassifier>)
    })
}

//! Silero VAD v6: the probability of speech in each window of 32 ms.
//!
//! The graph takes a window with the 64 samples before it, and a recurrent state that it hands back. The
//! visit keeps both (`VoiceState`), so one instance serves any number of visits in turn.

use ort::session::Session;
use ort::value::TensorRef;

use super::{Environment, failed, session};
use crate::domain::audio::SAMPLE_RATE_HZ;
use crate::engine::manifest::Manifest;
use crate::engine::{EngineError, VOICE_WINDOW, VoiceDetector, VoiceReply, VoiceRequest, VoiceState};

/// Samples of the window before that the graph wants to see, at 16 kHz.
const CONTEXT: usize = 64;
/// Two layers of 128.
const STATE: [usize; 3] = [2, 1, 128];
const STATE_LENGTH: usize = 256;

/// One worker's voice detector.
pub struct SileroVoice {
    session: Session,
}

impl SileroVoice {
    /// Opens the graph.
    pub fn load(environment: &Environment, manifest: &Manifest, graph: &[u8]) -> Result<Self, EngineError> {
        Ok(Self { session: session(environment, manifest, graph)? })
    }

    /// Judges one window, context included, and replaces `recurrent`.
    fn window(&mut self, input: &[f32], recurrent: &mut Vec<f32>) -> Result<f32, EngineError> {
        let rate = [i64::from(SAMPLE_RATE_HZ)];
        let nothing: [usize; 0] = [];
        let outputs = self
            .session
            .run(ort::inputs![
                "input" => TensorRef::from_array_view(([1, input.len()], input)).map_err(failed)?,
                "state" => TensorRef::from_array_view((STATE, recurrent.as_slice())).map_err(failed)?,
                "sr" => TensorRef::from_array_view((nothing, rate.as_slice())).map_err(failed)?,
            ])
            .map_err(failed)?;
        let output = |name: &str| outputs.get(name).ok_or_else(|| missing(name));
        let (_, probability) = output("output")?.try_extract_tensor::<f32>().map_err(failed)?;
        let probability = probability.first().copied().ok_or_else(|| missing("output"))?;
        let (_, state) = output("stateN")?.try_extract_tensor::<f32>().map_err(failed)?;
        if state.len() != STATE_LENGTH {
            return Err(EngineError::Failed(format!("Silero VAD handed back a state of {}", state.len())));
        }
        recurrent.copy_from_slice(state);
        Ok(probability)
    }
}

impl VoiceDetector for SileroVoice {
    fn detect(&mut self, request: &VoiceRequest) -> Result<VoiceReply, EngineError> {
        let (windows, rest) = request.samples.as_chunks::<VOICE_WINDOW>();
        if !rest.is_empty() {
            return Err(EngineError::Input(format!(
                "{} samples are no whole windows",
                request.samples.len()
            )));
        }
        let VoiceState { mut recurrent, mut context } = request.state.clone();
        recurrent.resize(STATE_LENGTH, 0.0);
        context.resize(CONTEXT, 0.0);
        let mut probabilities = Vec::with_capacity(windows.len());
        let mut input = Vec::with_capacity(CONTEXT + VOICE_WINDOW);
        for window in windows {
            input.clear();
            input.extend_from_slice(&context);
            // What is no number would stay in the state for good.
            input.extend(window.iter().map(|s| if s.is_finite() { *s } else { 0.0 }));
            probabilities.push(self.window(&input, &mut recurrent)?);
            context = input.split_off(VOICE_WINDOW);
        }
        Ok(VoiceReply { state: VoiceState { recurrent, context }, probabilities })
    }
}

fn missing(name: &str) -> EngineError {
    EngineError::Failed(format!("Silero VAD gave no `{name}`"))
}

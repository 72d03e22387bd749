//! Whisper by whisper.cpp: weights loaded once and shared, one decoding state for each worker.
//!
//! Only `load` makes these; everyone else sees [`Recognizer`]. This is the only home of `whisper_rs` and of
//! whisper.cpp's units: centiseconds become milliseconds here and nowhere else. It decodes once and judges
//! nothing: whether a reply is trustworthy, or worth another try with a wider beam, is for the stage to say.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperState,
    WhisperTokenId,
};

use super::window::{
    MAX_BEAM, MAX_PROMPT_TOKENS, drop_echo, max_tokens, prepare, prompt_end, take_whole_characters,
    trimmed_window,
};
use super::{EncoderWindow, EngineError, Piece, RecognizeRequest, Recognizer};
use crate::domain::audio::Samples;
use crate::domain::time::Millis;

/// On a CPU fused attention saves memory and makes a full window slower.
const FLASH_ATTENTION: bool = false;

/// A loaded model; cheap to clone.
#[derive(Clone)]
pub struct WhisperWeights {
    context: Arc<WhisperContext>,
}

impl WhisperWeights {
    /// Loads a ggml file. Its hash must have been checked: whisper.cpp believes what it reads.
    pub fn load(path: &Path) -> Result<Self, EngineError> {
        // Without a logging backend this silences whisper.cpp, which else writes to stderr.
        whisper_rs::install_logging_hooks();
        let mut parameters = WhisperContextParameters::default();
        parameters.use_gpu(false).flash_attn(FLASH_ATTENTION);
        let context = WhisperContext::new_with_params(path, parameters)
            .map_err(|e| EngineError::Failed(format!("whisper.cpp cannot load {}: {e}", path.display())))?;
        Ok(Self { context: Arc::new(context) })
    }

    /// A recogniser with its own state. Give it one thread where workers run side by side: ggml's threads
    /// spin while they wait for each other, and one more busy process makes them a hundred times slower.
    pub fn recognizer(&self, threads: usize) -> Result<WhisperRecognizer, EngineError> {
        Ok(WhisperRecognizer {
            context: self.context.clone(),
            state: Some(self.context.create_state().map_err(failed)?),
            dice_used: false,
            threads: threads.max(1),
            parameters: HashMap::new(),
        })
    }
}

/// One worker's recogniser.
pub struct WhisperRecognizer {
    context: Arc<WhisperContext>,
    /// Absent only while it is made anew.
    state: Option<WhisperState>,
    /// Whether a beam search has drawn from the state's random numbers.
    dice_used: bool,
    threads: usize,
    /// By language and beam. Kept, as whisper_rs never frees the name of a language it is given.
    parameters: HashMap<(i32, u8), FullParams<'static, 'static>>,
}

impl Recognizer for WhisperRecognizer {
    fn recognize(&mut self, request: &RecognizeRequest) -> Result<Vec<Piece>, EngineError> {
        let length = request.audio.len();
        let Some(audio) = prepare(&request.audio)? else { return Ok(Vec::new()) };
        let prompt = self.prompt_tokens(request.prompt.as_deref().unwrap_or_default());
        let mut parameters = self.parameters(&request.language, request.beam)?;
        parameters.set_tokens(&prompt);
        parameters.set_no_timestamps(!request.timestamps);
        parameters.set_single_segment(!request.timestamps);
        if !request.timestamps {
            parameters.set_max_tokens(count(max_tokens(length)));
        }
        parameters.set_audio_ctx(match request.window {
            EncoderWindow::Full => 0,
            EncoderWindow::Trimmed => count(trimmed_window(audio.len())),
        });
        self.fresh_state(request.beam)?.full(parameters, &audio).map_err(failed)?;
        let mut pieces = self.pieces(Samples(length as u64).to_millis(), request.timestamps)?;
        if !pieces.is_empty() {
            let no_speech_prob = self.no_speech_prob()?;
            pieces.iter_mut().for_each(|piece| piece.no_speech_prob = no_speech_prob);
        }
        drop_echo(&mut pieces, request.prompt.as_deref());
        Ok(pieces)
    }
}

impl WhisperRecognizer {
    /// The state, made anew if its last use would change what a beam search finds.
    ///
    /// whisper.cpp 1.8.3 does not keep the best candidates of each step: it draws them at random, with numbers
    /// that go on from one request to the next. Starting them over makes a reply depend on its request alone.
    fn fresh_state(&mut self, beam: u8) -> Result<&mut WhisperState, EngineError> {
        if beam > 1 && std::mem::replace(&mut self.dice_used, true) {
            self.state = None;
        }
        match &mut self.state {
            Some(state) => Ok(state),
            none => Ok(none.insert(self.context.create_state().map_err(failed)?)),
        }
    }

    /// Probability of the no-speech token in the place of the first one.
    ///
    /// whisper.cpp 1.8.3 has a figure of that name, but reads it off the last step of the request before.
    fn no_speech_prob(&mut self) -> Result<f32, EngineError> {
        let (first, token) = (self.context.token_sot(), self.context.token_nosp());
        let Some(state) = &mut self.state else { return Ok(0.0) };
        state.decode(&[first], 0, self.threads).map_err(failed)?;
        let logits = state.get_logits().map_err(failed)?;
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        let logit = usize::try_from(token).ok().and_then(|token| logits.get(token));
        Ok(logit.map_or(0.0, |logit| (logit - largest).exp() / sum))
    }

    fn parameters(&mut self, language: &str, beam: u8) -> Result<FullParams<'static, 'static>, EngineError> {
        let beam = beam.clamp(1, MAX_BEAM);
        let known = !language.contains('\0');
        let Some(id) = known.then(|| whisper_rs::get_lang_id(language)).flatten() else {
            return Err(EngineError::Input(format!("Whisper does not know the language {language:?}")));
        };
        let threads = i32::try_from(self.threads).unwrap_or(1);
        let fresh = || {
            let mut parameters = FullParams::new(match beam {
                1 => SamplingStrategy::Greedy { best_of: 1 },
                beam => SamplingStrategy::BeamSearch { beam_size: i32::from(beam), patience: -1.0 },
            });
            parameters.set_language(whisper_rs::get_lang_str(id));
            parameters.set_n_threads(threads);
            parameters.set_no_context(true);
            parameters.set_suppress_blank(true);
            parameters.set_suppress_nst(true);
            parameters.set_print_progress(false);
            parameters.set_print_timestamps(false);
            // One try at temperature 0: more tries are the stage's choice, and this bounds the time.
            parameters.set_temperature_inc(0.0);
            // No probability is above this, so no reply is held back here.
            parameters.set_no_speech_thold(2.0);
            parameters
        };
        Ok(self.parameters.entry((id, beam)).or_insert_with(fresh).clone())
    }

    /// The last tokens of a prompt that the model can use; none if it cannot be read.
    fn prompt_tokens(&self, prompt: &str) -> Vec<WhisperTokenId> {
        let text = prompt_end(prompt);
        // A token is at least a byte.
        let tokens = self.context.tokenize(&text, text.len().max(1)).unwrap_or_default();
        tokens.get(tokens.len().saturating_sub(MAX_PROMPT_TOKENS)..).unwrap_or_default().to_vec()
    }

    fn pieces(&self, length: Millis, timestamps: bool) -> Result<Vec<Piece>, EngineError> {
        let end_of_text = self.context.token_eot();
        let mut pieces = Vec::new();
        // Bytes of a character whose other tokens are in the next piece.
        let mut begun = Vec::new();
        let mut earliest = Millis(0);
        for segment in self.state.iter().flat_map(WhisperState::as_iter) {
            let (mut tokens, mut log_probability) = (0, 0.0);
            for n in 0..segment.n_tokens() {
                let Some(token) = segment.get_token(n) else { continue };
                if token.token_id() < end_of_text {
                    begun.extend_from_slice(token.to_bytes().map_err(failed)?);
                    log_probability += token.token_data().plog;
                    tokens += 1;
                }
            }
            let text = take_whole_characters(&mut begun);
            let (start_ms, end_ms) = if timestamps {
                let time = |centiseconds: i64| Millis(u64::try_from(centiseconds * 10).unwrap_or(0));
                let start = time(segment.start_timestamp()).clamp(earliest, length.max(earliest));
                (start, time(segment.end_timestamp()).clamp(start, length.max(start)))
            } else {
                (Millis(0), length)
            };
            earliest = end_ms;
            if tokens == 0 || text.trim().is_empty() {
                continue;
            }
            pieces.push(Piece {
                start_ms,
                end_ms,
                text: text.trim().to_owned(),
                avg_logprob: log_probability / tokens as f32,
                no_speech_prob: 0.0,
                tokens,
            });
        }
        Ok(pieces)
    }
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn failed(e: WhisperError) -> EngineError {
    EngineError::Failed(format!("whisper.cpp: {e}"))
}

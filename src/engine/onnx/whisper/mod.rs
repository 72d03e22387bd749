//! Whisper on ONNX Runtime, from the same weights as whisper.cpp, with 8-bit arithmetic throughout: faster
//! on processors that multiply bytes in hardware (docs/MODELS.md has the command that compares them).
//!
//! The graphs are put together when the weights are loaded (`graphs`), so no other file is needed. Like
//! whisper.cpp's, this recogniser decodes once and judges nothing.

use std::ops::Range;
use std::path::Path;

use ort::session::Session;
use ort::value::TensorRef;

use super::Environment;
use crate::domain::audio::Samples;
use crate::domain::time::Millis;
use crate::engine::ggml::Ggml;
use crate::engine::onnx::mel::Mel;
use crate::engine::window::{
    FULL_WINDOW, MAX_BEAM, MAX_PROMPT_TOKENS, POSITION_SAMPLES, drop_echo, max_tokens, prepare, prompt_end,
    take_whole_characters, trimmed_window,
};
use crate::engine::{EncoderWindow, EngineError, Piece, RecognizeRequest, Recognizer};

mod decode;
mod graphs;
mod tokens;

use decode::{Decoder, Heard, Task, Text};
use tokens::{Token, Tokens};

/// Tokens of a text at most, as in OpenAI's own decoding.
const MOST_TOKENS: usize = 224;
/// A stretch without words longer than this is listened to again.
const UNHEARD_MS: u64 = 2_500;
/// Nobody needs longer for a token.
const SLOW_TOKEN_MS: u64 = 400;

/// One worker's recogniser.
pub struct OnnxWhisper {
    encoder: Session,
    decoder: Decoder,
    mel: Mel,
    tokens: Tokens,
    /// Names of the encoder's outputs in the order of the decoder's layers.
    heard: Vec<String>,
}

impl OnnxWhisper {
    /// Loads a ggml file and builds the graphs, each run by `threads` threads.
    pub fn load(environment: &Environment, path: &Path, threads: usize) -> Result<Self, EngineError> {
        let mut weights = Ggml::open(path)?;
        let sizes = weights.sizes;
        let tokens = Tokens::new(std::mem::take(&mut weights.tokens), sizes.vocab)?;
        let mel = Mel::new(&weights.filters)
            .ok_or_else(|| EngineError::Altered(format!("the mel filters of {}", path.display())))?;
        let encoder = graphs::encoder(&mut weights)?.open(environment, threads)?;
        let decoder = graphs::decoder(&mut weights, &tokens)?.open(environment, threads)?;
        let heard = (0..sizes.text_layers).flat_map(|n| [format!("ck{n}"), format!("cv{n}")]).collect();
        Ok(Self { encoder, decoder: Decoder::new(decoder, sizes), mel, tokens, heard })
    }

    /// What the decoder listens to: `audio`, and silence up to `positions`.
    fn listen(&mut self, audio: &[f32], positions: usize) -> Result<Heard, EngineError> {
        let (mel, frames) = self.mel.spectrogram(audio, positions * POSITION_SAMPLES);
        let bands = mel.len() / frames.max(1);
        let mel = TensorRef::from_array_view(([1, bands, frames], mel.as_slice()))?;
        let mut outputs = self.encoder.run(ort::inputs!["mel" => mel])?;
        let gone = |name: &String| EngineError::Failed(format!("the encoder gave no `{name}`"));
        self.heard.iter().map(|name| outputs.remove(name).ok_or_else(|| gone(name))).collect()
    }

    /// What the text is to follow: the end of the prompt, the language, the task.
    fn opening(&self, request: &RecognizeRequest) -> Result<Vec<Token>, EngineError> {
        let Some(language) = self.tokens.language(&request.language) else {
            let language = &request.language;
            return Err(EngineError::Input(format!("Whisper does not know the language {language:?}")));
        };
        let mut opening = Vec::new();
        let prompt = self.tokens.of(&prompt_end(request.prompt.as_deref().unwrap_or_default()));
        let prompt = prompt.get(prompt.len().saturating_sub(MAX_PROMPT_TOKENS)..).unwrap_or_default();
        if !prompt.is_empty() {
            opening.push(self.tokens.previous);
            opening.extend(prompt);
        }
        opening.extend([self.tokens.start, language, self.tokens.transcribe]);
        if !request.timestamps {
            opening.push(self.tokens.no_times);
        }
        Ok(opening)
    }

    /// Recognises `audio`, which begins `offset` samples into the request, once.
    fn pass(
        &mut self,
        request: &RecognizeRequest,
        opening: &[Token],
        audio: &[f32],
        offset: usize,
        window: EncoderWindow,
    ) -> Result<Vec<Piece>, EngineError> {
        let positions = match window {
            EncoderWindow::Full => FULL_WINDOW,
            EncoderWindow::Trimmed => trimmed_window(audio.len()),
        };
        let heard = self.listen(audio, positions)?;
        let draft = request.draft.tokens();
        let candidates = |beam: u8| Task {
            opening,
            draft: &draft,
            times: request.timestamps,
            length: audio.len().div_ceil(POSITION_SAMPLES) as u32,
            most: MOST_TOKENS.min(max_tokens(audio.len())),
            beam: beam.clamp(1, MAX_BEAM).into(),
        };
        let first = self.decoder.decode(&heard, &self.tokens, &candidates(request.beam))?;
        let (text, no_speech_prob) = match request.retry {
            Some(retry) if first.0.mean_logprob() < retry.below => {
                self.decoder.decode(&heard, &self.tokens, &candidates(retry.beam))?
            }
            _ => first,
        };
        request.draft.keep(&text.tokens);
        Ok(self.pieces(&text, no_speech_prob, offset, offset + audio.len()))
    }

    /// The text in pieces, each between two times; without times one from `from` to `to`, in samples.
    fn pieces(&self, text: &Text, no_speech_prob: f32, from: usize, to: usize) -> Vec<Piece> {
        let first = self.tokens.times;
        let mut pieces = Vec::new();
        let mut words = Words { start: from, ..Words::default() };
        for (token, logprob) in text.tokens.iter().zip(&text.logprobs) {
            if *token < first {
                words.bytes.extend_from_slice(self.tokens.bytes(*token));
                words.tokens += 1;
                words.logprob += logprob;
            } else {
                let at = (from + (*token - first) as usize * POSITION_SAMPLES).min(to);
                pieces.extend(words.close(at, no_speech_prob));
                words.start = at;
            }
        }
        pieces.extend(words.close(to, no_speech_prob));
        pieces
    }
}

/// Words between two times.
#[derive(Default)]
struct Words {
    start: usize,
    bytes: Vec<u8>,
    tokens: u32,
    logprob: f32,
}

impl Words {
    /// The piece that ends at this sample; what is left of a character stays for the next.
    fn close(&mut self, end: usize, no_speech_prob: f32) -> Option<Piece> {
        let text = take_whole_characters(&mut self.bytes).trim().to_owned();
        let (tokens, logprob) = (std::mem::take(&mut self.tokens), std::mem::take(&mut self.logprob));
        let [start_ms, end_ms] = [self.start, end].map(|at| Samples(at as u64).to_millis());
        let avg_logprob = logprob / tokens.max(1) as f32;
        let said = tokens > 0 && !text.is_empty();
        said.then_some(Piece { start_ms, end_ms, text, avg_logprob, no_speech_prob, tokens })
    }
}

/// Stretches of the request in which nothing was heard though somebody speaks, in samples.
///
/// Whisper at times jumps from the start of a turn to a much later time. A piece that has far too few words
/// for its length is taken to end where its words do.
fn holes(pieces: &mut [Piece], length: usize) -> Vec<Range<usize>> {
    let samples = |at: Millis| Samples::from_millis(at).0 as usize;
    let (mut holes, mut heard) = (Vec::new(), 0);
    for piece in pieces {
        let expected = Millis(500 + u64::from(piece.tokens) * SLOW_TOKEN_MS);
        if piece.end_ms.since(piece.start_ms) > Millis(expected.0 + UNHEARD_MS) {
            piece.end_ms = Millis(piece.start_ms.0 + expected.0);
        }
        holes.push(heard..samples(piece.start_ms));
        heard = samples(piece.end_ms);
    }
    holes.push(heard..length);
    holes.retain(|hole| hole.len() > samples(Millis(UNHEARD_MS)));
    holes
}

impl Recognizer for OnnxWhisper {
    fn recognize(&mut self, request: &RecognizeRequest) -> Result<Vec<Piece>, EngineError> {
        let length = request.audio.len();
        let Some(audio) = prepare(&request.audio)? else { return Ok(Vec::new()) };
        let opening = self.opening(request)?;
        let mut pieces = self.pass(request, &opening, &audio, 0, request.window)?;
        if request.timestamps {
            for hole in holes(&mut pieces, length) {
                let unheard = audio.get(hole.clone()).unwrap_or_default();
                pieces.extend(self.pass(request, &opening, unheard, hole.start, EncoderWindow::Trimmed)?);
            }
            pieces.sort_by_key(|piece| piece.start_ms);
        }
        let end = Samples(length as u64).to_millis();
        for piece in &mut pieces {
            piece.end_ms = piece.end_ms.min(end);
        }
        drop_echo(&mut pieces, request.prompt.as_deref());
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start_ms: u64, end_ms: u64, tokens: u32) -> Piece {
        let (start_ms, end_ms) = (Millis(start_ms), Millis(end_ms));
        Piece { start_ms, end_ms, text: "好".into(), avg_logprob: -0.1, no_speech_prob: 0.0, tokens }
    }

    #[test]
    fn what_was_skipped_is_found() {
        let mut all = [piece(0, 4_000, 20), piece(4_000, 9_000, 30)];
        assert!(holes(&mut all, 9 * 16_000 + 8_000).is_empty());
        let mut jumped = [piece(0, 19_000, 5), piece(19_000, 20_000, 6), piece(23_000, 24_000, 6)];
        let found = holes(&mut jumped, 28 * 16_000);
        assert_eq!(jumped[0].end_ms, Millis(500 + 5 * SLOW_TOKEN_MS));
        let millis = |at: usize| at / 16;
        let found: Vec<_> = found.iter().map(|h| (millis(h.start), millis(h.end))).collect();
        assert_eq!(found, [(2_500, 19_000), (20_000, 23_000), (24_000, 28_000)]);
        assert_eq!(holes(&mut [], 48_000), vec![0..48_000; 1]);
    }
}

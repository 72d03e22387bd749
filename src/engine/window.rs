//! What Whisper takes and gives, whichever library runs it: how long a window is, how a prompt is cut, and how
//! bytes become whole characters.

use super::{EngineError, Piece};
use crate::domain::audio::SAMPLE_RATE_HZ;

/// Whisper's window: 30 s.
pub const MAX_SAMPLES: usize = 30 * SAMPLE_RATE_HZ as usize;
/// Shorter input is padded with silence. whisper.cpp 1.8.3 reads past the end of input below about 201
/// samples, and answers nothing below 0.1 s.
const MIN_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 2;
/// Positions of the whole encoder window, 50 a second.
pub const FULL_WINDOW: usize = 1500;
/// Samples of one position.
pub const POSITION_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 50;
/// Positions that a trimmed window has beyond the audio; fewer make it repeat itself.
const WINDOW_MARGIN: usize = 128;
/// Trimmed windows are a multiple of this, which suits the matrix kernels.
const WINDOW_STEP: usize = 64;
/// Tokens of prompt that can be used: half the text window, less the token that introduces them.
pub const MAX_PROMPT_TOKENS: usize = 223;
/// Characters of prompt that are looked at: more than [`MAX_PROMPT_TOKENS`] can hold.
const MAX_PROMPT_CHARS: usize = 600;
/// At most this many candidates are kept.
pub const MAX_BEAM: u8 = 8;
/// A reply no longer than a word cannot be told from the prompt come back.
const MIN_ECHO_CHARS: usize = 8;

/// The audio of a request, long enough for Whisper and without what is no number; nothing if there is none.
pub fn prepare(audio: &[f32]) -> Result<Option<Vec<f32>>, EngineError> {
    if audio.is_empty() {
        return Ok(None);
    }
    if audio.len() > MAX_SAMPLES {
        return Err(EngineError::Input(format!("{} samples, at most {MAX_SAMPLES}", audio.len())));
    }
    let mut audio: Vec<f32> = audio.iter().map(|s| if s.is_finite() { *s } else { 0.0 }).collect();
    audio.resize(audio.len().max(MIN_SAMPLES), 0.0);
    Ok(Some(audio))
}

/// Encoder positions for this many samples: as long as the audio and a margin.
pub fn trimmed_window(samples: usize) -> usize {
    let positions = samples.div_ceil(POSITION_SAMPLES) + WINDOW_MARGIN;
    positions.next_multiple_of(WINDOW_STEP).min(FULL_WINDOW)
}

/// More tokens than anyone says in this many samples; ends a repetition loop early.
pub fn max_tokens(samples: usize) -> usize {
    24 + samples / (SAMPLE_RATE_HZ as usize / 16)
}

/// Takes the text off `bytes` and leaves a character that is not complete yet. Bytes that are no text at all
/// are dropped.
pub fn take_whole_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut left = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        left = chunk.invalid().to_vec();
    }
    let could_go_on = std::str::from_utf8(&left).is_err_and(|e| e.error_len().is_none());
    *bytes = if could_go_on { left } else { Vec::new() };
    text
}

/// Drops pieces that are the prompt come back.
pub fn drop_echo(pieces: &mut Vec<Piece>, prompt: Option<&str>) {
    if let Some(prompt) = prompt {
        pieces.retain(|piece| !is_echo(&piece.text, prompt));
    }
}

/// Whether a reply is nothing but the prompt come back, as it does on silence.
fn is_echo(reply: &str, prompt: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let reply = letters(reply);
    reply.chars().count() >= MIN_ECHO_CHARS && reply == letters(prompt)
}

/// The last characters of a prompt, more than can be used.
pub fn prompt_end(prompt: &str) -> String {
    let skipped = prompt.chars().count().saturating_sub(MAX_PROMPT_CHARS);
    prompt.chars().skip(skipped).filter(|c| *c != '\0').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_characters_are_given_out() {
        let bytes = "签约".as_bytes();
        let mut begun = bytes[..4].to_vec();
        assert_eq!(take_whole_characters(&mut begun), "签");
        begun.extend_from_slice(&bytes[4..]);
        assert_eq!(take_whole_characters(&mut begun), "约");
        assert!(begun.is_empty());
        let mut broken = [&[0x80], "好".as_bytes(), &[0xFF]].concat();
        assert_eq!((take_whole_characters(&mut broken), broken.len()), ("好".to_owned(), 0));
    }

    #[test]
    fn windows_cover_the_audio_with_a_margin() {
        assert_eq!(trimmed_window(16_000), 192);
        assert_eq!(trimmed_window(5 * 16_000), 384);
        assert_eq!(trimmed_window(MAX_SAMPLES), 1500);
        assert!(max_tokens(16_000) == 40 && max_tokens(MAX_SAMPLES) > 220);
    }

    #[test]
    fn a_prompt_come_back_is_known() {
        assert!(is_echo("以下是普通话的句子", "以下是，普通话的句子。") && !is_echo("好的", "好的。"));
    }
}

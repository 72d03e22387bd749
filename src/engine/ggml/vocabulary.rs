//! The list of tokens. CTranslate2 keeps GPT-2's printable spelling of bytes in a JSON list; ggml wants the
//! bytes. Special tokens, from `<|endoftext|>` on, are left out: whisper.cpp makes them itself.

use std::io::{Read, Write};

use super::{ConvertError, malformed};

/// More than the largest vocabulary with its JSON around it.
const MAX_BYTES: u64 = 16 << 20;

/// Reads the JSON list and writes the number of tokens, then each as its length and bytes.
pub fn write(out: &mut impl Write, json: impl Read, vocab: u32) -> Result<(), ConvertError> {
    let all: Vec<String> = match serde_json::from_reader(json.take(MAX_BYTES)) {
        Ok(all) => all,
        Err(e) => return malformed(format!("the vocabulary: {e}")),
    };
    let text: Vec<&String> = all.iter().take_while(|token| *token != "<|endoftext|>").collect();
    if all.len() != vocab as usize || text.len() == all.len() {
        return malformed(format!("a vocabulary of {} for a model of {vocab}", all.len()));
    }
    let spelling = Spelling::new();
    out.write_all(&(text.len() as u32).to_le_bytes())?;
    for token in text {
        let Some(bytes) = token.chars().map(|c| spelling.byte(c)).collect::<Option<Vec<u8>>>() else {
            return malformed("a token with a letter that stands for no byte");
        };
        out.write_all(&(bytes.len() as u32).to_le_bytes())?;
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// GPT-2's spelling: a printable byte of Latin-1 is its own letter, the others, in order, are U+0100 and on.
struct Spelling {
    unprintable: Vec<u8>,
}

impl Spelling {
    fn new() -> Self {
        Self { unprintable: (0..=255).filter(|b| !Self::printable(*b)).collect() }
    }

    fn printable(byte: u8) -> bool {
        matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
    }

    fn byte(&self, letter: char) -> Option<u8> {
        match u8::try_from(letter) {
            Ok(byte) => Some(byte).filter(|b| Self::printable(*b)),
            Err(_) => self.unprintable.get((u32::from(letter) as usize).checked_sub(256)?).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str, vocab: u32) -> Result<Vec<u8>, ConvertError> {
        let mut out = Vec::new();
        write(&mut out, json.as_bytes(), vocab).map(|()| out)
    }

    #[test]
    fn tokens_become_bytes() {
        // 场 as GPT-2 spells its three bytes, a space before `a`, an empty token.
        let out = written(r#"["åľº", "Ġa", "", "<|endoftext|>", "<|zh|>"]"#, 5).unwrap();
        let mut expected = vec![3, 0, 0, 0, 3, 0, 0, 0];
        expected.extend("场".bytes());
        expected.extend([2, 0, 0, 0, b' ', b'a', 0, 0, 0, 0]);
        assert_eq!(out, expected);
    }

    #[test]
    fn wrong_lists_are_refused() {
        for json in
            [r#"["a", "<|endoftext|>"]"#, r#"["a", "b", "c"]"#, r#"["场", "<|endoftext|>", "x"]"#, "{}"]
        {
            assert!(written(json, 3).is_err(), "{json}");
        }
    }
}

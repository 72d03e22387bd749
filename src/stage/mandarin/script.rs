//! One script: Simplified characters, half-width letters and digits.

use std::sync::LazyLock;

use ferrous_opencc::{OpenCC, config::BuiltinConfig};

use super::words::half_width;
use crate::error::{Code, Error};

/// The conversion tables (some MB), for the whole process.
static TABLES: LazyLock<Option<OpenCC>> = LazyLock::new(|| OpenCC::from_config(BuiltinConfig::T2s).ok());

/// Reads the tables, once; fails if they cannot be read, and then nothing is converted.
pub fn load() -> Result<(), Error> {
    let unread = || Error::new(Code::Internal, "the tables of Simplified characters cannot be read");
    TABLES.as_ref().map(|_| ()).ok_or_else(unread)
}

/// Simplified, half-width letters and digits, trimmed; broken, invisible and control characters dropped; no
/// other change.
pub fn simplified(text: &str) -> String {
    let plain: String = text.chars().filter_map(plain).collect();
    let plain = plain.trim();
    particle(&TABLES.as_ref().map_or_else(|| plain.to_owned(), |tables| tables.convert(plain)))
}

/// 著 stands for two Simplified characters: itself in writings and fame, 着 everywhere else. The conversion
/// table leaves it alone, Whisper writes it for the particle (找著了).
fn particle(text: &str) -> String {
    const BEFORE: &str = "显卓昭专名论译编原巨土拙";
    const AFTER: &str = "名作称述者书";
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut last = None;
    while let Some(c) = chars.next() {
        let writing =
            last.is_some_and(|l| BEFORE.contains(l)) || chars.peek().is_some_and(|n| AFTER.contains(*n));
        out.push(if c == '著' && !writing { '着' } else { c });
        last = Some(c);
    }
    out
}

/// The half-width form of a letter, digit or sign inside a word; nothing for what no reader should get.
fn plain(c: char) -> Option<char> {
    match c {
        c if c.is_whitespace() => Some(' '),
        '\u{fffd}'
        | '\u{feff}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' => None,
        c if c.is_control() => None,
        c => Some(half_width(c)),
    }
}

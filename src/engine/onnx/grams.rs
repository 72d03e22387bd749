//! Text to the classifier's other input, as `models/moments/SPEC.md` says: normalised, numbers folded to a letter
//! that tells their size, then n-grams of characters and of their sounds, each hashed to a row of a table.
//!
//! Sounds are there because a recogniser errs by sound: 签 becomes 千, and both are `qian`.

use std::collections::HashMap;

use crate::engine::EngineError;
use crate::engine::manifest::Features;

/// Makes ids of text.
pub struct Hasher {
    sounds: HashMap<char, String>,
    /// Rows that n-grams are hashed to, after row 0, which means none.
    rows: u32,
    max_chars: usize,
}

impl Hasher {
    /// Takes the table of syllables: a character, a tab and its syllable on each line.
    pub fn new(features: &Features, pinyin: &str) -> Result<Self, EngineError> {
        let entry = |line: &str| {
            let (character, syllable) = line.split_once('\t')?;
            let mut characters = character.chars();
            Some((characters.next()?, merged(syllable))).filter(|_| characters.next().is_none())
        };
        let sounds = pinyin.lines().map(entry).collect::<Option<_>>();
        let sounds = sounds.ok_or_else(|| EngineError::Failed("the table of syllables is damaged".into()))?;
        Ok(Self { sounds, rows: features.table.max(2) - 1, max_chars: features.max_chars })
    }

    /// The ids of one utterance in its role; empty if nothing of it counts.
    pub fn ids(&self, text: &str, role: char) -> Vec<i64> {
        let folded = fold_numbers(&normalized(text, self.max_chars));
        if folded.is_empty() {
            return Vec::new();
        }
        let mut ids = Vec::with_capacity(folded.len() * 5 + 8);
        let characters = framed(folded.iter().map(char::to_string));
        let sounds = framed(self.units(&folded).into_iter());
        for (kind, units, longest, between) in [("c:", characters, 3, ""), ("p:", sounds, 2, " ")] {
            for n in 1..=longest {
                for gram in units.windows(n) {
                    let hash = fnv1a(&format!("{role}{kind}{}", gram.join(between)));
                    ids.push(i64::from(1 + hash % self.rows));
                }
            }
        }
        ids
    }

    /// A syllable for each known character, a run of a-z as one unit, others as they are.
    fn units(&self, folded: &[char]) -> Vec<String> {
        let mut units: Vec<String> = Vec::new();
        let mut in_word = false;
        for character in folded {
            let letter = character.is_ascii_lowercase();
            match (units.last_mut(), self.sounds.get(character)) {
                (Some(word), _) if letter && in_word => word.push(*character),
                (_, Some(sound)) if !letter => units.push(sound.clone()),
                _ => units.push(character.to_string()),
            }
            in_word = letter;
        }
        units
    }
}

fn framed(units: impl Iterator<Item = String>) -> Vec<String> {
    ["^".to_owned()].into_iter().chain(units).chain(["$".to_owned()]).collect()
}

/// Merges what accents and recognisers merge: zh and z, ch and c, sh and s, final ng and n.
fn merged(syllable: &str) -> String {
    let start =
        ["zh", "ch", "sh"].iter().find_map(|two| Some((two.chars().next()?, syllable.strip_prefix(two)?)));
    let flat = start.map_or(syllable.to_owned(), |(one, rest)| format!("{one}{rest}"));
    flat.strip_suffix("ng").map_or(flat.clone(), |stem| format!("{stem}n"))
}

/// Full-width ASCII made half-width, ASCII in lower case; CJK, letters, digits, `%`, and `.` between two
/// digits are kept; of them the last `max_chars`.
fn normalized(text: &str, max_chars: usize) -> Vec<char> {
    let half_width = |c: char| match u32::from(c) {
        wide @ 0xFF01..=0xFF5E => char::from_u32(wide - 0xFEE0).unwrap_or(c),
        _ => c,
    };
    let counts = |c: &char| matches!(c, '\u{4E00}'..='\u{9FFF}' | '〇' | 'a'..='z' | '0'..='9' | '%' | '.');
    let kept: Vec<char> = text.chars().map(|c| half_width(c).to_ascii_lowercase()).filter(counts).collect();
    let digit = |at: Option<usize>| at.and_then(|at| kept.get(at)).is_some_and(char::is_ascii_digit);
    let point = |n: usize| digit(n.checked_sub(1)) && digit(Some(n + 1));
    let kept: Vec<char> =
        kept.iter().enumerate().filter(|(n, c)| **c != '.' || point(*n)).map(|(_, c)| *c).collect();
    kept.get(kept.len().saturating_sub(max_chars)..).unwrap_or_default().to_vec()
}

/// Every number becomes one capital letter: its size, not its value, tells what is talked about.
pub(super) fn fold_numbers(text: &[char]) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(first) = text.get(at) {
        let length = number_length(text.get(at..).unwrap_or_default());
        let run = text.get(at..at + length).unwrap_or_default();
        match run {
            [] => out.push(*first),
            // A lone 十百千万亿 is part of a word; a lone 一 counts before what makes it a number.
            ['十' | '百' | '千' | '万' | '亿'] => out.push(*first),
            ['一'] if !text.get(at + 1).is_some_and(|next| "折元月号成".contains(*next)) => {
                out.push('一')
            }
            run => out.push(size_letter(run)),
        }
        at += length.max(1);
    }
    out
}

/// How many characters at the start are one number.
fn number_length(text: &[char]) -> usize {
    let mut length = 0;
    while let Some(c) = text.get(length) {
        let between = |n: Option<usize>| n.and_then(|n| text.get(n)).is_some_and(|c| is_small(*c));
        let point = *c == '点' && between(length.checked_sub(1)) && between(Some(length + 1));
        if !(c.is_ascii_digit() || *c == '.' || is_small(*c) || "十百千万亿".contains(*c) || point) {
            break;
        }
        length += 1;
    }
    length
}

fn is_small(c: char) -> bool {
    "零〇一二两三四五六七八九幺".contains(c)
}

/// `W` from 10,000, `Q` from 100, `P` for what is as long as a telephone number, else `S`.
fn size_letter(run: &[char]) -> char {
    let has = |any: &str| run.iter().any(|c| any.contains(*c));
    let whole = run.iter().take_while(|c| !".点".contains(**c)).count();
    match whole {
        _ if has("万亿") => 'W',
        _ if has("百千") => 'Q',
        _ if has("十") => 'S',
        9.. => 'P',
        5.. => 'W',
        3.. => 'Q',
        _ => 'S',
    }
}

/// FNV-1a, 32 bits.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

//! Text to the transformer's input, as `models/moments/SPEC.md` says: prepared text, cut into the likeliest
//! pieces of a fixed vocabulary (unigram language model, Kudo 2018), a few utterances in one sequence.

use std::collections::HashMap;

use serde::Deserialize;

use super::grams::fold_numbers;
use crate::domain::transcript::Speaker;
use crate::engine::EngineError;

/// Begins a sequence, and ends each utterance in it.
const BEGIN: i64 = 0;
const END: i64 = 2;
/// Fills up shorter sequences of a batch.
pub const PADDING: i64 = 1;
/// Characters kept of an utterance, counted from its end.
const MAX_CHARS: usize = 160;
/// Pieces kept of the judged utterance, and of one that is only context; the last ones.
const MAX_PIECES: usize = 96;
const MAX_CONTEXT_PIECES: usize = 32;
/// Earlier utterances that are shown.
pub const MAX_BEFORE: usize = 3;
/// What a piece that is not in the vocabulary costs, beyond the least likely one that is.
const UNKNOWN_PENALTY: f64 = 10.0;
/// Speaks what nobody knows the speaker of.
const NOBODY: i64 = 0;
/// Number of the judged utterance in a sequence.
const JUDGED: i64 = 7;

/// Cuts text into pieces.
pub struct Pieces {
    /// Id and log probability.
    vocabulary: HashMap<String, (i64, f64)>,
    /// Characters of the longest piece.
    longest: usize,
    unknown: (i64, f64),
}

/// `tokenizer.json` of the Hugging Face tokenizers library; only what is used here.
#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Model {
    Unigram { unk_id: usize, vocab: Vec<(String, f64)> },
}

/// A sequence for the graph: pieces, and of each the number of its utterance and who speaks it. All of one length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Piece ids.
    pub ids: Vec<i64>,
    /// Numbers of utterances.
    pub segments: Vec<i64>,
    /// 0 nobody knows, 1 the salesperson, 2 a customer.
    pub speakers: Vec<i64>,
}

/// A prepared text, and who speaks it.
pub type Spoken = (String, Option<Speaker>);

impl Pieces {
    /// Reads a `tokenizer.json` with a unigram model.
    pub fn new(json: &[u8]) -> Result<Self, EngineError> {
        let damaged =
            |e: &dyn std::fmt::Display| EngineError::Failed(format!("the tokenizer is damaged: {e}"));
        let File { model: Model::Unigram { unk_id, vocab } } =
            serde_json::from_slice(json).map_err(|e| damaged(&e))?;
        let least = vocab.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
        let longest = vocab.iter().map(|(piece, _)| piece.chars().count()).max().unwrap_or(0);
        if unk_id >= vocab.len() {
            return Err(damaged(&"no piece stands for the unknown"));
        }
        let unknown = (unk_id as i64, least - UNKNOWN_PENALTY);
        let numbered = vocab.into_iter().enumerate();
        let vocabulary = numbered.map(|(id, (piece, score))| (piece, (id as i64, score))).collect();
        Ok(Self { vocabulary, longest, unknown })
    }

    /// The ids of the likeliest way to cut a prepared text; neighbours that are unknown count as one.
    fn cut(&self, prepared: &str) -> Vec<i64> {
        let text: Vec<char> = prepared.chars().map(|c| if c == ' ' { '▁' } else { c }).collect();
        // For each end: score of the best way there, where its last piece begins, and that piece.
        let mut best: Vec<Option<(f64, usize, i64)>> = vec![None; text.len() + 1];
        for start in 0..text.len() {
            let so_far =
                if start == 0 { 0.0 } else { best.get(start).copied().flatten().map_or(0.0, |b| b.0) };
            let mut piece = String::new();
            for (n, c) in text.iter().skip(start).take(self.longest.max(1)).enumerate() {
                piece.push(*c);
                let known = self.vocabulary.get(&piece).copied();
                let Some((id, score)) = known.or((n == 0).then_some(self.unknown)) else { continue };
                let total = so_far + score;
                if let Some(place) = best.get_mut(start + n + 1)
                    && place.is_none_or(|(before, ..)| total > before)
                {
                    *place = Some((total, start, id));
                }
            }
        }
        let mut ids = Vec::new();
        let mut end = text.len();
        while let Some((_, start, id)) = best.get(end).copied().flatten().filter(|_| end > 0) {
            if id != self.unknown.0 || ids.last() != Some(&id) {
                ids.push(id);
            }
            end = start;
        }
        ids.reverse();
        ids
    }

    /// The judged text with prepared texts before it (oldest first) and, if it is known, the one after it.
    pub fn window(&self, before: &[Spoken], judged: &Spoken, after: Option<&Spoken>) -> Window {
        // Without the text after it nobody may look ahead: numbers in steps of two leave no neighbours.
        let step = if after.is_some() { 1 } else { 2 };
        let first = JUDGED - step * before.len() as i64;
        let around = |said| (said, MAX_CONTEXT_PIECES);
        let texts = before.iter().map(around).chain([(judged, MAX_PIECES)]).chain(after.map(around));
        let mut window = Window { ids: vec![BEGIN], segments: vec![first], speakers: vec![NOBODY] };
        for (((text, speaker), most), number) in texts.zip((first..).step_by(step as usize)) {
            let ids = self.cut(text);
            let kept = ids.get(ids.len().saturating_sub(most)..).unwrap_or_default();
            window.ids.extend(kept.iter().chain([&END]));
            window.segments.resize(window.ids.len(), number);
            let speaker = match speaker {
                None => NOBODY,
                Some(Speaker::Rep) => 1,
                Some(Speaker::Customer) => 2,
            };
            window.speakers.resize(window.ids.len(), speaker);
        }
        window
    }
}

/// The text that pieces are cut from: one spelling of letters, marks and numbers. Empty if there are no words.
pub fn prepared(text: &str) -> String {
    let folded = fold_numbers(&normalized(text));
    let mut out = String::with_capacity(folded.len() * 3);
    for (n, c) in folded.iter().enumerate() {
        if matches!(c, 'S' | 'Q' | 'W' | 'P') && folded.get(n + 1) == Some(&'%') {
            out.push_str("百分之");
        }
        match c {
            'S' => out.push('九'),
            'Q' => out.push_str("九百"),
            'W' => out.push_str("九万"),
            'P' => out.push_str("电话号码"),
            '%' if n.checked_sub(1).and_then(|n| folded.get(n)).is_some_and(|c| "SQWP".contains(*c)) => {}
            c => out.push(*c),
        }
    }
    out
}

/// Half-width and lower case; words of CJK, a-z, digits, `%`, and four marks that neither repeat nor lead.
fn normalized(text: &str) -> Vec<char> {
    let half_width = |c: char| match u32::from(c) {
        wide @ 0xFF01..=0xFF5E => char::from_u32(wide - 0xFEE0).unwrap_or(c),
        _ => c,
    };
    let text: Vec<char> = text.chars().map(|c| half_width(c).to_ascii_lowercase()).collect();
    let digit = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(char::is_ascii_digit);
    let mut out: Vec<char> = Vec::with_capacity(text.len());
    for (n, &c) in text.iter().enumerate() {
        let in_number = matches!(c, '.' | ',') && digit(n.checked_sub(1)) && digit(Some(n + 1));
        match c {
            '\u{4E00}'..='\u{9FFF}' | '〇' | 'a'..='z' | '0'..='9' | '%' => out.push(c),
            '.' if in_number => out.push(c),
            _ if in_number => {}
            _ => match mark(c) {
                Some(mark) if out.last().is_some_and(|last| !",。?! ".contains(*last)) => out.push(mark),
                None if c.is_whitespace() && out.last().is_some_and(char::is_ascii_lowercase) => {
                    out.push(' ')
                }
                _ => {}
            },
        }
    }
    let kept = |n: usize, c: char| c != ' ' || out.get(n + 1).is_some_and(char::is_ascii_lowercase);
    let kept: Vec<char> = out.iter().enumerate().filter(|(n, c)| kept(*n, **c)).map(|(_, c)| *c).collect();
    kept.get(kept.len().saturating_sub(MAX_CHARS)..).unwrap_or_default().to_vec()
}

fn mark(c: char) -> Option<char> {
    Some(match c {
        ',' | '、' | ';' | ':' | '，' => ',',
        '。' | '.' | '…' => '。',
        '?' => '?',
        '!' => '!',
        _ => return None,
    })
}

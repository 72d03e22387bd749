//! mask: personal data out of the words, before anything is stored, shown, logged or sent.
//!
//! Mobile numbers, identity cards, bank cards, e-mail addresses and plates, written or read out digit by digit,
//! with pauses, fillers and restarts inside, and across the border of neighbouring texts. It works on the
//! recogniser's words as well as on the shown text, and on its own output it changes nothing. A number that
//! the recogniser got wrong by a digit or two is masked if the words before it say what it is; the words are
//! data: `pipelines/rules/pii.toml`.

mod broken;
mod digits;
mod email;
mod garbled;
mod groups;
mod kinds;
mod lists;
mod near;
mod plate;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::transcript::PiiKind;
use crate::error::Error;
use crate::stage::mandarin::words::half_width;
use crate::stage::rules;

/// Nothing to choose: all kinds are always masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskConfig {}

/// One thing that was masked, and in which of the given texts it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masked {
    /// What it was.
    pub kind: PiiKind,
    /// Index of the first text that held a part of it.
    pub first: usize,
    /// Index of the last text that held a part of it.
    pub last: usize,
}

/// `pipelines/rules/pii.toml`; its comments say what each list is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    fillers: Vec<String>,
    heard_if_named: BTreeMap<char, u8>,
    check: Vec<String>,
    near: near::Near,
    email: email::Words,
    plate: plate::Words,
}

/// Stands between two texts; counts as a pause.
const BORDER: char = '\n';

/// More than any texts are known to need.
const ROUNDS: usize = 8;

/// A find: characters `start..end` of the joined texts.
#[derive(Debug, Clone, Copy)]
struct Found {
    kind: PiiKind,
    start: usize,
    end: usize,
}

/// Finds and replaces personal data.
pub struct Mask {
    rules: Rules,
}

impl Mask {
    /// Loads the rules.
    pub fn new(_config: &MaskConfig) -> Result<Self, Error> {
        Ok(Self { rules: rules::parse("pii.toml", include_str!("../../../pipelines/rules/pii.toml"))? })
    }

    /// Masks consecutive texts in place; a number may run across the border of neighbours.
    ///
    /// Every text that held a part of a find shows its label (`[手机号]`) instead.
    pub fn run(&self, texts: &mut [String]) -> Vec<Masked> {
        let mut masked = Vec::new();
        // What is left beside a find may turn out to be one: on until nothing is found.
        for _ in 0..ROUNDS {
            let found = self.round(texts);
            if found.is_empty() {
                break;
            }
            masked.extend(found);
        }
        masked.sort_by_key(|m| (m.first, m.last));
        masked
    }

    fn round(&self, texts: &mut [String]) -> Vec<Masked> {
        let (joined, owner) = join(texts);
        let found = self.find(&plain(&joined));
        let owner_of = |at: usize| owner.get(at).copied().unwrap_or_default();
        let masked = found
            .iter()
            .map(|f| Masked { kind: f.kind, first: owner_of(f.start), last: owner_of(f.end - 1) })
            .collect();
        if !found.is_empty() {
            for (text, masked) in texts.iter_mut().zip(replaced(&joined, &found).split(BORDER)) {
                masked.clone_into(text);
            }
        }
        masked
    }

    /// Whether consecutive texts end inside what may be personal data that the next text goes on with: a run
    /// of digits, an address or a plate that is not whole. A live caller holds them back until then.
    pub fn may_continue(&self, texts: &[String]) -> bool {
        let (mut joined, _) = join(texts);
        joined.pop();
        let text = plain(&joined);
        let runs = groups::runs(&text, &self.rules);
        digits::open_at_end(&text, &runs, &self.rules)
            || broken::open_at_end(&text, &runs, &self.rules)
            || email::open_at_end(&text, &self.rules)
            || plate::open_at_end(&text, &self.rules)
    }

    /// All finds in order, none overlapping. Addresses first: a number in one is a part of it.
    fn find(&self, text: &[char]) -> Vec<Found> {
        let runs = groups::runs(text, &self.rules);
        let finds = email::find(text, &self.rules)
            .into_iter()
            .chain(digits::find(text, &runs, &self.rules))
            .chain(plate::find(text, &self.rules))
            .chain(email::misheard::find(text, &self.rules))
            .chain(broken::find(text, &runs, &self.rules));
        let mut kept: Vec<Found> = Vec::new();
        for found in finds {
            if !kept.iter().any(|k| found.start < k.end && k.start < found.end) {
                kept.push(found);
            }
        }
        for damaged in
            garbled::id_cards(text, &self.rules).into_iter().chain(garbled::find(text, &self.rules))
        {
            let overlaps = |k: &Found| damaged.start < k.end && k.start < damaged.end;
            if kept.iter().filter(|k| overlaps(k)).all(|k| garbled::outweighs(text, &damaged, k)) {
                kept.retain(|k| !overlaps(k));
                kept.push(damaged);
            }
        }
        kept.sort_by_key(|f| f.start);
        kept
    }
}

/// The characters of all texts with a border after each, and for each character the text it is of.
fn join(texts: &[String]) -> (Vec<char>, Vec<usize>) {
    let mut joined: Vec<char> = Vec::new();
    let mut owner: Vec<usize> = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        joined.extend(text.chars().map(|c| if c == BORDER { ' ' } else { c }).chain([BORDER]));
        owner.resize(joined.len(), i);
    }
    (joined, owner)
}

/// The same characters as the rules know them: half-width, one kind of space.
fn plain(text: &[char]) -> Vec<char> {
    let space = |c: char| if c != BORDER && c.is_whitespace() { ' ' } else { c };
    text.iter().map(|&c| space(half_width(c))).collect()
}

/// What stands in the place of the data.
fn label(kind: PiiKind) -> &'static str {
    match kind {
        PiiKind::Mobile => "[手机号]",
        PiiKind::Email => "[邮箱]",
        PiiKind::IdCard => "[身份证号]",
        PiiKind::BankCard => "[银行卡号]",
        PiiKind::Plate => "[车牌]",
    }
}

/// The joined texts with labels for finds; a find across a border leaves its label on both sides.
fn replaced(text: &[char], found: &[Found]) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    let mut at = 0;
    for f in found {
        out.extend(text.get(at..f.start).unwrap_or_default());
        let inside = text.get(f.start..f.end).unwrap_or_default();
        for (i, part) in inside.split(|&c| c == BORDER).enumerate() {
            if i > 0 {
                out.push(BORDER);
            }
            if part.iter().any(|c| c.is_alphanumeric()) {
                out.push_str(label(f.kind));
            }
        }
        at = f.end;
    }
    out.extend(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
pub mod spoken;
#[cfg(test)]
mod tests;

//! What the words around a find say that it is.

use serde::Deserialize;

use super::groups::{PAUSES, ascii_digit, han_digit};
use super::{BORDER, Rules};
use crate::domain::transcript::PiiKind;
use crate::stage::mandarin::clauses::is_mark;
use crate::stage::mandarin::words::{is_at, longest_at};

/// The part of `pipelines/rules/pii.toml` on naming words; its comments say what each list is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Near {
    mobile: Vec<String>,
    id_card: Vec<String>,
    bank_card: Vec<String>,
    pub email: Vec<String>,
    pub plate: Vec<String>,
    codes: Vec<String>,
    things: Vec<String>,
    lines: Vec<String>,
    people: Vec<String>,
    calls: Vec<String>,
    asides: Vec<String>,
}

/// How far before a number a word can say what it is, in characters.
pub const REACH: usize = 24;
/// How far behind its name the number of a code may stand without a mark between, in characters.
const CODE_REACH: usize = 12;
/// The same for a thing that has a number.
const THING_REACH: usize = 2;

/// How far before the end of its text a word may ask for a number, in characters.
const QUESTION_REACH: usize = 8;
/// How much longer than a naming word another is that ends like it, in characters.
const LONGEST_PREFIX: usize = 3;

/// What is said of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// The number of a person's telephone, card and so on.
    Kind(PiiKind),
    /// The number of an order, a contract, a model: no personal data whatever it looks like.
    Other,
    /// Such a thing was spoken of before: only what is beyond doubt is personal data.
    Unlikely,
}

/// What the words before `at` say that a number is. The nearest word decides.
pub fn announced(text: &[char], at: usize, rules: &Rules) -> Option<Announced> {
    // What announced a number that is masked by now says nothing of the next.
    let masked = text.iter().take(at).rposition(|&c| c == ']').map_or(0, |end| end + 1);
    let from = at.saturating_sub(REACH).max(masked);
    let (start, end, said) = (from..at)
        .rev()
        .find_map(|start| word_at(text, start, at, rules).map(|(end, said)| (start, end, said)))?;
    // 收货号码 is no 货号.
    let whole = (start.saturating_sub(LONGEST_PREFIX).max(from)..start)
        .find_map(|start| word_at(text, start, at, rules).filter(|(whole_end, _)| *whole_end >= end));
    whole.map_or(said, |(_, said)| said)
}

/// The naming word at `start`: where it ends, and what it says of a number at `at`.
fn word_at(text: &[char], start: usize, at: usize, rules: &Rules) -> Option<(usize, Option<Announced>)> {
    let near = &rules.near;
    let word = |words: &[String]| longest_at(text, start, words).filter(|&end| end <= at);
    let kinds = [
        (&near.mobile, PiiKind::Mobile),
        (&near.id_card, PiiKind::IdCard),
        (&near.bank_card, PiiKind::BankCard),
    ];
    if let Some((end, kind)) = kinds.into_iter().find_map(|(words, kind)| Some((word(words)?, kind))) {
        return Some((end, is_told(text, end, at, rules).then_some(Announced::Kind(kind))));
    }
    let called = |end: &usize| aside_end(text, *end, rules) >= at;
    let thing = |words, reach| word(words).map(|end| (end, Some(of_a_thing(text, end, at, reach, rules))));
    thing(&near.codes, CODE_REACH)
        .or_else(|| thing(&near.things, THING_REACH))
        .or_else(|| word(&near.lines).map(|end| (end, Some(Announced::Unlikely))))
        .or_else(|| word(&near.people).or_else(|| word(&near.calls).filter(called)).map(|end| (end, None)))
}

/// Whether the name of a person's number that ends at `end` speaks of the one at `at`: in the same text, or as
/// the last thing said before (您手机多少) if nothing else comes before the number.
fn is_told(text: &[char], end: usize, at: usize, rules: &Rules) -> bool {
    let Some(between) = text.get(end..at).filter(|between| between.contains(&BORDER)) else { return true };
    let asked = between.split(|&c| c == BORDER).next().unwrap_or_default();
    let asked = asked.strip_suffix(&['。']).or_else(|| asked.strip_suffix(&['？'])).unwrap_or(asked);
    aside_end(text, end, rules) >= at
        || (asked.len() <= QUESTION_REACH
            && !asked.iter().any(|&c| is_mark(c))
            && aside_end(text, end + asked.len(), rules) >= at)
}

/// What the name of a thing that ends at `end` says of the number at `at`.
///
/// It is the thing's number if nothing but asides and other numbers stand between, or few words of the same
/// clause; a number between belongs to the thing then, and this one to something else.
fn of_a_thing(text: &[char], end: usize, at: usize, reach: usize, rules: &Rules) -> Announced {
    let between = text.get(end..at).unwrap_or_default();
    let digits = between.iter().filter(|&&c| ascii_digit(c).or_else(|| han_digit(c)).is_some()).count();
    let marked = between.iter().any(|&c| is_mark(c) && c != '：');
    let beside = !marked && digits < 3 && between.len() <= reach;
    if beside || aside_end(text, end, rules) >= at { Announced::Other } else { Announced::Unlikely }
}

/// Where pauses, fillers, asides (我念一下) and numbers from `from` on end.
fn aside_end(text: &[char], from: usize, rules: &Rules) -> usize {
    let mut at = from;
    loop {
        let step = longest_at(text, at, &rules.near.asides)
            .or_else(|| longest_at(text, at, &rules.fillers))
            .or_else(|| {
                let c = *text.get(at)?;
                let skipped = PAUSES.contains(c) || ascii_digit(c).or_else(|| han_digit(c)).is_some();
                skipped.then_some(at + 1)
            });
        match step {
            Some(next) => at = next,
            None => return at,
        }
    }
}

/// Whether one of `words` stands in the same text within `reach` characters before or after the stretch.
pub fn is_near(text: &[char], start: usize, end: usize, reach: usize, words: &[String]) -> bool {
    let border = |c: &&char| **c != BORDER;
    let before = text.iter().take(start).rev().take(reach).take_while(border).count();
    let after = text.iter().skip(end).take(reach).take_while(border).count();
    let places = (start - before..start).chain(end..end + after);
    let label = |at: usize| text.get(at.saturating_sub(5)..at).is_some_and(|before| before.contains(&'['));
    places.into_iter().any(|at| !label(at) && words.iter().any(|w| is_at(text, at, w)))
}

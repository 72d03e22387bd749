//! E-mail addresses, written (`a@b.com`) and spoken (a艾特b点com).

mod domain;
pub mod misheard;
mod name;

use serde::Deserialize;

use super::groups::han_digit;
use super::near::{REACH, is_near};
use super::{BORDER, Found, Rules};
use crate::domain::transcript::PiiKind;
use crate::stage::mandarin::words::{is_at, longest_at, longest_before};

/// The part of `pipelines/rules/pii.toml` on addresses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    at: Vec<String>,
    dot: Vec<String>,
    dash: Vec<String>,
    endings: Vec<String>,
    leads: Vec<String>,
    told: Vec<String>,
    spelled: Vec<String>,
    sites: Vec<String>,
}

/// Longest domain or name before it that is believed, in characters.
const LONGEST_PART: usize = 40;
/// Longest name that a recogniser wrote in Chinese characters.
const LONGEST_GARBLED: usize = 14;
/// Longest pause inside an address, in characters.
const LONGEST_GAP: usize = 12;

/// All addresses in order.
pub fn find(text: &[char], rules: &Rules) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let hit = spoken_or_written(text, at, rules).or_else(|| without_at(text, at, rules));
        match hit {
            Some((start, end)) => {
                let start = start.max(found.last().map_or(0, |f| f.end));
                found.push(Found { kind: PiiKind::Email, start, end });
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

/// Whether the text ends inside an address.
pub fn open_at_end(text: &[char], rules: &Rules) -> bool {
    let from = text.len().saturating_sub(2 * LONGEST_PART);
    let last_at = (from..text.len()).rev().find_map(|at| Some((at, sign(text, at, rules)?)));
    match last_at {
        Some((at, after)) => {
            let meant = is_near(text, at, at, LONGEST_PART, &rules.near.email)
                || (longest_at(text, at, &rules.email.at).is_some()
                    && name::start(text, at, true, rules).is_some());
            meant && domain::is_open(text, after, rules)
        }
        None => name::is_open(text, rules) || name::may_be_one(text, rules),
    }
}

/// The end of the word for @ at `at`.
fn sign(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    longest_at(text, at, &rules.email.at).or_else(|| english_at(text, at))
}

/// An address around the word for @ at `at`.
fn spoken_or_written(text: &[char], at: usize, rules: &Rules) -> Option<(usize, usize)> {
    let domain_start = sign(text, at, rules)?;
    let sure = longest_at(text, at, &rules.email.at).is_some();
    let (end, ended) = domain::end(text, domain_start, sure, rules)?;
    if !ended && !sure {
        return None;
    }
    match name::start(text, at, ended && sure, rules) {
        Some(start) => Some((start, end)),
        None if ended && sure => Some((name::garbled_start(text, at), end)),
        None => None,
    }
}

/// The English word, between spaces or Chinese.
fn english_at(text: &[char], at: usize) -> Option<usize> {
    let letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|c| c.is_ascii_alphabetic());
    let word = ["at", "At", "AT"].into_iter().any(|word| is_at(text, at, word));
    (word && !letter(at.checked_sub(1)) && !letter(Some(at + 2))).then_some(at + 2)
}

/// An address whose @ went missing: a domain right after the word for e-mail.
fn without_at(text: &[char], at: usize, rules: &Rules) -> Option<(usize, usize)> {
    let fresh = !at.checked_sub(1).and_then(|b| text.get(b)).is_some_and(|c| c.is_ascii_alphanumeric());
    if !fresh || !text.get(at).is_some_and(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let site = |start: usize| longest_at(text, start, &rules.email.sites).is_some();
    let announced =
        is_near(text, at, at, REACH / 2, &rules.near.email) && !(at.saturating_sub(REACH / 2)..=at).any(site);
    let (end, ended) = domain::end(text, at, false, rules).filter(|_| announced)?;
    ended.then_some((at, end))
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '%' | '+') || han_digit(c).is_some()
}

fn is_pause(c: char) -> bool {
    matches!(c, ' ' | ',' | '，' | '、' | '…' | BORDER)
}

/// Where pauses and fillers that begin at `from` end. Marks that may be the dot are none.
fn gap_end(text: &[char], from: usize, rules: &Rules) -> usize {
    let mut at = from;
    while at - from <= LONGEST_GAP {
        match text.get(at) {
            Some(&c) if is_pause(c) || ends_text(text, at, rules) => at += 1,
            _ => match longest_at(text, at, &rules.fillers).filter(|_| dash_at(text, at, rules).is_none()) {
                Some(end) => at = end,
                None => break,
            },
        }
    }
    at
}

/// Where pauses and fillers that end at `to` begin.
fn gap_start(text: &[char], to: usize, rules: &Rules) -> usize {
    let mut at = to;
    while to - at <= LONGEST_GAP {
        let Some(before) = at.checked_sub(1) else { break };
        if text.get(before).is_some_and(|&c| is_pause(c)) || ends_text(text, before, rules) {
            at = before;
        } else if let Some(length) = longest_before(text, at, &rules.fillers)
            && longest_before(text, at, &rules.email.dash).is_none()
        {
            at -= length;
        } else {
            break;
        }
    }
    at
}

fn dash_at(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    longest_at(text, at, &rules.email.dash)
}

fn dot_at(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    longest_at(text, at, &rules.email.dot).filter(|_| !ends_text(text, at, rules))
}

/// Whether the mark at `at` ends a text and is no dot that com or cn follows in the next.
fn ends_text(text: &[char], at: usize, rules: &Rules) -> bool {
    let mark = text.get(at).is_some_and(|c| matches!(c, '.' | '。' | '？' | '?' | '！' | '!'));
    mark && text.get(at + 1) == Some(&BORDER) && domain::ending(text, at + 2, rules).is_none()
}

//! Mobile numbers that are broken by words that are no fillers: 幺三八零零，您稍等我关下门，零零幺二三四.
//!
//! The parts must be read out, three digits or more each, and together be exactly a mobile number; nothing else comes
//! to that by chance.

use super::groups::{Group, PAUSES, counts};
use super::kinds::is_mobile;
use super::near::{Announced, announced};
use super::{Found, Rules};
use crate::domain::transcript::PiiKind;

/// Longest words between two parts, in characters.
const LONGEST: usize = 20;
/// Fewest digits of a part.
const FEWEST: usize = 3;
/// Most parts of a number.
const MOST_PARTS: usize = 4;

/// All broken numbers among the runs of digits, in order: a find for each part.
pub fn find(text: &[char], parts: &[Vec<Group>], rules: &Rules) -> Vec<Found> {
    let mut found = Vec::new();
    let mut from = 0;
    while from < parts.len() {
        let taken = number(text, parts, from, rules).unwrap_or_default();
        found.extend(taken.iter().filter_map(|&at| {
            let part = parts.get(at)?;
            Some(Found { kind: PiiKind::Mobile, start: part.first()?.start, end: end(part)? })
        }));
        from = taken.last().map_or(from, |last| *last) + 1;
    }
    found
}

/// Whether a part of a number was said, and words that are none of it follow to the end of the text.
pub fn open_at_end(text: &[char], runs: &[Vec<Group>], rules: &Rules) -> bool {
    let Some(part) = runs.last() else { return false };
    let digits = digits(part);
    let close = end(part).is_some_and(|end| text.len() - end <= LONGEST);
    close
        && (FEWEST..11).contains(&digits.len())
        && begins(&digits)
        && is_read_out(text, part, rules)
        && stands_alone(text, part)
}

/// The parts of the number that begins with this one.
fn number(text: &[char], parts: &[Vec<Group>], from: usize, rules: &Rules) -> Option<Vec<usize>> {
    let first = parts.get(from).filter(|part| begins(&digits(part)))?;
    let mut proven = is_read_out(text, first, rules);
    let mut said: Vec<u8> = Vec::new();
    let mut taken: Vec<usize> = Vec::new();
    let mut close = first.first()?.start;
    for (at, part) in parts.iter().enumerate().skip(from) {
        let digits = digits(part);
        // The 一 of 一下 is no part, and nothing that speaks against the others.
        if at > from && digits.len() == 1 && counts_something(text, part) {
            continue;
        }
        let near = part.first().is_some_and(|group| group.start - close <= LONGEST);
        if !near || !stands_alone(text, part) || digits.len() < FEWEST || taken.len() == MOST_PARTS {
            return None;
        }
        // Nobody writes a quantity with a nought before it.
        proven |= at > from && digits.first() == Some(&0);
        close = end(part)?;
        said.extend(digits);
        taken.push(at);
        if said.len() >= 11 {
            return (taken.len() > 1 && proven && is_mobile(&said)).then_some(taken);
        }
    }
    None
}

/// Whether a mobile number begins so.
fn begins(digits: &[u8]) -> bool {
    matches!(digits, [1, 3..=9, ..])
}

fn digits(part: &[Group]) -> Vec<u8> {
    part.iter().flat_map(|group| group.digits.iter().copied()).collect()
}

fn end(part: &[Group]) -> Option<usize> {
    part.last().map(|group| group.end)
}

/// Whether it is a quantity or its beginning: the 三八零 of 三八零台.
fn counts_something(text: &[char], part: &[Group]) -> bool {
    part.last().is_none_or(|group| group.loose_end || counts(text, group.end))
}

/// Whether pauses stand around it, words before it at most: 幺五八零的主轴 and ER50-6 are no parts.
fn stands_alone(text: &[char], part: &[Group]) -> bool {
    let (Some(first), Some(end)) = (part.first(), end(part)) else { return false };
    let before = first.start.checked_sub(1).and_then(|before| text.get(before));
    let pause_after = text.get(end).is_none_or(|c| PAUSES.contains(*c));
    pause_after && !before.is_some_and(char::is_ascii_alphanumeric) && !counts_something(text, part)
}

/// Whether it begins as telephone numbers are read out: with 幺, or where words say that one is coming.
fn is_read_out(text: &[char], part: &[Group], rules: &Rules) -> bool {
    let Some(first) = part.first() else { return false };
    let word = announced(text, first.start, rules);
    text.get(first.start) == Some(&'幺') && !matches!(word, Some(Announced::Other))
        || word == Some(Announced::Kind(PiiKind::Mobile))
}

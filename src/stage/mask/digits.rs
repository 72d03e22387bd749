//! Numbers read out or written: mobile, identity card, bank card.
//!
//! A number is a stretch of whole groups of a run, so that a restart (幺三八，不对，幺三九...) or a quantity next
//! to it is not taken for a part of it.

use super::groups::{Group, ends_after, ends_quantity};
use super::kinds::{Manner, begins_id_card, exact, inexact, is_id_card, is_issuer, is_mobile};
use super::lists::{has, in_a_word, is_count, is_echo, is_even, is_list, is_money, lengths};
use super::near::{Announced, announced};
use super::{BORDER, Found, Rules};
use crate::domain::transcript::PiiKind;

/// Most digits of a number, with what was said twice in it.
const MOST_DIGITS: usize = 24;
/// Most borders of texts that a number is believed to cross if no word announces it.
const MOST_BORDERS: usize = 3;
/// Fewest digits of a number that are known again when they are said back alone.
const KNOWN_AGAIN: usize = 4;

/// All numbers among the runs of digits that are personal data, in order.
pub fn find(text: &[char], runs: &[Vec<Group>], rules: &Rules) -> Vec<Found> {
    runs.iter().flat_map(|run| numbers_in(text, run, rules)).collect()
}

/// Whether the text ends in a run of digits that may be a part of a number and is no whole one yet.
pub fn open_at_end(text: &[char], runs: &[Vec<Group>], rules: &Rules) -> bool {
    let Some(run) = runs.last() else { return false };
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return false };
    if !ends_after(text, last.end, rules) {
        return false;
    }
    let word = announced(text, first.start, rules);
    let named = matches!(word, Some(Announced::Kind(_)));
    if word == Some(Announced::Other) || (run.len() == 1 && !named && in_a_word(text, run)) {
        return false;
    }
    let digits = spoken(text, run);
    // The 五 of 电话费一百五 begins nothing.
    let fresh = !ends_quantity(text, first.start);
    let begun = match digits.len() {
        0 => false,
        1 => named && fresh,
        2 => fresh && (named || (begins(&digits) && is_alone(text, first.start))),
        _ => true,
    };
    begun && !(0..run.len()).any(|from| is_whole(text, run, from, word))
}

/// Whether a number begins with these two digits: mobiles, and cards of UnionPay.
fn begins(digits: &[u8]) -> bool {
    matches!(digits, [1, 3..=9] | [6, 2])
}

/// Whether nothing stands before `start` in its text.
fn is_alone(text: &[char], start: usize) -> bool {
    text.iter().take(start).rev().take_while(|&&c| c != BORDER).all(|c| !c.is_alphanumeric())
}

/// Whether the groups from `from` on, all of the run or those after a word, are a number without a gap.
fn is_whole(text: &[char], run: &[Group], from: usize, word: Option<Announced>) -> bool {
    let Some(groups @ [first, ..]) = run.get(from..) else { return false };
    let before = from.checked_sub(1).and_then(|before| run.get(before));
    let begins = before.is_none_or(|before| {
        has_word(text, before, first)
            || (is_mobile(&before.digits) || is_id_card(&before.digits))
            || is_mobile(&first.digits)
    });
    let digits = spoken(text, groups);
    let card = matches!(word, Some(Announced::Kind(PiiKind::IdCard | PiiKind::BankCard)));
    let mobile = word == Some(Announced::Kind(PiiKind::Mobile)) || !(card || begins_id_card(&digits));
    begins && (is_id_card(&digits) || (is_mobile(&digits) && mobile))
}

/// The digits of the groups without those that were only said back.
fn spoken(text: &[char], groups: &[Group]) -> Vec<u8> {
    let echo = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| groups.get(before));
        before.zip(groups.get(at)).is_some_and(|(before, group)| is_echo(text, before, group))
    };
    let kept = groups.iter().enumerate().filter(|(at, _)| !echo(*at));
    kept.flat_map(|(_, g)| g.digits.iter().copied()).collect()
}

/// A stretch of whole groups and what it is taken for.
struct Candidate {
    found: Found,
    first: usize,
    last: usize,
    /// 2: the number itself proves it; 1: its words do.
    certainty: u8,
    digits: Vec<u8>,
}

/// How a stretch of groups lies in its run.
#[derive(Clone, Copy)]
struct Place {
    /// It is all of the run.
    whole_run: bool,
    /// More than a pause stands between it and the rest of the run.
    apart: bool,
    /// How many borders of texts it crosses, but for what was said back.
    borders: usize,
}

fn crosses(text: &[char], pair: &[Group]) -> bool {
    matches!(pair, [a, b] if has(text, a, b, BORDER) && !is_echo(text, a, b))
}

/// Whether a filler stands between two groups, not only a pause.
fn has_word(text: &[char], before: &Group, group: &Group) -> bool {
    text.get(before.end..group.start).is_some_and(|gap| gap.iter().any(|c| c.is_alphanumeric()))
}

fn numbers_in(text: &[char], run: &[Group], rules: &Rules) -> Vec<Found> {
    let mut candidates = Vec::new();
    for first in 0..run.len() {
        let Some(word) = run.get(first).map(|group| announced(text, group.start, rules)) else { break };
        if word == Some(Announced::Other) {
            continue;
        }
        for last in first..run.len() {
            let Some(groups) = run.get(first..=last) else { break };
            if spoken(text, groups).len() > MOST_DIGITS {
                break;
            }
            let apart = |at: usize| {
                let pair = at.checked_sub(1).and_then(|before| run.get(before)).zip(run.get(at));
                pair.is_none_or(|(a, b)| has(text, a, b, BORDER) || has_word(text, a, b))
            };
            let place = Place {
                whole_run: first == 0 && last + 1 == run.len(),
                apart: apart(first) && apart(last + 1),
                borders: groups.windows(2).filter(|pair| crosses(text, pair)).count(),
            };
            candidates.extend(judge(text, groups, place, word).map(|(found, certainty, digits)| Candidate {
                found,
                first,
                last,
                certainty,
                digits,
            }));
        }
    }
    // The surest first, then the longest.
    candidates.sort_by_key(|c| (std::cmp::Reverse((c.certainty, c.digits.len())), c.first));
    let mut taken: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if !taken.iter().any(|t| candidate.first <= t.last && t.first <= candidate.last) {
            taken.push(candidate);
        }
    }
    taken.sort_by_key(|c| c.first);
    let starts: Vec<usize> = taken.iter().map(|c| c.first).collect();
    for candidate in &mut taken {
        let next = starts.iter().copied().find(|&start| start > candidate.first).unwrap_or(run.len());
        said_back(text, run, candidate, next);
    }
    taken.into_iter().map(|c| c.found).collect()
}

/// Takes in the groups up to `next` that say parts of the number back, in other texts.
fn said_back(text: &[char], run: &[Group], candidate: &mut Candidate, next: usize) {
    while candidate.last + 1 < next
        && let (Some(last), Some(group)) = (run.get(candidate.last), run.get(candidate.last + 1))
    {
        let part = group.digits.len() >= KNOWN_AGAIN
            && candidate.digits.windows(group.digits.len()).any(|part| part == group.digits.as_slice());
        if !part || !has(text, last, group, BORDER) {
            break;
        }
        candidate.found.end = group.end;
        candidate.last += 1;
    }
}

/// What these groups are, how sure that is, and their digits.
fn judge(
    text: &[char],
    groups: &[Group],
    place: Place,
    word: Option<Announced>,
) -> Option<(Found, u8, Vec<u8>)> {
    let (first, last) = (groups.first()?, groups.last()?);
    let named = matches!(word, Some(Announced::Kind(_)));
    let mut digits: Vec<u8> = groups.iter().flat_map(|g| g.digits.iter().copied()).collect();
    let mut end = last.end;
    let glued = in_a_word(text, groups) && !(named && is_mobile(&digits));
    if glued || is_money(text, groups) || is_count(text, groups) {
        return None;
    }
    if !named && !is_id_card(&digits) && is_list(text, groups) {
        return None;
    }
    // The figures of a quantity: 一点三三, 138块.
    let quantities = last.loose_end || ends_quantity(text, first.start);
    // By chance the figures of neighbouring texts may make a number.
    let believed = |kind: &PiiKind| {
        let joined = place.borders == 0 || (place.apart && place.borders <= MOST_BORDERS && !quantities);
        match kind {
            _ if word == Some(Announced::Kind(*kind)) => true,
            PiiKind::Mobile => joined,
            PiiKind::BankCard => groups.len() == 1 || (joined && is_issuer(&first.digits)),
            _ => true,
        }
    };
    let mut kind = exact(&digits).filter(believed);
    if kind.is_none() && last.loose_end {
        digits.pop();
        end -= 1;
        kind = exact(&digits).filter(believed);
    }
    if kind.is_none() && groups.len() > 1 {
        let once = spoken(text, groups);
        if let Some(sure) = exact(&once).filter(|_| once.len() < digits.len()).filter(believed) {
            (kind, digits, end) = (Some(sure), once, last.end);
        }
    }
    let certain = kind.is_some();
    let kind = kind.or_else(|| {
        inexact(&digits, word, manner(groups))
            .filter(|_| place.whole_run || digits.len() >= 16)
            .filter(|&kind| place.borders == 0 || (word == Some(Announced::Kind(kind)) && !quantities))
    })?;
    Some((Found { kind, start: first.start, end }, if certain { 2 } else { 1 }, digits))
}

fn manner(groups: &[Group]) -> Manner {
    let lengths = lengths(groups);
    let han: usize = groups.iter().filter(|g| g.han).map(|g| g.digits.len()).sum();
    let fours = lengths.split_last().is_some_and(|(last, rest)| *last <= 4 && rest.iter().all(|&l| l == 4));
    Manner {
        read_out: han * 2 > lengths.iter().sum(),
        even: is_even(groups),
        card: lengths.len() == 1
            || fours
            || lengths.iter().all(|&length| length == 1)
            || (lengths.len() == 2 && lengths.first() == Some(&6)),
    }
}

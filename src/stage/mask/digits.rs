//! Numbers read out or written: mobile, identity card, bank card.
//!
//! Digits are gathered into groups (unbroken, of one script), groups into runs (nothing but pauses and fillers
//! between). A number is a stretch of whole groups, so that a restart (幺三八，不对，幺三九...) or a quantity next
//! to it is not taken for a part of it.

use super::{Announced, Found, Rules, announced};
use crate::domain::transcript::PiiKind;
use crate::stage::mandarin::words::longest_at;

/// Longest pause between two groups, in characters.
const LONGEST_GAP: usize = 16;
/// Pauses in it; fillers come from the rules.
const PAUSES: &str = " -—–,，、.。…:：;；?？!！~·\n";
/// What follows a digit that counts or belongs to a quantity: the 五 of 五点, the 三 of 三千.
const COUNTS: &str =
    "十百千万亿点年月日号天个台块元分秒折成次位下起套家人件盒箱辆样些定直般切共季周期倍层楼米度吨页条";

/// Digits without a break, in one script.
#[derive(Debug)]
struct Group {
    start: usize,
    end: usize,
    digits: Vec<u8>,
    han: bool,
    /// The last digit may belong to what follows (`一` of 一下).
    loose_end: bool,
}

/// All numbers that are personal data, in order.
pub fn find(text: &[char], rules: &Rules) -> Vec<Found> {
    runs(text, rules).iter().flat_map(|run| numbers_in(text, run, rules)).collect()
}

/// Whether the text ends in a run of three digits or more that is not a whole mobile number.
pub fn open_at_end(text: &[char], rules: &Rules) -> bool {
    let runs = runs(text, rules);
    let Some(run) = runs.last() else { return false };
    let Some(last) = run.last() else { return false };
    let digits: Vec<u8> = run.iter().flat_map(|g| g.digits.iter().copied()).collect();
    let open = gap_end(text, last.end, rules) == text.len();
    open && digits.len() >= 3 && !is_mobile(last.digits.as_slice()) && !is_mobile(&digits)
}

fn runs(text: &[char], rules: &Rules) -> Vec<Vec<Group>> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let mut run: Vec<Group> = Vec::new();
        while let Some(group) = group(text, at) {
            at = gap_end(text, group.end, rules);
            run.push(group);
        }
        match run.last() {
            // A pause that no digit follows may hold the next number: 四位 is no filler there.
            Some(last) => {
                at = last.end;
                runs.push(run);
            }
            None => at += 1,
        }
    }
    runs
}

/// Where pauses and fillers after `from` end.
fn gap_end(text: &[char], from: usize, rules: &Rules) -> usize {
    let mut at = from;
    while at - from <= LONGEST_GAP {
        if text.get(at).is_some_and(|c| PAUSES.contains(*c)) {
            at += 1;
        } else if let Some(end) = longest_at(text, at, &rules.fillers) {
            at = end;
        } else {
            break;
        }
    }
    at
}

fn ascii_digit(c: char) -> Option<u8> {
    match c {
        '0'..='9' => Some(c as u8 - b'0'),
        '０'..='９' => u8::try_from(u32::from(c) - 0xff10).ok(),
        _ => None,
    }
}

/// A digit as read out, with the radio words 幺 洞 拐.
pub fn han_digit(c: char) -> Option<u8> {
    Some(match c {
        '零' | '〇' | '洞' => 0,
        '一' | '幺' => 1,
        '二' | '两' => 2,
        '三' => 3,
        '四' => 4,
        '五' => 5,
        '六' => 6,
        '七' | '拐' => 7,
        '八' => 8,
        '九' => 9,
        _ => return None,
    })
}

/// Whether the character at `at` makes a quantity of the digit before it.
pub fn counts(text: &[char], at: usize) -> bool {
    text.get(at).is_some_and(|c| COUNTS.contains(*c))
}

fn group(text: &[char], start: usize) -> Option<Group> {
    let first = *text.get(start)?;
    // A digit in a word or a code (C7, v2) is no part of a number.
    let han = ascii_digit(first).is_none();
    let mut digits = Vec::new();
    let mut at = start;
    while let Some(&c) = text.get(at) {
        let Some(digit) = (if han { han_digit(c) } else { ascii_digit(c) }) else { break };
        match repeated(text, at) {
            // 四个零: four of them.
            Some((times, of)) if !digits.is_empty() => {
                digits.extend(std::iter::repeat_n(of, times));
                at += 3;
            }
            _ => {
                digits.push(digit);
                at += 1;
            }
        }
    }
    // The check character of an identity card.
    if digits.len() >= 15 && text.get(at).is_some_and(|c| matches!(c, 'X' | 'x' | '叉')) {
        digits.push(10);
        at += 1;
    }
    let loose_end = digits.len() > 1 && counts(text, at);
    (!digits.is_empty()).then_some(Group { start, end: at, digits, han, loose_end })
}

fn repeated(text: &[char], at: usize) -> Option<(usize, u8)> {
    let value = |at: usize| text.get(at).and_then(|&c| ascii_digit(c).or_else(|| han_digit(c)));
    let times = value(at).filter(|times| (2..=8).contains(times))?;
    let of = value(at + 2).filter(|_| text.get(at + 1) == Some(&'个') && !counts(text, at + 3))?;
    Some((usize::from(times), of))
}

/// A stretch of whole groups and what it is taken for.
struct Candidate {
    found: Found,
    first: usize,
    last: usize,
    certainty: u8,
    length: usize,
}

fn numbers_in(text: &[char], run: &[Group], rules: &Rules) -> Vec<Found> {
    let mut candidates = Vec::new();
    for first in 0..run.len() {
        for last in first..run.len() {
            let Some(groups) = run.get(first..=last) else { break };
            if groups.iter().map(|g| g.digits.len()).sum::<usize>() > 24 {
                break;
            }
            candidates.extend(
                judge(text, groups, first == 0 && last + 1 == run.len(), rules)
                    .map(|(found, certainty, length)| Candidate { found, first, last, certainty, length }),
            );
        }
    }
    // The surest first, then the longest.
    candidates.sort_by_key(|c| (std::cmp::Reverse((c.certainty, c.length)), c.first));
    let mut taken: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if !taken.iter().any(|t| candidate.first <= t.last && t.first <= candidate.last) {
            taken.push(candidate);
        }
    }
    taken.into_iter().map(|c| c.found).collect()
}

/// What these groups are, how sure that is (2: the number itself proves it; 1: its words do), and its length.
fn judge(text: &[char], groups: &[Group], whole_run: bool, rules: &Rules) -> Option<(Found, u8, usize)> {
    let (first, last) = (groups.first()?, groups.last()?);
    let mut digits: Vec<u8> = groups.iter().flat_map(|g| g.digits.iter().copied()).collect();
    let mut end = last.end;
    let word = announced(text, first.start, &rules.near);
    if word == Some(Announced::Other)
        || is_money(text, groups)
        || is_count(text, groups)
        || in_a_word(text, groups)
    {
        return None;
    }
    let mut kind = exact(&digits);
    if kind.is_none() && last.loose_end {
        digits.pop();
        end -= 1;
        kind = exact(&digits);
    }
    let certain = kind.is_some();
    let kind = kind.or_else(|| {
        let read_out =
            groups.iter().filter(|g| g.han).map(|g| g.digits.len()).sum::<usize>() * 2 > digits.len();
        inexact(&digits, word, read_out).filter(|_| whole_run || digits.len() >= 16)
    })?;
    Some((Found { kind, start: first.start, end }, if certain { 2 } else { 1 }, digits.len()))
}

/// What a number is by itself.
fn exact(digits: &[u8]) -> Option<PiiKind> {
    let mobile = is_mobile(digits)
        || digits.strip_prefix(&[8, 6]).is_some_and(is_mobile)
        || digits.strip_prefix(&[0, 0, 8, 6]).is_some_and(is_mobile);
    if mobile {
        Some(PiiKind::Mobile)
    } else if is_id_card(digits) {
        Some(PiiKind::IdCard)
    } else if (16..=19).contains(&digits.len()) && passes_luhn(digits) {
        Some(PiiKind::BankCard)
    } else {
        None
    }
}

/// What a number is taken for that the recogniser, or the speaker, got slightly wrong.
fn inexact(digits: &[u8], word: Option<Announced>, read_out: bool) -> Option<PiiKind> {
    let length = digits.len();
    let looks_mobile = matches!(digits, [1, 3..=9, ..]) && (9..=13).contains(&length);
    match word {
        Some(Announced::Kind(PiiKind::IdCard)) if (12..=21).contains(&length) => Some(PiiKind::IdCard),
        Some(Announced::Kind(PiiKind::BankCard)) if (13..=22).contains(&length) => Some(PiiKind::BankCard),
        Some(Announced::Kind(PiiKind::Mobile)) if looks_mobile => Some(PiiKind::Mobile),
        // The leading 幺 went missing.
        Some(Announced::Kind(PiiKind::Mobile)) if length == 10 && matches!(digits, [3..=9, ..]) => {
            (!digits.starts_with(&[4, 0, 0]) && !digits.starts_with(&[8, 0, 0])).then_some(PiiKind::Mobile)
        }
        _ if read_out && looks_mobile => Some(PiiKind::Mobile),
        // Nobody reads out so many digits but of a card; a written one that begins with a day is a receipt.
        _ if (16..=19).contains(&length) && (read_out || !begins_with_day(digits)) => Some(PiiKind::BankCard),
        _ => None,
    }
}

/// Mainland mobile numbers: eleven digits, 13 to 19.
fn is_mobile(digits: &[u8]) -> bool {
    digits.len() == 11 && matches!(digits, [1, 3..=9, ..])
}

/// Eighteen digits with a valid region and day of birth (GB 11643). The check digit is not asked for: a number
/// misheard by one digit is as personal.
fn is_id_card(digits: &[u8]) -> bool {
    let [a, b, _, _, _, _, birth @ .., _, _, _, _] = digits else { return false };
    let region = a * 10 + b;
    digits.len() == 18
        && matches!(region, 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83)
        && is_day(birth, 1900..=2035)
}

fn begins_with_day(digits: &[u8]) -> bool {
    digits.get(..8).is_some_and(|day| is_day(day, 2000..=2099))
}

fn is_day(digits: &[u8], years: std::ops::RangeInclusive<u32>) -> bool {
    let number = |digits: &[u8]| digits.iter().fold(0, |sum, &d| sum * 10 + u32::from(d));
    match (digits.get(..4), digits.get(4..6), digits.get(6..)) {
        (Some(year), Some(month), Some(day)) if digits.len() == 8 => {
            years.contains(&number(year))
                && (1..=12).contains(&number(month))
                && (1..=31).contains(&number(day))
        }
        _ => false,
    }
}

/// The check of ISO/IEC 7812.
fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, &d)| {
            u32::from(if i % 2 == 0 {
                d
            } else if d > 4 {
                d * 2 - 9
            } else {
                d * 2
            })
        })
        .sum();
    !digits.contains(&10) && sum.is_multiple_of(10)
}

/// `13,800,138,000`: thousands, not a telephone.
fn is_money(text: &[char], groups: &[Group]) -> bool {
    let [first, rest @ ..] = groups else { return false };
    let comma = |a: &Group, b: &Group| text.get(a.end..b.start) == Some(&[',']);
    !rest.is_empty()
        && first.digits.len() <= 3
        && rest.iter().all(|g| g.digits.len() == 3 && !g.han)
        && groups.windows(2).all(|pair| matches!(pair, [a, b] if comma(a, b)))
}

/// Small numbers that grow with pauses between (一，三，五，七): counting, not reading out.
fn is_count(text: &[char], groups: &[Group]) -> bool {
    let value =
        |g: &Group| g.digits.iter().fold(0u32, |sum, &d| sum.saturating_mul(10).saturating_add(u32::from(d)));
    let paused = |a: &Group, b: &Group| text.get(a.end..b.start).is_some_and(|gap| !gap.is_empty());
    groups.len() > 2
        && groups.iter().all(|g| g.digits.len() <= 2)
        && groups.windows(2).all(|pair| matches!(pair, [a, b] if paused(a, b) && value(a) < value(b)))
}

/// A number glued to letters (`SO20261103123`) is a code.
fn in_a_word(text: &[char], groups: &[Group]) -> bool {
    let letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|c| c.is_ascii_alphabetic());
    let (Some(first), Some(last)) = (groups.first(), groups.last()) else { return false };
    letter(first.start.checked_sub(1)) || letter(Some(last.end))
}

//! Digits as they are read out or written: groups (unbroken, of one script), and runs of groups with nothing
//! but pauses and fillers between.

use super::near::{Announced, announced};
use super::{Rules, lists};
use crate::stage::mandarin::words::longest_at;

/// Longest pause between two groups, in characters.
const LONGEST_GAP: usize = 16;
/// Pauses in it; fillers come from the rules.
pub const PAUSES: &str = " -—–,，、.。…:：;；?？!！~·\n";
/// What follows a digit that counts or belongs to a quantity: the 五 of 五点, the 三 of 三千.
const COUNTS: &str =
    "十百千万亿点年月日号天个台块元分秒折成次位下起套家人件盒箱辆样些定直般切共季周期倍层楼米度吨页条";
/// Stands for the X that ends an identity card.
pub const CHECK: u8 = 10;
/// Fewest digits before it.
const BEFORE_CHECK: usize = 15;

/// Digits without a break, in one script.
#[derive(Debug)]
pub struct Group {
    pub start: usize,
    pub end: usize,
    pub digits: Vec<u8>,
    pub han: bool,
    /// The last digit may belong to what follows (`一` of 一下).
    pub loose_end: bool,
}

/// What is known where a group may begin.
#[derive(Clone, Copy)]
struct Before {
    /// Digits of the run so far.
    length: usize,
    /// Words before the run say that it is a person's number.
    named: bool,
}

/// All runs in order.
pub fn runs(text: &[char], rules: &Rules) -> Vec<Vec<Group>> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let mut run: Vec<Group> = Vec::new();
        let named =
            starts_digit(text, at, rules) && matches!(announced(text, at, rules), Some(Announced::Kind(_)));
        let mut before = Before { length: 0, named };
        let mut measured = None;
        while measured.is_none() {
            measured = lists::measured_at(text, at, named);
            let Some(group) = group(text, at, before, rules).filter(|_| measured.is_none()) else { break };
            before.length += group.digits.len();
            at = gap_end(text, group.end, rules);
            run.push(group);
        }
        at = match (measured, run.last()) {
            (Some(end), _) => end,
            // A pause that no digit follows may hold the next number: 四位 is no filler there.
            (None, Some(last)) => last.end,
            (None, None) => at + 1,
        };
        if !run.is_empty() {
            runs.push(run);
        }
    }
    runs
}

/// Where pauses and fillers after `from` end.
pub fn gap_end(text: &[char], from: usize, rules: &Rules) -> usize {
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

/// Whether nothing but pauses, fillers and the beginning of one lies between `from` and the end of the text.
pub fn ends_after(text: &[char], from: usize, rules: &Rules) -> bool {
    let rest: String = text.iter().skip(gap_end(text, from, rules)).collect();
    // 个 of 四个零.
    rest.is_empty()
        || rest == "个"
        || rules.fillers.iter().chain(&rules.check).any(|word| word.starts_with(&rest))
}

pub fn ascii_digit(c: char) -> Option<u8> {
    c.is_ascii_digit().then(|| c as u8 - b'0')
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

/// Whether the digit at `start` is the end of a quantity: the 五 of 一百五, the 三 of 一点三.
pub fn ends_quantity(text: &[char], start: usize) -> bool {
    let before = start.checked_sub(1).and_then(|before| text.get(before));
    before.is_some_and(|c| matches!(c, '十' | '百' | '千' | '万' | '亿' | '点'))
}

fn starts_digit(text: &[char], at: usize, rules: &Rules) -> bool {
    text.get(at).is_some_and(|&c| {
        c.is_ascii_digit() || han_digit(c).is_some() || rules.heard_if_named.contains_key(&c)
    })
}

fn group(text: &[char], start: usize, before: Before, rules: &Rules) -> Option<Group> {
    let first = *text.get(start)?;
    // A digit in a word or a code (C7, v2) is no part of a number.
    let han = ascii_digit(first).is_none();
    let read_out =
        |c: char| han_digit(c).or_else(|| rules.heard_if_named.get(&c).copied().filter(|_| before.named));
    let mut digits = Vec::new();
    let mut at = start;
    while let Some(&c) = text.get(at) {
        let Some(digit) = (if han { read_out(c) } else { ascii_digit(c) }) else { break };
        match repeated(text, at) {
            // 四个零: four of them.
            Some((times, of)) if before.length + digits.len() > 0 => {
                digits.extend(std::iter::repeat_n(of, times));
                at += 3;
            }
            _ => {
                digits.push(digit);
                at += 1;
            }
        }
    }
    if digits.is_empty() {
        let end = check_end(text, start, rules).filter(|_| before.length >= BEFORE_CHECK)?;
        return Some(Group { start, end, digits: vec![CHECK], han, loose_end: false });
    }
    let loose_end = digits.len() > 1 && counts(text, at);
    Some(Group { start, end: at, digits, han, loose_end })
}

/// The end of the check character of an identity card: X, 叉, 艾克斯.
fn check_end(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    let end = longest_at(text, at, &rules.check)?;
    (!text.get(end).is_some_and(char::is_ascii_alphanumeric)).then_some(end)
}

/// 四个零: how many of which digit.
fn repeated(text: &[char], at: usize) -> Option<(usize, u8)> {
    let value = |at: usize| text.get(at).and_then(|&c| ascii_digit(c).or_else(|| han_digit(c)));
    let times = value(at).filter(|times| (2..=8).contains(times))?;
    let of = value(at + 2).filter(|_| text.get(at + 1) == Some(&'个') && !counts(text, at + 3))?;
    Some((usize::from(times), of))
}

//! Digits side by side that are no number of anything: sums, counting, readings, times, codes.

use super::BORDER;
use super::groups::Group;
use super::kinds;

/// Group lengths of numbers that are said or written with 、 between as well: mobiles and identity cards.
const SHAPES: [&[usize]; 3] = [&[3, 4, 4], &[2, 3, 4, 4], &[6, 8, 4]];

/// The end of a time (13:58:00) or of digits with points inside (1.38, 192.168.1.1, 2026.11.25) at `at`.
pub fn measured_at(text: &[char], at: usize, named: bool) -> Option<usize> {
    // What follows a point was judged with what stands before it.
    let inside =
        at >= 2 && text.get(at - 1) == Some(&'.') && text.get(at - 2).is_some_and(char::is_ascii_digit);
    time_at(text, at)
        .or_else(|| ratio_at(text, at, named))
        .or_else(|| dotted_at(text, at, named))
        .filter(|_| !inside)
}

fn time_at(text: &[char], at: usize) -> Option<usize> {
    let parts = chain(text, at, &[':', '：']);
    let [(hour, _), minutes @ ..] = parts.as_slice() else { return None };
    let below = |digits: &[char], most: u32| number(digits).is_some_and(|n| n < most);
    let clock = (1..=2).contains(&minutes.len())
        && hour.len() <= 2
        && below(hour, 25)
        && minutes.iter().all(|(digits, _)| digits.len() == 2 && below(digits, 60));
    clock.then(|| minutes.last().map(|(_, end)| *end)).flatten()
}

/// 3:6:1.
fn ratio_at(text: &[char], at: usize, named: bool) -> Option<usize> {
    let parts = chain(text, at, &[':']);
    let few = parts.len() > 1 && parts.iter().all(|(digits, _)| digits.len() <= 2);
    parts.last().filter(|_| few && !named).map(|(_, end)| *end)
}

/// Points inside digits are those of decimals and addresses, unless the whole is a number in its usual groups.
fn dotted_at(text: &[char], at: usize, named: bool) -> Option<usize> {
    let parts = chain(text, at, &['.']);
    let (_, end) = parts.last().filter(|_| parts.len() > 1)?;
    let lengths: Vec<usize> = parts.iter().map(|(digits, _)| digits.len()).collect();
    let digits: Vec<u8> = parts
        .iter()
        .flat_map(|(digits, _)| digits.iter())
        .filter_map(|&c| super::groups::ascii_digit(c))
        .collect();
    let usual = SHAPES.contains(&lengths.as_slice()) || named || digits.len() >= 15;
    (!usual || kinds::exact(&digits).is_none()).then_some(*end)
}

/// ASCII digits at `at` joined by single `marks`: each part and where it ends.
fn chain<'a>(text: &'a [char], at: usize, marks: &[char]) -> Vec<(&'a [char], usize)> {
    let mut parts = Vec::new();
    let mut start = at;
    loop {
        let length = text.iter().skip(start).take_while(|c| c.is_ascii_digit()).count();
        let Some(digits) = text.get(start..start + length).filter(|digits| !digits.is_empty()) else { break };
        start += length;
        parts.push((digits, start));
        if !text.get(start).is_some_and(|c| marks.contains(c)) {
            break;
        }
        start += 1;
    }
    parts
}

fn number(digits: &[char]) -> Option<u32> {
    digits.iter().collect::<String>().parse().ok()
}

/// Whether the groups, of which no word says what they are, are several readings, sums or codes.
pub fn is_list(text: &[char], groups: &[Group]) -> bool {
    is_enumerated(text, groups) || is_series(text, groups)
}

/// `13,800,138,000`: thousands, not a telephone.
pub fn is_money(text: &[char], groups: &[Group]) -> bool {
    let [first, rest @ ..] = groups else { return false };
    let comma = |a: &Group, b: &Group| text.get(a.end..b.start) == Some(&[',']);
    !rest.is_empty()
        && first.digits.len() <= 3
        && rest.iter().all(|g| g.digits.len() == 3 && !g.han)
        && groups.windows(2).all(|pair| matches!(pair, [a, b] if comma(a, b)))
}

/// Small numbers that grow with pauses between (一，三，五，七): counting, not reading out.
pub fn is_count(text: &[char], groups: &[Group]) -> bool {
    let paused = |a: &Group, b: &Group| text.get(a.end..b.start).is_some_and(|gap| !gap.is_empty());
    groups.len() > 2
        && groups.iter().all(|g| g.digits.len() <= 2)
        && groups.windows(2).all(|pair| matches!(pair, [a, b] if paused(a, b) && value(a) < value(b)))
}

/// A number glued to letters (`SO20261103123`, `id=13800138000`) is a code.
pub fn in_a_word(text: &[char], groups: &[Group]) -> bool {
    let letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|c| c.is_ascii_alphabetic());
    let (Some(first), Some(last)) = (groups.first(), groups.last()) else { return false };
    let sign = |at: usize| text.get(at).is_some_and(|c| matches!(c, '=' | '_' | '#' | '&'));
    letter(first.start.checked_sub(1))
        || first.start.checked_sub(1).is_some_and(sign)
        || letter(Some(last.end))
}

/// 、 stands between things of a list; in a number only between its usual groups.
fn is_enumerated(text: &[char], groups: &[Group]) -> bool {
    groups.windows(2).any(|pair| matches!(pair, [a, b] if has(text, a, b, '、')))
        && !SHAPES.contains(&lengths(groups).as_slice())
}

/// Readings of one thing: three figures or more, none with a nought before it, that lie close to each other or
/// are all round. They are given in one breath.
fn is_series(text: &[char], groups: &[Group]) -> bool {
    let lengths = lengths(groups);
    let alike = lengths.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
    let figures = groups.len() >= if alike { 3 } else { 4 }
        && groups.iter().all(|g| g.digits.len() > 1 && g.digits.first() != Some(&0));
    let breaks = |pair: &[Group]| matches!(pair, [a, b] if has(text, a, b, BORDER));
    if !figures || groups.windows(2).any(breaks) {
        return false;
    }
    let values = || groups.iter().map(value);
    let (least, most) = (values().min().unwrap_or_default(), values().max().unwrap_or_default());
    // The groups of a bank card are close by chance more often than those of a mobile number.
    let card =
        lengths.iter().sum::<usize>() >= 16 && groups.first().is_some_and(|g| kinds::is_issuer(&g.digits));
    let close = if card { most * 100 <= least * 115 } else { most <= least * 2 };
    close || groups.iter().all(|g| g.digits.last() == Some(&0))
}

/// Whether all groups, three or more of at least two digits, are of one length: no mobile number is said so.
pub fn is_even(groups: &[Group]) -> bool {
    let lengths = lengths(groups);
    lengths.len() > 2
        && lengths.iter().all(|&length| length > 1)
        && lengths.windows(2).all(|pair| matches!(pair, [a, b] if a == b))
}

/// Whether the group repeats the one before it, in another text: it was said back.
pub fn is_echo(text: &[char], before: &Group, group: &Group) -> bool {
    group.digits.len() > 1 && group.digits == before.digits && has(text, before, group, BORDER)
}

/// Whether `c` stands between two groups.
pub fn has(text: &[char], before: &Group, group: &Group, c: char) -> bool {
    text.get(before.end..group.start).is_some_and(|gap| gap.contains(&c))
}

/// How many digits each group has.
pub fn lengths(groups: &[Group]) -> Vec<usize> {
    groups.iter().map(|g| g.digits.len()).collect()
}

fn value(group: &Group) -> u64 {
    group.digits.iter().fold(0, |sum: u64, &d| sum.saturating_mul(10).saturating_add(u64::from(d)))
}

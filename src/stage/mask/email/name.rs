//! What stands before the @: the name, spelled, read out or misheard.

use super::{LONGEST_GARBLED, LONGEST_PART, Rules, dash_at, dot_at, gap_end, gap_start, is_part};
use crate::stage::mandarin::words::{is_han, longest_at, longest_before};

/// Longest Chinese name that may stand before digits of an address.
const LONGEST_SURNAME: usize = 4;

/// Where the name before the @ at `at` begins. Pauses may lie inside if the address `ended` properly.
pub fn start(text: &[char], at: usize, ended: bool, rules: &Rules) -> Option<usize> {
    if let Some(start) = after_word(text, at, rules).filter(|_| ended) {
        return Some(start);
    }
    let Some(start) = parts_start(text, at, ended, rules) else {
        return told_before(text, at, rules).filter(|_| ended);
    };
    let spelled = text.get(start..at).is_some_and(|name| name.iter().any(char::is_ascii_alphabetic));
    Some(if spelled || !ended { start } else { named_start(text, start, rules).unwrap_or(start) })
}

/// Where what may be said between a name and the @ begins (liming，这是邮箱，艾特), and whether a word for e-mail is
/// in it.
fn asides_start(text: &[char], at: usize, rules: &Rules) -> (usize, bool) {
    let mut end = gap_start(text, at, rules);
    let mut named = false;
    loop {
        let word = longest_before(text, end, &rules.near.email);
        let aside = word.or_else(|| longest_before(text, end, &rules.email.told));
        let Some(length) = aside else { return (end, named) };
        named |= word.is_some();
        end = gap_start(text, end - length, rules);
    }
}

/// The start of a name that was told before it was said what it is.
fn told_before(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    let (end, named) = asides_start(text, at, rules);
    let start = parts_start(text, end, true, rules).filter(|_| named)?;
    let spelled = text.get(start..end)?.iter().filter(|c| c.is_ascii_alphanumeric()).count();
    (spelled >= 2).then_some(start)
}

/// Whether the text ends in what may be the name of an address that is told before its @, and asides: small letters
/// that are no word by themselves (app, ppt), since they are spelled out, go with digits or are said to be letters.
pub fn may_be_one(text: &[char], rules: &Rules) -> bool {
    let (end, named) = asides_start(text, text.len(), rules);
    let Some(start) = parts_start(text, end, true, rules) else { return false };
    let name = text.get(start..end).unwrap_or_default();
    let small = name.iter().filter(|c| c.is_ascii_lowercase()).count();
    let word = small == name.len();
    let spelled = longest_before(text, gap_start(text, start, rules), &rules.email.spelled).is_some();
    small >= 3 && (named || spelled || !word) && !name.iter().any(char::is_ascii_uppercase)
}

/// Whether the text ends in the word for e-mail and the beginning of a name.
pub fn is_open(text: &[char], rules: &Rules) -> bool {
    let Some(word_end) = word_before(text, text.len(), rules) else { return false };
    let start = lead_end(text, word_end, rules);
    let said = text
        .get(word_end..start)
        .is_some_and(|lead| lead.iter().any(|&c| is_han(c) || c == ':' || c == '：'));
    let begun = after_word(text, text.len(), rules)
        .and_then(|start| text.get(start..))
        .is_some_and(|name| name.iter().any(char::is_ascii_alphabetic));
    begun || (said && start == text.len())
}

/// Where a name that was heard as Chinese may begin: after the last mark or 是.
pub fn garbled_start(text: &[char], at: usize) -> usize {
    let from = at.saturating_sub(LONGEST_GARBLED);
    let name = text.iter().take(at).skip(from).rev();
    at - name
        .take_while(|&&c| {
            !matches!(c, '是' | '为' | '叫' | '到' | '箱' | ']') && (c.is_alphanumeric() || c == ' ')
        })
        .count()
}

/// The start of a name that fills all the place between the word for e-mail and `to`: then pauses and fillers
/// belong to it.
fn after_word(text: &[char], to: usize, rules: &Rules) -> Option<usize> {
    let start = lead_end(text, word_before(text, to, rules)?, rules);
    let mut at = start;
    let mut letters = 0;
    while at < to {
        let part = text.get(at).filter(|&&c| is_part(c)).map(|_| at + 1);
        letters += usize::from(part.is_some());
        let next = dash_at(text, at, rules).or(part).or_else(|| dot_at(text, at, rules));
        at = gap_end(text, next?, rules);
    }
    (letters > 0).then_some(start)
}

/// Where the last word for e-mail before `to` ends.
pub fn word_before(text: &[char], to: usize, rules: &Rules) -> Option<usize> {
    let from = to.saturating_sub(LONGEST_PART);
    (from..to).rev().find_map(|start| longest_at(text, start, &rules.near.email).filter(|&end| end <= to))
}

/// Where 是, 地址是 and the like from `from` on end.
fn lead_end(text: &[char], from: usize, rules: &Rules) -> usize {
    let mut at = from;
    loop {
        let gap = gap_end(text, at, rules);
        let mark = text.get(gap).is_some_and(|c| matches!(c, ':' | '：' | '。' | '.' | '？' | '?'));
        let next = longest_at(text, gap, &rules.email.leads).unwrap_or(gap + usize::from(mark));
        if next == at {
            return at;
        }
        at = next;
    }
}

/// The start of the parts, dashes and dots that end at `at`.
fn parts_start(text: &[char], at: usize, ended: bool, rules: &Rules) -> Option<usize> {
    let part_before =
        |at: usize| at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(|&c| is_part(c));
    let mut start = at;
    let mut letters = 0;
    while start > at.saturating_sub(LONGEST_PART) {
        let gap = gap_start(text, start, rules);
        if let Some(&c) = text.get(start - 1).filter(|&&c| is_part(c)) {
            letters += usize::from(!matches!(c, '-' | '_' | '%' | '+'));
            start -= 1;
        } else if let Some(length) = longest_before(text, start, &rules.email.dash)
            .or_else(|| longest_before(text, start, &rules.email.dot))
        {
            // 。 and 点 are inside only between parts of a name.
            let word = start - length;
            let before = if ended { gap_start(text, word, rules) } else { word };
            if text.get(word) == Some(&'。') || !part_before(before) {
                break;
            }
            start = before;
        } else if gap < start && part_before(gap) && joins(text, gap, start, at, ended) {
            start = gap;
        } else {
            break;
        }
    }
    (letters > 0).then_some(start)
}

/// Whether the pause at `gap..start` lies inside the name that ends at `at`: right before the @, or between
/// letters that are spelled out.
fn joins(text: &[char], gap: usize, start: usize, at: usize, ended: bool) -> bool {
    let spaces = text.get(gap..start).is_some_and(|gap| gap.iter().all(|&c| c == ' '));
    let word = |c: &&char| c.is_ascii_alphanumeric();
    let before = text.iter().take(gap).rev().take_while(word).count();
    let after = text.iter().skip(start).take_while(word).count();
    let spelled = (1..=2).contains(&before);
    (spaces || ended) && (start == at || (spelled && (spaces || after <= 2)))
}

/// Where a Chinese name between the word for e-mail and `start` begins: 邮箱王芳零一.
fn named_start(text: &[char], start: usize, rules: &Rules) -> Option<usize> {
    let word_end = lead_end(text, word_before(text, start, rules)?, rules);
    let name = text.get(word_end..start)?;
    ((1..=LONGEST_SURNAME).contains(&name.len()) && name.iter().all(|&c| is_han(c))).then_some(word_end)
}

//! What stands behind the @: parts, dots and dashes up to com, cn and the like.

use super::{LONGEST_GARBLED, LONGEST_PART, Rules, dash_at, dot_at, gap_end, is_part, is_pause};
use crate::stage::mandarin::words::is_han;

/// The end of the domain that begins at `start`, and whether it ended as domains do.
///
/// Behind a `sure` sign for @, pauses and fillers may lie inside, and words that the recogniser made of its
/// parts.
pub fn end(text: &[char], start: usize, sure: bool, rules: &Rules) -> Option<(usize, bool)> {
    let mut at = start;
    let mut end = None;
    let mut parts = 0;
    let mut han = 0;
    while at - start <= LONGEST_PART {
        let ahead = if sure && han == 0 { gap_end(text, at, rules) } else { spaces_end(text, at) };
        if let Some(dot) = dot_at(text, at, rules).or_else(|| dot_at(text, ahead, rules)) {
            let after = if sure { gap_end(text, dot, rules) } else { spaces_end(text, dot) };
            if let Some(after) = ending(text, after, rules) {
                (end, at) = (Some(after), after);
                continue;
            }
            let goes_on = text.get(after).is_some_and(|&c| {
                c.is_ascii_alphanumeric() || (sure && is_part(c) && ends_ahead(text, after, rules))
            });
            if end.is_some() || parts == 0 || !goes_on {
                break;
            }
            at = after;
        } else if end.is_some() {
            break;
        } else if let Some(after) = dash_at(text, at, rules) {
            at = after;
        } else if text.get(at).is_some_and(|&c| is_part(c)) {
            parts += 1;
            at += 1;
        } else if ahead > at && goes_on_after(text, at, ahead, sure, rules) {
            at = ahead;
        } else if sure
            && text.get(at).is_some_and(|&c| is_han(c))
            && han < LONGEST_GARBLED
            && dot_ahead(text, at, rules)
        {
            han += 1;
            parts += 1;
            at += 1;
        } else {
            break;
        }
    }
    match end {
        Some(end) => Some((end, true)),
        None if parts >= 2 && han == 0 => Some((at, false)),
        None => None,
    }
}

/// Whether the domain that begins at `start` is still going on where the text ends.
pub fn is_open(text: &[char], start: usize, rules: &Rules) -> bool {
    let mut at = gap_end(text, start, rules);
    while at < text.len() {
        if at - start > LONGEST_PART || ending_after_dot(text, at, rules).is_some() {
            return false;
        }
        match step(text, at, rules) {
            Some(next) => at = gap_end(text, next, rules),
            None => return false,
        }
    }
    true
}

/// Whether the domain goes on at `ahead`, behind a pause at `at`.
fn goes_on_after(text: &[char], at: usize, ahead: usize, sure: bool, rules: &Rules) -> bool {
    let spaces = spaces_end(text, at) == ahead;
    (spaces && text.get(ahead).is_some_and(|&c| c.is_ascii() && is_part(c)))
        || (sure && ends_ahead(text, ahead, rules))
}

/// Whether what begins at `from` is parts of a domain that end as domains do.
fn ends_ahead(text: &[char], from: usize, rules: &Rules) -> bool {
    let mut at = from;
    while at - from <= LONGEST_PART {
        if ending_after_dot(text, at, rules).is_some() {
            return at > from || dot_at(text, from, rules).is_none();
        }
        match step(text, at, rules) {
            Some(next) => at = gap_end(text, next, rules),
            None => return false,
        }
    }
    false
}

/// The end of one part, dash or dot at `at`.
fn step(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    let part = || text.get(at).filter(|&&c| is_part(c)).map(|_| at + 1);
    dash_at(text, at, rules).or_else(part).or_else(|| dot_at(text, at, rules))
}

/// Whether the domain still ends properly further on, so that Chinese characters in it are mishearings.
fn dot_ahead(text: &[char], from: usize, rules: &Rules) -> bool {
    (from..(from + LONGEST_GARBLED).min(text.len())).any(|at| ending_after_dot(text, at, rules).is_some())
}

fn ending_after_dot(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    ending(text, gap_end(text, dot_at(text, at, rules)?, rules), rules)
}

/// com, cn and the like as a whole word at `at`, its letters side by side or spelled out.
pub fn ending(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    let end = rules.email.endings.iter().filter_map(|word| spelled(text, at, word)).max()?;
    let goes_on = text.get(end).is_some_and(char::is_ascii_alphanumeric);
    (!goes_on).then_some(end)
}

/// The end of `word` at `at`, with or without pauses between its letters.
fn spelled(text: &[char], start: usize, word: &str) -> Option<usize> {
    let mut at = start;
    for (i, wanted) in word.chars().enumerate() {
        if i > 0 && text.get(at).is_some_and(|&c| is_pause(c)) {
            at += 1;
        }
        if text.get(at)?.to_ascii_lowercase() != wanted {
            return None;
        }
        at += 1;
    }
    Some(at)
}

fn spaces_end(text: &[char], from: usize) -> usize {
    from + text.iter().skip(from).take_while(|&&c| c == ' ').count()
}

//! E-mail addresses, written (`a@b.com`) and spoken (a艾特b点com).

use serde::Deserialize;

use super::digits::han_digit;
use super::{Found, REACH, is_near};
use crate::domain::transcript::PiiKind;
use crate::stage::mandarin::words::{ends_before, is_at, is_han, longest_at};

/// The part of `pipelines/rules/pii.toml` on addresses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    at: Vec<String>,
    dot: Vec<String>,
    dash: Vec<String>,
    endings: Vec<String>,
}

/// Longest domain or name before it that is believed, in characters.
const LONGEST_PART: usize = 40;
/// Longest name that a recogniser wrote in Chinese characters.
const LONGEST_GARBLED: usize = 14;

/// All addresses in order.
pub fn find(text: &[char], rules: &super::Rules) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let hit = spoken_or_written(text, at, &rules.email).or_else(|| without_at(text, at, rules));
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

/// An address around the word for @ at `at`.
fn spoken_or_written(text: &[char], at: usize, rules: &Rules) -> Option<(usize, usize)> {
    let sure = longest_at(text, at, &rules.at);
    let domain_start = sure.or_else(|| english_at(text, at))?;
    let garbled = sure.is_some();
    let (end, ended) = domain(text, domain_start, garbled, rules)?;
    if !ended && !garbled {
        return None;
    }
    let start = name_start(text, at, rules);
    match start {
        Some(start) => Some((start, end)),
        None if ended && garbled => Some((garbled_start(text, at), end)),
        None => None,
    }
}

/// The English word, between spaces or Chinese.
fn english_at(text: &[char], at: usize) -> Option<usize> {
    let letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|c| c.is_ascii_alphabetic());
    let word = ["at", "At", "AT"].into_iter().any(|word| is_at(text, at, word));
    (word && !letter(at.checked_sub(1)) && !letter(Some(at + 2))).then_some(at + 2)
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '%' | '+') || han_digit(c).is_some()
}

/// The end of the domain that begins at `start`, and whether it ended as domains do.
fn domain(text: &[char], start: usize, garbled: bool, rules: &Rules) -> Option<(usize, bool)> {
    let mut at = start;
    let mut end = None;
    let mut words = 0;
    let mut han = 0;
    while at - start <= LONGEST_PART {
        if let Some(after_dot) = longest_at(text, at, &rules.dot).map(|after| skip_spaces(text, after)) {
            if let Some(after) = ending(text, after_dot, rules) {
                (end, at) = (Some(after), after);
                continue;
            }
            if end.is_some() || words == 0 || !text.get(after_dot).is_some_and(|c| c.is_ascii_alphanumeric())
            {
                break;
            }
            at = after_dot;
        } else if end.is_some() {
            break;
        } else if let Some(after) = longest_at(text, at, &rules.dash) {
            at = after;
        } else if let Some(&c) = text.get(at) {
            if is_part(c) {
                words += 1;
            } else if c == ' ' {
                // A space is inside only if the domain goes on in ASCII.
                if !text.get(at + 1).is_some_and(|c| c.is_ascii()) {
                    break;
                }
            } else if garbled && is_han(c) && han < LONGEST_GARBLED && dot_ahead(text, at, rules) {
                han += 1;
                words += 1;
            } else {
                break;
            }
            at += 1;
        } else {
            break;
        }
    }
    match end {
        Some(end) => Some((end, true)),
        None if words >= 2 && han == 0 => Some((at, false)),
        None => None,
    }
}

/// Whether the domain still ends properly further on, so that Chinese characters in it are mishearings.
fn dot_ahead(text: &[char], from: usize, rules: &Rules) -> bool {
    (from..(from + LONGEST_GARBLED).min(text.len())).any(|at| {
        longest_at(text, at, &rules.dot)
            .is_some_and(|after| ending(text, skip_spaces(text, after), rules).is_some())
    })
}

/// com, cn and the like as a whole word at `at`.
fn ending(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    let lower: Vec<char> = text.iter().skip(at).take(8).map(char::to_ascii_lowercase).collect();
    let length = longest_at(&lower, 0, &rules.endings)?;
    let goes_on = lower.get(length).is_some_and(|c| c.is_ascii_alphanumeric());
    (!goes_on).then_some(at + length)
}

fn skip_spaces(text: &[char], from: usize) -> usize {
    from + text.iter().skip(from).take_while(|&&c| c == ' ').count()
}

/// Where the name before the @ at `at` begins.
fn name_start(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    let mut start = at;
    let mut letters = 0;
    while start > at.saturating_sub(LONGEST_PART) {
        let before = start - 1;
        let Some(&c) = text.get(before) else { break };
        if is_part(c) {
            letters += usize::from(c.is_ascii_alphanumeric() || han_digit(c).is_some());
            start = before;
        } else if let Some(word) =
            rules.dash.iter().chain(&rules.dot).find(|w| ends_before(text, start, std::slice::from_ref(w)))
        {
            let word_start = start - word.chars().count();
            // 。 and 点 are inside only between parts of a name.
            if word == "。"
                || !word_start.checked_sub(1).and_then(|b| text.get(b)).is_some_and(|&c| is_part(c))
            {
                break;
            }
            start = word_start;
        } else if c == ' ' && (start == at || spelled_out(text, before)) {
            start = before;
        } else {
            break;
        }
    }
    let start = skip_spaces(text, start);
    (letters >= 1 && start < at).then_some(start)
}

/// Whether the word that ends before the space at `space` is a letter or two of a name spelled out.
fn spelled_out(text: &[char], space: usize) -> bool {
    let word = text.iter().take(space).rev().take_while(|c| c.is_ascii_alphanumeric()).count();
    (1..=2).contains(&word)
}

/// Where a name that was heard as Chinese may begin: after the last mark or 是.
fn garbled_start(text: &[char], at: usize) -> usize {
    let from = at.saturating_sub(LONGEST_GARBLED);
    let name = text.iter().take(at).skip(from).rev();
    at - name
        .take_while(|&&c| {
            !matches!(c, '是' | '为' | '叫' | '到' | '箱' | ']') && (c.is_alphanumeric() || c == ' ')
        })
        .count()
}

/// An address whose @ went missing: a domain right after the word for e-mail.
fn without_at(text: &[char], at: usize, rules: &super::Rules) -> Option<(usize, usize)> {
    let fresh = !at.checked_sub(1).and_then(|b| text.get(b)).is_some_and(|c| c.is_ascii_alphanumeric());
    if !fresh || !text.get(at).is_some_and(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let announced = is_near(text, at, at, REACH / 2, &rules.near.email);
    let (end, ended) = domain(text, at, false, &rules.email).filter(|_| announced)?;
    ended.then_some((at, end))
}

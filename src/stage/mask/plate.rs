//! Vehicle plates: a province, a letter, five or six letters and digits, written or read out.

use serde::Deserialize;

use super::digits::{counts, han_digit};
use super::{Found, is_near};
use crate::domain::transcript::PiiKind;
use crate::stage::mandarin::words::{is_han, longest_at};

/// The part of `pipelines/rules/pii.toml` on plates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    provinces: String,
    letters: String,
    models: Vec<String>,
}

/// How far a word about cars may stand from a plate that was misheard, in characters.
const REACH: usize = 14;
/// Fewest digits in the part after the letter.
const FEWEST_DIGITS: usize = 3;

/// All plates in order.
pub fn find(text: &[char], rules: &super::Rules) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match plate_at(text, at, rules) {
            Some(end) => {
                found.push(Found { kind: PiiKind::Plate, start: at, end });
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

fn plate_at(text: &[char], at: usize, rules: &super::Rules) -> Option<usize> {
    let province = *text.get(at)?;
    let known = rules.plate.provinces.contains(province);
    if !known && !is_han(province) {
        return None;
    }
    let letter = skip_mark(text, at + 1);
    if !text.get(letter)?.is_ascii_alphabetic() {
        return None;
    }
    let (end, length, digits) = body(text, letter + 1, &rules.plate);
    let model = longest_at(text, end, &rules.plate.models).is_some();
    if digits < FEWEST_DIGITS || model || text.get(end).is_some_and(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    // A misheard province or a missing character is believed only where a car is spoken of.
    let about_cars = || is_near(text, at, end, REACH, &rules.near.plate);
    let believed = (known && (5..=6).contains(&length)) || ((4..=7).contains(&length) && about_cars());
    believed.then_some(end)
}

/// The letters and digits after the first letter: where they end, how many, and how many digits among them.
fn body(text: &[char], start: usize, rules: &Rules) -> (usize, usize, usize) {
    let (mut at, mut end, mut length, mut digits) = (start, start, 0, 0);
    while length < 8 {
        let next = skip_mark(text, at);
        let Some(&c) = text.get(next) else { break };
        let is_digit =
            c.is_ascii_digit() || (han_digit(c).is_some() && !(length >= 5 && counts(text, next + 1)));
        let is_letter = c.is_ascii_alphabetic() || (rules.letters.contains(c) && length > 0 && length < 5);
        if !is_digit && !is_letter {
            break;
        }
        length += 1;
        digits += usize::from(is_digit);
        (at, end) = (next + 1, next + 1);
    }
    // 学, 挂, 警 and the like end special plates.
    if length == 4 && text.get(end).is_some_and(|c| "学挂警港澳".contains(*c)) {
        return (end + 1, 5, digits);
    }
    (end, length, digits)
}

fn skip_mark(text: &[char], at: usize) -> usize {
    if text.get(at).is_some_and(|c| matches!(c, ' ' | '·' | '.' | '-' | '•' | '，' | ',')) {
        at + 1
    } else {
        at
    }
}

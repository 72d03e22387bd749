//! Vehicle plates: a province, a letter, five or six letters and digits, written or read out.

use serde::Deserialize;

use super::groups::{counts, ends_after, gap_end, han_digit};
use super::near::is_near;
use super::{BORDER, Found, Rules};
use crate::domain::transcript::PiiKind;
use crate::stage::mandarin::sounds::syllable;
use crate::stage::mandarin::words::{ends_before, is_at, is_han, longest_at};

/// The part of `pipelines/rules/pii.toml` on plates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    provinces: String,
    letters: String,
    models: Vec<String>,
    leads: Vec<String>,
    cars: Vec<String>,
}

/// How far a word about cars may stand from a plate that was misheard, in characters.
const REACH: usize = 14;
/// How far before a plate that is known by its sound a car may be spoken of, in characters.
const FAR: usize = 60;
/// How the letters of plates sound when they are written as characters.
const LETTERS: [&str; 14] =
    ["ai", "bi", "xi", "di", "yi", "ji", "jie", "kai", "pi", "qiu", "ti", "you", "wei", "wai"];
/// Fewest digits in the part after the letter.
const FEWEST_DIGITS: usize = 3;
/// Characters after the letter; plates of electric cars have one more.
const LENGTH: usize = 5;
/// How many characters are read to see that a code is longer than any plate.
const LONGEST: usize = 8;

/// All plates in order.
pub fn find(text: &[char], rules: &Rules) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let plate = plate_at(text, at, rules)
            .or_else(|| without_province(text, at, rules))
            .or_else(|| by_sound(text, at, rules));
        match plate {
            Some(end) => {
                found.push(Found { kind: PiiKind::Plate, start: at, end });
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

/// Whether the text ends inside a plate: after the province, if cars are spoken of, or after its letter.
pub fn open_at_end(text: &[char], rules: &Rules) -> bool {
    let from = text.len().saturating_sub(4 * LONGEST);
    (from..text.len()).any(|at| {
        let province = text.get(at).is_some_and(|&c| is_province(c, rules));
        let named = || is_named(text, at, rules);
        let misheard = || text.get(at).is_some_and(|&c| is_han(c)) && named();
        if !province && !misheard() {
            return false;
        }
        let letter = skip(text, at + 1, rules);
        match text.get(letter) {
            None => province && named(),
            Some(_) if ends_after(text, at + 1, rules) => province && named(),
            Some(c) if c.is_ascii_alphabetic() => {
                let body = body(text, letter + 1, true, rules);
                body.may_go_on() && ends_after(text, body.end, rules)
            }
            Some(_) => false,
        }
    })
}

fn is_province(c: char, rules: &Rules) -> bool {
    rules.plate.provinces.contains(c)
}

fn plate_at(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    let province = *text.get(at)?;
    let known = is_province(province, rules);
    if !known && (!is_han(province) || in_word(text, at, rules)) {
        return None;
    }
    let paused = known || is_named(text, at, rules);
    let letter = if paused { skip(text, at + 1, rules) } else { skip_mark(text, at + 1) };
    if !text.get(letter)?.is_ascii_alphabetic() {
        return None;
    }
    // The 贵 of 太贵 is no beginning of the next text's code.
    let split = text.get(at..letter).is_some_and(|gap| gap.contains(&BORDER));
    if split && !is_named(text, at, rules) && !is_near(text, at, at + 1, REACH, &rules.near.plate) {
        return None;
    }
    let body = body(text, letter + 1, paused, rules);
    // A misheard province or a missing character is believed only where a car is spoken of.
    let about_cars = || is_near(text, at, body.end, REACH, &rules.near.plate);
    let right = known && (LENGTH..=LENGTH + 1).contains(&body.length);
    let believed = right || ((LENGTH - 1..=LENGTH + 2).contains(&body.length) && about_cars());
    (believed && body.is_plate(text, rules)).then_some(body.end)
}

/// A plate whose province went missing: right after the word for plate.
fn without_province(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    if !text.get(at)?.is_ascii_alphabetic() || !is_named(text, at, rules) {
        return None;
    }
    let body = body(text, at + 1, true, rules);
    ((LENGTH..=LENGTH + 1).contains(&body.length) && body.is_plate(text, rules)).then_some(body.end)
}

/// A plate whose province and letter were written as words, where a car is spoken of: 溯溪7B290 for 苏C7B290.
fn by_sound(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    let is_code = |c: &char| c.is_ascii_alphanumeric() || han_digit(*c).is_some();
    text.get(at + 2).filter(|c| is_code(c))?;
    let sound =
        |at: usize| text.get(at).filter(|&&c| is_han(c) && han_digit(c).is_none()).and_then(|&c| syllable(c));
    sound(at).filter(|said| rules.plate.provinces.chars().any(|c| syllable(c) == Some(said)))?;
    sound(at + 1).filter(|said| LETTERS.contains(said))?;
    let body = body(text, at + 2, false, rules);
    let code = text.get(at + 2..body.end)?;
    let mixed = code.iter().any(char::is_ascii_alphabetic) && code.iter().any(char::is_ascii_digit);
    let cars = || {
        let mut near = at.saturating_sub(FAR)..(body.end + REACH).min(text.len());
        near.any(|at| longest_at(text, at, &rules.plate.cars).is_some())
    };
    let right = (LENGTH - 1..=LENGTH + 1).contains(&body.length) && mixed;
    (right && body.is_plate(text, rules) && cars()).then_some(body.end)
}

/// Whether a word for plate ends right before `at`, but for 是 and pauses.
fn is_named(text: &[char], at: usize, rules: &Rules) -> bool {
    (at.saturating_sub(REACH)..at).any(|start| {
        longest_at(text, start, &rules.near.plate).is_some_and(|word_end| {
            let mut end = word_end;
            while end < at {
                let next =
                    longest_at(text, end, &rules.plate.leads).unwrap_or_else(|| skip(text, end, rules));
                if next == end {
                    return false;
                }
                end = next;
            }
            end == at
        })
    })
}

/// Whether the character at `at` belongs to a word about cars.
fn in_word(text: &[char], at: usize, rules: &Rules) -> bool {
    ends_before(text, at + 1, &rules.near.plate)
        || rules.near.plate.iter().any(|word| {
            let length = word.chars().count();
            (at.saturating_sub(length)..=at).any(|start| start + length > at && is_at(text, start, word))
        })
}

/// The letters and digits after the first letter.
struct Body {
    end: usize,
    length: usize,
    digits: usize,
    /// It begins with a letter, as those of electric cars do.
    electric: bool,
}

impl Body {
    fn may_go_on(&self) -> bool {
        self.length < LENGTH + usize::from(self.electric)
    }

    fn is_plate(&self, text: &[char], rules: &Rules) -> bool {
        let in_word = |at: usize| text.get(at).is_some_and(char::is_ascii_alphanumeric);
        let joined = text.get(self.end).is_some_and(|c| matches!(c, '-' | '/' | '_'));
        let goes_on = in_word(self.end) || (joined && in_word(self.end + 1));
        let model = longest_at(text, self.end, &rules.plate.models).is_some();
        self.digits >= FEWEST_DIGITS && !model && !goes_on
    }
}

/// Reads them; fillers and borders are inside only where a plate is `sure` to have begun.
fn body(text: &[char], start: usize, sure: bool, rules: &Rules) -> Body {
    let mut body = Body { end: start, length: 0, digits: 0, electric: false };
    while body.length < LONGEST {
        let next = if sure { skip(text, body.end, rules) } else { skip_mark(text, body.end) };
        let Some(&c) = text.get(next) else { break };
        let full = body.length >= LENGTH;
        let digit = c.is_ascii_digit() || han_digit(c).is_some();
        let letter = c.is_ascii_alphabetic() || (rules.plate.letters.contains(c) && body.length > 0 && !full);
        let paused = next > body.end;
        // After five characters a quantity may follow, and a pause ends the plate but for an electric car's.
        let quantity = full && digit && (paused || !c.is_ascii_digit()) && counts(text, next + 1);
        let ended = full && paused && !(body.length == LENGTH && (body.electric || matches!(c, 'D' | 'F')));
        if !(digit || letter) || quantity || ended {
            break;
        }
        body.electric |= body.length == 0 && letter;
        body.length += 1;
        body.digits += usize::from(digit);
        body.end = next + 1;
    }
    // 学, 挂, 警 and the like end special plates.
    if body.length == LENGTH - 1 && text.get(body.end).is_some_and(|c| "学挂警港澳".contains(*c)) {
        return Body { end: body.end + 1, length: LENGTH, ..body };
    }
    body
}

/// Past pauses, fillers and the dot of a plate.
fn skip(text: &[char], at: usize, rules: &Rules) -> usize {
    let dot = text.get(at) == Some(&'•');
    gap_end(text, at + usize::from(dot), rules)
}

/// Past one mark that stands inside plates.
fn skip_mark(text: &[char], at: usize) -> usize {
    let mark = |c: &char| *c != BORDER && matches!(c, ' ' | '·' | '.' | '-' | '•' | '，' | ',' | '、');
    at + usize::from(text.get(at).is_some_and(mark))
}

//! Numbers that were announced and misheard: 打我手机，要58004719, 这张卡，620块1208云云4773.
//!
//! Where words say that a person's number is coming, characters that sound like digits stand for them, and a stray
//! character inside is part of the damage. What so much as looks like the number goes.

use super::groups::{PAUSES, ascii_digit, gap_end, han_digit};
use super::kinds::{is_day, is_region};
use super::near::{Announced, announced};
use super::{BORDER, Found, Rules};
use crate::domain::transcript::PiiKind;
use crate::stage::mandarin::sounds::syllable;

/// Fewest real digits in it.
const FEWEST_DIGITS: usize = 7;
/// Fewest digits beside a number that show that it is only a part.
const FEWEST_LEFT: usize = 2;
/// Most stray characters in it.
const MOST_STRAYS: usize = 2;
/// Longest damaged region before a birthday, in characters.
const LONGEST_REGION: usize = 10;
/// Latest year of birth of somebody who signs; orders and contracts have later dates in their numbers.
const YOUNGEST: u32 = 2008;
/// Stray characters that are no damage: sums and quantities.
const QUANTITY: &str = "元十万千百亿折年月号点吨台套件%";

/// All misheard numbers in order.
pub fn find(text: &[char], rules: &Rules) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let begins = is_digit(text, at) && !at.checked_sub(1).is_some_and(|before| is_digit(text, before));
        let damaged = match begins.then(|| announced(text, at, rules)).flatten() {
            Some(Announced::Kind(kind)) => stretch(text, at, kind, rules),
            _ => None,
        };
        at = damaged.map_or(at + 1, |damaged| damaged.end);
        found.extend(damaged);
    }
    found
}

/// Whether a damaged number is the better reading of what was found as another one inside it: some real digits of it
/// would be left over, and not only what sounds like one (the 就 of 就行).
pub fn outweighs(text: &[char], damaged: &Found, found: &Found) -> bool {
    let inside = damaged.start <= found.start && found.end <= damaged.end;
    let left = (damaged.start..found.start).chain(found.end..damaged.end).filter(|&at| is_digit(text, at));
    inside && left.count() >= FEWEST_LEFT
}

/// Identity cards whose beginning is damaged: 34-1英里，198706124823. The birthday and what follows it are whole, and a
/// region comes before or the birthday is too old for anything else. Told from a mobile number by that, so these are
/// looked for first.
pub fn id_cards(text: &[char], rules: &Rules) -> Vec<Found> {
    let digit = |at: usize| text.get(at).and_then(|&c| ascii_digit(c).or_else(|| han_digit(c)));
    let mut found = Vec::new();
    for at in 0..text.len() {
        if digit(at).is_none() || at.checked_sub(1).is_some_and(|before| digit(before).is_some()) {
            continue;
        }
        let Some((digits, end)) = birthday_and_rest(text, at) else { continue };
        let from = at.saturating_sub(LONGEST_REGION);
        let region = (from..at.saturating_sub(2)).find(
            |&start| matches!([digit(start), digit(start + 1)], [Some(a), Some(b)] if is_region(&[a, b])),
        );
        let same_text = |start: &usize| text.get(*start..at).is_some_and(|gap| !gap.contains(&BORDER));
        let alone = digits.len() == 12
            && digits.get(..8).is_some_and(|day| is_day(day, 1930..=YOUNGEST))
            && announced(text, at, rules) != Some(Announced::Other);
        if let Some(start) = region.filter(same_text).or(alone.then_some(at)) {
            found.push(Found { kind: PiiKind::IdCard, start, end });
        }
    }
    found
}

/// The digits of a birthday and the three or four that end a card, and where they end; at most one dash is inside.
fn birthday_and_rest(text: &[char], at: usize) -> Option<(Vec<u8>, usize)> {
    let mut digits = Vec::new();
    let mut end = at;
    while let Some(&c) = text.get(end) {
        match ascii_digit(c).or_else(|| han_digit(c)) {
            Some(digit) => digits.push(digit),
            None if c == '-' && digits.len() == 4 => {}
            None => break,
        }
        end += 1;
    }
    let born = digits.get(..8).is_some_and(|day| is_day(day, 1930..=2020));
    let glued = text.get(end).is_some_and(char::is_ascii_alphanumeric);
    (born && !glued && (11..=12).contains(&digits.len())).then_some((digits, end))
}

/// The stretch around the first real digit at `at` that is a number of this kind.
fn stretch(text: &[char], at: usize, kind: PiiKind, rules: &Rules) -> Option<Found> {
    let mut start = at;
    while let Some(before) = start.checked_sub(1).filter(|&before| at - before <= 2 && sounds(text, before)) {
        start = before;
    }
    let (mut digits, mut alike, mut strays) = (0, at - start, 0);
    let mut next = at;
    let mut end = at;
    while let Some(&c) = text.get(next) {
        if is_digit(text, next) {
            digits += 1;
        } else if digits > 1 && sounds(text, next) {
            alike += 1;
        } else {
            let pause = gap_end(text, next, rules);
            if pause > next {
                next = pause;
                continue;
            }
            // One stray character, and the number goes on behind it.
            let goes_on = is_digit(text, next + 1) || sounds(text, next + 1);
            let stray = c != BORDER && c.is_alphanumeric() && !QUANTITY.contains(c) && strays < MOST_STRAYS;
            if !(goes_on && stray && digits > 2) {
                break;
            }
            strays += 1;
            next += 1;
            continue;
        }
        next += 1;
        end = next;
    }
    let length = digits + alike;
    let right = match kind {
        PiiKind::Mobile => (9..=13).contains(&length),
        PiiKind::BankCard => (13..=22).contains(&length),
        PiiKind::IdCard => (13..=21).contains(&length),
        PiiKind::Email | PiiKind::Plate => false,
    };
    // What is whole is for `digits` to judge.
    let damaged = strays > 0 || alike > 0;
    let read = digits >= FEWEST_DIGITS && digits * 2 > length;
    (right && damaged && read).then_some(Found { kind, start, end })
}

fn is_digit(text: &[char], at: usize) -> bool {
    text.get(at).is_some_and(|&c| ascii_digit(c).or_else(|| han_digit(c)).is_some())
}

/// Whether the character is no digit and sounds like one, as far as recognisers go: 云 for 零.
fn sounds(text: &[char], at: usize) -> bool {
    let syllable = text.get(at).filter(|c| !PAUSES.contains(**c)).and_then(|&c| syllable(c));
    let digits = ["ling", "yun", "yao", "yi", "er", "san", "si", "wu", "liu", "qi", "ba", "jiu"];
    syllable.is_some_and(|syllable| digits.contains(&syllable)) && !is_digit(text, at)
}

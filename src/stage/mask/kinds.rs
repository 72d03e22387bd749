//! What digits are by themselves: mobile, identity card, bank card.

use super::groups::CHECK;
use super::near::Announced;
use crate::domain::transcript::PiiKind;

/// What a number is by itself.
pub fn exact(digits: &[u8]) -> Option<PiiKind> {
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

/// How a number was put.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Most of it in Chinese digits.
    pub read_out: bool,
    /// In groups that no mobile number is said in.
    pub even: bool,
    /// In groups as cards have them.
    pub card: bool,
}

/// What a number is taken for that the recogniser, or the speaker, got slightly wrong.
pub fn inexact(digits: &[u8], word: Option<Announced>, manner: Manner) -> Option<PiiKind> {
    let length = digits.len();
    let looks_mobile = matches!(digits, [1, 3..=9, ..]) && (9..=13).contains(&length);
    match word {
        Some(Announced::Other | Announced::Unlikely) => None,
        Some(Announced::Kind(PiiKind::IdCard)) if (12..=21).contains(&length) => Some(PiiKind::IdCard),
        Some(Announced::Kind(PiiKind::BankCard)) if (13..=22).contains(&length) => Some(PiiKind::BankCard),
        Some(Announced::Kind(PiiKind::Mobile)) if looks_mobile => Some(PiiKind::Mobile),
        // The leading 幺 went missing.
        Some(Announced::Kind(PiiKind::Mobile)) if length == 10 && matches!(digits, [3..=9, ..]) => {
            (!digits.starts_with(&[4, 0, 0]) && !digits.starts_with(&[8, 0, 0])).then_some(PiiKind::Mobile)
        }
        _ if manner.read_out && looks_mobile && !manner.even => Some(PiiKind::Mobile),
        // Nobody reads out so many digits but of a card; written ones are often receipts.
        _ if (16..=19).contains(&length) && (manner.read_out || is_written_card(digits, manner)) => {
            Some(PiiKind::BankCard)
        }
        _ => None,
    }
}

/// A written number that may be a card: in its groups, from an issuer or with a region and a century, and not
/// beginning with a day as receipts do.
fn is_written_card(digits: &[u8], manner: Manner) -> bool {
    let person = is_region(digits) && matches!(digits.get(6..8), Some([1, 9] | [2, 0]));
    let receipt = digits.get(..8).is_some_and(|day| is_day(day, 2000..=2099));
    manner.card && (is_issuer(digits) || person) && !receipt
}

/// Mainland mobile numbers: eleven digits, 13 to 19.
pub fn is_mobile(digits: &[u8]) -> bool {
    digits.len() == 11 && matches!(digits, [1, 3..=9, ..]) && !digits.contains(&CHECK)
}

/// Eighteen digits with a valid region and day of birth (GB 11643). The check digit is not asked for: a number
/// misheard by one digit is as personal.
pub fn is_id_card(digits: &[u8]) -> bool {
    let [_, _, _, _, _, _, birth @ .., _, _, _, _] = digits else { return false };
    digits.len() == 18
        && !digits.iter().take(17).any(|&d| d == CHECK)
        && is_region(digits)
        && is_day(birth, 1900..=2035)
}

/// Whether an identity card may begin so: its region, and as much of a year as there is.
pub fn begins_id_card(digits: &[u8]) -> bool {
    let year = digits.get(6..).unwrap_or_default();
    is_region(digits) && matches!(year, [] | [1 | 2] | [1, 9, ..] | [2, 0, ..])
}

/// Whether it begins with the two digits of a region (GB/T 2260).
pub fn is_region(digits: &[u8]) -> bool {
    let [a, b, ..] = digits else { return false };
    matches!(a * 10 + b, 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83)
}

/// Whether bank cards begin so (ISO/IEC 7812: 3 to 6, and 9 of older mainland cards).
pub fn is_issuer(digits: &[u8]) -> bool {
    matches!(digits, [3..=6 | 9, ..])
}

/// Whether eight digits are a day in these years.
pub fn is_day(digits: &[u8], years: std::ops::RangeInclusive<u32>) -> bool {
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
    !digits.contains(&CHECK) && sum.is_multiple_of(10)
}

//! How a quote is to be paid, in the words used: 三六一, 首付三成, 货到六十天.

use serde::Deserialize;

use crate::stage::mandarin::clauses::clauses;
use crate::stage::mandarin::numerals::{Number, Shape, digit, numbers};
use crate::stage::mandarin::words::{ends_before, longest_at};

/// The part of `pipelines/rules/money.toml` on terms.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    words: Vec<String>,
    openers: Vec<String>,
    figures: Vec<String>,
    before_tenths: Vec<String>,
}

/// Longest terms that are given, in characters.
const LONGEST: usize = 40;

/// The terms: a string of tenths (三六一) if there is one, else the clauses about payment, as said.
pub fn stated(text: &[char], rules: &Rules) -> Option<String> {
    let clauses = clauses(text);
    let is_terms = |range: &std::ops::Range<usize>| {
        let has = |words: &[String]| {
            range.clone().any(|at| longest_at(text, at, words).is_some_and(|end| end <= range.end))
        };
        has(&rules.words) && has(&rules.figures)
    };
    let mut about: Vec<_> = clauses.iter().map(|range| (range, is_terms(range))).collect();
    // 到货五成，装完五成: a share beside terms belongs to them.
    let is_share = |range: &std::ops::Range<usize>| {
        numbers(text).iter().any(|n| range.contains(&n.start) && matches!(text.get(n.end), Some('成' | '%')))
    };
    for i in 1..about.len() {
        if let (Some((_, true)), Some((range, terms))) = (about.get(i - 1).copied(), about.get_mut(i)) {
            *terms |= is_share(range);
        }
    }
    let about: Vec<_> = about.into_iter().filter(|(_, terms)| *terms).map(|(range, _)| range).collect();
    let tenths = numbers(text).into_iter().find(|number| is_tenths(text, number, rules));
    let said = match (tenths, about.first(), about.last()) {
        (Some(number), ..) => text.get(number.start..number.end)?,
        (None, Some(first), Some(last)) => {
            let mut start = first.start;
            while let Some(end) = longest_at(text, start, &rules.openers).filter(|end| *end < first.end) {
                start = end;
            }
            let end = if last.end - start > LONGEST { first.end } else { last.end };
            text.get(start..end)?
        }
        _ => return None,
    };
    let said: String = said.iter().take(LONGEST).collect();
    (!said.trim().is_empty()).then(|| said.trim().to_owned())
}

/// Three or four digits read out that add up to ten (三六一, 二四三一), or two after a word for paying (付款五五).
fn is_tenths(text: &[char], number: &Number, rules: &Rules) -> bool {
    let digits = text.get(number.start..number.end).unwrap_or_default();
    let sum: i128 = digits.iter().filter_map(|&c| digit(c).or_else(|| c.to_digit(10).map(i128::from))).sum();
    let announced = ends_before(text, number.start, &rules.before_tenths);
    let goes_on = text
        .get(number.end)
        .is_some_and(|c| "年月号日折台个点元块万成天".contains(*c) || c.is_ascii_alphanumeric());
    match (number.shape, digits.len()) {
        _ if digits.iter().any(|c| matches!(c, '零' | '0' | '〇')) => false,
        (Shape::Digits, 3 | 4) => sum == 10 && !goes_on,
        (Shape::Written, 3 | 4) => sum == 10 && !goes_on && announced,
        (Shape::Digits, 2) => {
            sum == 10
                && !goes_on
                && ends_before(text, number.start, rules.before_tenths.get(..1).unwrap_or_default())
        }
        _ => false,
    }
}

//! The discount in a quote: 九折 0.9, 八五折 and 85折 0.85, 对折 0.5, 优惠十个点 0.9.

use crate::stage::mandarin::clauses::clause_end;
use crate::stage::mandarin::numerals::{Number, Shape, numbers};
use crate::stage::mandarin::words::{ends_before, is_at};

/// Words for half.
const HALF: [&str; 2] = ["对折", "半价"];
/// What turns a discount down, behind it.
const REFUSED: [&str; 6] = ["不行", "做不了", "给不了", "不可能", "没法", "打不了"];
/// Right before points off: 优惠三个点.
const OFF: [&str; 14] =
    ["优惠", "下浮", "让", "降", "便宜", "减", "少", "再让", "让您", "打掉", "让利", "降低", "让出", "降了"];

/// The last discount that a text states and does not turn down; the factor on the price.
pub fn stated(text: &[char]) -> Option<f64> {
    let found: Vec<(usize, f64)> =
        numbers(text).iter().filter_map(|number| discount(text, number)).chain(half(text)).collect();
    let kept = found.iter().filter(|(end, _)| !refused(text, *end)).max_by_key(|(end, _)| *end);
    kept.or(found.iter().max_by_key(|(end, _)| *end)).map(|(_, factor)| *factor)
}

fn half(text: &[char]) -> Option<(usize, f64)> {
    (0..text.len()).find_map(|at| {
        let word = HALF.into_iter().find(|word| is_at(text, at, word))?;
        Some((at + word.chars().count(), 0.5))
    })
}

fn discount(text: &[char], number: &Number) -> Option<(usize, f64)> {
    let after = |word: &&str| is_at(text, number.end, word);
    if text.get(number.end) == Some(&'折') && !["折腾", "折叠", "折页", "折返"].iter().any(after) {
        return factor(number).map(|factor| (number.end + 1, factor));
    }
    // 优惠十个点, 下浮5%, 下浮百分之五.
    let spelled = number.start.checked_sub(3).filter(|&start| is_at(text, start, "百分之"));
    let points = ["个点", "%", "个百分点"].into_iter().find(after).or(spelled.map(|_| ""))?;
    let off: Vec<String> = OFF.into_iter().map(str::to_owned).collect();
    let percent = number.value.to_f64();
    let takes_off =
        ends_before(text, spelled.unwrap_or(number.start), &off) && (0.5..60.0).contains(&percent);
    takes_off.then(|| (number.end + points.chars().count(), tidy(1.0 - percent / 100.0)))
}

/// 九 0.9, 八五 and 85 0.85, 8.5 and 八点五 0.85.
fn factor(number: &Number) -> Option<f64> {
    let value = number.value.to_f64();
    let factor = match (number.shape, number.end - number.start) {
        (Shape::Rough, _) => return None,
        (Shape::Digits | Shape::Written, 2) if value >= 10.0 => value / 100.0,
        _ => value / 10.0,
    };
    (0.1..1.0).contains(&factor).then_some(tidy(factor))
}

/// Without the noise of binary fractions: 0.85, not 0.8500000000000001.
fn tidy(factor: f64) -> f64 {
    (factor * 1e4).round() / 1e4
}

fn refused(text: &[char], end: usize) -> bool {
    let clause = clause_end(text, end).min(end + 6);
    (end..clause).any(|at| REFUSED.iter().any(|word| is_at(text, at, word)))
}

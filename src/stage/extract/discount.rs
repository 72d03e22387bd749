//! The discount in a quote: 九折 0.9, 八五折 and 85折 0.85, 对折 0.5, 优惠十个点 0.9.

use crate::stage::mandarin::clauses::{clause_end, clauses};
use crate::stage::mandarin::numerals::{Number, Shape, numbers};
use crate::stage::mandarin::words::{ends_before, is_at, is_han};

/// Words for half.
const HALF: [&str; 2] = ["对折", "半价"];
/// What turns a discount down, behind it.
const REFUSED: [&str; 6] = ["不行", "做不了", "给不了", "不可能", "没法", "打不了"];
/// Right before points off: 优惠三个点.
const OFF: [&str; 14] =
    ["优惠", "下浮", "让", "降", "便宜", "减", "少", "再让", "让您", "打掉", "让利", "降低", "让出", "降了"];

/// Folds that are no discount.
const PROVERBS: [&str; 2] = ["一波三折", "一波3折"];
/// What goes down by a share without the price going down, in the clause before it.
const NOT_THE_PRICE: [&str; 12] =
    ["能耗", "电费", "损耗", "人工", "不良率", "故障", "成本", "次品", "投诉", "时间", "效率", "库存"];

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
    let proverb = PROVERBS.iter().any(|word| ends_before(text, number.end + 1, &[(*word).to_owned()]));
    if text.get(number.end) == Some(&'折') && !proverb && !["折腾", "折叠", "折页", "折返"].iter().any(after)
    {
        return factor(number).map(|factor| (number.end + 1, factor));
    }
    // 打个九五, 打八五: 折 is left out.
    let bare = ends_before(text, number.start, &["打".to_owned(), "打个".to_owned()])
        && !text.get(number.end).is_some_and(|c| is_han(*c) || c.is_ascii_alphanumeric());
    if bare && number.end - number.start == 2 && number.shape == Shape::Digits {
        return factor(number).map(|factor| (number.end, factor));
    }
    // 优惠十个点, 下浮5%, 下浮百分之五, 百分之五的优惠.
    let spelled = number.start.checked_sub(3).filter(|&start| is_at(text, start, "百分之"));
    let points = ["个点", "%", "个百分点"].into_iter().find(after).or(spelled.map(|_| ""))?;
    let off: Vec<String> = OFF.into_iter().map(str::to_owned).collect();
    let percent = number.value.to_f64();
    let end = number.end + points.chars().count();
    let start = spelled.unwrap_or(number.start);
    let named = is_at(text, end, "的优惠") || is_at(text, end, "优惠");
    let takes_off = (named || ends_before(text, start, &off))
        && !of_something_else(text, start)
        && (0.5..60.0).contains(&percent);
    takes_off.then(|| (end, tidy(1.0 - percent / 100.0)))
}

fn of_something_else(text: &[char], start: usize) -> bool {
    let clauses = clauses(text);
    let clause = clauses.iter().find(|range| range.contains(&start)).map_or(0, |range| range.start);
    (clause..start).any(|at| NOT_THE_PRICE.iter().any(|word| is_at(text, at, word)))
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

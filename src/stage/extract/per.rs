//! What a price is per: 一年, 一个月, 一台, the whole.

use serde::Deserialize;

use super::money::Sum;
use crate::domain::moment::{Period, Unit};
use crate::stage::mandarin::clauses::{clause_end, clause_start};
use crate::stage::mandarin::numerals::digit;
use crate::stage::mandarin::words::longest_at;

/// The part of `pipelines/rules/money.toml` on what a price is per.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    year: Vec<String>,
    month: Vec<String>,
    one_time: Vec<String>,
    seat: Vec<String>,
    device: Vec<String>,
    #[serde(rename = "box")]
    boxes: Vec<String>,
    vehicle: Vec<String>,
    other: Vec<String>,
}

/// What a price is per.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Per {
    /// The period, or one unit, or the whole.
    pub period: Period,
    /// The unit of the goods, if the product knows it.
    pub unit: Option<Unit>,
}

/// What the words around a sum say that it is per.
pub fn said(text: &[char], sum: &Sum, rules: &Rules) -> Option<Per> {
    let near = sum.start.saturating_sub(12).max(clause_start(text, sum.start))
        ..(sum.end + 8).min(clause_end(text, sum.end));
    let has = |words: &[String]| {
        near.clone().any(|at| longest_at(text, at, words).is_some() && !(sum.start..sum.end).contains(&at))
    };
    let unit = near.clone().filter(|at| !(sum.start..sum.end).contains(at)).find_map(|at| {
        // 二百五十一盒 was read as 250 for 一盒.
        let after_ten = at == sum.end;
        per_unit_at(text, at, after_ten, rules)
    });
    let known = unit.flatten();
    if has(&rules.year) {
        Some(Per { period: Period::Year, unit: known })
    } else if has(&rules.month) {
        Some(Per { period: Period::Month, unit: known })
    } else if unit.is_some() {
        Some(Per { period: Period::PerUnit, unit: known })
    } else {
        let whole = (0..text.len()).any(|at| longest_at(text, at, &rules.one_time).is_some());
        whole.then_some(Per { period: Period::OneTime, unit: None })
    }
}

/// 一台, 每个账号, 单台, /盒 at this place: the unit, which the product may not know.
fn per_unit_at(text: &[char], at: usize, after_ten: bool, rules: &Rules) -> Option<Option<Unit>> {
    let first = text.get(at).copied().filter(|c| matches!(c, '一' | '每' | '单' | '/' | '按' | '1'))?;
    // 三十一台 is a count.
    let in_a_number = at
        .checked_sub(1)
        .and_then(|b| text.get(b))
        .is_some_and(|&c| c == '十' || (first == '1' && (c.is_ascii_digit() || digit(c).is_some())));
    if in_a_number && !after_ten
        || longest_at(text, at, &rules.one_time).is_some()
        || text.get(at + 2) == Some(&'儿')
    {
        return None;
    }
    let after = if text.get(at + 1) == Some(&'个') { at + 2 } else { at + 1 };
    unit_at(text, after, rules).or_else(|| if after == at + 2 && first != '按' { Some(None) } else { None })
}

pub(super) fn unit_at(text: &[char], at: usize, rules: &Rules) -> Option<Option<Unit>> {
    let known = [
        (&rules.seat, Unit::Seat),
        (&rules.device, Unit::Device),
        (&rules.boxes, Unit::Box),
        (&rules.vehicle, Unit::Vehicle),
    ];
    let found = known.into_iter().find(|(words, _)| longest_at(text, at, words).is_some());
    found.map(|(_, unit)| Some(unit)).or_else(|| longest_at(text, at, &rules.other).map(|_| None))
}

/// Whether 一台, 每盒 or the like stands right before or after.
pub(super) fn beside_a_unit(text: &[char], start: usize, end: usize, rules: &Rules) -> bool {
    let before = (start.saturating_sub(5)..start).any(|at| per_unit_at(text, at, false, rules).is_some());
    before || per_unit_at(text, end, false, rules).is_some()
}

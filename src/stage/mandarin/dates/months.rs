//! Days by year, quarter and month: 明年三月五号, 季度末, 九月底, 二十五号.

use super::reading::{any_of, char_before, counted, relation, small};
use super::{Day, DayOfMonth, Month, Year};
use crate::stage::mandarin::numerals::{Shape, digit, number_at};
use crate::stage::mandarin::words::is_at;

/// What a number is that 号 follows and these follow that: a place, not a day.
const PLACES: &str =
    "钢舍塔磨泥库楼店门线机馆厅院路桥口厂车仓工台房会桌柜电岗位码召称选产地井站床炉泵段墙轴炮球员坑洞";

/// 明年三月五号, 二零二七年一月底, 今年年底, 年内.
pub(super) fn in_year(text: &[char], at: usize) -> Option<(usize, Day)> {
    if let Some(after) = any_of(text, at, &["去年", "前年"]) {
        let end = in_month(text, after, None).map_or(after, |(end, _)| end);
        return Some((end, Day::Past));
    }
    let relative = [("今年", 0), ("明年", 1), ("后年", 2), ("来年", 1), ("本年", 0)];
    let named = || {
        let number = number_at(text, at).filter(|n| text.get(n.end) == Some(&'年'))?;
        let year = number.value.as_whole()?;
        let year =
            if number.end - number.start == 2 && (20..60).contains(&year) { year + 2000 } else { year };
        let year = i16::try_from(year).ok().filter(|y| (2000..2100).contains(y))?;
        Some((Year::Named(year), number.end + 1))
    };
    let found = relative.into_iter().find(|(word, _)| is_at(text, at, word));
    let said = found.map(|(word, on)| (Year::Relative(on), at + word.chars().count())).or_else(named);
    if said.is_none() && counted(text, at) {
        return None;
    }
    let (year, after) = said.map_or((None, at), |(year, end)| (Some(year), end));
    let after = if year.is_some() { any_of(text, after, &["的"]).unwrap_or(after) } else { after };
    // 年底 for itself, 底 after 明年.
    let part = |words: &[&str]| {
        words.iter().find_map(|word| {
            let whole = any_of(text, after, &[&format!("年{word}")]);
            whole.or_else(|| year.and_then(|_| any_of(text, after, &[word])))
        })
    };
    let in_month_of =
        |month: i8, day: DayOfMonth| Day::InMonth { year, month: Some(Month::Named(month)), day };
    if let Some(end) = part(&["底", "末", "尾", "之内", "内"]) {
        return Some((end, in_month_of(12, DayOfMonth::Last)));
    }
    let word_with_middle = |end: &usize| text.get(*end).is_some_and(|c| "国标间心大".contains(*c));
    if let Some(end) = part(&["中"]).filter(|end| !word_with_middle(end)) {
        return Some((end, in_month_of(6, DayOfMonth::Last)));
    }
    if let Some(end) = part(&["初", "头"]) {
        return Some((end, in_month_of(1, DayOfMonth::Nth(1))));
    }
    let year = year?;
    in_month(text, after, Some(year)).or_else(|| quarter_of(text, after, year))
}

/// 明年一季度末.
fn quarter_of(text: &[char], at: usize, year: Year) -> Option<(usize, Day)> {
    let (end, Day::NamedQuarterEnd(quarter)) = quarter(text, at)? else { return None };
    let month = Some(Month::Named(quarter * 3));
    Some((end, Day::InMonth { year: Some(year), month, day: DayOfMonth::Last }))
}

/// 季度末, 这个季度内, 三季度末.
pub(super) fn quarter(text: &[char], at: usize) -> Option<(usize, Day)> {
    let related = relation(text, at).filter(|(_, end)| is_at(text, *end, "季"));
    let named = || {
        let (quarter, end) = small(text, any_of(text, at, &["第"]).unwrap_or(at), 1..=4)?;
        is_at(text, end, "季度").then_some((quarter, end))
    };
    let (day, from) = if let Some((on, end)) = related {
        (if on < 0 { Day::Past } else { Day::QuarterEnd(on) }, end)
    } else if let Some((quarter, end)) = named() {
        (Day::NamedQuarterEnd(i8::try_from(quarter).ok()?), end)
    } else {
        (Day::QuarterEnd(0), at)
    };
    let after = any_of(text, from, &["季度", "季"])?;
    let end = any_of(text, after, &["末", "底", "之内", "以内", "内", "结束前", "结束之前"])?;
    Some((end, day))
}

/// 十一月三十号, 下个月五号, 二十五号, 月底, 九月底, 十二月.
pub(super) fn in_month(text: &[char], at: usize, year: Option<Year>) -> Option<(usize, Day)> {
    let related = relation(text, at).filter(|(_, end)| is_at(text, *end, "月"));
    let named = || {
        let glued = char_before(text, at).is_some_and(|c| c.is_ascii_alphanumeric() || "第.-".contains(c));
        let (month, end) = small(text, at, 1..=12).filter(|_| !glued)?;
        (text.get(end) == Some(&'月')).then_some((i8::try_from(month).ok()?, end))
    };
    let (month, after) = if let Some((on, end)) = related {
        (Some(Month::Relative(on)), end + 1)
    } else if let Some((month, end)) = named() {
        (Some(Month::Named(month)), end + 1)
    } else if text.get(at) == Some(&'月') && !counted(text, at) {
        (None, at + 1)
    } else {
        let (end, day) = bare_day(text, at)?;
        return Some((end, Day::InMonth { year, month: None, day }));
    };
    if matches!(month, Some(Month::Relative(..0))) {
        return Some((after, Day::Past));
    }
    let after = if month.is_some() { any_of(text, after, &["份"]).unwrap_or(after) } else { after };
    let parts = [
        ("底", DayOfMonth::Last),
        ("末", DayOfMonth::Last),
        ("下旬", DayOfMonth::Last),
        ("初", DayOfMonth::Nth(1)),
        ("头", DayOfMonth::Nth(1)),
        ("上旬", DayOfMonth::Nth(10)),
        ("中旬", DayOfMonth::Nth(15)),
        ("中", DayOfMonth::Nth(15)),
        ("内", DayOfMonth::Last),
        ("之内", DayOfMonth::Last),
        ("以内", DayOfMonth::Last),
    ];
    let part = parts
        .into_iter()
        .find(|(word, _)| is_at(text, after, word))
        .filter(|(word, _)| *word != "中" || !text.get(after + 1).is_some_and(|c| "国标间心".contains(*c)));
    if let Some((word, day)) = part {
        return Some((after + word.chars().count(), Day::InMonth { year, month, day }));
    }
    month?;
    match day_of_month(text, after) {
        Some((end, day)) => Some((end, Day::InMonth { year, month, day })),
        None => Some((after, Day::Vague)),
    }
}

/// The day after a month: with 号 or 日, or bare at the end of a phrase (十月一).
fn day_of_month(text: &[char], at: usize) -> Option<(usize, DayOfMonth)> {
    let (day, end) = small(text, at, 1..=31)?;
    let day = DayOfMonth::Nth(i8::try_from(day).ok()?);
    if matches!(text.get(end), Some('号' | '日')) {
        return Some((end + 1, day));
    }
    let closed = !text.get(end).is_some_and(|c| c.is_alphanumeric())
        || any_of(text, end, &["之前", "以前", "前", "那天"]).is_some();
    closed.then_some((end, day))
}

/// 二十五号; not 三号库房, 第三号, C7号.
fn bare_day(text: &[char], at: usize) -> Option<(usize, DayOfMonth)> {
    let before = char_before(text, at);
    if before
        .is_some_and(|c| c.is_ascii_alphanumeric() || digit(c).is_some() || "第十百千点月.-编型".contains(c))
    {
        return None;
    }
    let (day, end) =
        small(text, at, 1..=31).filter(|(_, end)| number_at(text, at).is_some_and(|n| n.end == *end))?;
    let two_digits_read_out =
        number_at(text, at).is_some_and(|n| n.shape == Shape::Digits && n.end - n.start > 1);
    let is_day = match text.get(end)? {
        '号' => !text.get(end + 1).is_some_and(|c| PLACES.contains(*c)),
        '日' => !text.get(end + 1).is_some_and(|c| "内后游间常".contains(*c)),
        _ => false,
    };
    (is_day && !two_digits_read_out).then_some((end + 1, DayOfMonth::Nth(i8::try_from(day).ok()?)))
}

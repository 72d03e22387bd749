//! Finds spoken days in a text.

use super::months::{in_month, in_year, quarter};
use super::{Calendar, Day, DayOfMonth, Mention, Month, Year};
use crate::stage::mandarin::numerals::{Number, Shape, digit, number_at};
use crate::stage::mandarin::words::{is_at, is_han};

/// Words for a day by its distance from today.
const NEAR_DAYS: [(&str, i64); 23] = [
    ("今天", 0),
    ("今儿个", 0),
    ("今儿", 0),
    ("今日", 0),
    ("今晚", 0),
    ("今早", 0),
    ("明后天", 2),
    ("明后两天", 2),
    ("明天", 1),
    ("明儿个", 1),
    ("明儿", 1),
    ("明日", 1),
    ("明早", 1),
    ("明晚", 1),
    ("次日", 1),
    ("第二天", 1),
    ("隔天", 1),
    ("大后天", 3),
    ("大后儿", 3),
    ("后天", 2),
    ("后儿个", 2),
    ("后儿", 2),
    ("后日", 2),
];
/// Words for what is over, and for no day in particular.
const PAST: [&str; 14] = [
    "昨天",
    "昨儿",
    "昨晚",
    "昨日",
    "前天",
    "大前天",
    "前两天",
    "前几天",
    "上次",
    "上回",
    "上半个月",
    "刚才",
    "那天",
    "当时",
];
const VAGUE: [&str; 16] = [
    "明年",
    "后年",
    "来年",
    "今年",
    "下半年",
    "上半年",
    "这两天",
    "这几天",
    "过几天",
    "过两天",
    "改天",
    "这阵子",
    "近期",
    "今后",
    "最近",
    "年中大促",
];
const WEEKS: [&str; 3] = ["星期", "礼拜", "周"];
/// Words that begin with 周 or 一 and are no day of the week.
const NOT_AFTER_WEEK: &str = "期年转边总围到旋报会刊长密全岁";
const WORDS_WITH_ONE: [&str; 8] = ["一直", "一起", "一定", "一样", "一共", "一般", "一些", "一下"];
/// All days spoken of in a text, in order. `calendar` knows the names of festivals.
pub fn mentions(text: &[char], calendar: &Calendar) -> Vec<Mention> {
    let text = as_meant(text);
    let text = text.as_slice();
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match day_at(text, at, calendar) {
            Some((end, day)) => {
                let day = continued(day, found.last());
                let mention = Mention { start: at, day_end: end, end: with_hours(text, end), day };
                at = mention.end;
                found.push(mention);
            }
            None => at += 1,
        }
    }
    found
}

/// A day in the light of the one said before it: 下周一出图，礼拜三送来 has both in the next week.
fn continued(day: Day, before: Option<&Mention>) -> Day {
    match (day, before.map(|mention| mention.day)) {
        (Day::Weekday { week: None, day }, Some(Day::Weekday { week: Some(week), day: earlier }))
            if week > 0 && day > earlier =>
        {
            Day::Weekday { week: Some(week), day }
        }
        (Day::ThatDay, Some(day)) => day,
        (Day::ThatDay, None) => Day::Vague,
        (day, _) => day,
    }
}

/// The text with the recogniser's homophones in words for days put right; every character keeps its place.
fn as_meant(text: &[char]) -> Vec<char> {
    let mut meant = text.to_vec();
    for (at, c) in meant.iter_mut().enumerate() {
        let (before, after) = (char_before(text, at), text.get(at + 1).copied().unwrap_or(' '));
        let right = match *c {
            '州' | '洲' | '粥'
                if before.is_some_and(|c| "下夏这本".contains(c))
                    && "一二三四五六日天末1234567".contains(after) =>
            {
                '周'
            }
            '夏' if any_of(text, at + 1, &["周", "州", "礼拜", "星期", "个礼拜", "个星期"]).is_some() => {
                '下'
            }
            '低' | '滴'
                if before.is_some_and(|c| "月年".contains(c))
                    && (!is_han(after) || is_at(text, at + 1, "之前")) =>
            {
                '底'
            }
            '厚' | '候' if before == Some('大') && after == '天' => '后',
            same => same,
        };
        *c = right;
    }
    meant
}

fn day_at(text: &[char], at: usize, calendar: &Calendar) -> Option<(usize, Day)> {
    written(text, at)
        .or_else(|| week(text, at))
        .or_else(|| distance(text, at))
        .or_else(|| lunar_january(text, at, calendar))
        .or_else(|| festival(text, at, calendar))
        .or_else(|| in_year(text, at))
        .or_else(|| quarter(text, at))
        .or_else(|| near_day(text, at))
        .or_else(|| in_month(text, at, None))
        .or_else(|| any_of(text, at, &["当天", "当日"]).map(|end| (end, Day::ThatDay)))
        .or_else(|| any_of(text, at, &PAST).map(|end| (end, Day::Past)))
        .or_else(|| any_of(text, at, &VAGUE).map(|end| (end, Day::Vague)))
}

/// The end of the longest of `words` at `at`.
pub(super) fn any_of(text: &[char], at: usize, words: &[&str]) -> Option<usize> {
    words.iter().filter(|w| is_at(text, at, w)).map(|w| at + w.chars().count()).max()
}

pub(super) fn char_before(text: &[char], at: usize) -> Option<char> {
    at.checked_sub(1).and_then(|before| text.get(before)).copied()
}

/// Whether the character before makes a count of what begins at `at`: 三年前, 几周, 个月底.
pub(super) fn counted(text: &[char], at: usize) -> bool {
    char_before(text, at)
        .is_some_and(|c| c.is_ascii_digit() || digit(c).is_some() || "十百千几半数多个每整隔逢第".contains(c))
}

/// A whole number between the bounds; two digits in a row (三五天) count as the second.
pub(super) fn small(text: &[char], at: usize, bounds: std::ops::RangeInclusive<i64>) -> Option<(i64, usize)> {
    let number: Number = number_at(text, at)?;
    let value = match (number.shape, number.end - number.start) {
        (Shape::Rough, _) => return None,
        (Shape::Digits, 2) => {
            let (first, second) =
                (text.get(at).copied().and_then(digit)?, text.get(at + 1).copied().and_then(digit)?);
            (second == first + 1 || second == first + 2).then(|| i64::try_from(second).ok())??
        }
        (Shape::Digits, length) if length > 2 => return None,
        _ => number.value.as_whole()?,
    };
    (bounds.contains(&value) && number.rounded.0 == number.end).then_some((value, number.end))
}

/// `2026-11-25`, `2026/11/25`, `2026.11.25`.
fn written(text: &[char], at: usize) -> Option<(usize, Day)> {
    let digits = |from: usize, most: usize| {
        let length = text.iter().skip(from).take(most + 1).take_while(|c| c.is_ascii_digit()).count();
        let value =
            text.get(from..from + length)?.iter().filter_map(|c| c.to_digit(10)).fold(0, |n, d| n * 10 + d);
        (1..=most).contains(&length).then_some((value, from + length))
    };
    let (year, after_year) = digits(at, 4).filter(|(year, _)| (1990..2100).contains(year))?;
    let separator = *text.get(after_year).filter(|c| matches!(c, '-' | '/' | '.'))?;
    let (month, after_month) = digits(after_year + 1, 2)?;
    text.get(after_month).filter(|c| **c == separator)?;
    let (day, end) = digits(after_month + 1, 2)?;
    let year = Some(Year::Named(i16::try_from(year).ok()?));
    let month = Some(Month::Named(i8::try_from(month).ok()?));
    Some((end, Day::InMonth { year, month, day: DayOfMonth::Nth(i8::try_from(day).ok()?) }))
}

/// 这, 本, 下, 下下, 上 with or without 个: how many on, and where it ends.
pub(super) fn relation(text: &[char], at: usize) -> Option<(i64, usize)> {
    let words = [
        ("下下个", 2),
        ("下下", 2),
        ("下一个", 1),
        ("下个", 1),
        ("下", 1),
        ("这个", 0),
        ("这一", 0),
        ("这", 0),
        ("本", 0),
        ("当", 0),
        ("上上个", -2),
        ("上上", -2),
        ("上一个", -1),
        ("上个", -1),
        ("上", -1),
    ];
    let (word, on) = words.into_iter().find(|(word, _)| is_at(text, at, word))?;
    Some((on, at + word.chars().count()))
}

/// 周三, 下周三, 这个礼拜五, 下周, 本周末.
fn week(text: &[char], at: usize) -> Option<(usize, Day)> {
    let related = relation(text, at).filter(|(_, end)| any_of(text, *end, &WEEKS).is_some());
    let (week, from) = related.map_or((None, at), |(on, end)| (Some(on), end));
    let after = any_of(text, from, &WEEKS)?;
    if week.is_none() && counted(text, at) {
        return None;
    }
    let day = match text.get(after) {
        Some('一') if any_of(text, after, &WORDS_WITH_ONE).is_some() && !is_at(text, after, "一下午") => {
            None
        }
        Some('天') if text.get(after + 1) == Some(&'天') => None,
        Some(&c @ ('一' | '二' | '三' | '四' | '五' | '六')) => {
            digit(c).and_then(|d| i8::try_from(d).ok())
        }
        Some('日' | '天') => Some(7),
        Some('末') => Some(6),
        Some('初') if week.is_some() => Some(1),
        Some(&c @ '1'..='7') if !text.get(after + 1).is_some_and(char::is_ascii_digit) => {
            c.to_digit(10).and_then(|d| i8::try_from(d).ok())
        }
        _ => None,
    };
    // 周一到周五 are opening hours, no day in particular.
    let range = day.and_then(|_| any_of(text, any_of(text, after + 1, &["到", "至"])?, &WEEKS));
    if let Some(end) = range {
        return Some((end + 1, Day::Vague));
    }
    match (week, day) {
        (Some(..0), day) => Some((after + usize::from(day.is_some()), Day::Past)),
        (week, Some(day)) => Some((after + 1, Day::Weekday { week, day })),
        (Some(week), None) if !text.get(after).is_some_and(|c| NOT_AFTER_WEEK.contains(*c)) => {
            Some((after, Day::Week(week)))
        }
        _ => None,
    }
}

/// 三天后, 两周内, 半个月后, 五个工作日内, 过十天; 三天前 is past.
fn distance(text: &[char], at: usize) -> Option<(usize, Day)> {
    if counted(text, at) {
        return None;
    }
    let prefix = any_of(text, at, &["再过", "过", "最迟", "最晚", "顶多"]);
    let from = prefix.unwrap_or(at);
    let (count, half, after) = if let Some(end) = any_of(text, from, &["半个", "半"]) {
        (0, true, end)
    } else {
        let (count, end) = small(text, from, 1..=400)?;
        let end = any_of(text, end, &["个"]).unwrap_or(end);
        match any_of(text, end, &["半"]) {
            Some(end) => (count, true, end),
            None => (count, false, end),
        }
    };
    let units = [
        ("工作日", 'w'),
        ("小时", 'h'),
        ("钟头", 'h'),
        ("礼拜", '7'),
        ("星期", '7'),
        ("周", '7'),
        ("月", 'm'),
        ("天", 'd'),
        ("日", 'd'),
        ("年", 'y'),
    ];
    let (word, unit) = units.into_iter().find(|(word, _)| is_at(text, after, word))?;
    let after = after + word.chars().count();
    if let Some(end) = any_of(text, after, &["之前", "以前", "前"]) {
        // 三天前 is over; 最迟三天前 does not occur.
        return Some((end, Day::Past));
    }
    let suffix = any_of(text, after, &["之后", "以后", "过后", "后", "之内", "以内", "内"]);
    let end = suffix.or(prefix.map(|_| after))?;
    let half_of = |whole: i64| if half { whole / 2 } else { 0 };
    // 验收后三十天: counted from something that is not today.
    if char_before(text, at) == Some('后') {
        return Some((end, Day::Vague));
    }
    let day = match unit {
        'w' => Day::InWorkdays(count),
        'h' => Day::InDays(count / 24),
        '7' => Day::InDays(count * 7 + half_of(7)),
        'd' => Day::InDays(count),
        'm' if half => Day::InDays(count * 30 + 15),
        'm' => Day::InMonths(count),
        _ => Day::InMonths(count * 12 + half_of(12)),
    };
    Some((end, day))
}

/// 正月十二, 年初六, 初八: a day of the first lunar month. 初一 to 初三 alone are school years as well.
fn lunar_january(text: &[char], at: usize, calendar: &Calendar) -> Option<(usize, Day)> {
    let (from, least) = match any_of(text, at, &["正月初", "大年初", "年初", "正月"]) {
        Some(end) => (end, 1),
        None => (
            any_of(text, at, &["初"])
                .filter(|_| !char_before(text, at).is_some_and(|c| "月年最当起".contains(c)))?,
            4,
        ),
    };
    let (day, end) = small(text, from, least..=30)?;
    let festival = calendar.lunar_new_year()?;
    Some((end, Day::FromFestival { festival, days: day - 1 }))
}

/// 国庆后, 年前, 过完年, 节后.
fn festival(text: &[char], at: usize, calendar: &Calendar) -> Option<(usize, Day)> {
    let finished = any_of(text, at, &["过完", "过了", "等过完", "忙完"]);
    let from = finished.unwrap_or(at);
    let before_or_after = |end: usize| {
        let after = any_of(text, end, &["之后", "以后", "后", "回来", "完", "结束", "过了", "过后", "一过"]);
        let before = any_of(text, end, &["之前", "以前", "前", "前夕"]);
        match (before, after, finished) {
            (Some(end), _, None) => Some((end, false)),
            (_, Some(end), _) => Some((end, true)),
            (_, _, Some(_)) => Some((end, true)),
            _ => None,
        }
    };
    if let Some((festival, name_end)) = calendar.festival_at(text, from) {
        let end =
            any_of(text, name_end, &["节假期", "节", "小长假", "长假", "假期", "放假", "黄金周", "期间"])
                .unwrap_or(name_end);
        return match before_or_after(end) {
            Some((end, after)) => Some((end, Day::Festival { festival: Some(festival), after })),
            // 十一 alone is a number: 十一月, 十一台.
            None if end == name_end && char_before(text, end).and_then(digit).is_some() => None,
            None => Some((end, Day::Vague)),
        };
    }
    // 年前 is before the lunar new year; 三年前 is not.
    if text.get(from) == Some(&'年')
        && !counted(text, from)
        && !char_before(text, from).is_some_and(|c| "今明去后前新老往".contains(c))
    {
        let (end, after) = before_or_after(from + 1)?;
        return Some((end, Day::Festival { festival: calendar.lunar_new_year(), after }));
    }
    let alone = !char_before(text, from).is_some_and(is_han)
        || finished.is_some()
        || char_before(text, from).is_some_and(|c| "在就等到过要我们您你咱那赶".contains(c));
    if text.get(from) == Some(&'节') && alone {
        let (end, after) = before_or_after(from + 1)?;
        return Some((end, Day::Festival { festival: None, after }));
    }
    None
}

fn near_day(text: &[char], at: usize) -> Option<(usize, Day)> {
    let (word, days) =
        NEAR_DAYS.into_iter().filter(|(word, _)| is_at(text, at, word)).max_by_key(|(w, _)| w.len())?;
    // 以后天天, 最后天数: no day after tomorrow.
    let inside =
        word.starts_with('后') && char_before(text, at).is_some_and(|c| "以之今然最落前先此午".contains(c));
    (!inside).then(|| (at + word.chars().count(), Day::InDays(days)))
}

/// The end of what follows a day and belongs to it: 上午, 两点半, 下班, 之前.
fn with_hours(text: &[char], end: usize) -> usize {
    let mut end = end;
    let parts = [
        "一大早",
        "一早",
        "大早上",
        "早上",
        "上午",
        "中午",
        "下午",
        "傍晚",
        "晚上",
        "夜里",
        "下班",
        "早",
        "晚",
    ];
    end = any_of(text, end, &parts).unwrap_or(end);
    if let Some((_, after)) = small(text, end, 0..=24)
        && matches!(text.get(after), Some('点' | ':' | '：'))
    {
        end = any_of(text, after + 1, &["半", "钟", "一刻"]).unwrap_or(after + 1);
        if let Some((_, minutes)) = small(text, end, 0..=59) {
            end = any_of(text, minutes, &["分"]).unwrap_or(minutes);
        }
    }
    // The 内 of 周五内部评审 is no "within".
    let word_goes_on = text.get(end) == Some(&'内') && matches!(text.get(end + 1), Some('部' | '容' | '勤'));
    any_of(text, end, &["之前", "以前", "之内", "以内", "之后", "以后", "左右", "前", "内"])
        .filter(|_| !word_goes_on)
        .unwrap_or(end)
}

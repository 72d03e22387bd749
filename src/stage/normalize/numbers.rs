//! Spoken numbers into digits, where a business reader expects digits and nowhere else.
//!
//! Conversions keep the value, so that the text reads aloud as it was said. Rough numbers (三五天), single digits
//! that only count (一起, 两家) and short strings that are no quantity (付款三六一) stay words.

use super::Rules;
use crate::stage::mandarin::numerals::{Number, Shape, Value, digit, number_at, read_out};
use crate::stage::mandarin::words::{is_at, longest_at};

/// Longest string of Chinese digits that stays as said; longer ones are numbers of telephones, cards, orders.
const SHORT_STRING: usize = 4;

/// `text` with its numbers in digits.
pub fn write(text: &str, rules: &Rules) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out: Vec<char> = Vec::with_capacity(chars.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let (end, written) = if let Some(end) = kept(&chars, at, rules) {
            (end, None)
        } else if let Some((end, percent)) = percent(&chars, at) {
            (end, Some(percent))
        } else if let Some(number) = number_at(&chars, at) {
            (number.end, in_digits(&chars, &number, &out))
        } else {
            (at + 1, None)
        };
        let beside_digit =
            out.last().is_some_and(char::is_ascii_digit) || chars.get(end).is_some_and(char::is_ascii_digit);
        match written.filter(|_| !beside_digit) {
            Some(digits) => out.extend(digits.chars()),
            None if end == at + 1 => out.push(c),
            None => out.extend(chars.get(at..end).unwrap_or_default()),
        }
        at = end;
    }
    out.into_iter().collect()
}

/// The end of a word that has a number in it but is none.
fn kept(text: &[char], at: usize, rules: &Rules) -> Option<usize> {
    longest_at(text, at, &rules.keep).filter(|_| longest_at(text, at, &rules.keep_not).is_none())
}

/// 百分之三十 -> 30%.
fn percent(text: &[char], at: usize) -> Option<(usize, String)> {
    if !is_at(text, at, "百分之") {
        return None;
    }
    let number = number_at(text, at + 3)?;
    let one_digit = number.end == number.start + 1;
    let exact = match number.shape {
        Shape::Spoken | Shape::Written => true,
        Shape::Digits => one_digit,
        Shape::Rough => false,
    };
    exact.then(|| (number.end, format!("{}%", plain(text, &number))))
}

/// How the number is written, if not as it was said.
fn in_digits(text: &[char], number: &Number, before: &[char]) -> Option<String> {
    let after = |word| is_at(text, number.end, word);
    if after("分之") || before.ends_with(&['分', '之']) {
        return None;
    }
    if after("折") && !["折腾", "折叠", "折页", "折返"].iter().any(|word| after(word)) {
        return discount(text, number);
    }
    if let Some(lower) = lower_bound(text, number, before) {
        return Some(lower);
    }
    match number.shape {
        Shape::Rough | Shape::Written => None,
        Shape::Digits => string(text, number, before),
        Shape::Spoken => {
            // 初十, and what follows 几百 or 万 is the rest of something else.
            let part_of_a_word = matches!(before.last(), Some('初' | '百' | '千' | '万' | '亿'));
            let written = quantity(text, number)?;
            (!part_of_a_word).then_some(written)
        }
    }
}

/// The 三 of 三到五万 -> 3, of 三到五千 -> 3000: it counts the unit of the upper bound.
fn lower_bound(text: &[char], number: &Number, before: &[char]) -> Option<String> {
    let joined = matches!(text.get(number.end), Some('到' | '至'));
    // 周三到五万达 is a day and a place.
    let named = matches!(before.last(), Some('周' | '期' | '拜' | '第' | '月'));
    if number.shape != Shape::Digits || number.end - number.start > 1 || !joined || named {
        return None;
    }
    let upper = number_at(text, number.end + 1).filter(|upper| upper.shape == Shape::Spoken)?;
    let digit = number.value.as_whole().filter(|&n| n > 0 && number.value < upper.value)?;
    match text.get(upper.start..upper.end)? {
        [high, unit @ ('百' | '千')] if i64::try_from(self::digit(*high)?).ok()? > digit => {
            Some((digit * if *unit == '百' { 100 } else { 1000 }).to_string())
        }
        [_, rest @ ..]
            if matches!(rest.first(), Some('万' | '亿'))
                && quantity(text, &upper)?.ends_with(['万', '亿']) =>
        {
            Some(digit.to_string())
        }
        _ => None,
    }
}

/// 九折 -> 9折, 八五折 and 85折 -> 8.5折.
fn discount(text: &[char], number: &Number) -> Option<String> {
    let written = |value: Value| value.as_whole().filter(|n| (11..100).contains(n));
    match (number.shape, number.end - number.start) {
        (Shape::Digits, 1) => Some(number.value.to_string()),
        (Shape::Digits | Shape::Written, 2) => {
            let both = written(number.value)?;
            let (tens, ones) = (both / 10, both % 10);
            Some(if ones == 0 { tens.to_string() } else { format!("{tens}.{ones}") })
        }
        (Shape::Spoken, _) => quantity(text, number),
        _ => None,
    }
}

/// A string of digits without a unit: a day, a year, or a long number read out.
fn string(text: &[char], number: &Number, before: &[char]) -> Option<String> {
    let after = |word| is_at(text, number.end, word);
    let read = || {
        text.get(number.start..number.end)
            .map(|run| run.iter().filter_map(|&c| read_out(c)).map(|d| d.to_string()).collect())
    };
    match number.end - number.start {
        1 if after("月") => {
            let part =
                ["份", "底", "初", "中", "末", "上旬", "下旬"].iter().any(|p| is_at(text, number.end + 1, p));
            let day = number_at(text, number.end + 1)
                .is_some_and(|day| matches!(text.get(day.end), Some('号' | '日')));
            (part || day || before.last() == Some(&'年')).then(read)?
        }
        1 if after("号") || after("日") => {
            (before.ends_with(&['月']) && before.len() > 1).then(|| before.iter().rev().nth(1))??;
            before.iter().rev().nth(1).filter(|c| c.is_ascii_digit()).and_then(|_| read())
        }
        1 if after("点") || after("分") => {
            // 四点四十 and 四分五十秒, not 快一点二十号.
            let minutes = number_at(text, number.end + 1)?;
            let clock = minutes.shape == Shape::Spoken && minutes.value < Value::whole(60);
            let day = matches!(text.get(minutes.end), Some('号' | '日'));
            (clock && !day && (after("点") || is_at(text, minutes.end, "秒"))).then(read)?
        }
        4 if after("年") => read(),
        length if length > SHORT_STRING => read(),
        _ => None,
    }
}

/// A quantity of ten and more, or one with a fraction.
fn quantity(text: &[char], number: &Number) -> Option<String> {
    let Some(whole) = number.value.as_whole() else { return Some(plain(text, number)) };
    let said = text.get(number.start..number.end)?;
    if let (Some(_), None) = (point(said), said.iter().position(|c| matches!(c, '万' | '亿'))) {
        return Some(plain(text, number));
    }
    (whole >= 10 || said.contains(&'万')).then(|| in_large_units(whole))
}

/// 288000 -> 28.8万, 367200 -> 36.72万, 11600 -> 11600, 120000000 -> 1.2亿.
fn in_large_units(n: i64) -> String {
    let decimal = |n: i64, one: i64, unit: &str| {
        let (whole, hundredths) = (n / one, n % one * 100 / one);
        let fraction = match (hundredths / 10, hundredths % 10) {
            (0, 0) => String::new(),
            (tenths, 0) => format!(".{tenths}"),
            (tenths, rest) => format!(".{tenths}{rest}"),
        };
        format!("{whole}{fraction}{unit}")
    };
    const WAN: i64 = 10_000;
    const YI: i64 = 100_000_000;
    match n {
        YI.. if n % (YI / 100) == 0 => decimal(n, YI, "亿"),
        YI.. if n % WAN == 0 => decimal(n, WAN, "万"),
        100_000..YI if n % (WAN / 100) == 0 => decimal(n, WAN, "万"),
        WAN..YI if n % (WAN / 10) == 0 => decimal(n, WAN, "万"),
        _ => n.to_string(),
    }
}

/// The value in digits; as many decimals as were said (五点零 is 5.0).
fn plain(text: &[char], number: &Number) -> String {
    let said = text.get(number.start..number.end).unwrap_or_default();
    let mut written = number.value.to_string();
    if let Some(at) = point(said) {
        let decimals = said.iter().skip(at + 1).filter(|&&c| digit(c).is_some()).count();
        let has = written.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        if has == 0 && decimals > 0 {
            written.push('.');
        }
        written.extend(std::iter::repeat_n('0', decimals.saturating_sub(has)));
    }
    written
}

fn point(said: &[char]) -> Option<usize> {
    said.iter().position(|&c| c == '点')
}

//! Numbers with units: 二十八万八, 36万8千, 一千零五十, 一点三三, 3,600.
//!
//! A number is read in groups between the large units 万 and 亿; inside a group 千, 百 and 十 fall. The last digit
//! may leave its unit out: 二十八万八 is 288000.

use super::{
    Number, QUANTITY_DIGITS, Shape, TOO_MANY, Value, digit, large_unit, run_end, skip_units, small_unit, unit,
};

/// After these 一点 means "a little", not one point something.
const BEFORE_A_LITTLE: &str = "早晚快慢宜高低多少有好大小贵省长短差松";

/// Words that 一 counts: after 三万六, 一年 is not a digit of the sum but what the sum is for.
const COUNTED_BY_ONE: &str = "年月天周季期台个套盒箱辆人位件平方米度张条路户家支瓶吨份次块只部间层批车座席罐桶袋卷颗根片店晚趟把斤克公枚双副组节亩棵株桌";

/// A number made of digits and units, or one digit, or a written number.
pub(super) fn sum(text: &[char], start: usize) -> Option<Number> {
    let first = group(text, start, i128::MAX)?;
    if first.rough {
        return Some(Number::new(start, first.end, first.value, Shape::Rough));
    }
    let mut number = Number::new(start, first.end, first.value, first.shape);
    let Some((scale, end)) = large_unit_at(text, first.end) else { return Some(number) };
    number = Number::new(start, end, first.value.times(scale), Shape::Spoken);
    let (mut limit, mut exact) = (scale, first.exact);
    while exact {
        let Some(next) = group(text, number.end, limit) else { break };
        let scaled = large_unit_at(text, next.end);
        let (value, end) = match scaled {
            Some((scale, _)) if scale >= limit => break,
            Some((scale, end)) => (next.value.times(scale), end),
            // 二十八万八: the last digit counts the next lower unit.
            None if next.lone_digit => {
                (Value::whole(limit).tenth().times(next.value.0 / Value::ONE), next.end)
            }
            None => (next.value, next.end),
        };
        if next.rough {
            return Some(Number::new(start, end, number.value.plus(value), Shape::Rough));
        }
        if value >= Value::whole(limit) {
            break;
        }
        number = Number::new(start, end, number.value.plus(value), Shape::Spoken);
        let Some((scale, _)) = scaled else { break };
        (limit, exact) = (scale, next.exact);
    }
    Some(number)
}

/// What stands between two of the large units 万 and 亿.
struct Group {
    value: Value,
    end: usize,
    shape: Shape,
    /// One digit and nothing else: after 万 it counts thousands.
    lone_digit: bool,
    /// Without a fraction, so that more may follow.
    exact: bool,
    rough: bool,
}

/// Reads digits with 千, 百, 十 in falling order. `above` is the large unit before it, `i128::MAX` at the start.
fn group(text: &[char], start: usize, above: i128) -> Option<Group> {
    let opening = above == i128::MAX;
    let mut at = start;
    let mut value = Value::whole(0);
    let mut lowest = above;
    let mut shape = Shape::Spoken;
    let (mut lone_digit, mut exact) = (false, true);
    let rough = |end: usize, value: Value| {
        let end = skip_units(text, run_end(text, end));
        Some(Group { value, end, shape: Shape::Rough, lone_digit: false, exact: false, rough: true })
    };
    loop {
        let after_zero = text.get(at) == Some(&'零') && at > 0 && !(opening && at == start);
        let from = if after_zero { run_of(text, at, '零') } else { at };
        if text.get(from) == Some(&'几') && at > start {
            return rough(from + 1, value);
        }
        let Some(part) = coefficient(text, from) else { break };
        if let Some(scale) = text.get(part.end).copied().and_then(small_unit) {
            if scale >= lowest || !exact {
                break;
            }
            value = value.plus(part.value.times(scale));
            (lowest, exact, at) = (scale, part.exact, part.end + 1);
            continue;
        }
        // The last digit: ones, or after 百 and above the next lower unit.
        let started = at > start || !opening;
        if started && lowest >= 100 && !after_zero {
            match last_digit(text, &part) {
                LastDigit::Counts => break,
                LastDigit::Rough => return rough(part.end, value.plus(part.value.times(lowest / 10))),
                LastDigit::Sum => {}
            }
        } else if at > start && matches!(last_digit(text, &part), LastDigit::Rough) {
            return rough(part.end, value.plus(part.value));
        }
        if at == start {
            shape = if part.written { Shape::Written } else { Shape::Digits };
            lone_digit = !opening && !after_zero && part.single;
            value = part.value;
        } else if after_zero || lowest == 10 || !part.single {
            if part.value >= Value::whole(lowest) {
                break;
            }
            value = value.plus(part.value);
        } else {
            value = value.plus(Value::whole(lowest).tenth().times(part.value.0 / Value::ONE));
        }
        (exact, at) = (exact && part.exact, part.end);
        break;
    }
    if at == start {
        return None;
    }
    let mut end = at;
    if opening && let Some((fraction, fraction_end)) = fraction(text, start, at) {
        (value, end, exact, shape) = (value.plus(fraction), fraction_end, false, Shape::Spoken);
    }
    Some(Group { value, end, shape, lone_digit, exact, rough: false })
}

/// A digit, a written number, or the one that 十 alone implies.
struct Coefficient {
    value: Value,
    end: usize,
    written: bool,
    single: bool,
    exact: bool,
}

fn coefficient(text: &[char], at: usize) -> Option<Coefficient> {
    let first = *text.get(at)?;
    if first.is_ascii_digit() {
        return Some(written(text, at));
    }
    if first == '十' {
        return Some(Coefficient {
            value: Value::whole(1),
            end: at,
            written: false,
            single: true,
            exact: true,
        });
    }
    let value = Value::whole(digit(first)?);
    Some(Coefficient { value, end: at + 1, written: false, single: true, exact: true })
}

/// `2300`, `3,600`, `28.8`; a chain such as `2026.11.25` is taken whole and is no quantity.
fn written(text: &[char], start: usize) -> Coefficient {
    let digits_end = |from: usize| from + text.iter().skip(from).take_while(|c| c.is_ascii_digit()).count();
    let mut end = digits_end(start);
    while text.get(end) == Some(&',') && end - start <= 3 + 4 * 3 && digits_end(end + 1) == end + 4 {
        end += 4;
    }
    let mut parts = vec![(start, end)];
    while text.get(end) == Some(&'.') && digits_end(end + 1) > end + 1 {
        parts.push((end + 1, digits_end(end + 1)));
        end = digits_end(end + 1);
    }
    let number_in = |(from, to): (usize, usize), scale: i128| {
        let digits = text.iter().take(to).skip(from).filter_map(|c| c.to_digit(10));
        digits.fold((0, scale), |(sum, scale), d| (sum * 10 + i128::from(d), scale / 10))
    };
    let quantity = end - start <= QUANTITY_DIGITS + 4 && parts.len() <= 2;
    let value = match (quantity, parts.as_slice()) {
        (true, [whole]) => Value::whole(number_in(*whole, 1).0),
        (true, [whole, decimals]) => {
            let (sum, scale) = number_in(*decimals, Value::ONE);
            Value(Value::whole(number_in(*whole, 1).0).0 + sum * scale)
        }
        _ => Value::whole(TOO_MANY),
    };
    Coefficient { value, end, written: true, single: end == start + 1, exact: parts.len() == 1 }
}

/// 点三三 after 一: the fraction and where it ends. 四点四十 and 便宜一点三万 are no fractions.
fn fraction(text: &[char], start: usize, point: usize) -> Option<(Value, usize)> {
    if text.get(point) != Some(&'点') {
        return None;
    }
    let end = point + 1 + text.iter().skip(point + 1).take_while(|&&c| digit(c).is_some()).count();
    let digits = text.get(point + 1..end).filter(|digits| !digits.is_empty() && digits.len() <= 6)?;
    let clock = matches!(text.get(end), Some('十' | '刻' | '分'));
    let a_little = text.get(start..point) == Some(&['一'])
        && start
            .checked_sub(1)
            .and_then(|before| text.get(before))
            .is_some_and(|c| BEFORE_A_LITTLE.contains(*c));
    if clock || a_little {
        return None;
    }
    let value = digits.iter().filter_map(|&c| digit(c)).fold((0, Value::ONE), |(sum, scale), d| {
        let scale = scale / 10;
        (sum + d * scale, scale)
    });
    Some((Value(value.0), end))
}

enum LastDigit {
    Sum,
    Rough,
    Counts,
}

/// What a digit without a unit means after 百, 千, 万: the 六 of 三万六一年, the 一 of 三万一年, the 二 of 一百二三.
fn last_digit(text: &[char], part: &Coefficient) -> LastDigit {
    let next = text.get(part.end).copied();
    let one = part.value == Value::whole(1);
    if one && next.is_some_and(|c| COUNTED_BY_ONE.contains(c)) {
        return LastDigit::Counts;
    }
    match next.and_then(digit) {
        // No rough number ends in 一: it begins what the sum is for.
        Some(1) if !one && text.get(part.end + 1).copied().and_then(unit).is_none() => LastDigit::Sum,
        Some(1) if text.get(part.end + 1).is_some_and(|c| COUNTED_BY_ONE.contains(*c)) => LastDigit::Sum,
        Some(_) if !part.written => LastDigit::Rough,
        _ => LastDigit::Sum,
    }
}

/// 万, 亿, 万亿, 个亿 at this place, and where it ends.
fn large_unit_at(text: &[char], at: usize) -> Option<(i128, usize)> {
    match (text.get(at)?, text.get(at + 1)) {
        ('万', Some('亿')) => Some((1_000_000_000_000, at + 2)),
        ('个', Some('亿')) => Some((100_000_000, at + 2)),
        (&c, _) => large_unit(c).map(|scale| (scale, at + 1)),
    }
}

fn run_of(text: &[char], start: usize, of: char) -> usize {
    start + text.iter().skip(start).take_while(|&&c| c == of).count()
}

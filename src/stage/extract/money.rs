//! The price in a quote: which of the numbers it is, and what it is per.
//!
//! The rule, plainly: of the sums in the text, the last one that is stated as the price. A sum is set aside if
//! it is somebody else's or an earlier price (原价, 去年, 同行), a difference (便宜五千), a part (定金), an extra
//! (运费), one more item of a list (椅子七百), worked out (折合), rough (三十多万), turned down (二百六不行) or a limit
//! (三十万以上). Differences, parts and limits are never the price; the others are if there is nothing better.

use serde::Deserialize;

use super::per::{beside_a_unit, unit_at};
use super::{per, terms};
use crate::stage::mandarin::clauses::{clause_end, clause_start};
use crate::stage::mandarin::numerals::{Number, Shape, Value, digit, numbers, read_out};
use crate::stage::mandarin::words::{ends_before, is_han, longest_at};

/// `pipelines/rules/money.toml`; its comments say what each list is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    counts: Vec<String>,
    counts_small: Vec<String>,
    reference: Vec<String>,
    difference: Vec<String>,
    part: Vec<String>,
    derived: Vec<String>,
    extra: Vec<String>,
    refused: Vec<String>,
    limit: Vec<String>,
    currency: Vec<String>,
    plain: Vec<String>,
    acts: String,
    pub(super) per: per::Rules,
    pub(super) terms: terms::Rules,
}

/// A sum of money in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Index of its first character.
    pub start: usize,
    /// Index after its last, 元 or 块 included.
    pub end: usize,
    /// Hundredths of a yuan.
    pub fen: i64,
    /// 元, 万 or 一台 is said with it.
    has_unit: bool,
    standing: Standing,
}

/// How good a sum is as the price; better ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// A difference, a part, a limit: never the price.
    Never,
    Refused,
    Reference,
    /// So small and bare that only what was said before can make it a price.
    Bare,
    Extra,
    Derived,
    Rough,
    /// One item of a list: the first one is the main thing.
    Item,
    Stated,
}

/// The price that a text states. `earlier` are the prices named before, in fen, the latest first: haggling leaves out
/// what is understood (六十一 for 六十一块, 八十八 for 八十八万).
pub fn stated(text: &[char], earlier: &[i64], rules: &Rules) -> Option<Sum> {
    let sums = sums(text, rules);
    let best = sums.iter().map(|sum| sum.standing).max().filter(|best| *best > Standing::Never)?;
    let mut candidates = sums.iter().filter(|sum| sum.standing == best).copied();
    let price = if best == Standing::Item { candidates.next() } else { candidates.next_back() }?;
    let alike = |fen: i64, last: &i64| fen / 2 <= *last && *last / 2 <= fen;
    // 四百一十五 after 四百二十八一平 is no 415万, even if the whole came to 256.8万 in between.
    let near = |fen: i64| earlier.iter().any(|last| alike(fen, last));
    let in_wan = price.fen.saturating_mul(10_000);
    if !price.has_unit && !near(price.fen) && earlier.first().is_some_and(|last| alike(in_wan, last)) {
        return Some(Sum { fen: in_wan, ..price });
    }
    // 六十一，... as a clause of its own is a price too.
    let alone = clause_end(text, price.end) == price.end && clause_start(text, price.start) == price.start;
    (best != Standing::Bare || price.has_unit || alone || near(price.fen)).then_some(price)
}

fn sums(text: &[char], rules: &Rules) -> Vec<Sum> {
    let mut found = Vec::new();
    let mut taken = 0;
    for number in numbers(text) {
        if number.start >= taken
            && let Some(sum) = sum(text, &number, rules)
        {
            taken = sum.end;
            found.push(sum);
        }
    }
    found
}

fn sum(text: &[char], number: &Number, rules: &Rules) -> Option<Sum> {
    let before = number.start.checked_sub(1).and_then(|at| text.get(at)).copied();
    let (end, value) = number.rounded;
    let next = text.get(end).copied();
    let glued = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '/' | '*'));
    let chained = |c: Option<char>| c.is_some_and(|c| matches!(c, '-' | ':' | '：' | '.' | '比'));
    let is_code = glued(before) || chained(before) || matches!(before, Some('第' | '之')) || chained(next);
    let per_slash = next == Some('/') && text.get(end + 1).is_some_and(|c| !c.is_ascii_digit());
    if is_code || (glued(next) && !per_slash && longest_at(text, end, &rules.currency).is_none()) {
        return None;
    }
    if let Some((end, fen)) = with_change(text, end, value, rules) {
        let rough = matches!(text.get(end), Some('多' | '来'));
        let standing = standing(text, number, end, rules);
        let standing = if rough { standing.min(Standing::Rough) } else { standing };
        return Some(Sum { start: number.start, end, fen, has_unit: true, standing });
    }
    let small = value < Value::whole(10_000) && longest_at(text, end, &rules.counts_small).is_some();
    if small || longest_at(text, end, &rules.counts).is_some() || number.shape == Shape::Digits {
        return priced_in_tens(text, number, rules);
    }
    let fen = value.hundredths();
    let ten = Value::whole(10);
    let has_unit = value >= Value::whole(10_000) || beside_a_unit(text, number.start, end, &rules.per);
    let standing = standing(text, number, end, rules);
    let bare = value < Value::whole(100) && !has_unit;
    let standing = if bare { standing.min(Standing::Bare) } else { standing };
    (value >= ten && fen > 0).then_some(Sum { start: number.start, end, fen, has_unit, standing })
}

/// 三块五, 六毛五, 一块一毛二, 两百三十元: the sum with its smaller coins, if 元, 块 or 毛 follows.
fn with_change(text: &[char], end: usize, value: Value, rules: &Rules) -> Option<(usize, i64)> {
    let coin = |at: usize| match text.get(at) {
        Some('毛' | '角') => Some(10),
        Some('分') => Some(1),
        _ => None,
    };
    // One digit; in 十五块八一公斤 the 一 belongs to what follows.
    let small = |at: usize| {
        let value =
            |at: usize| text.get(at).and_then(|&c| digit(c).or_else(|| c.to_digit(10).map(i128::from)));
        let alone = matches!(value(at + 1), None | Some(1))
            && !text.get(at + 1).is_some_and(|c| "十百千万点".contains(*c));
        value(at).filter(|_| alone).and_then(|n| i64::try_from(n).ok()).map(|n| (n, at + 1))
    };
    let mut fen = value.hundredths();
    let mut at = end;
    if coin(end) == Some(10) {
        fen /= 10;
        at += 1;
    } else {
        at = longest_at(text, end, &rules.currency)?;
        // 一块儿 and 一块 mean together, unless money follows.
        let together =
            text.get(end) == Some(&'块') && at == end + 1 && value == Value::whole(1) && small(at).is_none();
        if together || text.get(at) == Some(&'儿') {
            return None;
        }
        // 三块钱 has no change behind it; 三块五 has.
        if text.get(end) == Some(&'块')
            && at == end + 1
            && let Some((tenths, after)) = small(at)
        {
            match coin(after) {
                Some(worth) => (fen, at) = (fen + tenths * worth, after + 1),
                None if !counted_by_one(text, at, after, rules) => return Some((after, fen + tenths * 10)),
                None => {}
            }
        } else {
            return Some((at, fen));
        }
    }
    if let Some((cents, after)) = small(at).filter(|(_, after)| !counted_by_one(text, at, *after, rules)) {
        fen += cents;
        at = if coin(after) == Some(1) { after + 1 } else { after };
    }
    Some((at, fen))
}

/// 三块一盒: the 一 counts the box.
fn counted_by_one(text: &[char], at: usize, after: usize, rules: &Rules) -> bool {
    text.get(at) == Some(&'一')
        && (longest_at(text, after, &rules.counts).is_some() || text.get(after) == Some(&'个'))
}

/// 二百五十一盒, 三十一个: a count by its form; a price if the text offers nothing else.
fn priced_in_tens(text: &[char], number: &Number, rules: &Rules) -> Option<Sum> {
    let last = number.end.checked_sub(1)?;
    let ends_in_one =
        number.shape != Shape::Digits && matches!(text.get(last), Some('一' | '1')) && last > number.start;
    let value = number.value.as_whole().filter(|n| ends_in_one && n % 10 == 1 && *n > 100)?;
    let per_unit = unit_at(text, number.end, &rules.per).is_some();
    let fen = (value - 1).checked_mul(100)?;
    per_unit.then_some(Sum { start: number.start, end: last, fen, has_unit: true, standing: Standing::Bare })
}

fn standing(text: &[char], number: &Number, end: usize, rules: &Rules) -> Standing {
    let clause = clause_start(text, number.start);
    let within = |words: &[String]| {
        (clause..number.start).any(|at| longest_at(text, at, words).is_some_and(|e| e <= number.start))
    };
    let behind = |words: &[String]| {
        (end..clause_end(text, end).min(end + 8)).any(|at| longest_at(text, at, words).is_some())
    };
    if is_difference(text, number.start, rules)
        || within(&rules.part)
        || behind(&rules.part)
        || longest_at(text, end, &rules.limit).is_some()
    {
        Standing::Never
    } else if behind(&rules.refused) {
        Standing::Refused
    } else if within(&rules.derived) {
        Standing::Derived
    } else if within(&rules.extra) {
        Standing::Extra
    } else if within(&rules.reference) && !turned_to(text, clause, number.start) {
        Standing::Reference
    } else if number.is_rough() {
        Standing::Rough
    } else if is_item(
        text.get(after_number(text, clause, number.start)..number.start).unwrap_or_default(),
        rules,
    ) {
        Standing::Item
    } else {
        Standing::Stated
    }
}

/// 便宜五千, but not 最低五千.
fn is_difference(text: &[char], at: usize, rules: &Rules) -> bool {
    let superlative = at.checked_sub(2).and_then(|b| text.get(b)).is_some_and(|c| matches!(c, '最' | '至'));
    ends_before(text, at, &rules.difference) && !superlative
}

/// Where the words about a sum begin: at its clause, or after another figure in it (三百个人七万八).
fn after_number(text: &[char], clause: usize, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let figures = numbers(before).into_iter().filter(|n| n.start >= clause && n.value >= Value::whole(10));
    figures.map(|n| n.end).max().unwrap_or(clause)
}

/// 椅子七百五: a thing named right before the sum, and nobody who does anything.
fn is_item(before: &[char], rules: &Rules) -> bool {
    let mut named = 0;
    let mut at = 0;
    while let Some(&c) = before.get(at) {
        if let Some(end) = longest_at(before, at, &rules.plain) {
            at = end;
            continue;
        }
        if rules.acts.contains(c) {
            return false;
        }
        named += usize::from(is_han(c) && read_out(c).is_none());
        at += 1;
    }
    named >= 2
}

/// 原来二十八万八降到二十五万: what follows 到 or 现在 is the new price.
fn turned_to(text: &[char], clause: usize, at: usize) -> bool {
    let before = text.get(clause..at).unwrap_or_default();
    let new = before.iter().rposition(|&c| c == '到').is_some_and(|to| before.len() - to <= 3);
    new || before
        .windows(2)
        .any(|pair| matches!(pair, ['现', '在'] | ['这', '次'] | ['今', '年'] | ['给', '您'] | ['给', '你']))
}

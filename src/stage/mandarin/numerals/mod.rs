//! Reads numbers as Mandarin says and recognisers write them: 二十八万八, 36万8千, 28.8万, 一点三三, 二零二六.
//!
//! The one reader serves the shown text, the sums and the days, so that they never disagree on a value.

mod sums;

/// A decimal value in millionths; exact for every sum and share that is said aloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value(i128);

impl Value {
    /// Millionths in one.
    const ONE: i128 = 1_000_000;

    /// A whole number.
    pub const fn whole(n: i128) -> Self {
        Self(n * Self::ONE)
    }

    /// The whole number it is, if it has no fraction.
    pub fn as_whole(self) -> Option<i64> {
        if self.0 % Self::ONE == 0 { i64::try_from(self.0 / Self::ONE).ok() } else { None }
    }

    /// Hundredths, rounded down: yuan to fen.
    pub fn hundredths(self) -> i64 {
        i64::try_from(self.0 / (Self::ONE / 100)).unwrap_or(i64::MAX)
    }

    /// As a float, for ratios.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / Self::ONE as f64
    }

    fn times(self, n: i128) -> Self {
        Self(self.0 * n)
    }

    fn tenth(self) -> Self {
        Self(self.0 / 10)
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::fmt::Display for Value {
    /// In digits, without trailing noughts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fraction = format!("{:06}", self.0 % Self::ONE);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{}", self.0 / Self::ONE),
            fraction => write!(f, "{}.{fraction}", self.0 / Self::ONE),
        }
    }
}

/// How a number was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// ASCII digits only: `2300`, `28.8`, `3,600`.
    Written,
    /// Chinese digits without a unit, one or several: 八, 八五, 二零二六, 幺三八.
    Digits,
    /// With a unit or a decimal point: 二十八万八, 36万8千, 一点三.
    Spoken,
    /// A rough one, 三五, 十几万, 几百: `value` is its lowest reading.
    Rough,
}

/// A number and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// Index of its first character.
    pub start: usize,
    /// Index after its last character.
    pub end: usize,
    /// What it amounts to.
    pub value: Value,
    /// How it was put.
    pub shape: Shape,
    /// For 六十多万: where 多万 ends and the value with it; otherwise `end` and `value` again.
    pub rounded: (usize, Value),
}

impl Number {
    fn new(start: usize, end: usize, value: Value, shape: Shape) -> Self {
        Self { start, end, value, shape, rounded: (end, value) }
    }

    /// Whether it is only roughly said: 三五, 六十多.
    pub fn is_rough(&self) -> bool {
        self.shape == Shape::Rough || self.rounded.0 > self.end
    }
}

/// Longest run of digits that is a quantity; longer ones are numbers of cards, orders and telephones.
const QUANTITY_DIGITS: usize = 12;

/// Stands for a number that is too long to be a quantity, and out of the way of every rule about sums.
const TOO_MANY: i128 = 1_000_000_000_000_000_000;

/// The digit that a character stands for in a count, 0..=9.
pub fn digit(c: char) -> Option<i128> {
    Some(match c {
        '零' | '〇' => 0,
        '一' => 1,
        '二' | '两' => 2,
        '三' => 3,
        '四' => 4,
        '五' => 5,
        '六' => 6,
        '七' => 7,
        '八' => 8,
        '九' => 9,
        _ => return None,
    })
}

/// The digit in a string read out one by one, where 幺 is said for one.
pub fn read_out(c: char) -> Option<i128> {
    if c == '幺' { Some(1) } else { digit(c) }
}

fn small_unit(c: char) -> Option<i128> {
    match c {
        '十' => Some(10),
        '百' => Some(100),
        '千' => Some(1000),
        _ => None,
    }
}

fn large_unit(c: char) -> Option<i128> {
    match c {
        '万' => Some(10_000),
        '亿' => Some(100_000_000),
        _ => None,
    }
}

fn unit(c: char) -> Option<i128> {
    small_unit(c).or_else(|| large_unit(c))
}

/// All numbers in a text, in order.
pub fn numbers(text: &[char]) -> Vec<Number> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match number_at(text, at) {
            Some(number) => {
                at = number.rounded.0;
                found.push(number);
            }
            None => at += 1,
        }
    }
    found
}

/// The number that begins at `start`, if one does.
pub fn number_at(text: &[char], start: usize) -> Option<Number> {
    let first = *text.get(start)?;
    if matches!(first, '几' | '数') {
        let end = skip_units(text, start + 1);
        return (end > start + 1).then(|| Number::new(start, end, scale_of(text, start, end), Shape::Rough));
    }
    digit_run(text, start).or_else(|| sums::sum(text, start)).map(|number| with_rough_tail(text, number))
}

/// Two or more Chinese digits side by side: read out one by one, or rough (两三万, 三五天).
fn digit_run(text: &[char], start: usize) -> Option<Number> {
    let end = run_end(text, start);
    let run = text.get(start..end).filter(|run| run.len() >= 2)?;
    let next = text.get(end).copied();
    if next.and_then(unit).is_some() {
        let units_end = skip_units(text, end);
        let lowest = read_out(*run.first()?)?;
        let value = scale_of(text, end, units_end).times(lowest);
        return Some(Number::new(start, units_end, value, Shape::Rough));
    }
    let digits = run.iter().filter_map(|&c| read_out(c));
    let value = if run.len() <= QUANTITY_DIGITS { digits.fold(0, |sum, d| sum * 10 + d) } else { TOO_MANY };
    Some(Number::new(start, end, Value::whole(value), Shape::Digits))
}

/// 六十多万, 一千三百多, 十来万: the rough tail after an exact beginning.
fn with_rough_tail(text: &[char], mut number: Number) -> Number {
    let Some('多' | '来' | '余') = text.get(number.end) else { return number };
    let end = skip_units(text, number.end + 1);
    // 来 is a verb as well (二百八来一套): alone it rounds tens only.
    let tens = number.value.as_whole().is_some_and(|n| n <= 100 && n % 10 == 0);
    let verb = text.get(number.end) == Some(&'来') && end == number.end + 1 && !tens;
    if number.shape != Shape::Rough && number.shape != Shape::Digits && !verb {
        number.rounded = (end, Value(number.value.0 * (scale_of(text, number.end, end).0 / Value::ONE)));
    }
    number
}

fn run_end(text: &[char], start: usize) -> usize {
    start + text.iter().skip(start).take_while(|&&c| read_out(c).is_some()).count()
}

fn skip_units(text: &[char], from: usize) -> usize {
    from + text.iter().skip(from).take_while(|&&c| unit(c).is_some()).count()
}

/// The product of all units in a stretch; 1 without any.
fn scale_of(text: &[char], start: usize, end: usize) -> Value {
    let units = text.iter().take(end).skip(start).filter_map(|&c| unit(c));
    Value::whole(units.take(4).product())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, f64, Shape)> {
        let chars: Vec<char> = text.chars().collect();
        numbers(&chars)
            .into_iter()
            .map(|n| (chars[n.start..n.end].iter().collect(), n.rounded.1.to_f64(), n.shape))
            .collect()
    }

    #[test]
    fn the_table_of_numbers_holds() {
        let mut wrong = Vec::new();
        for line in
            include_str!("../../../../tests/data/cases/numbers.tsv").lines().filter(|l| !l.starts_with('#'))
        {
            let (text, wanted) = line.split_once('\t').unwrap();
            let got: Vec<String> = read(text)
                .into_iter()
                .map(|(words, value, shape)| match shape {
                    Shape::Rough => format!("{words}~"),
                    _ => format!("{words}={value}"),
                })
                .collect();
            if got.join(" ") != wanted {
                wrong.push(format!("{text}: {} instead of {wanted}", got.join(" ")));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn rough_tails_scale_the_whole() {
        let chars: Vec<char> = "六十多万".chars().collect();
        let number = number_at(&chars, 0).unwrap();
        assert_eq!((number.end, number.rounded), (2, (4, Value::whole(600_000))));
        assert!(number.is_rough());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_read_without_panic(text in "[0-9零一二两三十百千万亿点几多来个年,.幺 ]{0,24}") {
            let chars: Vec<char> = text.chars().collect();
            for n in numbers(&chars) {
                assert!(n.start < n.end && n.end <= n.rounded.0 && n.rounded.0 <= chars.len());
            }
        }
    }
}

//! Text as it would be read aloud, for comparing a transcript with what was said: Simplified script, no
//! punctuation, no case, digits as Chinese numerals. The same rules as those of the record, which are cn2an's.

use ferrous_opencc::{OpenCC, config::BuiltinConfig};

use crate::error::{Error, Result};

/// Holds the conversion table; build it once.
pub(super) struct Reader {
    to_simplified: OpenCC,
}

/// A text and how it is read aloud.
#[derive(Debug, Default)]
pub(super) struct Aloud {
    /// The text in Simplified script.
    pub(super) text: Vec<char>,
    /// What is heard of it.
    pub(super) chars: Vec<char>,
    /// For each of `chars`, the character of `text` that it comes from.
    at: Vec<usize>,
}

impl Reader {
    /// Loads the table.
    pub(super) fn new() -> Result<Self> {
        let to_simplified = OpenCC::from_config(BuiltinConfig::T2s).map_err(Error::internal)?;
        Ok(Self { to_simplified })
    }

    /// Reads `text` aloud.
    pub(super) fn read(&self, text: &str) -> Aloud {
        let text: Vec<char> = self.to_simplified.convert(text).chars().collect();
        let (chars, at) = fold(&text).into_iter().unzip();
        Aloud { text, chars, at }
    }
}

impl Aloud {
    /// The text from one of the heard characters up to another, marks between them included.
    pub(super) fn between(&self, heard: std::ops::Range<usize>) -> String {
        let place = |n: usize| self.at.get(n).copied().unwrap_or(self.text.len());
        let end = place(heard.end).max(place(heard.start));
        // An empty range stands before a character, not upon it.
        if heard.is_empty() {
            return String::new();
        }
        self.text.get(place(heard.start)..end).unwrap_or_default().iter().collect()
    }
}

/// What is counted or measured: 3-5天 is read as a range, 3-5 is not.
const MEASURES: &str = "斤|克|千克|公斤|吨|米|厘米|毫米|公里|升|毫升|元|角|分|个|只|条|张|块|瓶|杯|份|本|辆|台|匹|头|位|亩|\
                        小时|秒|天|半";

/// The characters that are heard, each with the place it comes from.
fn fold(chars: &[char]) -> Vec<(char, usize)> {
    let mut out = Vec::with_capacity(chars.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let rest = chars.get(at..).unwrap_or_default();
        if let Some((heard, len)) = figure(rest) {
            out.extend(heard.chars().map(|c| (c, at)));
            at += len;
            continue;
        }
        if c.is_alphanumeric() {
            match c {
                '幺' => out.push(('一', at)),
                '两' => out.push(('二', at)),
                '〇' => out.push(('零', at)),
                _ => out.extend(c.to_lowercase().map(|c| (c, at))),
            }
        }
        at += 1;
    }
    out
}

/// How the figure at the start of `chars` is read, its sign and unit with it, and how many characters it takes.
fn figure(chars: &[char]) -> Option<(String, usize)> {
    let minus = usize::from(chars.first() == Some(&'-'));
    let (number, len) = Number::at(chars.get(minus..)?)?;
    let (sign, len) = (if minus == 1 { "负" } else { "" }, minus + len);
    let after = |n: usize| chars.get(n..).unwrap_or_default();
    let second = |mark: char| {
        let found = (minus == 0 && after(len).first() == Some(&mark)).then(|| Number::at(after(len + 1)));
        found.flatten().map(|(second, more)| (second, len + 1 + more))
    };
    if let Some((below, len)) = second('/').filter(|(below, _)| number.is_whole() && below.is_whole()) {
        return Some((format!("{}分之{}", below.aloud(), number.aloud()), len));
    }
    if let Some((to, len)) = second('-') {
        let measured: String = after(len).iter().take(2).collect();
        if MEASURES.split('|').any(|m| measured.starts_with(m)) {
            return Some((format!("{}到{}", number.aloud(), to.aloud()), len));
        }
    }
    Some(match after(len).first() {
        // No year is negative: 2025-2028年.
        Some('年') if number.is_year() => (number.digit_by_digit(), len),
        Some('%') => (format!("百分之{sign}{}", number.aloud()), len + 1),
        Some('℃') if number.is_whole() => (format!("{sign}{}摄氏度", number.aloud()), len + 1),
        _ => (format!("{sign}{}", number.aloud()), len),
    })
}

/// Digits before and after the point.
struct Number {
    whole: String,
    fraction: String,
}

impl Number {
    /// The number at the start of `chars`, and how many characters it takes.
    fn at(chars: &[char]) -> Option<(Self, usize)> {
        let digit = |n: usize| chars.get(n).is_some_and(char::is_ascii_digit);
        let (mut whole, mut fraction) = (String::new(), String::new());
        let (mut len, mut point) = (0, false);
        while let Some(&c) = chars.get(len) {
            match c {
                '0'..='9' if point => fraction.push(c),
                '0'..='9' => whole.push(c),
                '.' if !point && !whole.is_empty() && digit(len + 1) => point = true,
                // A thousands separator.
                ',' if !whole.is_empty() && (1..=3).all(|n| digit(len + n)) => {}
                _ => break,
            }
            len += 1;
        }
        (!whole.is_empty()).then_some((Self { whole, fraction }, len))
    }

    fn is_whole(&self) -> bool {
        self.fraction.is_empty()
    }

    /// Before 年 so many digits are read one by one.
    fn is_year(&self) -> bool {
        self.is_whole() && (2..=4).contains(&self.whole.len())
    }

    fn digit_by_digit(&self) -> String {
        self.whole.chars().map(digit).collect()
    }

    /// As a number; more than sixteen digits are nobody's number and stay as they are.
    fn aloud(&self) -> String {
        let whole = self.whole.trim_start_matches('0');
        if whole.len() > 16 {
            return format!("{}{}", self.whole, self.fraction);
        }
        let whole: String = read_whole(whole.parse().unwrap_or(0)).into_iter().collect();
        if self.is_whole() {
            return whole;
        }
        format!("{whole}点{}", self.fraction.chars().map(digit).collect::<String>())
    }
}

fn digit(c: char) -> char {
    const DIGITS: [char; 10] = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'];
    DIGITS[c.to_digit(10).unwrap_or(0) as usize]
}

/// 10300 -> 一万零三百
fn read_whole(value: u64) -> Vec<char> {
    if value == 0 {
        return vec!['零'];
    }
    let mut out = Vec::new();
    let above = value / 100_000_000;
    if above > 0 {
        out = read_whole(above);
        out.push('亿');
    }
    for (unit, name) in [(10_000, Some('万')), (1, None)] {
        let group = value / unit % 10_000;
        if group == 0 {
            continue;
        }
        // A gap of zeros between two groups is heard once.
        if !out.is_empty() && group < 1_000 {
            out.push('零');
        }
        read_group(group, &mut out);
        out.extend(name);
    }
    // 十二, not 一十二, at the very start.
    if out.starts_with(&['一', '十']) {
        out.remove(0);
    }
    out
}

/// A number under 10000.
fn read_group(group: u64, out: &mut Vec<char>) {
    let mut zero = false;
    let mut begun = false;
    for (unit, name) in [(1_000, Some('千')), (100, Some('百')), (10, Some('十')), (1, None)] {
        let d = group / unit % 10;
        if d == 0 {
            zero = begun;
            continue;
        }
        if zero {
            out.push('零');
            zero = false;
        }
        begun = true;
        out.push(digit(char::from_digit(d as u32, 10).unwrap_or('0')));
        out.extend(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_aloud() {
        let reader = Reader::new().unwrap();
        let read = |t: &str| reader.read(t).chars.into_iter().collect::<String>();
        for (text, aloud) in [
            ("共28.8万元。", "共二十八点八万元"),
            ("368,000", "三十六万八千"),
            ("10300", "一万零三百"),
            ("12个", "十二个"),
            ("30%", "百分之三十"),
            ("1050", "一千零五十"),
            ("100000008", "一亿零八"),
            ("007", "七"),
            ("6-18天，6-18", "六到十八天六负十八"),
            ("3/4，-5%，7℃", "四分之三百分之负五七摄氏度"),
            ("778353374068124", "七百七十八万三千五百三十三亿七千四百零六万八千一百二十四"),
            ("224639076568280814", "224639076568280814"),
            ("2026年12月", "二零二六年十二月"),
            ("A2色，OK", "a二色ok"),
            ("两千幺", "二千一"),
            ("這個價格", "这个价格"),
        ] {
            assert_eq!(read(text), aloud, "{text}");
        }
    }

    #[test]
    fn what_is_heard_leads_back_to_the_text() {
        let aloud = Reader::new().unwrap().read("共28.8万元，打9折。");
        assert_eq!(aloud.chars.len(), 11);
        assert_eq!(aloud.between(0..8), "共28.8万元，");
        assert_eq!(aloud.between(8..11), "打9折。");
        assert_eq!(aloud.between(3..3), "");
        assert_eq!(Aloud::default().between(0..0), "");
    }
}

//! Text as it would be read aloud, for comparing a transcript with what was said: no punctuation, no case,
//! digits as Chinese numerals.

/// Folds `text` for comparison; expects Simplified script.
pub(super) fn fold(text: &str) -> Vec<char> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::with_capacity(chars.len());
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        if c.is_ascii_digit() {
            let (number, len) = number_at(chars.get(at..).unwrap_or_default());
            let percent = chars.get(at + len) == Some(&'%');
            if percent {
                out.extend("百分之".chars());
            }
            out.extend(number);
            at += len + usize::from(percent);
            continue;
        }
        if c.is_alphanumeric() {
            match c {
                '幺' => out.push('一'),
                '两' => out.push('二'),
                '〇' => out.push('零'),
                _ => out.extend(c.to_lowercase()),
            }
        }
        at += 1;
    }
    out
}

/// The numeral that the digits at the start of `chars` are read as, and how many characters they take.
fn number_at(chars: &[char]) -> (Vec<char>, usize) {
    let mut digits = String::new();
    let mut len = 0;
    for (n, c) in chars.iter().enumerate() {
        let digit_next = chars.get(n + 1).is_some_and(char::is_ascii_digit);
        match c {
            '0'..='9' => digits.push(*c),
            '.' if digit_next && !digits.contains('.') => digits.push('.'),
            // A thousands separator.
            ',' if digit_next => {}
            _ => break,
        }
        len = n + 1;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let mut out = read_whole(whole);
    if !fraction.is_empty() {
        out.push('点');
        out.extend(fraction.chars().map(digit));
    }
    (out, len)
}

fn digit(c: char) -> char {
    const DIGITS: [char; 10] = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'];
    DIGITS[c.to_digit(10).unwrap_or(0) as usize]
}

/// 10300 -> 一万零三百; a leading zero or more than twelve digits are read digit by digit.
fn read_whole(digits: &str) -> Vec<char> {
    if digits.len() > 12 || (digits.len() > 1 && digits.starts_with('0')) {
        return digits.chars().map(digit).collect();
    }
    let value: u64 = digits.parse().unwrap_or(0);
    if value == 0 {
        return vec!['零'];
    }
    let mut out = Vec::new();
    for (unit, name) in [(100_000_000, Some('亿')), (10_000, Some('万')), (1, None)] {
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
        let read = |t: &str| fold(t).into_iter().collect::<String>();
        for (text, aloud) in [
            ("共28.8万元。", "共二十八点八万元"),
            ("368,000", "三十六万八千"),
            ("10300", "一万零三百"),
            ("12个", "十二个"),
            ("30%", "百分之三十"),
            ("1050", "一千零五十"),
            ("100000008", "一亿零八"),
            ("007", "零零七"),
            ("A2色，OK", "a二色ok"),
            ("两千幺", "二千一"),
        ] {
            assert_eq!(read(text), aloud, "{text}");
        }
    }
}

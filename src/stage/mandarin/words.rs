//! Finding words in a slice of characters.

/// Whether `word` stands at `at`.
pub fn is_at(text: &[char], at: usize, word: &str) -> bool {
    word.chars().enumerate().all(|(i, c)| text.get(at + i) == Some(&c))
}

/// The end of the longest of `words` that stands at `at`.
pub fn longest_at(text: &[char], at: usize, words: &[String]) -> Option<usize> {
    let lengths = words.iter().filter(|w| !w.is_empty() && is_at(text, at, w)).map(|w| w.chars().count());
    lengths.max().map(|length| at + length)
}

/// Whether one of `words` ends right before `at`.
pub fn ends_before(text: &[char], at: usize, words: &[String]) -> bool {
    longest_before(text, at, words).is_some()
}

/// The length of the longest of `words` that ends right before `at`.
pub fn longest_before(text: &[char], at: usize, words: &[String]) -> Option<usize> {
    let lengths = words.iter().filter_map(|word| {
        let length = word.chars().count();
        at.checked_sub(length).filter(|&start| length > 0 && is_at(text, start, word)).map(|_| length)
    });
    lengths.max()
}

/// Whether `text` contains one of `words`.
pub fn contains_any(text: &str, words: &[String]) -> bool {
    words.iter().any(|w| text.contains(w.as_str()))
}

/// A Han character.
pub fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '〇')
}

/// The half-width form of a letter, a digit or a sign inside a word; any other character as it is.
pub fn half_width(c: char) -> char {
    match c {
        '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' | '％' | '＠' | '－' | '＿' | '＋' | '／' | '．' =>
        {
            // The full-width block lies at a fixed distance from ASCII.
            char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c)
        }
        c => c,
    }
}

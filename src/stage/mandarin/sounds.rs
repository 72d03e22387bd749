//! How characters sound: toneless syllables, and how far two of them are apart.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A character, a tab, its commonest syllable; the table that the moment classifier reads as well.
static SYLLABLES: LazyLock<HashMap<char, &'static str>> = LazyLock::new(|| {
    let entry = |line: &'static str| {
        let (character, syllable) = line.split_once('\t')?;
        Some((character.chars().next()?, syllable))
    };
    include_str!("../../../models/moments/pinyin.tsv").lines().filter_map(entry).collect()
});

/// The commonest syllable of a character, without tone; nothing for what has none.
pub fn syllable(c: char) -> Option<&'static str> {
    SYLLABLES.get(&c).copied()
}

/// 0 for the same syllable, 1 if only its start or only its rest differs, 2 otherwise.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (parts(a), parts(b));
    usize::from(a.0 != b.0) + usize::from(a.1 != b.1)
}

/// The consonant a syllable starts with, maybe none, and the rest.
fn parts(syllable: &str) -> (&str, &str) {
    let start = match syllable.as_bytes() {
        [b'z' | b'c' | b's', b'h', ..] => 2,
        [b'a' | b'e' | b'i' | b'o' | b'u' | b'v', ..] | [] => 0,
        _ => 1,
    };
    syllable.split_at_checked(start).unwrap_or((syllable, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_are_compared_by_their_halves() {
        let between = |a, b| distance(syllable(a).unwrap(), syllable(b).unwrap());
        assert_eq!(between('签', '千'), 0);
        assert_eq!((between('转', '赚'), between('转', '专'), between('战', '站')), (0, 0, 0));
        assert_eq!((between('通', '空'), between('色', '设'), between('界', '家')), (1, 1, 1));
        assert_eq!((between('图', '库'), between('安', '山'), between('爱', '我')), (1, 1, 2));
        assert_eq!(syllable('a'), None);
    }
}

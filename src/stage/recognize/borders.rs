//! Whose words are whose: cuts the words of a whole window where texts that were heard before it meet.
//!
//! Both are laid side by side letter by letter, as cheaply as can be; a border of the earlier texts falls where
//! it came to lie, and rather at a mark or between two sentences than inside one.

use super::Words;
use crate::stage::mandarin::align::{Costs, align};
use crate::stage::mandarin::sounds::syllable;

/// What was heard in place of an earlier text.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Its words.
    pub text: String,
    /// Mean token probability, 0..=1.
    pub confidence: f32,
}

/// One letter of the window.
struct Letter {
    c: char,
    /// Which of the words it is of.
    of: usize,
    /// The marks after it, up to the next one.
    marks: String,
}

/// A letter, and its syllable if it has one.
type Sounding = (char, Option<&'static str>);

/// Another letter of the same sound is nearly the same one, and a cut has its place between sentences.
struct BySound<'a>(&'a [Letter]);

impl Costs<Sounding> for BySound<'_> {
    const ALONE: usize = 3;

    fn instead(&self, said: &Sounding, heard: &Sounding) -> usize {
        match () {
            () if said.0 == heard.0 => 0,
            () if said.1.is_some() && said.1 == heard.1 => 1,
            () => 4,
        }
    }

    fn border(&self, at: usize) -> usize {
        let last = at.checked_sub(1).and_then(|last| self.0.get(last));
        match (last, self.0.get(at)) {
            (Some(last), Some(next)) if last.marks.trim().is_empty() && last.of == next.of => 3,
            _ => 0,
        }
    }
}

/// For each of the texts `told` before, in order: its part of `words`. `None` where no letter of them fell.
pub(super) fn part(words: &[Words], told: &[String]) -> Vec<Option<Reading>> {
    let letters = letters(words);
    let sounding = |c: char| (c, syllable(c));
    let before: Vec<Vec<Sounding>> =
        told.iter().map(|text| only_letters(text).map(sounding).collect()).collect();
    let heard: Vec<Sounding> = letters.iter().map(|letter| sounding(letter.c)).collect();
    let parts = align(&before, &heard, &BySound(&letters)).into_iter();
    parts.map(|part| reading(letters.get(part.heard)?, words)).collect()
}

fn reading(part: &[Letter], words: &[Words]) -> Option<Reading> {
    let (last, before) = part.split_last()?;
    let mut text: String = before.iter().flat_map(|l| [l.c].into_iter().chain(l.marks.chars())).collect();
    text.push(last.c);
    text.push_str(last.marks.trim_end_matches(['，', ',', '、', ' ']));
    let sum: f32 = part.iter().filter_map(|l| words.get(l.of)).map(|w| w.confidence).sum();
    Some(Reading { text, confidence: sum / part.len() as f32 })
}

fn only_letters(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| c.is_alphanumeric())
}

/// Marks before the first letter of a sentence are left out.
fn letters(words: &[Words]) -> Vec<Letter> {
    let mut letters: Vec<Letter> = Vec::new();
    for (of, words) in words.iter().enumerate() {
        for c in words.text.chars() {
            match letters.last_mut().filter(|last| last.of == of) {
                _ if c.is_alphanumeric() => letters.push(Letter { c, of, marks: String::new() }),
                Some(last) => last.marks.push(c),
                None => {}
            }
        }
    }
    letters
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::Span;

    fn words(texts: &[&str]) -> Vec<Words> {
        let words = |(n, text): (usize, &&str)| Words {
            span: Span::new(0, 1),
            text: (*text).to_owned(),
            confidence: 0.5 + n as f32 / 10.0,
        };
        texts.iter().enumerate().map(words).collect()
    }

    fn parted(heard: &[&str], told: &[&str]) -> Vec<String> {
        let told: Vec<String> = told.iter().map(|text| (*text).to_owned()).collect();
        part(&words(heard), &told).into_iter().map(|r| r.map(|r| r.text).unwrap_or_default()).collect()
    }

    #[test]
    fn each_text_gets_what_was_heard_in_its_place() {
        let told = ["这淘设备一公二十八万", "下周山我带合同来", "行"];
        assert_eq!(
            parted(&["这套设备一共二十八万，下周三我带合同来。行"], &told),
            ["这套设备一共二十八万", "下周三我带合同来。", "行"]
        );
        assert_eq!(
            parted(&["这套设备", "一共二十八万", "下周三我带合同来", "行！"], &told),
            ["这套设备一共二十八万", "下周三我带合同来", "行！"]
        );
    }

    #[test]
    fn what_only_one_of_them_heard_stays_beside_its_sentence() {
        assert_eq!(
            parted(&["价格有点高啊，我们再看看吧"], &["价格高", "再看看"]),
            ["价格有点高啊", "我们再看看吧"]
        );
        assert_eq!(parted(&["我们再看看吧"], &["价格有点高", "我们再看看"]), ["", "我们再看看吧"]);
        assert_eq!(parted(&[], &["价格有点高", "再看看"]), ["", ""]);
        assert_eq!(parted(&["喂喂"], &[]), [""; 0]);
    }

    #[test]
    fn a_reading_is_as_sure_as_its_letters() {
        let told = ["一二".to_owned(), "三四".to_owned()];
        let parts = part(&words(&["一二三", "四"]), &told);
        let sure: Vec<f32> = parts.into_iter().map(|r| r.unwrap().confidence).collect();
        assert!((sure[0] - 0.5).abs() < 1e-6 && (sure[1] - 0.55).abs() < 1e-6, "{sure:?}");
    }

    proptest! {
        #[test]
        fn no_letter_is_lost_or_told_twice(
            heard in proptest::collection::vec("[一二三四，。a ]{0,12}", 0..5),
            told in proptest::collection::vec("[一二三四，。a ]{0,12}", 1..6),
        ) {
            let heard: Vec<&str> = heard.iter().map(String::as_str).collect();
            let parts: String = part(&words(&heard), &told).into_iter().flatten().map(|r| r.text).collect();
            prop_assert!(only_letters(&parts).eq(only_letters(&heard.concat())), "{parts}");
        }
    }
}

//! Whose words are whose: cuts the words of a whole window where texts that were heard before it meet.
//!
//! Both are laid side by side letter by letter, as cheaply as can be; a border of the earlier texts falls where
//! it came to lie, and rather at a mark or between two sentences than inside one.

use super::Words;
use crate::stage::mandarin::sounds::syllable;

/// What it costs to take a letter for another of the same sound, for any other, and for none.
const SAME_SOUND: u32 = 1;
const OTHER: u32 = 4;
const NONE: u32 = 3;
/// What it costs to cut where nothing parts the words.
const INSIDE: u32 = 3;

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

/// For each of the texts `told` before, in order: its part of `words`. `None` where no letter of them fell.
pub(super) fn part(words: &[Words], told: &[String]) -> Vec<Option<Reading>> {
    let letters = letters(words);
    let earlier: Vec<Vec<char>> = told.iter().map(|text| only_letters(text)).collect();
    let ends = ends(&earlier, &letters);
    let starts = [0].into_iter().chain(ends.iter().copied());
    let parts = starts.zip(&ends).map(|(start, end)| letters.get(start..*end).unwrap_or_default());
    parts.map(|part| reading(part, words)).collect()
}

fn reading(part: &[Letter], words: &[Words]) -> Option<Reading> {
    let (last, before) = part.split_last()?;
    let mut text: String = before.iter().flat_map(|l| [l.c].into_iter().chain(l.marks.chars())).collect();
    text.push(last.c);
    text.push_str(last.marks.trim_end_matches(['，', ',', '、', ' ']));
    let sum: f32 = part.iter().filter_map(|l| words.get(l.of)).map(|w| w.confidence).sum();
    Some(Reading { text, confidence: sum / part.len() as f32 })
}

fn only_letters(text: &str) -> Vec<char> {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
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

/// Where each of the earlier texts ends among the letters; the last one ends where they do.
fn ends(earlier: &[Vec<char>], letters: &[Letter]) -> Vec<usize> {
    let heard: Vec<char> = letters.iter().map(|l| l.c).collect();
    let before: Vec<char> = earlier.concat();
    let forth = costs(&before, &heard);
    let back = costs(&reversed(&before), &reversed(&heard));
    let mut at = (0, 0);
    let mut ends: Vec<usize> = Vec::with_capacity(earlier.len());
    for text in earlier {
        at.0 += text.len();
        let cost = |end: usize| {
            let way = [forth.get(at.0), back.get(before.len() - at.0)].map(|row| row.map(Vec::as_slice));
            let [to, on] = [(0, end), (1, heard.len() - end)].map(|(n, i)| way[n].and_then(|row| row.get(i)));
            let inside = if is_parted(letters, end) { 0 } else { INSIDE };
            to.copied().unwrap_or(u32::MAX / 4) + on.copied().unwrap_or(u32::MAX / 4) + inside
        };
        at.1 = (at.1..=heard.len()).min_by_key(|end| cost(*end)).unwrap_or(heard.len());
        ends.push(at.1);
    }
    if let Some(last) = ends.last_mut() {
        *last = heard.len();
    }
    ends
}

/// Whether something parts the letter at `at` from the one before.
fn is_parted(letters: &[Letter], at: usize) -> bool {
    match (at.checked_sub(1).and_then(|last| letters.get(last)), letters.get(at)) {
        (Some(last), Some(next)) => !last.marks.trim().is_empty() || last.of != next.of,
        _ => true,
    }
}

fn reversed(text: &[char]) -> Vec<char> {
    text.iter().rev().copied().collect()
}

/// `costs[i][j]`: of laying the first `j` letters of `b` beside the first `i` of `a`.
fn costs(a: &[char], b: &[char]) -> Vec<Vec<u32>> {
    let sounds: Vec<_> = b.iter().map(|c| syllable(*c)).collect();
    let mut rows: Vec<Vec<u32>> = vec![(0..=b.len() as u32).map(|n| n * NONE).collect()];
    for c in a {
        let sound = syllable(*c);
        let above = rows.last().map(Vec::as_slice).unwrap_or_default();
        let mut left = above.first().copied().unwrap_or_default() + NONE;
        let mut row = vec![left];
        for ((pair, other), its) in above.windows(2).zip(b).zip(&sounds) {
            let change = match () {
                () if c == other => 0,
                () if sound.is_some() && sound == *its => SAME_SOUND,
                () => OTHER,
            };
            let (across, down) =
                (pair.first().copied().unwrap_or_default(), pair.last().copied().unwrap_or_default());
            left = (across + change).min(down + NONE).min(left + NONE);
            row.push(left);
        }
        rows.push(row);
    }
    rows
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
            prop_assert_eq!(only_letters(&parts), only_letters(&heard.concat()));
        }
    }
}

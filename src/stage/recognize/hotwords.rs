//! Names and terms of a visit, recognised by their sound.
//!
//! A recogniser that does not know 种植体 writes 重执体. Where a stretch of text sounds as a hotword does and is
//! no ordinary wording itself, the hotword is written. It must have been said to be written: nothing comes
//! out of silence, and nothing is longer than it was.

use super::homophones::is_common_pair;
use crate::stage::mandarin::sounds::{distance, syllable};

/// Hotwords of fewer characters sound like too much else.
const SHORTEST: usize = 2;

/// The hotwords of one visit.
#[derive(Debug)]
pub(super) struct Hotwords(Vec<Vec<char>>);

/// Where a hotword would be written, and how far it is from what stands there.
struct Match<'a> {
    apart: usize,
    word: &'a [char],
    at: usize,
}

impl Hotwords {
    /// Keeps those that have a sound.
    pub(super) fn new(words: &[String]) -> Self {
        let letters = words.iter().map(|word| word.chars().filter(|c| !c.is_whitespace()).collect());
        let sounding = |word: &Vec<char>| word.iter().filter(|c| syllable(**c).is_some()).count() >= SHORTEST;
        Self(letters.filter(sounding).collect())
    }

    /// Writes what sounds like a hotword as the hotword; tells for each character whether it belongs to one.
    pub(super) fn write(&self, text: &mut [char]) -> Vec<bool> {
        let mut taken = vec![false; text.len()];
        let mut found: Vec<Match<'_>> = self
            .0
            .iter()
            .flat_map(|word| {
                let places = text.windows(word.len()).enumerate();
                places.filter_map(move |(at, said)| Some(Match { apart: apart(word, said)?, word, at }))
            })
            .collect();
        // The closest first, of those the longest.
        found.sort_by_key(|m| (m.apart, std::cmp::Reverse(m.word.len()), m.at));
        for Match { word, at, .. } in found {
            let place = at..at + word.len();
            if taken.get(place.clone()).is_some_and(|taken| !taken.contains(&true)) {
                text.get_mut(place.clone()).into_iter().for_each(|said| said.copy_from_slice(word));
                taken.get_mut(place).into_iter().flatten().for_each(|taken| *taken = true);
            }
        }
        taken
    }
}

/// How far a hotword sounds from what was written; nothing if that was hardly the hotword.
fn apart(word: &[char], said: &[char]) -> Option<usize> {
    if word == said {
        return Some(0);
    }
    let mut apart = 0;
    for (word, said) in word.iter().zip(said) {
        apart += match (syllable(*word), syllable(*said)) {
            (Some(word), Some(said)) => distance(word, said),
            _ if word.eq_ignore_ascii_case(said) => 0,
            _ => return None,
        };
    }
    let most = match word.len() {
        0..=2 => 0,
        3 => 1,
        _ => 2,
    };
    // What is said every day was more likely said than a name that only sounds so.
    let ordinary = said.windows(2).all(|pair| matches!(pair, [a, b] if is_common_pair([*a, *b])));
    let certain = apart == 0 && word.len() > 2;
    (apart <= most && (certain || !ordinary)).then_some(apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(words: &[&str], text: &str) -> String {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let mut text: Vec<char> = text.chars().collect();
        Hotwords::new(&words).write(&mut text);
        text.into_iter().collect()
    }

    #[test]
    fn a_hotword_is_known_by_its_sound() {
        assert_eq!(written(&["种植体"], "先别扯重执体"), "先别扯种植体");
        assert_eq!(written(&["学海通"], "跟学海空签了"), "跟学海通签了");
        assert_eq!(written(&["关东煮机"], "那台温东主机呢"), "那台关东煮机呢");
        assert_eq!(written(&["AI盒子", "周界"], "周洁加个ai合子"), "周界加个AI盒子");
    }

    #[test]
    fn ordinary_wording_stays() {
        assert_eq!(written(&["宿迁"], "一共三千块，四千也行"), "一共三千块，四千也行");
        assert_eq!(written(&["何彤", "佳格"], "合同价格都看过了"), "合同价格都看过了");
        assert_eq!(written(&["种植体", "", "王"], "种植，体 王旺"), "种植，体 王旺");
        assert_eq!(written(&["种植体"], ""), "");
    }

    #[test]
    fn what_is_a_hotword_is_told() {
        let mut text: Vec<char> = "周洁很好".chars().collect();
        let taken = Hotwords::new(&["周界".to_owned()]).write(&mut text);
        assert_eq!(taken, [true, true, false, false]);
    }
}

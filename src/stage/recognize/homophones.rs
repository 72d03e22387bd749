//! Characters that sound alike: which of them was meant.
//!
//! A small recogniser hears the syllables and often writes them as other words (账期 as 帐妻). For every
//! character, those of the same sound are weighed by how well they go with the two before them, in counts of
//! what is said in sales visits (`models/homophones`, smoothed after Witten and Bell 1991), and the best
//! sentence is taken (Viterbi). Writing another character than the one that was heard costs something, so
//! that words the counts do not know stay as they are. Nothing is added and nothing is lost: as many
//! characters come out as went in, each with the sound that it had.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::guard::is_digit;
use crate::stage::mandarin::sounds::syllable;

/// Before an utterance, after it, any number, any word of Latin letters, as in `models/homophones/build.py`.
const START: char = '^';
const END: char = '$';
const NUMBER: char = '0';
const LATIN: char = 'a';

/// Characters that there may be besides those that were counted.
const ALPHABET: f32 = 6_000.0;
/// Sentences that are pursued at once...
const PURSUED: usize = 24;
/// ...and how far one may lie behind the best, in nats.
const BEHIND: f32 = 14.0;
/// A character that came once only may be a slip of the pen, so nothing is changed into it.
const KNOWN: u32 = 2;

static COUNTS: LazyLock<Counts> =
    LazyLock::new(|| Counts::read(include_str!("../../../models/homophones/counts.tsv")));

/// What follows what, and how often.
struct Counts {
    runs: HashMap<u64, u32>,
    /// By what stands before: how much followed it, and how many different characters.
    after: HashMap<u64, (u32, u32)>,
    /// Characters that may be meant, by syllable; no figures.
    alike: HashMap<&'static str, Vec<char>>,
}

/// Bits of a character.
const CHARACTER: u32 = 21;

/// Up to three characters in one number; without its last bits it is the key of all but the last.
fn key(run: impl IntoIterator<Item = char>) -> u64 {
    run.into_iter().fold(0, |key, c| key << CHARACTER | u64::from(u32::from(c)))
}

impl Counts {
    fn read(table: &str) -> Self {
        let runs = HashMap::with_capacity(table.lines().count());
        let mut counts = Self { runs, after: HashMap::new(), alike: HashMap::new() };
        for line in table.lines() {
            let Some((run, count)) = line.split_once('\t') else { continue };
            let (key, count) = (key(run.chars()), count.parse().unwrap_or(0));
            counts.runs.insert(key, count);
            let before = key >> CHARACTER;
            let after = counts.after.entry(before).or_default();
            *after = (after.0 + count, after.1 + 1);
            let alone = run.chars().next().filter(|c| before == 0 && count >= KNOWN && !is_figure(*c));
            if let Some((c, sound)) = alone.and_then(|c| Some((c, syllable(c)?))) {
                counts.alike.entry(sound).or_default().push(c);
            }
        }
        counts
    }

    /// How probable the last character of a run is after those before it.
    fn probability(&self, run: &[char]) -> f32 {
        let Some((_, shorter)) = run.split_first() else { return 1.0 / ALPHABET };
        let rest = self.probability(shorter);
        let key = key(run.iter().copied());
        let Some((total, kinds)) = self.after.get(&(key >> CHARACTER)) else { return rest };
        let count = self.runs.get(&key).copied().unwrap_or(0);
        (count as f32 + *kinds as f32 * rest) / (total + kinds) as f32
    }
}

/// Reads the counts, once, so that nobody waits for them later: a sixth of a second.
pub(super) fn load() {
    LazyLock::force(&COUNTS);
}

/// Whether two characters often stand side by side in sales visits.
pub(super) fn is_common_pair(pair: [char; 2]) -> bool {
    const OFTEN: u32 = 3;
    COUNTS.runs.get(&key(pair)).is_some_and(|count| *count >= OFTEN)
}

/// One sentence so far.
struct Sentence {
    last: [char; 2],
    score: f32,
    /// Its newest character, in the list of all.
    newest: Option<usize>,
}

/// Writes `text` with the characters that were most likely meant. `cost`, in nats, is the price of each change;
/// characters at the places in `fixed` stay.
pub(super) fn settle(text: &[char], fixed: &[bool], cost: f32) -> Vec<char> {
    let units = units(text);
    let mut sentences = vec![Sentence { last: [START; 2], score: 0.0, newest: None }];
    // Every character ever tried: the one before it in its sentence, and itself.
    let mut tried: Vec<(Option<usize>, char)> = Vec::new();
    for (n, unit) in units.iter().enumerate() {
        let neighbour = |n: Option<usize>| n.and_then(|n| units.get(n)).map(|unit| unit.counted);
        let (before, after) = (neighbour(n.checked_sub(1)), neighbour(Some(n + 1)));
        let stays = fixed.get(unit.at).copied().unwrap_or(false) || is_steady(before, unit.counted, after);
        let alike = syllable(unit.counted).filter(|_| !stays).and_then(|sound| COUNTS.alike.get(sound));
        let others = alike.into_iter().flatten().filter(|c| **c != unit.counted);
        let choices: Vec<(char, f32)> =
            [(unit.counted, 0.0)].into_iter().chain(others.map(|c| (*c, cost))).collect();
        let mut grown: HashMap<[char; 2], Sentence> = HashMap::new();
        for sentence in &sentences {
            let [first, second] = sentence.last;
            for (c, cost) in &choices {
                let score = sentence.score + COUNTS.probability(&[first, second, *c]).ln() - cost;
                let best = grown.get(&[second, *c]).map_or(f32::NEG_INFINITY, |other| other.score);
                if score > best {
                    tried.push((sentence.newest, *c));
                    let newest = Some(tried.len() - 1);
                    grown.insert([second, *c], Sentence { last: [second, *c], score, newest });
                }
            }
        }
        sentences = grown.into_values().collect();
        // Equal scores are told apart by the characters, so that the same text always comes out the same.
        sentences.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.last.cmp(&b.last)));
        let least = sentences.first().map_or(0.0, |best| best.score - BEHIND);
        sentences.retain(|sentence| sentence.score >= least);
        sentences.truncate(PURSUED);
    }
    let whole = |s: &Sentence| {
        let [first, second] = s.last;
        s.score + COUNTS.probability(&[first, second, END]).ln()
    };
    let best = sentences.iter().max_by(|a, b| whole(a).total_cmp(&whole(b)));
    let mut newest = best.and_then(|best| best.newest);
    let mut out = text.to_vec();
    for unit in units.iter().rev() {
        let Some((before, c)) = newest.and_then(|n| tried.get(n)) else { break };
        if unit.counted == *out.get(unit.at).unwrap_or(&' ') {
            out.get_mut(unit.at).into_iter().for_each(|old| *old = *c);
        }
        newest = *before;
    }
    out
}

/// Whether a character is not to be touched: figures are read one by one, their units name them, and before
/// Latin letters stands the province of a number plate.
fn is_steady(before: Option<char>, c: char, after: Option<char>) -> bool {
    let beside = |c: Option<char>| c.is_some_and(is_figure);
    after == Some(LATIN)
        || beside(before) && UNITS.contains(c)
        || is_figure(c) && (beside(before) || beside(after))
}

/// What is counted after a number.
const UNITS: &str = "元块毛角分折成年月号日天周台套人";

/// What numbers are made of, [`NUMBER`] as well.
fn is_figure(c: char) -> bool {
    is_digit(c) || matches!(c, '亿' | '点')
}

/// A character that is counted, or a number or Latin word as one, and where it begins in the text.
struct Unit {
    at: usize,
    counted: char,
}

fn units(text: &[char]) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut before = ' ';
    for (at, c) in text.iter().enumerate() {
        let counted = match c {
            '0'..='9' | '.' => Some(NUMBER),
            'a'..='z' | 'A'..='Z' => Some(LATIN),
            '\u{4e00}'..='\u{9fff}' => Some(*c),
            _ => None,
        };
        let goes_on = counted == Some(before) && matches!(before, NUMBER | LATIN);
        units.extend(counted.filter(|_| !goes_on).map(|counted| Unit { at, counted }));
        before = counted.unwrap_or(' ');
    }
    units
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settled(text: &str) -> String {
        let text: Vec<char> = text.chars().collect();
        settle(&text, &[], 3.0).into_iter().collect()
    }

    #[test]
    fn words_are_written_as_they_were_meant() {
        assert_eq!(settled("60天帐妻，可以，就是和同里得写清楚。"), "60天账期，可以，就是合同里得写清楚。");
        assert_eq!(settled("能这个超我全现了，我出去打个电话。"), "能这个超我权限了，我出去打个电话。");
        assert_eq!(settled("到了到了，在才务那儿"), "到了到了，在财务那儿");
    }

    #[test]
    fn figures_and_plates_stay() {
        for text in ["幺三八零零幺三八零零零", "粤B12345", "三六一", "二百六十八", "NVR一共4万8", ""]
        {
            assert_eq!(settled(text), text);
        }
        let text: Vec<char> = "60天帐妻".chars().collect();
        assert_eq!(settle(&text, &[true; 5], 3.0), text);
    }

    #[test]
    fn the_unit_of_a_number_stays() {
        for said in ["我们一共六十万元。", "三块", "打九折", "下个月五号"] {
            let text: Vec<char> = said.chars().collect();
            assert_eq!(settle(&text, &[], 3.0).last(), text.last(), "{said}");
        }
    }

    proptest! {
        #[test]
        fn every_character_keeps_its_sound(text in "[帐妻和同千约嗯幺三八，。A9.签]{0,24}") {
            let old: Vec<char> = text.chars().collect();
            let new = settle(&old, &[], 3.0);
            prop_assert_eq!(old.len(), new.len());
            for (old, new) in old.iter().zip(&new) {
                prop_assert!(old == new || syllable(*old).is_some() && syllable(*old) == syllable(*new));
                prop_assert!(old == new || !is_figure(*new));
            }
        }
    }
}

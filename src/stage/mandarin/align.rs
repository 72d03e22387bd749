//! Which of the heard characters belong to which utterance, and what each utterance cost.

use std::ops::Range;

/// What was heard of one utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The cost between it and what was said; by [`Edits`], edits.
    pub cost: usize,
    /// Its place in the heard characters.
    pub heard: Range<usize>,
}

/// What it costs where said and heard differ.
pub trait Costs<T> {
    /// A character that stands on one side only.
    const ALONE: usize;
    /// One heard where another, or the same, was said.
    fn instead(&self, said: &T, heard: &T) -> usize;
    /// An utterance that ends before the heard character at `at`.
    fn border(&self, at: usize) -> usize;
}

/// Every difference counts one, borders nothing.
pub struct Edits;

impl Costs<char> for Edits {
    const ALONE: usize = 1;

    fn instead(&self, said: &char, heard: &char) -> usize {
        usize::from(said != heard)
    }

    fn border(&self, _: usize) -> usize {
        0
    }
}

/// Where the cheapest way through the table stands at the end of an utterance, for every heard character.
struct Mark {
    cost: Vec<usize>,
    /// The heard characters that were used up where the utterance began.
    from: Vec<usize>,
}

/// Aligns utterances with the heard characters at the least cost. The parts are in order and cover everything
/// that was heard; their costs add up to that of the whole (by [`Edits`], the edit distance). One part an
/// utterance; what is heard though nothing was said is of no part.
///
/// Keeps one row of costs and, for every utterance, where its cheapest way began: memory grows with utterances
/// times heard characters, not with the square of the characters.
pub fn align<T, C: Costs<T>>(said: &[Vec<T>], heard: &[T], costs: &C) -> Vec<Part> {
    let mut row: Vec<usize> = (0..=heard.len()).map(|n| n * C::ALONE).collect();
    let mut marks = Vec::with_capacity(said.len());
    for utterance in said {
        // What was heard before anything was said is the first utterance's.
        let mut from: Vec<usize> =
            if marks.is_empty() { vec![0; row.len()] } else { (0..row.len()).collect() };
        // Heard before the first character of this one, where that is cheaper than after the last of the one before.
        for at in 1..row.len() {
            let inserted = row[at - 1] + C::ALONE;
            if inserted < row[at] {
                (row[at], from[at]) = (inserted, from[at - 1]);
            }
        }
        for said in utterance {
            let mut diagonal = (row[0], from[0]);
            row[0] += C::ALONE;
            for (j, heard) in heard.iter().enumerate() {
                let above = (row[j + 1], from[j + 1]);
                let substituted = (diagonal.0 + costs.instead(said, heard), diagonal.1);
                let missed = (above.0 + C::ALONE, above.1);
                let inserted = (row[j] + C::ALONE, from[j]);
                let cheaper = |a: (usize, usize), b: (usize, usize)| if b.0 < a.0 { b } else { a };
                // Of equal ways the one that leaves a heard character to the utterance before.
                (row[j + 1], from[j + 1]) = cheaper(cheaper(missed, substituted), inserted);
                diagonal = above;
            }
        }
        row.iter_mut().enumerate().for_each(|(at, cost)| *cost += costs.border(at));
        marks.push(Mark { cost: row.clone(), from });
    }
    let mut parts = Vec::with_capacity(said.len());
    let mut end = heard.len();
    for n in (0..marks.len()).rev() {
        let start = marks[n].from[end];
        let before = n.checked_sub(1).map_or(0, |n| marks[n].cost[start]);
        parts.push(Part { cost: marks[n].cost[end] - before, heard: start..end });
        end = start;
    }
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(said: &[&str], heard: &str) -> Vec<(usize, String)> {
        let said: Vec<Vec<char>> = said.iter().map(|s| s.chars().collect()).collect();
        let heard: Vec<char> = heard.chars().collect();
        let text = |p: Part| (p.cost, heard[p.heard].iter().collect());
        align(&said, &heard, &Edits).into_iter().map(text).collect()
    }

    #[test]
    fn edits_are_counted() {
        for (said, heard, edits) in [
            ("二十八万八", "二十八万白", 1),
            ("", "好的", 2),
            ("价格有点高", "价格高", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(aligned(&[said], heard), [(edits, heard.to_owned())], "{said}");
        }
    }

    #[test]
    fn every_utterance_gets_what_was_heard_of_it() {
        let parts = aligned(&["价格有点高", "我再想想", "下周三给您答复"], "价格有点搞下周三给你答复");
        let expected = [(1, "价格有点搞"), (4, ""), (1, "下周三给你答复")];
        assert_eq!(parts, expected.map(|(n, t)| (n, t.to_owned())));
    }

    #[test]
    fn parts_cover_everything_and_add_up() {
        let (said, heard) = (["你好", "价格", "", "再见"], "喂你好啊格再再见了");
        let parts = aligned(&said, heard);
        assert_eq!(parts.iter().map(|(_, t)| t.as_str()).collect::<String>(), heard);
        let whole = aligned(&[&said.concat()], heard);
        assert_eq!(parts.iter().map(|(n, _)| n).sum::<usize>(), whole[0].0);
        assert!(aligned(&[], "好").is_empty());
    }
}

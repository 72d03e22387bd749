//! Which of the heard characters belong to which utterance, and what each utterance cost in edits.

use std::ops::Range;

/// What was heard of one utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Edits between it and what was said.
    pub(super) edits: usize,
    /// Its place in the heard characters.
    pub(super) heard: Range<usize>,
}

/// Where the cheapest way through the table stands at the end of an utterance, for every heard character.
struct Mark {
    cost: Vec<usize>,
    /// The heard characters that were used up where the utterance began.
    from: Vec<usize>,
}

/// Aligns utterances with the heard characters at the least number of edits. The parts are in order and cover
/// everything that was heard; their edits add up to the edit distance of the whole. One part an utterance;
/// what is heard though nothing was said is of no part.
///
/// Keeps one row of costs and, for every utterance, where its cheapest way began: memory grows with utterances
/// times heard characters, not with the square of the characters.
pub(super) fn align(said: &[Vec<char>], heard: &[char]) -> Vec<Part> {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    let mut marks = Vec::with_capacity(said.len());
    for utterance in said {
        // What was heard before anything was said is the first utterance's.
        let mut from: Vec<usize> =
            if marks.is_empty() { vec![0; row.len()] } else { (0..row.len()).collect() };
        for said in utterance {
            let mut diagonal = (row[0], from[0]);
            row[0] += 1;
            for (j, heard) in heard.iter().enumerate() {
                let above = (row[j + 1], from[j + 1]);
                let substituted = (diagonal.0 + usize::from(said != heard), diagonal.1);
                let missed = (above.0 + 1, above.1);
                let inserted = (row[j] + 1, from[j]);
                let cheaper = |a: (usize, usize), b: (usize, usize)| if b.0 < a.0 { b } else { a };
                // Of equal ways the one that leaves a heard character to the utterance before.
                (row[j + 1], from[j + 1]) = cheaper(cheaper(missed, substituted), inserted);
                diagonal = above;
            }
        }
        marks.push(Mark { cost: row.clone(), from });
    }
    let mut parts = Vec::with_capacity(said.len());
    let mut end = heard.len();
    for n in (0..marks.len()).rev() {
        let start = marks[n].from[end];
        let before = n.checked_sub(1).map_or(0, |n| marks[n].cost[start]);
        parts.push(Part { edits: marks[n].cost[end] - before, heard: start..end });
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
        let text = |p: Part| (p.edits, heard[p.heard].iter().collect());
        align(&said, &heard).into_iter().map(text).collect()
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

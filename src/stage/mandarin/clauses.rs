//! Splits a text into clauses at its sentence marks.

use std::ops::Range;

/// Marks between clauses. 、 joins what belongs together and is none.
const MARKS: &str = "，。？！；：…,?!;\n";

/// Whether a clause ends at this character.
pub fn is_mark(c: char) -> bool {
    MARKS.contains(c)
}

/// The clauses of a text, in order, without their marks; none is empty.
pub fn clauses(text: &[char]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, &c) in text.iter().chain(std::iter::once(&'。')).enumerate() {
        if is_mark(c) {
            if at > start {
                found.push(start..at);
            }
            start = at + 1;
        }
    }
    found
}

/// Where the clause around `at` begins.
pub fn clause_start(text: &[char], at: usize) -> usize {
    text.iter().take(at).rposition(|&c| is_mark(c)).map_or(0, |mark| mark + 1)
}

/// Where the clause around `at` ends.
pub fn clause_end(text: &[char], at: usize) -> usize {
    at + text.iter().skip(at).take_while(|&&c| !is_mark(c)).count()
}

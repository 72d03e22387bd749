//! Sentence marks: full-width ones in Chinese, and an end mark on every text.

use super::Rules;
use crate::stage::mandarin::words::{contains_any, is_han, longest_at};

/// Marks that end a sentence.
const ENDS: &str = "。？！…";
/// Marks inside one.
const PAUSES: &str = "，、；：";

/// English and the like keeps its own marks.
fn is_foreign(text: &str) -> bool {
    text.chars().any(char::is_alphabetic) && !text.chars().any(is_han)
}

fn is_mark(c: char) -> bool {
    ENDS.contains(c) || PAUSES.contains(c)
}

/// Turns ASCII marks into full-width ones beside Chinese, spaces between Chinese words into commas, and runs
/// of marks into one.
pub fn widen(text: &str) -> String {
    if is_foreign(text) {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let mut out: Vec<char> = Vec::with_capacity(chars.len());
    for (at, &c) in chars.iter().enumerate() {
        let next = chars.get(at + 1).copied();
        if c == ' ' {
            if let Some(kept) = space(out.last().copied(), next) {
                push(&mut out, kept);
            }
        } else {
            let previous = at.checked_sub(1).and_then(|before| chars.get(before)).copied();
            push(&mut out, bracket(&chars, at).or_else(|| wide(previous, c, next)).unwrap_or(c));
        }
    }
    while out.last() == Some(&' ') {
        out.pop();
    }
    out.into_iter().collect()
}

/// The full-width mark for an ASCII one, unless it stands inside a number, an address or English.
fn wide(previous: Option<char>, c: char, next: Option<char>) -> Option<char> {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if inside(previous) && inside(next) {
        return None;
    }
    let english = inside(previous) && next == Some(' ') && c != '.';
    Some(match c {
        '.' | '｡' if previous == Some('.') || next == Some('.') => '…',
        '.' | '｡' => '。',
        '､' => '、',
        _ if english => return None,
        ',' => '，',
        '?' => '？',
        '!' => '！',
        ';' => '；',
        ':' => '：',
        _ => return None,
    })
}

/// The full-width form of a bracket that holds Chinese.
fn bracket(text: &[char], at: usize) -> Option<char> {
    let holds = |start: usize, end: usize| {
        text.get(start..end).is_some_and(|inside| inside.iter().any(|&c| is_han(c)))
    };
    match text.get(at)? {
        '(' => {
            let end = at + text.iter().skip(at).position(|&c| c == ')')?;
            holds(at, end).then_some('（')
        }
        ')' => {
            let start = text.iter().take(at).rposition(|&c| c == '(')?;
            holds(start, at).then_some('）')
        }
        _ => None,
    }
}

/// What a space becomes: a comma between Chinese words (recognisers pause so), itself between English ones.
fn space(previous: Option<char>, next: Option<char>) -> Option<char> {
    let (previous, next) = (previous?, next?);
    if is_han(previous) && is_han(next) {
        return Some('，');
    }
    (previous.is_ascii_graphic() && next.is_ascii_graphic()).then_some(' ')
}

/// Adds a character; of marks that meet, the one that ends the sentence stays.
fn push(out: &mut Vec<char>, c: char) {
    if is_mark(c) && out.last() == Some(&' ') {
        out.pop();
    }
    let Some(&last) = out.last() else {
        if !is_mark(c) {
            out.push(c);
        }
        return;
    };
    match (is_mark(last), is_mark(c)) {
        (true, true) if c == '…' && last == '…' => {
            if out.len() < 2 || out.get(out.len() - 2) != Some(&'…') {
                out.push(c);
            }
        }
        (true, true) => {
            if PAUSES.contains(last) && ENDS.contains(c) {
                out.pop();
                out.push(c);
            }
        }
        (_, false) if c == ' ' && (last == ' ' || !last.is_ascii_graphic()) => {}
        _ => out.push(c),
    }
}

/// Breaks long stretches before words that open a clause, and ends the text with a mark.
pub fn complete(text: &str, rules: &Rules) -> String {
    if is_foreign(text) {
        return text.to_owned();
    }
    let mut out = break_up(text, rules);
    if out.chars().last().is_some_and(|last| ENDS.contains(last)) {
        return out;
    }
    while out.chars().last().is_some_and(|last| PAUSES.contains(last)) {
        out.pop();
    }
    let last_sentence = out.rsplit(|c| ENDS.contains(c)).next().unwrap_or_default();
    let mark = if is_question(last_sentence, rules) { '？' } else { '。' };
    out.push(mark);
    out
}

fn break_up(text: &str, rules: &Rules) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut since_mark = 0;
    for (at, &c) in chars.iter().enumerate() {
        if since_mark >= rules.clause_length && longest_at(&chars, at, &rules.clause_openers).is_some() {
            let ahead = chars.iter().skip(at).take_while(|&&c| !is_mark(c)).count();
            if ahead >= rules.clause_length {
                out.push('，');
                since_mark = 0;
            }
        }
        out.push(c);
        since_mark = if is_mark(c) { 0 } else { since_mark + 1 };
    }
    out
}

fn is_question(sentence: &str, rules: &Rules) -> bool {
    let clause = sentence.rsplit('，').next().unwrap_or_default();
    let lasting = clause.ends_with('呢') && contains_any(clause, &rules.question_never_before_ne);
    let asked = |ending: &String| clause.ends_with(ending.as_str());
    !contains_any(clause, &rules.question_never)
        && ((!lasting && rules.question_endings.iter().any(asked))
            || contains_any(clause, &rules.question_words))
}

//! Addresses that the recogniser wrote as words: 邮箱是森里预爱特瑞亚点刚, 邮箱事先没爱科院你.

use super::super::{BORDER, Found, Rules};
use super::{LONGEST_GARBLED, LONGEST_PART, name};
use crate::domain::transcript::PiiKind;
use crate::stage::mandarin::clauses::is_mark;
use crate::stage::mandarin::sounds::syllable;
use crate::stage::mandarin::words::{is_at, is_han, longest_at};

/// How far the word for @ may stand behind the word for e-mail, in characters.
const REACH: usize = 16;
/// How com and cn sound when they are written as one or two characters.
const ENDINGS: [&str; 20] = [
    "gang", "kang", "kan", "kong", "gong", "ken", "kuang", "guang", "kuan", "kao mu", "kang mu", "kang mo",
    "ka mu", "ke mu", "kou mu", "xi en", "si en", "xi an", "nai te", "gan mu",
];
/// What may follow an address in the same clause.
const AFTER: [&str; 8] = ["都", "全", "别", "小写", "大写", "就", "您记", "你记"];

/// All of them in order.
pub fn find(text: &[char], rules: &Rules) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for at in 0..text.len() {
        if found.last().is_some_and(|f| at < f.end) {
            continue;
        }
        let stretch = sounding_sign(text, at)
            .and_then(|domain| announced(text, at, domain, rules).or_else(|| ended(text, at, domain, rules)));
        found.extend(stretch.map(|(start, end)| Found { kind: PiiKind::Email, start, end }));
    }
    found
}

/// 爱特, 爱科, 哎特: where what sounds like 艾特 ends.
fn sounding_sign(text: &[char], at: usize) -> Option<usize> {
    let sound = |at: usize| text.get(at).and_then(|&c| syllable(c));
    let sign = matches!(sound(at), Some("ai")) && matches!(sound(at + 1), Some("te" | "ke"));
    sign.then_some(at + 2)
}

/// Behind the word for e-mail all of the clause is the address.
fn announced(text: &[char], at: usize, domain: usize, rules: &Rules) -> Option<(usize, usize)> {
    let word_end = name::word_before(text, at, rules).filter(|&end| at - end <= REACH)?;
    let name = text.get(word_end..at).filter(|name| !name.iter().any(|&c| is_mark(c)))?;
    let (start, end) = (word_end, clause_end(text, domain));
    (name.len() >= 2 && end > domain).then_some((start, end))
}

/// Without the word for e-mail a proper end must be heard: 点刚.
fn ended(text: &[char], at: usize, domain: usize, rules: &Rules) -> Option<(usize, usize)> {
    let clause = clause_end(text, domain);
    let dot = (domain + 1..clause.min(domain + LONGEST_GARBLED)).find(|&at| text.get(at) == Some(&'点'))?;
    let sound = |at: usize| text.get(at).and_then(|&c| syllable(c)).unwrap_or_default();
    let (one, two) = (sound(dot + 1), format!("{} {}", sound(dot + 1), sound(dot + 2)));
    let end = if ENDINGS.contains(&two.as_str()) { dot + 3 } else { dot + 2 };
    let sounds = ENDINGS.contains(&one) || ENDINGS.contains(&two.as_str());
    let last = end >= clause || AFTER.iter().any(|word| is_at(text, end, word));
    let start = name::garbled_start(text, at);
    let named = text.get(start..at).is_some_and(|name| name.len() >= 2 && name.iter().any(|&c| is_han(c)));
    let sign = longest_at(text, at, &rules.email.at).is_some();
    (sign && sounds && last && named).then_some((start, end))
}

fn clause_end(text: &[char], from: usize) -> usize {
    let inside = |c: &&char| !is_mark(**c) && **c != BORDER;
    from + text.iter().skip(from).take(LONGEST_PART).take_while(inside).count()
}

//! What an intent to sign hangs on, and for when it is.

use jiff::civil::Date;

use super::steps::{Rules, trimmed};
use crate::stage::mandarin::clauses::clauses;
use crate::stage::mandarin::dates::Calendar;
use crate::stage::mandarin::words::longest_at;

/// Longest condition that is given, in characters.
const LONGEST: usize = 24;

/// The clause that says what has to happen first, in the words used.
pub fn condition(text: &[char], rules: &Rules) -> Option<String> {
    let clauses = clauses(text);
    // The lists go from the plainest sign of a condition to the faintest; the plainest one wins.
    rules.signing.conditions.iter().find_map(|word| {
        let has = |range: &std::ops::Range<usize>| {
            range.clone().any(|at| {
                longest_at(text, at, std::slice::from_ref(word)).is_some_and(|end| end <= range.end)
            })
        };
        let range = clauses.iter().find(|range| has(range))?;
        let said = trimmed(text.get(range.clone())?, rules);
        let count = said.chars().count();
        // 行，就按这个来 sets none.
        let agrees = rules.signing.no_condition.contains(&said);
        (!agrees && (2..=LONGEST).contains(&count)).then_some(said)
    })
}

/// Whether the words themselves make it conditional.
pub fn hangs_on_something(text: &[char], rules: &Rules) -> bool {
    (0..text.len()).any(|at| longest_at(text, at, &rules.signing.hangs_on).is_some())
}

/// The day that the intent is for: the one said with signing, else any, else today if it happens now.
pub fn date(text: &[char], rules: &Rules, calendar: &Calendar, on: Date) -> Option<Date> {
    let acts = |range: &std::ops::Range<usize>| {
        range.clone().any(|at| longest_at(text, at, &rules.signing.acts).is_some_and(|end| end <= range.end))
    };
    let clauses = clauses(text);
    // 这周批下来，下周就签: the clause that sets the condition has another day.
    let conditional = |range: &std::ops::Range<usize>| {
        range.clone().any(|at| longest_at(text, at, &rules.signing.ifs).is_some_and(|end| end <= range.end))
    };
    let day_in = |range: &std::ops::Range<usize>| calendar.promised(text.get(range.clone())?, on);
    let acting = || clauses.iter().filter(|range| acts(range));
    let with_signing =
        acting().filter(|range| !conditional(range)).find_map(day_in).or_else(|| acting().find_map(day_in));
    // Nor does a day that only the condition has: 能赶在年前装完的话，现在就签.
    let any = || clauses.iter().filter(|range| !conditional(range)).find_map(day_in);
    let last_resort = || calendar.promised(text, on);
    let now = || (0..text.len()).any(|at| longest_at(text, at, &rules.signing.now).is_some());
    with_signing
        .or_else(any)
        .map(|(_, date)| date)
        .or_else(|| now().then_some(on))
        .or_else(|| last_resort().map(|(_, date)| date))
}

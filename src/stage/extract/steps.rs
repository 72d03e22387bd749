//! A promised step: who owes it, and what it is.
//!
//! Nobody is named as the speaker, so the owner is read from how the parties speak: a rep says 您, a customer 你;
//! 我 acts for the speaker, 您 and 你 for the listener. What neither words nor deeds tell stays unknown.

use std::ops::Range;

use jiff::civil::Date;
use serde::Deserialize;

use crate::domain::moment::Owner;
use crate::stage::mandarin::clauses::{clause_end, clause_start, clauses, is_mark};
use crate::stage::mandarin::dates::{Calendar, Day, Mention, mentions};
use crate::stage::mandarin::words::{contains_any, ends_before, is_han, longest_at};

/// `pipelines/rules/steps.toml`; its comments say what each list is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    rep_says: Vec<String>,
    customer_says: Vec<String>,
    not_addressed: Vec<String>,
    rep_does: Vec<String>,
    customer_does: Vec<String>,
    speaker_acts: Vec<String>,
    listener_acts: Vec<String>,
    agreement: Vec<String>,
    openers: Vec<String>,
    closers: Vec<String>,
    acts: Vec<String>,
    given: Vec<String>,
    later_today: Vec<String>,
    not_today: Vec<String>,
    together: Vec<String>,
    thanks: Vec<String>,
    pub(super) signing: SigningRules,
}

/// The part on intents to sign.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningRules {
    pub(super) acts: Vec<String>,
    pub(super) now: Vec<String>,
    pub(super) no_condition: Vec<String>,
    pub(super) hangs_on: Vec<String>,
    pub(super) ifs: Vec<String>,
    pub(super) conditions: Vec<String>,
}

/// Longest action that is given, in characters.
const LONGEST: usize = 24;
/// An action shorter than this says too little without the clause before it.
const SHORT: usize = 8;

/// The day of the step: of those that the speaker takes on (我周四打款) the first that the listener gets something
/// on (礼拜三给您送来), else the first; they go before one that is asked of the listener (你后天送来). An hour
/// alone (我下午发您) is today's.
pub fn day(text: &[char], rules: &Rules, calendar: &Calendar, on: Date) -> Option<(Mention, Date)> {
    let all = calendar.candidates(text, on);
    let to_come = || all.iter().filter(|(mention, _)| mention.day != Day::InDays(0));
    let actor = |mention: &Mention| actor_in(text, &clause_at(text, mention.start), mention.start, rules);
    let given = |mention: &Mention| {
        let clause = clause_at(text, mention.start);
        clause.clone().any(|at| longest_at(text, at, &rules.given).is_some_and(|end| end <= clause.end))
    };
    let own = || to_come().filter(|(mention, _)| actor(mention) == Actor::Speaker);
    let handed_over = to_come().find(|(mention, _)| actor(mention) != Actor::Listener && given(mention));
    let own = if own().next().is_some() { handed_over.or_else(|| own().next()) } else { None };
    own.copied().or_else(|| calendar.promised(text, on)).or_else(|| {
        let mention = hour(text, rules).filter(|_| mentions(text, calendar).is_empty())?;
        Some((mention, on))
    })
}

/// 下午, 晚上 or 一会儿 without a day: later on the day of the visit.
fn hour(text: &[char], rules: &Rules) -> Option<Mention> {
    (0..text.len()).find_map(|start| {
        let end = longest_at(text, start, &rules.later_today)?;
        let every = ends_before(text, start, &rules.not_today);
        (!every).then_some(Mention { start, day_end: end, end, day: Day::InDays(0) })
    })
}

/// A step that says only that it goes with another (图纸一起带来) is done on that one's day, by whoever does that.
pub fn shared(
    text: &[char],
    before: &[String],
    rules: &Rules,
    calendar: &Calendar,
    on: Date,
) -> Option<(Option<Owner>, Date)> {
    let shares = (0..text.len()).any(|at| longest_at(text, at, &rules.together).is_some());
    let last = before.len().checked_sub(1).filter(|_| shares)?;
    (last.saturating_sub(FAR_BACK - 1)..=last).rev().find_map(|at| {
        let text: Vec<char> = before.get(at)?.chars().collect();
        let (mention, date) = day(&text, rules, calendar, on)?;
        let owner = owner(&text, before.get(..at)?, Some(mention), rules);
        (mention.day != Day::InDays(0)).then_some((owner, date))
    })
}

/// How many texts before a step another one may stand that it goes with.
const FAR_BACK: usize = 4;

/// An action shorter than this needs the clause after it.
const TOO_SHORT: usize = 4;

/// Who owes the step said in `text`, right after `before` (oldest first).
pub fn owner(text: &[char], before: &[String], mention: Option<Mention>, rules: &Rules) -> Option<Owner> {
    let said: String = text.iter().collect();
    let deed = deed(&said, rules);
    let addressed = speaker(&said, rules);
    // A rep may say 你, and 您 is often heard as 你: what only a rep does tells more, unless 你 is asked to do it.
    let asks = clauses(text).iter().any(|range| actor_in(text, range, range.start, rules) == Actor::Listener);
    if addressed == Some(Owner::Customer)
        && deed.is_some()
        && !asks
        && actor(text, mention, rules) == Actor::Speaker
    {
        return deed;
    }
    let speaker = addressed
        // Turns alternate: after a customer's 你 a rep speaks.
        .or_else(|| before.last().and_then(|before| speaker(before, rules)).map(other));
    match (speaker, actor(text, mention, rules)) {
        (Some(speaker), Actor::Listener) => Some(other(speaker)),
        (Some(speaker), Actor::Speaker) => Some(speaker),
        // Nobody is said to act: what is done tells more than who speaks.
        (speaker, Actor::Unsaid) => deed.or(speaker),
        (None, _) => deed,
    }
}

fn other(owner: Owner) -> Owner {
    match owner {
        Owner::Rep => Owner::Customer,
        Owner::Customer => Owner::Rep,
    }
}

/// Who speaks, by how the other is addressed.
fn speaker(text: &str, rules: &Rules) -> Option<Owner> {
    let rep = contains_any(text, &rules.rep_says);
    let plain = rules.not_addressed.iter().fold(text.to_owned(), |text, word| text.replace(word, ""));
    let customer = plain.contains('你') || contains_any(text, &rules.customer_says);
    match (rep, customer) {
        (true, _) => Some(Owner::Rep),
        (false, true) => Some(Owner::Customer),
        (false, false) => None,
    }
}

/// Who usually does such a thing.
fn deed(text: &str, rules: &Rules) -> Option<Owner> {
    let count = |words: &[String]| words.iter().filter(|w| text.contains(w.as_str())).count();
    match count(&rules.rep_does).cmp(&count(&rules.customer_does)) {
        std::cmp::Ordering::Greater => Some(Owner::Rep),
        std::cmp::Ordering::Less => Some(Owner::Customer),
        std::cmp::Ordering::Equal => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Actor {
    Speaker,
    Listener,
    Unsaid,
}

/// Who acts in the clause with the day; if that names nobody, in the nearest clause before it, then after it.
fn actor(text: &[char], mention: Option<Mention>, rules: &Rules) -> Actor {
    let clauses = clauses(text);
    let at = mention.map_or(0, |mention| mention.start);
    let dated = clauses.iter().position(|range| range.contains(&at)).unwrap_or(0);
    let order = (0..=dated).rev().chain(dated + 1..clauses.len());
    let acting = order.filter_map(|i| clauses.get(i)).map(|range| actor_in(text, range, at, rules));
    acting.into_iter().find(|actor| *actor != Actor::Unsaid).unwrap_or(Actor::Unsaid)
}

/// Who acts in a clause: the nearest one named before `at`, else the first one after it.
fn actor_in(text: &[char], clause: &Range<usize>, at: usize, rules: &Rules) -> Actor {
    // 给您, 跟你们: the one after a preposition does not act.
    let object = |at: usize| {
        at.checked_sub(1)
            .and_then(|b| text.get(b))
            .is_some_and(|c| "给跟到发找陪和向帮替叫让请把等联见带回告".contains(*c))
    };
    let acts = |at: usize| {
        if object(at) {
            None
        } else if longest_at(text, at, &rules.speaker_acts).is_some() {
            Some(Actor::Speaker)
        } else {
            longest_at(text, at, &rules.listener_acts).map(|_| Actor::Listener)
        }
    };
    let middle = at.clamp(clause.start, clause.end);
    let before = (clause.start..middle).rev().find_map(acts);
    before.or_else(|| (middle..clause.end).find_map(acts)).unwrap_or(Actor::Unsaid)
}

fn clause_at(text: &[char], at: usize) -> Range<usize> {
    clause_start(text, at)..clause_end(text, at)
}

/// What is to be done: the clause with the day, without the day, and what it needs beside it.
pub fn action(text: &[char], mention: Option<Mention>, rules: &Rules, calendar: &Calendar) -> Option<String> {
    let to_come = |day: &Mention| !matches!(day.day, Day::Past | Day::Vague);
    let days: Vec<Mention> = mentions(text, calendar).into_iter().filter(to_come).collect();
    // Each clause without its days, hollow words and who acts.
    let cleaned: Vec<(Range<usize>, String)> = clauses(text)
        .into_iter()
        .map(|range| {
            let kept = range.clone().filter(|at| !days.iter().any(|day| (day.start..day.end).contains(at)));
            let kept: Vec<char> = kept.filter_map(|at| text.get(at)).copied().collect();
            (range, trimmed(&kept, rules))
        })
        .filter(|(_, said)| {
            said.chars().any(|c| is_han(c) || c.is_alphanumeric()) && !is_agreement(said, rules)
        })
        .collect();
    let acts = |said: &str| contains_any(said, &rules.acts);
    let dated = mention.and_then(|mention| cleaned.iter().position(|(range, _)| range.end > mention.start));
    let main = dated.filter(|&i| cleaned.get(i).is_some_and(|(_, said)| acts(said))).or_else(|| {
        let from = dated.unwrap_or(0);
        (from..cleaned.len())
            .chain((0..from).rev())
            .find(|&i| cleaned.get(i).is_some_and(|(_, said)| acts(said)))
    });
    let main = main.or(dated).unwrap_or(0);
    let mut said = cleaned.get(main)?.1.clone();
    let beside = |i: Option<usize>| i.and_then(|i| cleaned.get(i)).map(|(_, said)| said.as_str());
    let fits = |joined: &String| joined.chars().count() <= LONGEST;
    if let Some(before) = beside(main.checked_sub(1)).filter(|_| said.chars().count() < SHORT) {
        let joined = if acts(before) { format!("{before}，{said}") } else { format!("{before}{said}") };
        said = Some(joined).filter(fits).unwrap_or(said);
    }
    if let Some(after) = beside(Some(main + 1)).filter(|_| said.chars().count() < TOO_SHORT) {
        let joined = format!("{said}，{after}");
        said = if fits(&joined) { joined } else { after.to_owned() };
    }
    let short: String = said.chars().take(LONGEST).collect();
    (short.chars().count() >= 2).then_some(short)
}

fn is_agreement(said: &str, rules: &Rules) -> bool {
    rules.agreement.iter().any(|word| word == said)
        || rules.thanks.iter().any(|word| said.starts_with(word.as_str()))
}

/// A clause without hollow words at its ends and without the one who acts.
pub(super) fn trimmed(clause: &[char], rules: &Rules) -> String {
    let mut from = 0;
    while let Some(end) = longest_at(clause, from, &rules.openers) {
        // The 我 of 我们 is no opener of its own.
        if end >= clause.len() || clause.get(end) == Some(&'们') {
            break;
        }
        from = end;
    }
    let mut said: String = clause.get(from..).unwrap_or_default().iter().collect();
    while let Some(rest) = rules.closers.iter().find_map(|word| said.strip_suffix(word.as_str())) {
        said.truncate(rest.len());
    }
    // 三百盒我从嘉兴发: who acts is told by the owner.
    let inner = ["我们", "我"]
        .into_iter()
        .find_map(|who| said.split_once(who).filter(|(topic, _)| topic.chars().count() >= 2));
    if let Some((topic, rest)) = inner
        .filter(|(topic, rest)| !topic.ends_with(['给', '跟', '发', '到', '让', '叫']) && !rest.is_empty())
    {
        said = format!("{topic}{rest}");
    }
    said.trim_matches(|c: char| is_mark(c) || c.is_whitespace()).to_owned()
}

//! The headline: outcome and next step in at most twenty characters, in words that were said.

use jiff::civil::Date;
use regex::Regex;
use serde::Deserialize;

use super::{Field, Intent};
use crate::domain::moment::{IntentLevel, Moment, NextStepSlots, ObjectionCategory, QuoteSlots, Slots};
use crate::domain::summary::Stage;
use crate::error::Error;
use crate::stage::mandarin::dates::Calendar;
use crate::stage::mandarin::numerals::digit;
use crate::stage::rules;

use super::card::short_price;

/// Longest headline, in characters.
pub const LONGEST: usize = 20;
/// Longest price in it; with a day and what comes of it that is all there is room for.
const LONGEST_PRICE: usize = 11;
/// Fewest characters of an action that still say something.
const SHORTEST_ACTION: usize = 3;

/// `pipelines/rules/headline.toml`; its comments say what each list is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    shorter: Vec<String>,
    hollow: Vec<String>,
    joins: Vec<String>,
}

/// How an action is said in few words.
#[derive(Debug)]
pub struct Rules {
    shorter: Vec<Regex>,
    hollow: Vec<Regex>,
    joins: Vec<String>,
}

impl Rules {
    /// Loads the wordings.
    pub fn load() -> Result<Self, Error> {
        let file: File =
            rules::parse("headline.toml", include_str!("../../../pipelines/rules/headline.toml"))?;
        let patterns = |list: &[String]| rules::patterns("headline.toml", list);
        Ok(Self { shorter: patterns(&file.shorter)?, hollow: patterns(&file.hollow)?, joins: file.joins })
    }

    /// 把分期方案和设备清单发给您 as 发分期方案和设备清单.
    fn shorter(&self, action: &str) -> Option<String> {
        let found = self.shorter.iter().find_map(|pattern| pattern.captures(action))?;
        let part = |name| found.name(name).map_or("", |part| part.as_str());
        Some([part("w"), part("v"), part("o")].concat())
    }

    fn without_hollow<'a>(&self, clause: &'a str) -> &'a str {
        let end = |pattern: &Regex| pattern.find(clause).map(|found| found.end());
        let rest = self.hollow.iter().find_map(end).and_then(|end| clause.get(end..));
        rest.filter(|rest| rest.chars().count() >= SHORTEST_ACTION - 1).unwrap_or(clause)
    }

    /// The action in few words, or its last clause, if that is at most `room` characters.
    fn whole(&self, action: &str, room: usize) -> Option<String> {
        let short = self.shorter(action);
        let plain = self.without_hollow(last_clause(action));
        let first_thing = self.first_thing(short.as_deref().unwrap_or(plain));
        let said = Some(action).filter(|_| short.is_none());
        let forms = [short.as_deref(), said, first_thing.as_deref(), Some(plain)];
        let fits = |form: &&str| (SHORTEST_ACTION - 1..=room).contains(&form.chars().count());
        forms.into_iter().flatten().find(fits).map(str::to_owned)
    }

    /// The beginning of an action that is longer than `room`.
    fn beginning(&self, action: &str, room: usize) -> Option<String> {
        if room < SHORTEST_ACTION {
            return None;
        }
        let short = self.shorter(action);
        let form = short.as_deref().unwrap_or_else(|| self.without_hollow(last_clause(action)));
        let form = self.first_thing(form).unwrap_or_else(|| form.to_owned());
        let cut: String = form.chars().take(room).collect();
        // A figure cut in half, or without its 万, would be another figure.
        let next = form.chars().nth(room);
        let in_figure = next.is_some_and(|c| is_figure(c) || c.is_ascii_alphanumeric() || UNITS.contains(c))
            && cut.ends_with(|c: char| is_figure(c) || c.is_ascii_alphanumeric() || UNITS.contains(c));
        let open = cut.contains('[') && !cut.contains(']');
        (!in_figure && !open).then_some(cut)
    }

    /// 发分期方案 of 发分期方案和设备清单.
    fn first_thing(&self, action: &str) -> Option<String> {
        let end = self.joins.iter().filter_map(|word| action.find(word.as_str())).min()?;
        action.get(..end).filter(|first| first.chars().count() >= SHORTEST_ACTION).map(str::to_owned)
    }
}

/// What a figure goes on with.
const UNITS: &str = ".点百千万亿%";

fn is_figure(c: char) -> bool {
    c.is_ascii_digit() || digit(c).is_some() || c == '十'
}

fn last_clause(action: &str) -> &str {
    action.rsplit('，').next().unwrap_or(action)
}

/// Outcome, comma, day and action; what does not fit is left out, never cut inside a word of figures.
pub fn write(
    calendar: &Calendar,
    words: &Rules,
    stage: &Field<Stage>,
    quote: &Option<QuoteSlots>,
    intent: &Field<Intent<'_>>,
    moments: &[Moment],
    step: Option<(&Moment, &NextStepSlots)>,
) -> String {
    let spoken = |moment: &Moment, date: Option<Date>| {
        let chars: Vec<char> = moment.evidence.chars().collect();
        calendar.spoken(&chars, date).filter(|day| day.chars().count() <= 7)
    };
    let price = quote.as_ref().and_then(short_price);
    let day_of_intent = |moment: &Moment| spoken(moment, intent.value.summary.date);
    let full = outcome(stage.value, price.clone(), intent, because(stage, moments), day_of_intent);
    let Some((moment, slots)) = step else { return full };
    let day = slots.date.and_then(|_| spoken(moment, slots.date)).unwrap_or_default();
    let room = |outcome: &str| LONGEST.saturating_sub(outcome.chars().count() + 1 + day.chars().count());
    let action = |room| slots.action.as_deref().and_then(|action| words.whole(action, room));
    let with = |outcome: &str, action: &str| format!("{outcome}，{day}{action}");
    if let Some(action) = action(room(&full)) {
        return with(&full, &action);
    }
    // The day of the intent has a field of its own; an action cut in half reads badly.
    let brief = outcome(stage.value, price, intent, None, |_| None);
    if let Some(action) = action(room(&brief)).filter(|_| brief.chars().count() < full.chars().count()) {
        return with(&brief, &action);
    }
    match slots.action.as_deref().and_then(|action| words.beginning(action, room(&full))) {
        Some(action) => with(&full, &action),
        None if !day.is_empty() && room(&full) >= 2 => with(&full, "跟进"),
        None => full,
    }
}

fn outcome(
    stage: Stage,
    price: Option<String>,
    intent: &Field<Intent<'_>>,
    because: Option<ObjectionCategory>,
    spoken: impl Fn(&Moment) -> Option<String>,
) -> String {
    let price = price.filter(|price| price.chars().count() <= LONGEST_PRICE).unwrap_or_default();
    let doubt = because;
    let because = because.map(|category| format!("（{}）", category.label_zh())).unwrap_or_default();
    match stage {
        Stage::Signed if price.is_empty() => "同意签约".to_owned(),
        Stage::Signed => format!("{price}签约"),
        Stage::Negotiating if intent.value.summary.level == IntentLevel::None => {
            if price.is_empty() {
                "条件在谈".to_owned()
            } else {
                format!("{price}在谈")
            }
        }
        Stage::Negotiating => {
            let day = intent.value.summary.date.and(intent.value.moment).and_then(spoken);
            match day {
                // 34.8万12月 would be read as one figure.
                Some(day) if !price.is_empty() && day.starts_with(is_figure) => format!("{price} {day}可签"),
                Some(day) => format!("{price}{day}可签"),
                None if price.is_empty() => "有条件可签".to_owned(),
                None => format!("{price}待签"),
            }
        }
        Stage::Quoted if price.is_empty() => "已报价".to_owned(),
        Stage::Quoted => format!("已报{price}"),
        Stage::OnHold => format!("暂搁置{because}"),
        Stage::Lost => format!("已流失{because}"),
        Stage::NeedConfirmed => match doubt {
            Some(category) => format!("有需求，顾虑{}", category.label_zh()),
            None => "有需求".to_owned(),
        },
        Stage::FirstContact => "初步接触".to_owned(),
    }
}

/// What the last objection that decided the stage is about.
fn because(stage: &Field<Stage>, moments: &[Moment]) -> Option<ObjectionCategory> {
    moments.iter().rev().filter(|m| stage.evidence.contains(&m.id)).find_map(|m| match &m.slots {
        Slots::Objection(slots) => Some(slots.category),
        _ => None,
    })
}

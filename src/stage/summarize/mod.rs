//! summarize: where the visit leaves the deal, put together from its moments and words.
//!
//! Nothing is invented: every figure, name and day in a summary was said in a moment, and `evidence` says in
//! which. The rules of each field stand at its function; those of the stage in `stage.rs`.

mod card;
mod headline;
mod stage;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use card::card_fields;

use crate::domain::ids::MomentId;
use crate::domain::moment::{
    IntentLevel, Moment, MomentKind, NextStepSlots, ObjectionCategory, Owner, QuoteSlots, Slots,
};
use crate::domain::summary::{IntentSummary, ObjectionSummary, Summary};
use crate::domain::transcript::Segment;
use crate::error::Error;
use crate::stage::mandarin::dates::Calendar;

/// Nothing to choose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SummarizeConfig {}

/// Sums up a visit.
pub struct Summarize {
    stages: stage::Rules,
    calendar: Calendar,
    headlines: headline::Rules,
}

/// A field of the summary with how sure it is and what proves it.
struct Field<T> {
    value: T,
    confidence: f32,
    evidence: Vec<MomentId>,
}

impl Summarize {
    /// Loads the wordings.
    pub fn new(_config: &SummarizeConfig) -> Result<Self, Error> {
        Ok(Self {
            stages: stage::Rules::load()?,
            calendar: Calendar::load()?,
            headlines: headline::Rules::load()?,
        })
    }

    /// The summary of a visit with these moments and segments, both in time order. `coverage` is the share of
    /// speech that has a transcript, 0..=1: what was not heard makes everything less sure.
    pub fn run(&self, moments: &[Moment], segments: &[Segment], coverage: f64) -> Summary {
        let all = moments;
        let moments = &voiced_rightly(moments, segments);
        let stage = self.stages.judge(moments, segments);
        let step = next_step(moments);
        let quote = latest_quote(moments);
        let objections = objections(moments);
        let intent = signing_intent(&self.stages.intents(moments));
        let headline =
            headline::write(&self.calendar, &self.headlines, &stage, &quote.value, &intent, moments, step);
        let action = step.map_or(Field { value: None, confidence: 0.0, evidence: Vec::new() }, next_action);
        let date = step.map_or(Field { value: None, confidence: 0.0, evidence: Vec::new() }, next_date);

        let mut confidence = BTreeMap::new();
        let mut evidence = BTreeMap::new();
        let mut note = |name: &str, sure: f32, ids: &[MomentId]| {
            let sure = f64::from(sure) * coverage.clamp(0.0, 1.0);
            confidence.insert(name.to_owned(), ((sure * 100.0).round() / 100.0) as f32);
            evidence.insert(name.to_owned(), ids.to_vec());
        };
        note("stage", stage.confidence, &stage.evidence);
        note("next_action", action.confidence, &action.evidence);
        note("next_date", date.confidence, &date.evidence);
        note("latest_quote", quote.confidence, &quote.evidence);
        note("objections", objections.confidence, &objections.evidence);
        note("signing_intent", intent.confidence, &intent.evidence);
        Summary {
            headline,
            stage: Some(stage.value),
            next_action: action.value,
            next_date: date.value,
            latest_quote: quote.value,
            objections: objections.value,
            signing_intent: intent.value.summary,
            moments: all.iter().map(|m| m.id.clone()).collect(),
            coverage,
            confidence,
            evidence,
        }
    }
}

/// The moments without those of which it is known that the other side speaks: an objection is a customer's to voice.
/// Where nobody knows who speaks, the model is believed.
fn voiced_rightly(moments: &[Moment], segments: &[Segment]) -> Vec<Moment> {
    let others = |moment: &Moment| {
        let Some(side) = moment.kind.said_by() else { return false };
        let mut said = segments.iter().filter(|s| moment.segment_ids.contains(&s.id)).peekable();
        said.peek().is_some() && said.all(|s| s.speaker.is_some_and(|speaker| speaker != side))
    };
    moments.iter().filter(|m| !others(m)).cloned().collect()
}

/// The step that comes next: the earliest dated one that the rep owes, else the earliest dated one, else the
/// last one that the rep owes, else the last one.
fn next_step(moments: &[Moment]) -> Option<(&Moment, &NextStepSlots)> {
    let steps: Vec<(&Moment, &NextStepSlots)> = moments
        .iter()
        .filter_map(|moment| match &moment.slots {
            Slots::NextStep(slots) => Some((moment, slots)),
            _ => None,
        })
        .collect();
    let reps = |slots: &NextStepSlots| slots.owner == Some(Owner::Rep);
    let dated = steps.iter().filter(|(_, slots)| slots.date.is_some());
    dated
        .min_by_key(|(_, slots)| (!reps(slots), slots.date))
        .or_else(|| steps.iter().rfind(|(_, slots)| reps(slots) && slots.action.is_some()))
        .or_else(|| steps.iter().rfind(|(_, slots)| slots.action.is_some()))
        .copied()
}

fn next_action((moment, slots): (&Moment, &NextStepSlots)) -> Field<Option<String>> {
    // A very short action may have lost what it is about.
    let length = slots.action.as_ref().map_or(0, |action| action.chars().count());
    let sure = if length >= 4 { 0.95 } else { 0.6 };
    let evidence = if length > 0 { vec![moment.id.clone()] } else { Vec::new() };
    Field {
        value: slots.action.clone(),
        confidence: if length > 0 { moment.score * sure } else { 0.0 },
        evidence,
    }
}

fn next_date((moment, slots): (&Moment, &NextStepSlots)) -> Field<Option<jiff::civil::Date>> {
    match slots.date {
        Some(date) => {
            let sure = if slots.owner.is_some() { 1.0 } else { 0.8 };
            Field { value: Some(date), confidence: moment.score * sure, evidence: vec![moment.id.clone()] }
        }
        None => Field { value: None, confidence: 0.0, evidence: Vec::new() },
    }
}

/// The last amount, with the discount and the terms that were stated with it or after it.
fn latest_quote(moments: &[Moment]) -> Field<Option<QuoteSlots>> {
    let quotes: Vec<(&Moment, &QuoteSlots)> = moments
        .iter()
        .filter_map(|moment| match &moment.slots {
            Slots::Quote(slots) if *slots != QuoteSlots::default() => Some((moment, slots)),
            _ => None,
        })
        .collect();
    let quotes = without_misheard(quotes);
    let from = quotes.iter().rposition(|(_, slots)| slots.amount_cny.is_some()).unwrap_or(0);
    let mut rest = quotes.into_iter().skip(from);
    let Some((moment, first)) = rest.next() else {
        return Field { value: None, confidence: 0.0, evidence: Vec::new() };
    };
    let mut quote = first.clone();
    let mut field = Field { value: None, confidence: moment.score, evidence: vec![moment.id.clone()] };
    for (moment, later) in rest {
        quote.discount = later.discount.or(quote.discount);
        quote.payment_terms = later.payment_terms.clone().or(quote.payment_terms);
        field.evidence.push(moment.id.clone());
    }
    field.value = Some(quote);
    field
}

/// How many times the least amount an amount may be.
const MOST_TIMES: i64 = 1_000;
/// Figures that somebody says in one amount; more come from two amounts heard as one (268，9268 as 2689268).
const MOST_FIGURES: usize = 5;

/// Leaves out amounts that are far above all others and have more figures than anybody says.
fn without_misheard<'a>(quotes: Vec<(&'a Moment, &'a QuoteSlots)>) -> Vec<(&'a Moment, &'a QuoteSlots)> {
    let yuan = |slots: &QuoteSlots| slots.amount_cny.map(|amount| amount.fen / 100);
    let least = quotes.iter().filter_map(|(_, slots)| yuan(slots)).filter(|amount| *amount > 0).min();
    let misheard = |amount: i64| {
        let figures = amount.to_string().trim_end_matches('0').len();
        figures > MOST_FIGURES && least.is_some_and(|least| amount / least >= MOST_TIMES)
    };
    quotes.into_iter().filter(|(_, slots)| !yuan(slots).is_some_and(misheard)).collect()
}

/// One entry a category, in the order they were first raised. Handled: after the last objection of the category
/// the rep answered before another objection came.
fn objections(moments: &[Moment]) -> Field<Vec<ObjectionSummary>> {
    let turns: Vec<(&Moment, Option<ObjectionCategory>)> = moments
        .iter()
        .filter_map(|moment| match &moment.slots {
            Slots::Objection(slots) => Some((moment, Some(slots.category))),
            _ if moment.kind == MomentKind::ObjectionHandling => Some((moment, None)),
            _ => None,
        })
        .collect();
    let mut found: Vec<ObjectionSummary> = Vec::new();
    let mut evidence: Vec<MomentId> = Vec::new();
    for (i, (moment, category)) in turns.iter().enumerate() {
        let Some(category) = *category else { continue };
        let answer = turns.get(i + 1).filter(|(_, category)| category.is_none());
        let entry = ObjectionSummary { category, handled: answer.is_some() };
        match found.iter_mut().find(|o| o.category == category) {
            Some(known) => *known = entry,
            None => found.push(entry),
        }
        evidence.push(moment.id.clone());
        evidence.extend(answer.map(|(answer, _)| answer.id.clone()));
    }
    let scores: Vec<f32> = turns.iter().filter(|(_, c)| c.is_some()).map(|(m, _)| m.score).collect();
    // That none was heard is itself a finding, though a weaker one.
    let confidence = if scores.is_empty() { 0.7 } else { scores.iter().sum::<f32>() / scores.len() as f32 };
    Field { value: found, confidence, evidence }
}

/// The intent to sign and the moment that it was voiced in.
struct Intent<'a> {
    summary: IntentSummary,
    moment: Option<&'a Moment>,
}

/// The level as last voiced: a condition may be lifted, or a new one made. The day is the last one that was
/// given at that level, else at any.
fn signing_intent<'a>(intents: &[(&'a Moment, IntentLevel)]) -> Field<Intent<'a>> {
    let Some((last, level)) = intents.last().copied() else {
        return Field {
            value: Intent { summary: IntentSummary::default(), moment: None },
            confidence: 0.7,
            evidence: Vec::new(),
        };
    };
    let day = |moment: &Moment| if let Slots::Signing(slots) = &moment.slots { slots.date } else { None };
    let dated = |same: bool| intents.iter().rfind(|(m, l)| day(m).is_some() && (!same || *l == level));
    let dated = dated(true).or_else(|| dated(false)).map(|(moment, _)| *moment);
    let mut evidence: Vec<MomentId> =
        intents.iter().filter(|(_, l)| *l == level).map(|(m, _)| m.id.clone()).collect();
    if let Some(moment) = dated.filter(|moment| !evidence.contains(&moment.id)) {
        evidence.push(moment.id.clone());
    }
    Field {
        value: Intent {
            summary: IntentSummary { level, date: dated.and_then(day) },
            moment: Some(dated.unwrap_or(last)),
        },
        confidence: last.score,
        evidence,
    }
}

#[cfg(test)]
mod tests;

//! Where the visit leaves the deal.
//!
//! The first rule that holds decides:
//! 1. 流失: the last word of loss in an objection (bought elsewhere, refused) comes after every intent to sign; or
//!    somebody else's contract is told of in whatever words, and no intent after it names signing.
//! 2. 搁置: the decision is put off after every intent to sign, and late in the visit or unanswered; or it was before,
//!    and the last intent waits for another year or half-year. What puts off is an objection, plain words for it that
//!    the model took for nothing, or what it took for an intent although it only puts off.
//! 3. 签约: the last intent to sign is a strong one.
//! 4. 商务谈判: an intent with a condition; or a price or discount was changed, or one was named after an
//!    objection to the first.
//! 5. 方案报价: a price, discount or term was named.
//! 6. 需求确认: an answer to an objection, a step about the goods, or enough talk of a need.
//! 7. 初步接触: none of these; sighs that nobody answers are small talk.

use regex::Regex;
use serde::Deserialize;

use super::Field;
use crate::domain::moment::{IntentLevel, Moment, MomentKind, ObjectionCategory, QuoteSlots, Slots};
use crate::domain::summary::Stage;
use crate::domain::time::Millis;
use crate::domain::transcript::{Segment, Speaker};
use crate::error::{Code, Error};
use crate::stage::rules;

/// `pipelines/rules/deal.toml`; its comments say what each list is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    signed_elsewhere: Vec<String>,
    lost: Vec<String>,
    farewell: Vec<String>,
    put_off: Vec<String>,
    put_off_plainly: Vec<String>,
    signed_with_another: Vec<String>,
    names_signing: Vec<String>,
    addresses_customer: Vec<String>,
    later: Vec<String>,
    asks_for_papers: Vec<String>,
    need: Vec<String>,
    needs_for_need: usize,
}

/// The wordings, ready to search.
#[derive(Debug)]
pub struct Rules {
    signed_elsewhere: Regex,
    lost: Regex,
    farewell: Regex,
    put_off: Regex,
    put_off_plainly: Regex,
    signed_with_another: Regex,
    names_signing: Regex,
    addresses_customer: Regex,
    later: Regex,
    asks_for_papers: Regex,
    need: Regex,
    needs_for_need: usize,
}

/// The last part of a visit, in which a put-off is the result.
const LATE: f64 = 0.6;
/// The score at which a single intent to sign decides.
const SURE: f32 = 0.65;
/// How much less sure an intent is that may be the rep's.
const DOUBT: f32 = 0.25;
/// How many segments at the end may say farewell.
const FAREWELL_SEGMENTS: usize = 6;

impl Rules {
    /// Loads the wordings.
    pub fn load() -> Result<Self, Error> {
        let file: File = rules::parse("deal.toml", include_str!("../../../pipelines/rules/deal.toml"))?;
        let any_of = |patterns: &[String]| {
            let one = patterns.iter().map(|p| format!("(?:{p})")).collect::<Vec<_>>().join("|");
            Regex::new(&one)
                .map_err(|e| Error::caused(Code::InvalidConfig, "a pattern in deal.toml cannot be read", e))
        };
        Ok(Self {
            signed_elsewhere: any_of(&file.signed_elsewhere)?,
            lost: any_of(&file.lost)?,
            farewell: any_of(&file.farewell)?,
            put_off: any_of(&file.put_off)?,
            put_off_plainly: any_of(&file.put_off_plainly)?,
            signed_with_another: any_of(&file.signed_with_another)?,
            names_signing: any_of(&file.names_signing)?,
            addresses_customer: any_of(&file.addresses_customer)?,
            later: any_of(&file.later)?,
            asks_for_papers: any_of(&file.asks_for_papers)?,
            need: any_of(&file.need)?,
            needs_for_need: file.needs_for_need,
        })
    }

    /// The stage, by the rules above.
    pub(super) fn judge(&self, moments: &[Moment], segments: &[Segment]) -> Field<Stage> {
        let found = |value, confidence: f32, proof: &[&Moment]| {
            let score = proof.iter().map(|m| m.score).fold(0.0, f32::max);
            let confidence = if proof.is_empty() { confidence } else { confidence * (0.5 + score / 2.0) };
            Field { value, confidence, evidence: proof.iter().map(|m| m.id.clone()).collect() }
        };
        let intents = self.intents(moments);
        let last_intent = intents.last().and_then(|(last, _)| moments.iter().position(|m| m.id == last.id));
        let after_intents = last_intent.map_or(0, |at| at + 1);
        let late_objections: Vec<&Moment> =
            moments.iter().skip(after_intents).filter(|m| m.kind == MomentKind::Objection).collect();

        let elsewhere = |m: &Moment| self.signed_elsewhere.is_match(&m.evidence);
        let lost: Vec<&Moment> = late_objections
            .iter()
            .filter(|m| elsewhere(m) || self.lost.is_match(&m.evidence))
            .copied()
            .collect();
        if let [.., last] = lost.as_slice() {
            let farewell = self.says_farewell(segments);
            // One word of loss may be a slip; a contract with another, two words, one that is taken leave on, or
            // the last objection is not.
            let sure = farewell
                || lost.len() > 1
                || elsewhere(last)
                || late_objections.last().is_some_and(|m| m.id == last.id);
            if sure {
                return found(Stage::Lost, if farewell { 0.95 } else { 0.8 }, &lost);
            }
        }
        if let Some(loss) = self.other_contract(segments) {
            let signs = |m: &&Moment| m.start_ms >= loss.start_ms && self.names_signing.is_match(&m.evidence);
            if !intents.iter().map(|(m, _)| *m).any(|m| signs(&m)) {
                return found(Stage::Lost, 0.8, &in_segment(moments, loss));
            }
        }
        let end = segments.last().map_or(0, |s| s.end_ms.0) as f64;
        let late = |start: Millis| start.0 as f64 >= LATE * end;
        let only_puts_off = |m: &Moment| m.kind == MomentKind::SigningIntent && self.only_puts_off(m);
        let put_off: Vec<&Moment> = moments
            .iter()
            .skip(after_intents)
            .filter(|m| {
                m.kind == MomentKind::Objection && self.put_off.is_match(&m.evidence) || only_puts_off(m)
            })
            .filter(|m| late(m.start_ms) || !is_answered(moments, m))
            .collect();
        if !put_off.is_empty() {
            return found(Stage::OnHold, 0.9, &put_off);
        }
        let last_word = last_intent.and_then(|at| moments.get(at)).map_or(Millis(0), |m| m.end_ms);
        let plainly = segments.iter().rfind(|s| {
            late(s.start_ms)
                && s.start_ms >= last_word
                && self.is_customers(s)
                && self.put_off_plainly.is_match(&s.text)
        });
        if let Some(segment) = plainly {
            return found(Stage::OnHold, 0.8, &in_segment(moments, segment));
        }
        match intents.last() {
            Some((_, IntentLevel::Strong)) => {
                let strong: Vec<&Moment> =
                    intents.iter().filter(|(_, l)| *l == IntentLevel::Strong).map(|(m, _)| *m).collect();
                return found(Stage::Signed, 0.9, &strong);
            }
            Some((last, _)) => {
                let all: Vec<&Moment> = intents.iter().map(|(m, _)| *m).collect();
                let was_put_off = moments.iter().any(|m| {
                    m.kind == MomentKind::Objection && self.put_off.is_match(&m.evidence) || only_puts_off(m)
                });
                let waits = was_put_off && self.later.is_match(&last.evidence);
                return found(if waits { Stage::OnHold } else { Stage::Negotiating }, 0.85, &all);
            }
            None => {}
        }
        let quotes: Vec<&Moment> = moments.iter().filter(|m| m.kind == MomentKind::Quote).collect();
        if let [first, ..] = quotes.as_slice() {
            let bargaining = bargaining(moments, first);
            return if bargaining.is_empty() {
                found(Stage::Quoted, 0.75, &quotes)
            } else {
                found(Stage::Negotiating, 0.75, &bargaining)
            };
        }
        self.without_price(moments, segments, found)
    }

    /// The intents to sign and how firm each is, in the light of those before it. A single one that the model
    /// is unsure of does not decide a deal; one that asks for papers takes back no condition, and an unsure one with
    /// conditions takes back no plain yes.
    pub(super) fn intents<'a>(&self, moments: &'a [Moment]) -> Vec<(&'a Moment, IntentLevel)> {
        let mut found: Vec<(&Moment, IntentLevel)> = Vec::new();
        for moment in moments {
            let Slots::Signing(slots) = &moment.slots else { continue };
            if self.only_puts_off(moment) {
                continue;
            }
            let before = found.last().map(|(_, level)| *level);
            let papers = self.asks_for_papers.is_match(&moment.evidence);
            let level = match (slots.level, before) {
                (IntentLevel::Strong, Some(IntentLevel::Conditional)) if papers => IntentLevel::Conditional,
                (IntentLevel::Conditional, Some(IntentLevel::Strong)) if self.sureness(moment) < SURE => {
                    continue;
                }
                (IntentLevel::None, _) => IntentLevel::Conditional,
                (level, _) => level,
            };
            found.push((moment, level));
        }
        let sure = found.len() > 1 || found.iter().any(|(moment, _)| self.sureness(moment) >= SURE);
        if sure { found } else { Vec::new() }
    }

    /// How sure it is that a customer voices the intent: what addresses a customer by title is mostly the rep's.
    fn sureness(&self, intent: &Moment) -> f32 {
        let addresses = self.addresses_customer.is_match(&intent.evidence);
        intent.score - if addresses { DOUBT } else { 0.0 }
    }

    /// Whether what the model took for an intent to sign puts the decision off, and names no signing.
    fn only_puts_off(&self, intent: &Moment) -> bool {
        self.put_off.is_match(&intent.evidence) && !self.names_signing.is_match(&intent.evidence)
    }

    /// Where a contract with somebody else is told of.
    fn other_contract<'a>(&self, segments: &'a [Segment]) -> Option<&'a Segment> {
        segments.iter().rfind(|s| self.is_customers(s) && self.signed_with_another.is_match(&s.text))
    }

    /// Whether nothing shows that the rep says it.
    fn is_customers(&self, segment: &Segment) -> bool {
        match segment.speaker {
            Some(speaker) => speaker == Speaker::Customer,
            None => !segment.text.contains('您') && !self.addresses_customer.is_match(&segment.text),
        }
    }

    fn without_price(
        &self,
        moments: &[Moment],
        segments: &[Segment],
        found: impl Fn(Stage, f32, &[&Moment]) -> Field<Stage>,
    ) -> Field<Stage> {
        let mut needs: Vec<&str> =
            segments.iter().flat_map(|s| self.need.find_iter(&s.text)).map(|m| m.as_str()).collect();
        needs.sort_unstable();
        needs.dedup();
        let about: Vec<&Moment> = moments.iter().collect();
        let answered = moments.iter().any(|m| m.kind == MomentKind::Objection && is_answered(moments, m));
        let enough = needs.len() >= self.needs_for_need;
        if answered || enough || (!about.is_empty() && !needs.is_empty()) {
            found(Stage::NeedConfirmed, 0.65, &about)
        } else {
            found(Stage::FirstContact, 0.65, &about)
        }
    }

    fn says_farewell(&self, segments: &[Segment]) -> bool {
        segments.iter().rev().take(FAREWELL_SEGMENTS).any(|s| self.farewell.is_match(&s.text))
    }
}

/// The moments of a segment.
fn in_segment<'a>(moments: &'a [Moment], segment: &Segment) -> Vec<&'a Moment> {
    moments.iter().filter(|m| m.segment_ids.contains(&segment.id)).collect()
}

/// Whether the rep answered this objection before another one came.
fn is_answered(moments: &[Moment], objection: &Moment) -> bool {
    let turns =
        moments.iter().filter(|m| matches!(m.kind, MomentKind::Objection | MomentKind::ObjectionHandling));
    turns.skip_while(|m| m.id != objection.id).nth(1).is_some_and(|m| m.kind == MomentKind::ObjectionHandling)
}

/// What shows that price or terms are being bargained over, from the first quote on: an amount or discount that
/// changes another one for the same thing, or one that comes after an objection to what was named.
fn bargaining<'a>(moments: &'a [Moment], first: &Moment) -> Vec<&'a Moment> {
    let mut named: QuoteSlots = QuoteSlots::default();
    let mut against: Option<ObjectionCategory> = None;
    let mut found = Vec::new();
    for moment in moments.iter().skip_while(|m| m.id != first.id) {
        match &moment.slots {
            Slots::Quote(slots) => {
                let changes = changes_amount(&named, slots)
                    || matches!((named.discount, slots.discount), (Some(old), Some(new)) if old != new);
                let answers = match against {
                    None => false,
                    Some(ObjectionCategory::Terms) => *slots != QuoteSlots::default(),
                    Some(_) => slots.amount_cny.is_some() || slots.discount.is_some(),
                };
                if changes || answers {
                    found.push(moment);
                }
                if slots.amount_cny.is_some() {
                    (named.amount_cny, named.period) = (slots.amount_cny, slots.period);
                }
                named.discount = slots.discount.or(named.discount);
            }
            Slots::Objection(slots) => {
                use ObjectionCategory::{Budget, Competitor, Price, Terms};
                if matches!(slots.category, Price | Terms | Budget | Competitor) {
                    against = Some(slots.category);
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether an amount is another one for the same thing: of the same period and not twice or half as large.
fn changes_amount(old: &QuoteSlots, new: &QuoteSlots) -> bool {
    match (old.amount_cny, new.amount_cny) {
        (Some(before), Some(after)) => {
            let ratio = after.to_f64() / before.to_f64();
            old.period == new.period && before != after && ratio > 0.5 && ratio < 2.0
        }
        _ => false,
    }
}

//! Where the visit leaves the deal.
//!
//! The first rule that holds decides:
//! 1. 流失: the last word of loss in an objection (bought elsewhere, refused) comes after every intent to sign.
//! 2. 搁置: an objection puts the decision off after every intent to sign, and late in the visit or unanswered.
//! 3. 签约: the last intent to sign is a strong one.
//! 4. 商务谈判: an intent with a condition; or, after a price was named, another price or term, or an objection
//!    to price or terms.
//! 5. 方案报价: a price, discount or term was named.
//! 6. 需求确认: an objection, an answer or a step about the goods, or enough talk of a need.
//! 7. 初步接触: none of these.

use regex::Regex;
use serde::Deserialize;

use super::Field;
use crate::domain::moment::{IntentLevel, Moment, MomentKind, ObjectionCategory, QuoteSlots, Slots};
use crate::domain::summary::Stage;
use crate::domain::transcript::Segment;
use crate::error::{Code, Error};
use crate::stage::rules;

/// `pipelines/rules/deal.toml`; its comments say what each list is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    lost: Vec<String>,
    farewell: Vec<String>,
    put_off: Vec<String>,
    need: Vec<String>,
    needs_for_need: usize,
}

/// The wordings, ready to search.
#[derive(Debug)]
pub struct Rules {
    lost: Regex,
    farewell: Regex,
    put_off: Regex,
    need: Regex,
    needs_for_need: usize,
}

/// The last part of a visit, in which a put-off is the result.
const LATE: f64 = 0.6;
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
            lost: any_of(&file.lost)?,
            farewell: any_of(&file.farewell)?,
            put_off: any_of(&file.put_off)?,
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
        let after_intents =
            moments.iter().rposition(|m| m.kind == MomentKind::SigningIntent).map_or(0, |at| at + 1);
        let late_objections: Vec<&Moment> =
            moments.iter().skip(after_intents).filter(|m| m.kind == MomentKind::Objection).collect();

        let lost: Vec<&Moment> =
            late_objections.iter().filter(|m| self.lost.is_match(&m.evidence)).copied().collect();
        if let [.., last] = lost.as_slice() {
            let farewell = self.says_farewell(segments);
            // One word of loss may be a slip; two, or one that is taken leave on, or the last objection, is not.
            let sure = farewell || lost.len() > 1 || late_objections.last().is_some_and(|m| m.id == last.id);
            if sure {
                return found(Stage::Lost, if farewell { 0.95 } else { 0.8 }, &lost);
            }
        }
        let end = segments.last().map_or(0, |s| s.end_ms.0) as f64;
        let put_off: Vec<&Moment> = late_objections
            .iter()
            .filter(|m| self.put_off.is_match(&m.evidence))
            .filter(|m| m.start_ms.0 as f64 >= LATE * end || !is_answered(moments, m))
            .copied()
            .collect();
        if !put_off.is_empty() {
            return found(Stage::OnHold, 0.9, &put_off);
        }
        let intents: Vec<(&Moment, IntentLevel)> = moments
            .iter()
            .filter_map(|m| match &m.slots {
                Slots::Signing(slots) => Some((m, slots.level)),
                _ => None,
            })
            .collect();
        match intents.last() {
            Some((_, IntentLevel::Strong)) => {
                let strong: Vec<&Moment> =
                    intents.iter().filter(|(_, l)| *l == IntentLevel::Strong).map(|(m, _)| *m).collect();
                return found(Stage::Signed, 0.9, &strong);
            }
            Some(_) => {
                let all: Vec<&Moment> = intents.iter().map(|(m, _)| *m).collect();
                return found(Stage::Negotiating, 0.85, &all);
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
        let objections = moments.iter().any(|m| m.kind != MomentKind::NextStep);
        let enough = needs.len() >= self.needs_for_need;
        if objections || enough || (!about.is_empty() && !needs.is_empty()) {
            found(Stage::NeedConfirmed, 0.65, &about)
        } else {
            found(Stage::FirstContact, 0.65, &about)
        }
    }

    fn says_farewell(&self, segments: &[Segment]) -> bool {
        segments.iter().rev().take(FAREWELL_SEGMENTS).any(|s| self.farewell.is_match(&s.text))
    }
}

/// Whether the rep answered this objection before another one came.
fn is_answered(moments: &[Moment], objection: &Moment) -> bool {
    let turns =
        moments.iter().filter(|m| matches!(m.kind, MomentKind::Objection | MomentKind::ObjectionHandling));
    turns.skip_while(|m| m.id != objection.id).nth(1).is_some_and(|m| m.kind == MomentKind::ObjectionHandling)
}

/// What shows that price or terms are being bargained over, after the first quote.
fn bargaining<'a>(moments: &'a [Moment], first: &Moment) -> Vec<&'a Moment> {
    let mut last: QuoteSlots = QuoteSlots::default();
    let mut found = Vec::new();
    for moment in moments.iter().skip_while(|m| m.id != first.id) {
        let bargains = match &moment.slots {
            Slots::Quote(slots) => {
                let changed = |old: bool, differs: bool| old && differs;
                let other = changed(
                    last.amount_cny.is_some(),
                    slots.amount_cny.is_some() && slots.amount_cny != last.amount_cny,
                ) || changed(
                    last.payment_terms.is_some(),
                    slots.payment_terms.is_some() && slots.payment_terms != last.payment_terms,
                ) || changed(
                    last.discount.is_some(),
                    slots.discount.is_some() && slots.discount != last.discount,
                );
                last = slots.clone();
                other
            }
            Slots::Objection(slots) => {
                matches!(slots.category, ObjectionCategory::Price | ObjectionCategory::Terms)
            }
            _ => false,
        };
        if bargains {
            found.push(moment);
        }
    }
    found
}

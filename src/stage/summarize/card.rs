//! What the card shows of a summary: prefilled fields and chips.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::card::{CardField, Chip};
use crate::domain::moment::{IntentLevel, Moment, MomentKind, Period, QuoteSlots, Slots, Unit, Yuan};
use crate::domain::summary::Summary;

/// Longest words of terms or an action on a chip, in characters.
const LONGEST: usize = 16;

/// The fields by name (`stage`, `next_action`, `next_date`, `latest_quote`, `objections`, `signing_intent`) and
/// the chips in the order of the visit.
pub fn card_fields(summary: &Summary, moments: &[Moment]) -> (BTreeMap<String, CardField>, Vec<Chip>) {
    let values = [
        ("stage", json!(summary.stage)),
        ("next_action", json!(summary.next_action)),
        ("next_date", json!(summary.next_date)),
        ("latest_quote", json!(summary.latest_quote)),
        ("objections", json!(summary.objections)),
        ("signing_intent", json!(summary.signing_intent)),
    ];
    let fields =
        values.into_iter().map(|(name, value)| (name.to_owned(), field(summary, name, value))).collect();
    (fields, chips(summary, moments))
}

fn field(summary: &Summary, name: &str, value: Value) -> CardField {
    let confidence = summary.confidence.get(name).copied().unwrap_or_default();
    CardField { value, confidence, evidence: summary.evidence.get(name).cloned().unwrap_or_default() }
}

/// One chip for every different quote, category, step and for the intent; the last moment of each.
fn chips(summary: &Summary, moments: &[Moment]) -> Vec<Chip> {
    let mut chips: Vec<Chip> = Vec::new();
    for moment in moments {
        let label = match &moment.slots {
            Slots::Quote(slots) => quote(slots),
            Slots::Objection(slots) => {
                let handled = summary.objections.iter().any(|o| o.category == slots.category && o.handled);
                let answer = if handled { "已回应" } else { "未回应" };
                Some(format!("{}异议 {answer}", slots.category.label_zh()))
            }
            Slots::NextStep(slots) => slots.action.as_ref().map(|action| {
                let action = cut(action);
                let day = slots.date.map(|d| format!("{}月{}日 ", d.month(), d.day()));
                format!("{}{action}", day.unwrap_or_default())
            }),
            Slots::Signing(slots) if slots.level == summary.signing_intent.level => {
                let level = if slots.level == IntentLevel::Strong { "强意向" } else { "有条件意向" };
                Some(level.to_owned())
            }
            _ => None,
        };
        if let Some(label) = label {
            chips.retain(|chip| chip.label != label || chip.kind != moment.kind);
            chips.push(Chip { kind: moment.kind, label, moment_id: moment.id.clone() });
        }
    }
    chips.sort_by_key(|chip| chip.kind == MomentKind::ObjectionHandling);
    chips
}

fn cut(words: &str) -> String {
    if words.chars().count() <= LONGEST {
        return words.to_owned();
    }
    words.chars().take(LONGEST - 1).chain(['…']).collect()
}

fn quote(slots: &QuoteSlots) -> Option<String> {
    let discount = slots.discount.map(|factor| format!("{}折", (factor * 1000.0).round() / 100.0));
    let terms = slots
        .payment_terms
        .as_ref()
        .map(|terms| if terms.chars().count() <= LONGEST { terms.clone() } else { "付款条件".to_owned() });
    let parts: Vec<String> = price(slots).into_iter().chain(discount).chain(terms).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// 28.8万元, 268元/盒, 3600元/账号/年.
pub fn price(slots: &QuoteSlots) -> Option<String> {
    let amount = sum(slots.amount_cny?);
    let unit = match slots.unit {
        Some(Unit::Seat) => "/账号",
        Some(Unit::Device) => "/台",
        Some(Unit::Box) => "/盒",
        Some(Unit::Vehicle) => "/辆",
        None => "",
    };
    let period = match slots.period {
        Some(Period::Year) => "/年",
        Some(Period::Month) => "/月",
        _ => "",
    };
    Some(format!("{amount}{unit}{period}"))
}

/// The price as short as it can be said: 28.8万, 268元/盒.
pub fn short_price(slots: &QuoteSlots) -> Option<String> {
    let amount = sum(slots.amount_cny?);
    amount.strip_suffix("万元").map(|wan| format!("{wan}万")).or_else(|| price(slots))
}

fn sum(amount: Yuan) -> String {
    // Two decimals of 万 at most; other sums are clearer in full.
    if amount.fen >= 10_000_000 && amount.fen % 10_000 == 0
        || amount.fen >= 1_000_000 && amount.fen % 100_000 == 0
    {
        format!("{}万元", amount.to_f64() / 10_000.0)
    } else {
        format!("{}元", amount.to_f64())
    }
}

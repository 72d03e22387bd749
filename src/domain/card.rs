//! The card: what the salesperson sees and confirms with one tap.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{CardId, MomentId, VisitId};
use super::moment::MomentKind;

/// The three fields without which a visit cannot be archived.
pub const REQUIRED_FIELDS: [&str; 3] = ["stage", "next_action", "next_date"];

/// Where a card stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardState {
    /// Waits for the salesperson.
    Pending,
    /// Confirmed; its content no longer changes.
    Confirmed,
}

/// One prefilled field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardField {
    /// The value as JSON: text, a date as YYYY-MM-DD, an object, or null.
    pub value: serde_json::Value,
    /// How sure, 0..=1; the page marks what is below 0.6.
    #[serde(serialize_with = "hundredths")]
    pub confidence: f32,
    /// The moments that prove it.
    pub evidence: Vec<MomentId>,
}

/// Two decimals: what a person reads, and the same digits whether the number is written as f32 or f64.
fn hundredths<S: serde::Serializer>(value: &f32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((f64::from(*value) * 100.0).round() / 100.0)
}

/// A small tappable fact on the card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chip {
    /// Kind of the moment behind it.
    pub kind: MomentKind,
    /// What it says, in Chinese: `28.8万元`, `价格异议 已回应`.
    pub label: String,
    /// The moment a tap shows and plays.
    pub moment_id: MomentId,
}

/// The card of one visit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Its id.
    pub id: CardId,
    /// The visit it is about.
    pub visit_id: VisitId,
    /// Grows with every change; confirming names the version that was seen.
    pub version: i64,
    /// Pending or confirmed.
    pub state: CardState,
    /// Outcome and next step in at most 20 characters.
    pub headline: String,
    /// By field name: `stage`, `next_action`, `next_date`, `latest_quote`, `objections`, `signing_intent`.
    pub fields: BTreeMap<String, CardField>,
    /// Quotes, objections, intent, steps.
    pub chips: Vec<Chip>,
}

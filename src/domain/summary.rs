//! The summary of a visit: where it left the deal, what comes next, and the moments that prove each field.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::ids::MomentId;
use super::moment::{IntentLevel, ObjectionCategory, QuoteSlots};

/// Where the visit leaves the deal. Serialised in Chinese, as the CRM and the card show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Stage {
    #[serde(rename = "初步接触")]
    FirstContact,
    #[serde(rename = "需求确认")]
    NeedConfirmed,
    #[serde(rename = "方案报价")]
    Quoted,
    #[serde(rename = "商务谈判")]
    Negotiating,
    #[serde(rename = "签约")]
    Signed,
    #[serde(rename = "搁置")]
    OnHold,
    #[serde(rename = "流失")]
    Lost,
}

impl Stage {
    /// All stages, in the order of a deal.
    pub const ALL: [Self; 7] = [
        Self::FirstContact,
        Self::NeedConfirmed,
        Self::Quoted,
        Self::Negotiating,
        Self::Signed,
        Self::OnHold,
        Self::Lost,
    ];

    /// The Chinese name, as serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstContact => "初步接触",
            Self::NeedConfirmed => "需求确认",
            Self::Quoted => "方案报价",
            Self::Negotiating => "商务谈判",
            Self::Signed => "签约",
            Self::OnHold => "搁置",
            Self::Lost => "流失",
        }
    }
}

/// One category of objections raised in the visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectionSummary {
    /// What it was about.
    pub category: ObjectionCategory,
    /// Whether the last objection of this category got an answer.
    pub handled: bool,
}

/// The strongest intent to sign that was voiced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentSummary {
    /// Strong, conditional or none.
    pub level: IntentLevel,
    /// When they mean to sign.
    pub date: Option<Date>,
}

/// What a salesperson would sign. Every figure, name and date in it was said in the visit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Outcome and next step in at most 20 characters.
    pub headline: String,
    /// Where the visit leaves the deal.
    pub stage: Option<Stage>,
    /// What happens next, in few words.
    pub next_action: Option<String>,
    /// The earliest dated step the rep owns, else the earliest dated step.
    pub next_date: Option<Date>,
    /// The last stated quote.
    pub latest_quote: Option<QuoteSlots>,
    /// One entry a category.
    pub objections: Vec<ObjectionSummary>,
    /// Will to sign.
    pub signing_intent: IntentSummary,
    /// All moments of the visit, in time order.
    pub moments: Vec<MomentId>,
    /// Share of the speech that has a transcript, 0..=1.
    pub coverage: f64,
    /// How sure each field is, 0..=1, by field name (`stage`, `next_action`, ...).
    pub confidence: BTreeMap<String, f32>,
    /// The moments that prove each field, by field name.
    pub evidence: BTreeMap<String, Vec<MomentId>>,
}

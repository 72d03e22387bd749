//! Key moments: the five kinds of ../shared label guide, and the slots each of them carries.

use jiff::civil::Date;
use serde::{Deserialize, Serialize, Serializer};

use super::ids::{MomentId, SegmentId};
use super::time::Millis;
use super::transcript::Speaker;

/// The five kinds, in the order of the classifier's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentKind {
    /// 报价: a price, discount or payment term for the thing being sold.
    Quote,
    /// 异议: the customer voices a concern or obstacle.
    Objection,
    /// 异议处理: the rep answers an objection.
    ObjectionHandling,
    /// 签约意向: the customer shows will to buy.
    SigningIntent,
    /// 下一步: a concrete agreed follow-up.
    NextStep,
}

impl MomentKind {
    /// All kinds, in the order of the classifier's outputs.
    pub const ALL: [Self; 5] =
        [Self::Quote, Self::Objection, Self::ObjectionHandling, Self::SigningIntent, Self::NextStep];

    /// The name used in JSON, labels and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quote => "quote",
            Self::Objection => "objection",
            Self::ObjectionHandling => "objection_handling",
            Self::SigningIntent => "signing_intent",
            Self::NextStep => "next_step",
        }
    }

    /// The only side that can say it, where there is one: a customer objects and wants to sign, the salesperson answers.
    pub fn said_by(self) -> Option<Speaker> {
        match self {
            Self::Objection | Self::SigningIntent => Some(Speaker::Customer),
            Self::ObjectionHandling => Some(Speaker::Rep),
            Self::Quote | Self::NextStep => None,
        }
    }

    /// The name a salesperson reads.
    pub fn label_zh(self) -> &'static str {
        match self {
            Self::Quote => "报价",
            Self::Objection => "异议",
            Self::ObjectionHandling => "异议处理",
            Self::SigningIntent => "签约意向",
            Self::NextStep => "下一步",
        }
    }
}

/// A sum of money in integer fen; in JSON a number of yuan, without a fraction where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Yuan {
    /// Hundredths of a yuan.
    pub fen: i64,
}

impl Yuan {
    /// Whole yuan.
    pub fn whole(yuan: i64) -> Self {
        Self { fen: yuan.saturating_mul(100) }
    }

    /// From a number of yuan, rounded to fen.
    pub fn from_f64(yuan: f64) -> Self {
        Self { fen: (yuan * 100.0).round() as i64 }
    }

    /// As a number of yuan.
    pub fn to_f64(self) -> f64 {
        self.fen as f64 / 100.0
    }
}

impl Serialize for Yuan {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.fen % 100 == 0 { s.serialize_i64(self.fen / 100) } else { s.serialize_f64(self.to_f64()) }
    }
}

impl<'de> Deserialize<'de> for Yuan {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        f64::deserialize(d).map(Self::from_f64)
    }
}

/// What a price is counted per.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A year.
    Year,
    /// A month.
    Month,
    /// Once for all.
    OneTime,
    /// One unit of the goods.
    PerUnit,
}

/// The unit of the goods a price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A user account.
    Seat,
    /// A machine.
    Device,
    /// A box.
    Box,
    /// A vehicle.
    Vehicle,
}

/// Slots of a quote.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QuoteSlots {
    /// The stated amount; absent when only a discount or terms are stated.
    pub amount_cny: Option<Yuan>,
    /// What the amount is counted per.
    pub period: Option<Period>,
    /// The unit of the goods.
    pub unit: Option<Unit>,
    /// The factor on the price: 九折 = 0.9.
    pub discount: Option<f64>,
    /// How it is paid, in the words used.
    pub payment_terms: Option<String>,
}

/// What an objection is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ObjectionCategory {
    Price,
    Budget,
    Competitor,
    Authority,
    Timing,
    Need,
    Trust,
    Technical,
    Service,
    Terms,
}

impl ObjectionCategory {
    /// All categories, in the order of the classifier's outputs.
    pub const ALL: [Self; 10] = [
        Self::Price,
        Self::Budget,
        Self::Competitor,
        Self::Authority,
        Self::Timing,
        Self::Need,
        Self::Trust,
        Self::Technical,
        Self::Service,
        Self::Terms,
    ];

    /// The name used in JSON and in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::Budget => "budget",
            Self::Competitor => "competitor",
            Self::Authority => "authority",
            Self::Timing => "timing",
            Self::Need => "need",
            Self::Trust => "trust",
            Self::Technical => "technical",
            Self::Service => "service",
            Self::Terms => "terms",
        }
    }

    /// The name a salesperson reads.
    pub fn label_zh(self) -> &'static str {
        match self {
            Self::Price => "价格",
            Self::Budget => "预算",
            Self::Competitor => "竞品",
            Self::Authority => "决策人",
            Self::Timing => "时机",
            Self::Need => "需求",
            Self::Trust => "信任",
            Self::Technical => "技术",
            Self::Service => "服务",
            Self::Terms => "条款",
        }
    }
}

/// Slots of an objection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectionSlots {
    /// What it is about.
    pub category: ObjectionCategory,
}

/// How firm an intent to sign is. `None` appears in summaries only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentLevel {
    /// Agreed, no condition attached.
    Strong,
    /// Agreed if something else happens.
    Conditional,
    /// No intent was voiced.
    #[default]
    None,
}

/// Slots of a signing intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SigningSlots {
    /// Strong or conditional.
    pub level: IntentLevel,
    /// The condition, in the words used.
    pub condition: Option<String>,
    /// When they mean to sign, resolved.
    pub date: Option<Date>,
}

/// Who owes a next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Owner {
    Rep,
    Customer,
}

/// Slots of a next step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NextStepSlots {
    /// Who owes it, if it can be told.
    pub owner: Option<Owner>,
    /// What is to be done, in few words of the speaker.
    pub action: Option<String>,
    /// By when, resolved against the visit's time.
    pub date: Option<Date>,
}

/// The slots of a moment: the variant follows its kind. Handling an objection has none (`{}`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Slots {
    Quote(QuoteSlots),
    Objection(ObjectionSlots),
    Signing(SigningSlots),
    NextStep(NextStepSlots),
    None {},
}

/// A key moment and what proves it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// Its id within the visit.
    pub id: MomentId,
    /// Which of the five.
    pub kind: MomentKind,
    /// Start of the evidence.
    pub start_ms: Millis,
    /// End of the evidence.
    pub end_ms: Millis,
    /// Indices of the evidence in the given transcript (`analyze` only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utterances: Option<Vec<u32>>,
    /// The segments that are the evidence.
    pub segment_ids: Vec<SegmentId>,
    /// Calibrated probability, 0..=1.
    pub score: f32,
    /// The words that prove it, masked.
    pub evidence: String,
    /// What was found in those words.
    pub slots: Slots,
}

/// The slots are read by the moment's kind: an untagged guess would take one kind's object for another's.
impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            id: MomentId,
            kind: MomentKind,
            start_ms: Millis,
            end_ms: Millis,
            #[serde(default)]
            utterances: Option<Vec<u32>>,
            segment_ids: Vec<SegmentId>,
            score: f32,
            evidence: String,
            slots: serde_json::Value,
        }
        let raw = Raw::deserialize(d)?;
        let slots = match raw.kind {
            MomentKind::Quote => serde_json::from_value(raw.slots).map(Slots::Quote),
            MomentKind::Objection => serde_json::from_value(raw.slots).map(Slots::Objection),
            MomentKind::SigningIntent => serde_json::from_value(raw.slots).map(Slots::Signing),
            MomentKind::NextStep => serde_json::from_value(raw.slots).map(Slots::NextStep),
            MomentKind::ObjectionHandling => Ok(Slots::None {}),
        }
        .map_err(serde::de::Error::custom)?;
        Ok(Self {
            id: raw.id,
            kind: raw.kind,
            start_ms: raw.start_ms,
            end_ms: raw.end_ms,
            utterances: raw.utterances,
            segment_ids: raw.segment_ids,
            score: raw.score,
            evidence: raw.evidence,
            slots,
        })
    }
}

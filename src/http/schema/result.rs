//! Results and cards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Everything a visit's audio yielded. Personal data is masked throughout.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VisitResult {
    /// Length of the audio.
    pub duration_ms: u64,
    /// How much of it is speech.
    pub speech_ms: u64,
    /// Share of the speech that has a transcript, 0 to 1.
    pub coverage: f64,
    /// What has no transcript.
    pub gaps: Vec<Gap>,
    /// What was said, in order.
    pub segments: Vec<Segment>,
    /// What mattered, in order.
    pub moments: Vec<Moment>,
    /// What was masked.
    pub pii: Vec<Pii>,
    /// Where it leaves the deal.
    pub summary: Summary,
    /// Time spent by each stage, milliseconds.
    pub timings: BTreeMap<String, u64>,
    /// The pipeline that ran.
    pub pipeline: PipelineRef,
    /// The models that took part, by name.
    pub models: BTreeMap<String, ModelRef>,
}

/// A declared pipeline.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PipelineRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// The weights of a model.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ModelRef {
    /// The manifest's version.
    pub version: String,
    /// SHA-256 of the weights.
    pub sha256: String,
}

/// One stretch of speech.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Segment {
    /// Its id within the visit.
    #[schema(example = "seg_0007")]
    pub id: String,
    /// Start of the speech.
    pub start_ms: u64,
    /// End of the speech.
    pub end_ms: u64,
    /// The shown text.
    #[schema(example = "这套一共28.8万元，月底前签可以打9折。")]
    pub text: String,
    /// The recognised words before numbers and marks are written.
    pub raw_text: String,
    /// `rep`, `customer`, or null where it is not known.
    pub speaker: Option<String>,
    /// Mean token probability, 0 to 1.
    pub confidence: f32,
}

/// Audio without a transcript.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// Start.
    pub start_ms: u64,
    /// End.
    pub end_ms: u64,
    /// `no_speech`, `undecodable` or `engine_failed`.
    pub reason: String,
}

/// That personal data was said, where, and never what.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Pii {
    /// `mobile`, `email`, `id_card`, `bank_card` or `plate`.
    pub kind: String,
    /// Start of the segments that hold it.
    pub start_ms: Option<u64>,
    /// End of the segments that hold it.
    pub end_ms: Option<u64>,
    /// The utterances that hold it, in an analysis of given text.
    pub utterances: Option<Vec<u32>>,
}

/// A key moment and what proves it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Moment {
    /// Its id within the visit.
    #[schema(example = "mom_0002")]
    pub id: String,
    /// Which of the five.
    pub kind: MomentKind,
    /// Start of the evidence.
    pub start_ms: u64,
    /// End of the evidence.
    pub end_ms: u64,
    /// The utterances it rests on, in an analysis of given text.
    pub utterances: Option<Vec<u32>>,
    /// The segments it rests on.
    pub segment_ids: Vec<String>,
    /// Calibrated probability, 0 to 1.
    pub score: f32,
    /// The words that prove it, masked.
    pub evidence: String,
    /// What was found in those words; which fields there are follows `kind`.
    pub slots: Slots,
}

/// The five kinds of key moment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum MomentKind {
    Quote,
    Objection,
    ObjectionHandling,
    SigningIntent,
    NextStep,
}

/// The slots of all kinds of moment; each kind carries its own.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Slots {
    /// `quote`: the amount in full yuan.
    #[schema(example = 288000)]
    pub amount_cny: Option<f64>,
    /// `quote`: `year`, `month`, `one_time` or `per_unit`.
    pub period: Option<String>,
    /// `quote`: `seat`, `device`, `box` or `vehicle`.
    pub unit: Option<String>,
    /// `quote`: the factor on the price, 九折 = 0.9.
    pub discount: Option<f64>,
    /// `quote`: how it is paid, in the words used.
    pub payment_terms: Option<String>,
    /// `objection`: what it is about.
    pub category: Option<String>,
    /// `signing_intent`: `strong` or `conditional`.
    pub level: Option<String>,
    /// `signing_intent`: the condition, in the words used.
    pub condition: Option<String>,
    /// `next_step`: `rep` or `customer`.
    pub owner: Option<String>,
    /// `next_step`: what is to be done.
    pub action: Option<String>,
    /// `signing_intent`, `next_step`: the day.
    #[schema(value_type = Option<String>, format = Date, example = "2026-12-02")]
    pub date: Option<String>,
}

/// The last stated quote.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct QuoteSlots {
    /// The amount in full yuan.
    pub amount_cny: Option<f64>,
    /// What it is counted per.
    pub period: Option<String>,
    /// The unit of the goods.
    pub unit: Option<String>,
    /// The factor on the price.
    pub discount: Option<f64>,
    /// How it is paid.
    pub payment_terms: Option<String>,
}

/// One category of objections.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ObjectionSummary {
    /// What it was about.
    pub category: String,
    /// Whether the last one got an answer.
    pub handled: bool,
}

/// The strongest intent to sign.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct IntentSummary {
    /// `strong`, `conditional` or `none`.
    pub level: String,
    /// When they mean to sign.
    #[schema(value_type = Option<String>, format = Date)]
    pub date: Option<String>,
}

/// Where the visit leaves the deal. Every figure, name and date in it was said.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// Outcome and next step in at most 20 characters.
    pub headline: String,
    /// 初步接触, 需求确认, 方案报价, 商务谈判, 签约, 搁置 or 流失.
    pub stage: Option<String>,
    /// What happens next.
    pub next_action: Option<String>,
    /// The earliest dated step.
    #[schema(value_type = Option<String>, format = Date)]
    pub next_date: Option<String>,
    /// The last stated quote.
    pub latest_quote: Option<QuoteSlots>,
    /// One entry a category.
    pub objections: Vec<ObjectionSummary>,
    /// Will to sign.
    pub signing_intent: IntentSummary,
    /// All moments, in time order.
    pub moments: Vec<String>,
    /// Share of the speech that has a transcript, 0 to 1.
    pub coverage: f64,
    /// How sure each field is, 0 to 1, by field.
    pub confidence: BTreeMap<String, f32>,
    /// The moments that prove each field, by field.
    pub evidence: BTreeMap<String, Vec<String>>,
}

/// What the salesperson sees and confirms.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "crd_0199f3a1c6f27d8e9b2f0c4d5e6f7a8b", "visit_id": "vis_0199f3a1c6f27d8e9b2f0c4d5e6f7a8b",
    "version": 1, "state": "pending", "headline": "28.8万报价，周五发方案",
    "fields": {"next_date": {"value": "2026-11-27", "confidence": 0.93, "evidence": ["mom_0003"]}},
    "chips": [{"kind": "quote", "label": "28.8万元", "moment_id": "mom_0001"}]
}))]
pub struct Card {
    /// Its id.
    pub id: String,
    /// The visit it is about.
    pub visit_id: String,
    /// Grows with every change.
    pub version: i64,
    /// `pending` or `confirmed`.
    pub state: String,
    /// Outcome and next step in at most 20 characters.
    pub headline: String,
    /// `stage`, `next_action`, `next_date`, `latest_quote`, `objections`, `signing_intent`.
    pub fields: BTreeMap<String, CardField>,
    /// Quotes, objections, intent, steps.
    pub chips: Vec<Chip>,
}

/// One prefilled field.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CardField {
    /// Text, a date, an object or null.
    pub value: Value,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// The moments that prove it.
    pub evidence: Vec<String>,
}

/// A small fact to tap.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Chip {
    /// Kind of the moment behind it.
    pub kind: MomentKind,
    /// What it says, in Chinese.
    pub label: String,
    /// The moment a tap shows and plays.
    pub moment_id: String,
}

/// Confirms a card as it was seen.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ConfirmBody {
    /// The version that was on the screen.
    #[schema(example = 1)]
    pub version: i64,
    /// New values by field name; the rest stays as shown.
    #[serde(default)]
    #[schema(example = json!({"next_date": "2026-12-01"}))]
    pub edits: BTreeMap<String, Value>,
    /// Moments that were none: their chips go, and what rests on them alone is summed up anew. 422 for an id that
    /// the visit does not have.
    #[serde(default)]
    #[schema(example = json!(["mom_0002"]))]
    pub dismissed: Vec<String>,
}

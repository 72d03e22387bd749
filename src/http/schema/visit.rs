//! Visits, consent and tickets.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::consent::{Method, Purpose};

/// A person as the CRM knows them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Party {
    /// The CRM's id.
    #[schema(example = "c-1042", max_length = 200)]
    pub id: String,
    /// The name shown.
    #[schema(example = "华东精密", max_length = 200)]
    pub name: String,
}

/// A visit to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct NewVisit {
    /// The CRM's own id for it.
    #[schema(example = "visit-2026-118")]
    pub external_id: Option<String>,
    /// Who is visited.
    pub customer: Party,
    /// Who visits.
    pub rep: Party,
    /// When it is planned. Relative dates in the visit are resolved against this, else against its first audio.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-23T14:00:00+08:00")]
    pub scheduled_at: Option<Timestamp>,
    /// What the visit is for.
    #[schema(example = "续约报价")]
    pub purpose: Option<String>,
    /// Names and terms that the recogniser should expect.
    #[serde(default)]
    #[schema(example = json!(["华东精密", "云管家"]))]
    pub hotwords: Vec<String>,
}

/// A visit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "vis_0199f3a1c6f27d8e9b2f0c4d5e6f7a8b", "external_id": "visit-2026-118", "state": "consented",
    "customer": {"id": "c-1042", "name": "华东精密"}, "rep": {"id": "r-7", "name": "李娜"},
    "scheduled_at": "2026-11-23T06:00:00Z", "purpose": "续约报价", "hotwords": ["华东精密"],
    "created_at": "2026-11-23T01:12:40Z", "started_at": null, "ended_at": null, "failure": null
}))]
pub struct Visit {
    /// Its id.
    pub id: String,
    /// The CRM's own id for it.
    pub external_id: Option<String>,
    /// Where it stands.
    pub state: VisitState,
    /// Who is visited.
    pub customer: Party,
    /// Who visits.
    pub rep: Party,
    /// When it is planned.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub scheduled_at: Option<String>,
    /// What the visit is for.
    pub purpose: Option<String>,
    /// Names and terms that the recogniser should expect.
    pub hotwords: Vec<String>,
    /// When the record was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the first audio arrived.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<String>,
    /// When the last audio had arrived.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<String>,
    /// Why it failed, for a person to act on.
    pub failure: Option<String>,
}

/// Where a visit stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum VisitState {
    Scheduled,
    Consented,
    Live,
    Ended,
    CardReady,
    Confirmed,
    Archived,
    Withdrawn,
    Erased,
    Failed,
}

/// A page of visits, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VisitList {
    /// The visits.
    pub visits: Vec<Visit>,
    /// Pass it as `before` to get the next page; null on the last one.
    pub next: Option<String>,
}

/// A consent to be recorded.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct NewConsent {
    /// What the customer agrees to, each on its own: `recording`, `transcription`, `crm_delivery`.
    #[schema(value_type = Vec<String>, example = json!(["recording", "transcription", "crm_delivery"]))]
    pub purposes: Vec<Purpose>,
    /// The version of the notice that was shown or read out.
    #[schema(example = "2026-10")]
    pub notice_version: String,
    /// `verbal`, `tap` or `signature`.
    #[schema(value_type = String, example = "verbal")]
    pub method: Method,
    /// Who gave it.
    #[schema(example = "王总")]
    pub given_by: String,
    /// When, by the device's clock.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T14:01:07+08:00")]
    pub given_at: Timestamp,
}

/// A consent on record.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Consent {
    /// Its id.
    #[schema(example = "con_0199f3a1c6f27d8e9b2f0c4d5e6f7a8b")]
    pub id: String,
    /// What was agreed to.
    pub purposes: Vec<String>,
    /// The version of the notice.
    pub notice_version: String,
    /// How it was given.
    pub method: String,
    /// Who gave it.
    pub given_by: String,
    /// When, by the device's clock.
    #[schema(format = DateTime)]
    pub given_at: String,
    /// When it reached the service.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// When it was taken back.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub withdrawn_at: Option<String>,
}

/// A one-time ticket for a live stream.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// Goes into the stream's URL: `/v1/visits/{id}/stream?ticket=...`.
    pub ticket: String,
    /// How long it can be used.
    #[schema(example = 30)]
    pub expires_in_s: i64,
}

//! A visit and the states it passes through.

use serde::{Deserialize, Serialize};

use super::ids::VisitId;

/// Where a visit stands. `scheduled -> consented -> live -> ended -> card_ready -> confirmed -> archived`,
/// with the side exits `withdrawn`, `erased` and `failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisitState {
    /// Known, nothing agreed yet.
    Scheduled,
    /// The customer agreed to recording.
    Consented,
    /// Audio is arriving, live or by upload.
    Live,
    /// All audio is here; the result is being made.
    Ended,
    /// The card waits for the salesperson.
    CardReady,
    /// The salesperson confirmed it.
    Confirmed,
    /// Closed with all required fields.
    Archived,
    /// The customer took the consent back.
    Withdrawn,
    /// Every byte of it is gone.
    Erased,
    /// It could not be finished; the reason says what a person can do.
    Failed,
}

impl VisitState {
    /// The name used in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Consented => "consented",
            Self::Live => "live",
            Self::Ended => "ended",
            Self::CardReady => "card_ready",
            Self::Confirmed => "confirmed",
            Self::Archived => "archived",
            Self::Withdrawn => "withdrawn",
            Self::Erased => "erased",
            Self::Failed => "failed",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
    }

    /// Whether audio may still arrive in this state, given consent.
    pub fn takes_audio(self) -> bool {
        matches!(self, Self::Consented | Self::Live)
    }
}

/// A person as the CRM knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The CRM's id.
    pub id: String,
    /// The name shown.
    pub name: String,
}

/// One visit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// Its id.
    pub id: VisitId,
    /// The CRM's own id for it.
    pub external_id: Option<String>,
    /// Where it stands.
    pub state: VisitState,
    /// Who is visited.
    pub customer: Party,
    /// Who visits.
    pub rep: Party,
    /// When it is planned.
    pub scheduled_at: Option<jiff::Timestamp>,
    /// What the visit is for.
    pub purpose: Option<String>,
    /// Names and terms that the recogniser should expect.
    pub hotwords: Vec<String>,
    /// When the record was made.
    pub created_at: jiff::Timestamp,
    /// When the first audio arrived: what relative dates are resolved against.
    pub started_at: Option<jiff::Timestamp>,
    /// When the last audio had arrived.
    pub ended_at: Option<jiff::Timestamp>,
    /// Why it failed, for a person to act on.
    pub failure: Option<String>,
}

//! Consent: who agreed to what, when and how. Without it not one byte is taken.

use serde::{Deserialize, Serialize};

use super::ids::ConsentId;

/// What the customer agrees to, each on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Taking and keeping the sound.
    Recording,
    /// Turning it into text and moments.
    Transcription,
    /// Handing the confirmed record to the CRM.
    CrmDelivery,
}

/// How consent was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Said aloud.
    Verbal,
    /// A tap on the page.
    Tap,
    /// A signature.
    Signature,
}

/// A consent on record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consent {
    /// Its id.
    pub id: ConsentId,
    /// What was agreed to.
    pub purposes: Vec<Purpose>,
    /// The version of the notice that was shown or read out.
    pub notice_version: String,
    /// How it was given.
    pub method: Method,
    /// Who gave it.
    pub given_by: String,
    /// When, by the device's clock.
    pub given_at: jiff::Timestamp,
    /// When it reached the service, by the service's clock.
    pub recorded_at: jiff::Timestamp,
    /// When it was taken back, by the service's clock.
    pub withdrawn_at: Option<jiff::Timestamp>,
}

impl Consent {
    /// Whether it covers `purpose` now.
    pub fn allows(&self, purpose: Purpose) -> bool {
        self.withdrawn_at.is_none() && self.purposes.contains(&purpose)
    }
}

//! What the CRM is told: the kinds of event, one about to be recorded, and one on record.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::{EventId, VisitId};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The kinds of event an endpoint can subscribe to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventKind { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl EventKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The `type` in the body.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// A visit starts in 15 minutes.
    VisitUpcoming = "visit.upcoming";
    /// The first audio arrived.
    VisitStarted = "visit.started";
    /// The result is there.
    VisitTranscribed = "visit.transcribed";
    /// The card waits for the salesperson.
    CardReady = "card.ready";
    /// The salesperson confirmed the card.
    VisitConfirmed = "visit.confirmed";
    /// Closed with all required fields.
    VisitArchived = "visit.archived";
    /// Required fields are still missing.
    VisitFieldsMissing = "visit.fields_missing";
    /// No progress on a lead for 72 h.
    LeadStalled = "lead.stalled";
    /// The Monday report.
    ReportWeekly = "report.weekly";
    /// The customer took the consent back.
    ConsentWithdrawn = "consent.withdrawn";
    /// Every byte of the visit is gone.
    VisitErased = "visit.erased";
}

impl EventKind {
    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// An event to be recorded with the change it tells of.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// The event's own fields; `visit_id`, `external_id` and `seq` are added when it is recorded.
    pub data: Map<String, Value>,
}

impl NewEvent {
    /// An event with these fields (`data` is an object; anything else counts as empty).
    pub fn new(kind: EventKind, data: Value) -> Self {
        let data = if let Value::Object(map) = data { map } else { Map::new() };
        Self { kind, data }
    }
}

/// An event on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id: the `webhook-id` of every attempt.
    pub id: EventId,
    /// The visit it is about.
    pub visit_id: VisitId,
    /// Counts the visit's events from 1.
    pub seq: i64,
    /// What happened.
    pub kind: EventKind,
    /// When, by the service's clock.
    pub at: Timestamp,
    /// `{type, timestamp, data}` as it is sent, the same bytes each time.
    pub body: String,
}

impl Event {
    /// Gives an event its place in a visit and writes its body, once and for all.
    /// `external_id` is the CRM's own name for the visit.
    pub fn record(
        new: &NewEvent,
        visit_id: &VisitId,
        external_id: Option<String>,
        seq: i64,
        at: Timestamp,
    ) -> Self {
        let mut data = new.data.clone();
        data.insert("visit_id".into(), visit_id.as_str().into());
        data.insert("external_id".into(), external_id.into());
        data.insert("seq".into(), seq.into());
        let body = serde_json::json!({"type": new.kind, "timestamp": at, "data": data}).to_string();
        Self { id: EventId::generate(), visit_id: visit_id.clone(), seq, kind: new.kind, at, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_three_fields_of_standard_webhooks() {
        let new = NewEvent::new(EventKind::CardReady, serde_json::json!({"version": 1}));
        let event = Event::record(&new, &VisitId("vis_1".into()), None, 7, Timestamp::UNIX_EPOCH);
        let body: Value = serde_json::from_str(&event.body).unwrap();
        let data = serde_json::json!({"version": 1, "visit_id": "vis_1", "external_id": null, "seq": 7});
        assert_eq!(
            body,
            serde_json::json!({"type": "card.ready", "timestamp": "1970-01-01T00:00:00Z", "data": data})
        );
    }

    #[test]
    fn a_kind_is_read_back_from_its_name() {
        assert!(EventKind::ALL.iter().all(|kind| EventKind::parse(kind.as_str()) == Some(*kind)));
    }
}

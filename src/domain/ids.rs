//! Identifiers. Those of stored things are a prefix and a time-ordered random part (`vis_0199...`); those of
//! segments and moments are named by their place in one visit, so that two runs over the same audio name things alike.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::moment::MomentKind;

macro_rules! stored_id {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The prefix that every id of this kind carries.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, unique and ordered by its time of birth.
            pub fn generate() -> Self {
                Self(format!(concat!($prefix, "{}"), uuid::Uuid::now_v7().simple()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

stored_id! {
    /// A visit.
    VisitId = "vis_";
    /// A card: the confirmable summary of one visit.
    CardId = "crd_";
    /// A consent on record.
    ConsentId = "con_";
    /// An API key (not its secret).
    KeyId = "key_";
    /// A webhook endpoint.
    EndpointId = "ep_";
    /// An event: the `webhook-id` of every attempt to deliver it.
    EventId = "evt_";
    /// One event on its way to one endpoint.
    DeliveryId = "dlv_";
}

macro_rules! visit_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

visit_id! {
    /// A segment of a visit's transcript: `seg_0001`.
    SegmentId;
    /// A key moment of a visit: `mom_0001_quote`.
    MomentId;
}

impl SegmentId {
    /// The `n`-th of its visit, counted from 1.
    pub fn nth(n: usize) -> Self {
        Self(format!("seg_{n:04}"))
    }
}

impl MomentId {
    /// The one of this kind in a segment; there is at most one. It keeps its name when the segment is judged
    /// again.
    pub fn of(segment: &SegmentId, kind: MomentKind) -> Self {
        let number = segment.0.trim_start_matches("seg_");
        Self(format!("mom_{number}_{}", kind.as_str()))
    }
}

//! Webhook endpoints and deliveries.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::event::EventKind;

/// A receiver of events to be registered.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct NewEndpoint {
    /// Where events are posted: https, or http for hosts the operator allowed.
    #[schema(example = "https://crm.example.com/hooks/visitscribe", max_length = 2000)]
    pub url: String,
    /// The kinds it gets; empty means all.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["card.ready", "visit.confirmed"]))]
    pub events: Vec<EventKind>,
}

/// A receiver of events.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Endpoint {
    /// Its id.
    #[schema(example = "ep_0199f3a1c6f27d8e9b2f0c4d5e6f7a8b")]
    pub id: String,
    /// Where events are posted.
    pub url: String,
    /// The kinds it gets; empty means all.
    pub events: Vec<EventKindName>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was taken out of use.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub disabled_at: Option<String>,
    /// Verifies signatures (Standard Webhooks). In the answer to the registration only: it is shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub secret: Option<String>,
}

/// `visit.started`, `card.ready`, `visit.confirmed`, ...
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(example = "card.ready")]
pub struct EventKindName(pub String);

/// All endpoints, oldest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct EndpointList {
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One event on its way to one endpoint.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Its id.
    #[schema(example = "dlv_0199f3a1c6f27d8e9b2f0c4d5e6f7a8b")]
    pub id: String,
    /// Where it goes.
    pub endpoint_id: String,
    /// The event: the `webhook-id` of every attempt.
    pub event_id: String,
    /// The event's kind.
    pub event: EventKindName,
    /// The visit it is about.
    pub visit_id: String,
    /// Its place among the visit's events.
    pub seq: i64,
    /// `waiting`, `due`, `sending`, `delivered` or `dead`.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<String>,
    /// Why the last attempt failed, in a word.
    pub last_error: Option<String>,
    /// When the event happened.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was delivered or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub settled_at: Option<String>,
}

/// A page of deliveries, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeliveryList {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// Pass it as `before` to get the next page; null on the last one.
    pub next: Option<String>,
}

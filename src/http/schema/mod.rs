//! The shapes of requests and answers as the OpenAPI document tells them.
//!
//! Answers are serialised from `domain`, which knows nothing of OpenAPI; these mirrors only describe them, and
//! a test passes real answers through them to see that nothing is missing. Requests are read as what they
//! are declared.

mod crm;
mod result;
mod visit;

pub use crm::{Delivery, DeliveryList, Endpoint, EndpointList, EventKindName, NewEndpoint};
pub use result::{
    Card, CardField, Chip, ConfirmBody, Gap, IntentSummary, ModelRef, Moment, ObjectionSummary, Pii,
    PipelineRef, QuoteSlots, Segment, Slots, Summary, VisitResult,
};
pub use visit::{Consent, NewConsent, NewVisit, Party, Ticket, Visit, VisitList, VisitState};

use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

/// A refusal (RFC 9457). `code` is stable; a program acts on it, people read the details.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:visitscribe:problem:invalid_request", "title": "invalid request", "status": 422,
    "code": "invalid_request", "detail": "customer.name: must not be empty",
    "detail_zh": "请求内容有误，请检查后重试", "field": "customer.name"
}))]
pub struct Problem {
    /// A name for the kind of problem, unique across services.
    pub r#type: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// Cause and way out, for a developer.
    pub detail: String,
    /// For a salesperson.
    pub detail_zh: String,
    /// The field that was refused, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// The refusals that every route with a key shares.
#[derive(IntoResponses)]
#[allow(dead_code)] // described, never built
pub enum Refusals {
    /// No key, or one that is not valid.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// The role may not do this, or consent is missing.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// Something needed is away; `Retry-After` says when to come back.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// The refusals of a route that names one thing.
#[derive(IntoResponses)]
#[allow(dead_code)]
pub enum Absent {
    /// There is no such thing for this tenant.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
}

/// The refusals of a route that takes a body.
#[derive(IntoResponses)]
#[allow(dead_code)]
pub enum BadBody {
    /// Not JSON.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// The state of the thing, or an `Idempotency-Key` used before, does not allow it.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// Too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// Not declared as JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    WrongType(Problem),
    /// A field of the wrong shape; `field` names it.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

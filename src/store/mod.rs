//! The only home of SQL and of stored audio: visits, consent, transcripts, cards, keys, the audit chain and the
//! outbox. `service` calls it; it knows no HTTP, no model and no webhook client.
//!
//! One SQL text for both databases, through `sqlx::Any`: `$1` placeholders, `TEXT` and `BIGINT` columns only,
//! `RETURNING`, no dialect. Times are `BIGINT` milliseconds UTC. Every row belongs to a tenant and every query
//! names it, so another tenant's row and an absent one are the same `NotFound`; the choice of a classifier alone is
//! the service's own.
//!
//! Writes go through one transaction each (`BEGIN IMMEDIATE` on SQLite); whatever must be true together, a
//! change, its audit entry and its events, is written in the same one.

pub mod audio;
mod audit;
mod cards;
mod classifier;
mod connect;
mod consents;
mod deliveries;
mod endpoints;
mod events;
mod idempotency;
mod keys;
mod labels;
mod rows;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod transcripts;
mod visits;

pub use cards::Confirmed;
pub use classifier::{Choice, Settled};
pub use connect::Store;
pub use consents::NewConsent;
pub use deliveries::{Delivery, DeliveryFilter, DeliveryState, Due, Outcome};
pub use endpoints::Endpoint;
pub use idempotency::Idempotency;
pub use keys::Key;
pub use labels::Labelled;
pub use streams::StreamRow;
pub use visits::{Change, NewVisit, VisitFilter};

//! Standard Webhooks 1.0.0: what an attempt says ([`Envelope`]), how it is signed, and the guarded [`Client`]
//! that may carry it. `service::delivery` calls it; it knows no database, no retry and no visit.

mod client;
mod envelope;
mod guard;
mod sign;

pub use client::{Answer, Client};
pub use envelope::Envelope;

//! The nouns: what a visit is made of, from a sample count to a confirmed card.
//!
//! Everybody may use these types; they know nobody. Only `std`, `serde` and `jiff`'s civil dates appear
//! here: no I/O, no async, no model, no SQL. Times are integers with their unit in the name; money is
//! integer fen. The serialised shapes are the public JSON, so a rename here is a change of contract.

pub mod access;
pub mod audio;
pub mod card;
pub mod confirmation;
pub mod consent;
pub mod edit;
pub mod event;
pub mod hex;
pub mod ids;
pub mod moment;
pub mod result;
pub mod summary;
pub mod time;
pub mod transcript;
pub mod visit;

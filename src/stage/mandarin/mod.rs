//! How Mandarin is written, sounds, and says numbers, days and clauses: pure reading of characters.
//!
//! `recognize`, `normalize`, `mask`, `extract` and `summarize` look here; it knows none of them and keeps no
//! state but its tables. Text is a slice of characters and places are indices into it, so that nothing is ever
//! cut inside a character.

pub mod align;
pub mod clauses;
pub mod dates;
pub mod numerals;
pub mod script;
pub mod sounds;
pub mod words;

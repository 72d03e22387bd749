//! The ten verbs, one a file: its configuration, its struct, its `run`, its tests.
//!
//! `decode resample vad diarize recognize normalize mask classify extract summarize`: the same word is the file, the
//! `use =` value in `pipelines/*.toml`, the bench group and the metric label. A stage sees the traits of
//! `engine` and the nouns of `domain`; it does not know its neighbours, the pipeline or the service. Each is
//! built from its own configuration struct (unknown fields refused) and can be replaced alone. [`mandarin`] is the
//! one shared reading of numbers, days and clauses.

pub mod classify;
pub mod decode;
pub mod diarize;
pub mod extract;
pub mod mandarin;
pub mod mask;
pub mod normalize;
pub mod recognize;
pub mod resample;
mod rules;
pub mod summarize;
pub mod vad;

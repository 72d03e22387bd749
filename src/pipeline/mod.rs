//! Declared pipelines: `pipelines/*.toml` checked into a [`Pipeline`], and a [`session`]: one visit in flight.
//!
//! A pipeline names the stages in order, their settings and their models, and carries test cases that
//! `visitscribe pipeline check` runs. Service and commands use [`Catalog`] to find one by name and
//! [`session::start`] to run it; nobody else knows how stages are wired.

mod analysis;
pub mod case;
mod catalog;
mod declare;
pub mod session;
mod source;

use std::sync::Arc;

pub use analysis::{Analysis, Heard, News};
pub use catalog::Catalog;

use crate::domain::moment::Moment;
use crate::domain::result::PipelineRef;
use crate::domain::summary::Summary;
use crate::domain::transcript::Segment;
use crate::error::{Code, Error, Result};
use crate::stage::classify::ClassifyConfig;
use crate::stage::decode::DecodeConfig;
use crate::stage::diarize::DiarizeConfig;
use crate::stage::extract::{Extract, ExtractConfig};
use crate::stage::mask::{Mask, MaskConfig};
use crate::stage::normalize::{Normalize, NormalizeConfig};
use crate::stage::recognize::RecognizeConfig;
use crate::stage::resample::ResampleConfig;
use crate::stage::summarize::{Summarize, SummarizeConfig};
use crate::stage::vad::VadConfig;

/// The settings of all stages.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct StageConfigs {
    pub decode: DecodeConfig,
    pub resample: ResampleConfig,
    pub vad: VadConfig,
    /// `None` where voices are not told apart.
    pub diarize: Option<DiarizeConfig>,
    pub recognize: RecognizeConfig,
    pub normalize: NormalizeConfig,
    pub mask: MaskConfig,
    pub classify: ClassifyConfig,
    pub extract: ExtractConfig,
    pub summarize: SummarizeConfig,
}

/// The manifests a pipeline's models come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelNames {
    /// For `vad`.
    pub vad: String,
    /// For `diarize`, where it stands.
    pub voiceprints: Option<String>,
    /// For `recognize`.
    pub recognizer: String,
    /// For `classify`.
    pub moments: String,
}

/// The stages that need no model: built once, shared by all visits.
pub(crate) struct TextStages {
    pub(crate) normalize: Normalize,
    pub(crate) mask: Mask,
    pub(crate) extract: Extract,
    pub(crate) summarize: Summarize,
}

/// A checked pipeline, ready to run visits once its models are loaded.
pub struct Pipeline {
    /// Name, version and hash: goes into every result.
    pub reference: PipelineRef,
    /// One line for people.
    pub description: String,
    /// The models it needs.
    pub models: ModelNames,
    /// The settings of its stages.
    pub stages: StageConfigs,
    /// The test cases written in its file.
    pub cases: Vec<case::Case>,
    pub(crate) text: Arc<TextStages>,
}

impl Pipeline {
    /// Reads and checks the text of a pipeline file. Errors name `file` and the line.
    pub fn parse(file: &str, name: &str, text: &str) -> Result<Self> {
        let declared = declare::parse(file, text)?;
        let stages = declared.stages;
        let text_stages = TextStages {
            normalize: Normalize::new(&stages.normalize)?,
            mask: Mask::new(&stages.mask)?,
            extract: Extract::new(&stages.extract)?,
            summarize: Summarize::new(&stages.summarize)?,
        };
        Ok(Self {
            reference: PipelineRef { name: name.to_owned(), version: declared.version, sha256: sha256(text) },
            description: declared.description,
            models: declared.models,
            cases: declared.cases,
            text: Arc::new(text_stages),
            stages,
        })
    }

    /// Where a visit leaves the deal, by these of its moments; both lists in time order, `coverage` 0..=1.
    pub fn summarize(&self, moments: &[Moment], segments: &[Segment], coverage: f64) -> Summary {
        self.text.summarize.run(moments, segments, coverage)
    }
}

/// Reads a visit's time (RFC 3339), keeping its offset as the zone that relative dates are resolved in.
pub fn visit_time(text: &str) -> Result<jiff::ZonedDateTime> {
    let pieces = jiff::fmt::temporal::Pieces::parse(text);
    let offset = pieces.ok().and_then(|p| p.to_numeric_offset()).unwrap_or(jiff::tz::Offset::UTC);
    let instant: jiff::Timestamp = text.parse().map_err(|_| {
        Error::new(
            Code::InvalidRequest,
            format!(
                "{text:?} is not a time; give RFC 3339 with an offset, such as 2026-11-23T10:00:00+08:00"
            ),
        )
    })?;
    Ok(instant.to_zoned_datetime(jiff::tz::TimeZone::fixed(offset)))
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    crate::domain::hex::hex(&sha2::Sha256::digest(text))
}

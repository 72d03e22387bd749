//! `visitscribe analyze`: a transcript in, moments, slots and summary out.

use std::io::Write as _;
use std::path::PathBuf;

use serde::Deserialize;

use crate::config::Config;
use crate::domain::result::VisitResult;
use crate::domain::time::{Millis, Span};
use crate::error::{Code, Error, Result};
use crate::pipeline::{Analysis, Catalog, Heard, visit_time};

/// Find key moments, slots and summary in a transcript
///
/// Reads JSON: {"visit_at": RFC 3339, "utterances": [{"i": 0, "text": "...", "start": 1.2, "end": 3.4}]};
/// start and end (seconds) may be missing, anything else in the file is not read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
    visitscribe analyze visit.json --format text")]
pub struct AnalyzeArgs {
    /// The transcript
    transcript: PathBuf,
    /// Declared pipeline whose text stages run [default: pipeline.name]
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

/// Output formats of `analyze`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The whole result
    Json,
    /// Transcript, moments and summary for reading
    Text,
}

#[derive(Debug, Deserialize)]
struct Transcript {
    visit_at: String,
    utterances: Vec<Utterance>,
}

/// One utterance as given; times in seconds.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Utterance {
    pub(super) i: u32,
    pub(super) text: String,
    pub(super) start: Option<f64>,
    pub(super) end: Option<f64>,
}

/// Time given to an utterance without times, and from one such to the next.
const NOMINAL_MS: u64 = 3_000;

/// Runs the command.
pub async fn run(args: AnalyzeArgs, config: &Config) -> anyhow::Result<()> {
    let name = args.transcript.display();
    let wrong = |why: String| Error::new(Code::InvalidRequest, format!("{name}: {why}"));
    let bytes = std::fs::read(&args.transcript).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let transcript: Transcript = serde_json::from_slice(&bytes).map_err(|e| {
        wrong(format!(
            "{e}; give {{\"visit_at\": RFC 3339, \"utterances\": [{{\"i\": 0, \"text\": \"...\"}}]}}"
        ))
    })?;
    let visit_at = visit_time(&transcript.visit_at).map_err(|e| wrong(format!("visit_at: {e}")))?;

    let catalog = Catalog::load(config.pipeline_dir())?;
    let pipeline = catalog.get(args.pipeline.as_deref().unwrap_or(&config.pipeline.name))?;
    let engines = super::load(config, &pipeline)?;
    let result = analyze(Analysis::new(&pipeline, &engines, visit_at)?, transcript.utterances).await?;
    let out = match args.format {
        Format::Json => serde_json::to_string_pretty(&result)? + "\n",
        Format::Text => super::transcribe::text(&result),
    };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    Ok(())
}

/// What becomes of these utterances. Also how `eval --text` runs a visit.
pub(super) async fn analyze(mut analysis: Analysis, utterances: Vec<Utterance>) -> Result<VisitResult> {
    let numbers: Vec<u32> = utterances.iter().map(|u| u.i).collect();
    let mut at = Millis(0);
    for utterance in utterances {
        let start_ms = utterance.start.map_or(at, Millis::from_secs_f64);
        let end_ms = utterance.end.map_or(start_ms + Millis(NOMINAL_MS), Millis::from_secs_f64).max(start_ms);
        at = end_ms;
        let span = Span { start_ms, end_ms };
        analysis.push(Heard { span, text: utterance.text, confidence: 1.0 }).await?;
    }
    analysis.close().await?;
    Ok(analysis.finish_text(&numbers, at))
}

//! `visitscribe eval`: accuracy and speed of pipelines on a labelled set, side by side.
//!
//! Candidates run one after another over the same visits; each is counted (`score`, `fields`), compared with the
//! first (`compare`) and held to what is required (`require`).

mod adapter;
mod candidate;
mod compare;
mod fields;
mod figures;
mod html;
mod live;
mod memory;
mod outcome;
mod read_aloud;
mod report;
mod require;
mod score;
mod set;
mod speakers;
mod table;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::pipeline::Catalog;

use adapter::Adapter;
use candidate::{Bench, Candidate};
use read_aloud::Reader;
use report::Report;
use require::Requirement;

/// Compare pipelines on labelled visits: character error rate, moments, summary, speed, memory
///
/// DIR holds <id>.json (text, and times and labels where there are any) beside <id>.ogg, .wav, .flac, .mp3, .m4a
/// or .webm; with --text the words alone are enough.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    visitscribe eval labelled/ --pipeline visit --pipeline visit-cpp --html report.html
    visitscribe eval labelled/ --adapter examples/adapters/faster_whisper.toml
    visitscribe eval labelled/ --require 'cer<=0.30' --require 'moments.core>=0.7'
    visitscribe eval tests/data/validation --text

Error rate: punctuation and case dropped, digits read aloud, edits pooled over the set. Moments: a hit is a
moment whose time overlaps a labelled utterance of its kind by half of the shorter of the two. Speed: wall
clock of the whole pipeline over the length of the audio, one visit at a time on this machine. Differences
to the first pipeline: 95 % bootstrap intervals over visits.")]
pub struct EvalArgs {
    /// The labelled set
    dir: PathBuf,
    /// A pipeline to run; repeat for more, the first is compared with [default: pipeline.name]
    #[arg(long, value_name = "NAME")]
    pipeline: Vec<String>,
    /// An outside command to run after them, described in a TOML file (docs/MODELS.md); repeat for more
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "live"])]
    adapter: Vec<PathBuf>,
    /// Judge the text stages alone: give them the labelled words instead of the sound
    #[arg(long)]
    text: bool,
    /// Stream every visit at the speed of speech and measure how long finals take
    #[arg(long, conflicts_with = "text")]
    live: bool,
    /// Exit with 1 unless it holds: 'cer<=0.08', 'moments.core>=0.7', 'trial:realtime<=0.1'; repeat for more
    #[arg(long, value_name = "EXPR")]
    require: Vec<String>,
    /// Also write the report as a page, with the worst utterances to listen to
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs the command. What was asked for wrongly is told before any model is loaded.
pub async fn run(args: EvalArgs, config: &Config) -> anyhow::Result<()> {
    let set = set::read(&args.dir, args.text)?;
    let candidates = candidates(&args, config)?;
    let names: Vec<&str> = candidates.iter().map(Candidate::name).collect();
    let required: Result<Vec<_>> = args.require.iter().map(|r| Requirement::parse(r, &names)).collect();
    let required = required?;
    let folder = args.html.as_deref().map(folder_of).transpose()?;
    let catalog = Catalog::load(config.pipeline_dir())?;
    for candidate in &candidates {
        if let Candidate::Pipeline(name) = candidate {
            catalog.get(name)?;
        }
    }
    let bench = Bench { config, catalog, reader: Reader::new()?, live: args.live };

    let mut reports: Vec<Report> = Vec::new();
    for candidate in &candidates {
        let mut report = bench.run(candidate, &set).await?;
        report.versus = reports.first().map(|first| compare::versus(first, &report));
        reports.push(report);
    }
    let out = if args.json {
        serde_json::to_string_pretty(&reports)? + "\n"
    } else {
        table::text(&reports, args.live)
    };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    if let (Some(file), Some(folder)) = (&args.html, &folder) {
        std::fs::write(file, html::page(&reports, &set, folder, args.live))
            .map_err(|e| anyhow::anyhow!("{} cannot be written: {e}", file.display()))?;
    }
    let failures: Vec<String> = required.iter().flat_map(|r| r.failures(&reports)).collect();
    anyhow::ensure!(failures.is_empty(), "not reached: {}", failures.join("; "));
    Ok(())
}

/// What is compared: pipelines, then outside commands.
fn candidates(args: &EvalArgs, config: &Config) -> Result<Vec<Candidate>> {
    let pipelines = if args.pipeline.is_empty() {
        std::slice::from_ref(&config.pipeline.name)
    } else {
        args.pipeline.as_slice()
    };
    let mut candidates: Vec<Candidate> = pipelines.iter().cloned().map(Candidate::Pipeline).collect();
    for file in &args.adapter {
        let adapter = Adapter::read(file)?;
        if candidates.iter().any(|c| c.name() == adapter.name) {
            let why = format!(
                "{}: there is another {:?} to compare; give it a name of its own",
                file.display(),
                adapter.name
            );
            return Err(Error::new(Code::InvalidRequest, why));
        }
        candidates.push(Candidate::Adapter(adapter));
    }
    Ok(candidates)
}

/// The absolute folder that a file is to be written into.
fn folder_of(file: &Path) -> Result<PathBuf> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder
        .canonicalize()
        .map_err(|e| Error::new(Code::InvalidRequest, format!("--html {}: its folder: {e}", file.display())))
}

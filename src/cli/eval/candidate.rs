//! One pipeline, ours or a peer's, run over the labelled set.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::adapter::Adapter;
use super::live;
use super::memory::Watch;
use super::outcome::Outcome;
use super::read_aloud::{Aloud, Reader};
use super::report::{Heard, Report, VisitReport};
use super::score::Tally;
use super::set::Labelled;
use crate::cli::{analyze, transcribe};
use crate::config::Config;
use crate::engine::Engines;
use crate::error::{Error, Result};
use crate::pipeline::{Analysis, Catalog, Pipeline, visit_time};
use crate::stage::decode::{Decode, DecodeConfig};
use crate::stage::mandarin::align::{Edits, Part, align};

/// What is compared.
pub(super) enum Candidate {
    /// A declared pipeline, by name.
    Pipeline(String),
    /// An outside command.
    Adapter(Adapter),
}

/// What every candidate needs.
pub(super) struct Bench<'a> {
    pub(super) config: &'a Config,
    pub(super) catalog: Catalog,
    pub(super) reader: Reader,
    /// Stream the sound at the speed of speech.
    pub(super) live: bool,
}

/// A candidate that is ready to run.
enum Ready<'a> {
    Pipeline(Arc<Pipeline>, Engines),
    Adapter(&'a Adapter),
}

/// One visit, run.
struct Run {
    /// Or why it failed.
    outcome: Result<Outcome, String>,
    /// Wall clock, seconds.
    wall: f64,
    /// Length of the audio, seconds.
    audio: f64,
    /// How long somebody waited, seconds: for each final, or for the whole result.
    waits: Vec<f64>,
    /// Peak of a process of its own, MiB.
    peak_mib: Option<f64>,
}

impl Candidate {
    /// What it is called.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Pipeline(name) => name,
            Self::Adapter(adapter) => &adapter.name,
        }
    }
}

impl Bench<'_> {
    /// Runs a candidate over every visit: over its sound, or over its words where no sound is given. An outside
    /// command may fail on a visit; that is told, and counts as nothing heard.
    pub(super) async fn run(&self, candidate: &Candidate, set: &[Labelled]) -> Result<Report> {
        let name = candidate.name();
        let watch = Watch::start();
        let ready = match candidate {
            Candidate::Pipeline(name) => {
                let pipeline = self.catalog.get(name)?;
                let engines = crate::cli::load(self.config, &pipeline)?;
                Ready::Pipeline(pipeline, engines)
            }
            Candidate::Adapter(adapter) => Ready::Adapter(adapter),
        };
        let mut runs = Vec::new();
        for (n, visit) in set.iter().enumerate() {
            eprintln!("{name}: {} ({}/{})", visit.id, n + 1, set.len());
            let run = self.visit(&ready, visit).await?;
            if let Err(why) = &run.outcome {
                eprintln!("{name}: {} failed and counts as nothing heard: {why}", visit.id);
            }
            runs.push(run);
        }
        let peak_mib = match ready {
            Ready::Pipeline(..) => watch.peak_mib(),
            Ready::Adapter(_) => runs.iter().filter_map(|r| r.peak_mib).reduce(f64::max),
        };
        // Of a failed visit as much is scored as the candidate gives of the others.
        let good = || runs.iter().filter_map(|r| r.outcome.as_ref().ok());
        let gives = (good().any(|o| o.moments.is_some()), good().any(|o| o.summary.is_some()));
        let visits = set.iter().zip(runs).map(|(visit, run)| self.report(visit, run, gives)).collect();
        Ok(Report::of(name, visits, peak_mib))
    }

    async fn visit(&self, ready: &Ready<'_>, visit: &Labelled) -> Result<Run> {
        let at = visit_time(&visit.visit_at)?;
        let begin = Instant::now();
        let mut finals = None;
        let result = match (ready, &visit.audio) {
            (Ready::Adapter(adapter), Some(path)) => return command(adapter, path, &visit.visit_at).await,
            (Ready::Pipeline(pipeline, engines), Some(path)) if self.live => {
                let (result, waits) =
                    live::stream(pipeline, engines, path, at, visit.hotwords.clone()).await?;
                finals = Some(waits);
                result
            }
            (Ready::Pipeline(pipeline, engines), Some(path)) => {
                transcribe::file(pipeline, engines, path.clone(), at, visit.hotwords.clone()).await?
            }
            (Ready::Pipeline(pipeline, engines), None) => {
                analyze::analyze(Analysis::new(pipeline, engines, at)?, visit.words()).await?
            }
            (Ready::Adapter(_), None) => {
                return Err(Error::internal(anyhow::anyhow!("an outside command was given no sound")));
            }
        };
        let wall = begin.elapsed().as_secs_f64();
        Ok(Run {
            outcome: Ok(Outcome::of(&result)?),
            wall,
            audio: result.duration_ms.0 as f64 / 1000.0,
            waits: finals.unwrap_or_else(|| vec![wall]),
            peak_mib: None,
        })
    }

    fn report(&self, visit: &Labelled, run: Run, gives: (bool, bool)) -> VisitReport {
        let (outcome, failed) = match run.outcome {
            Ok(outcome) => (outcome, None),
            Err(why) => {
                let nothing = Outcome {
                    moments: gives.0.then(Vec::new),
                    summary: gives.1.then_some(serde_json::Value::Null),
                    ..Outcome::default()
                };
                (nothing, Some(why))
            }
        };
        let said: Vec<Aloud> = visit.utterances.iter().map(|u| self.reader.read(&u.text)).collect();
        let heard = self.reader.read(&outcome.heard);
        let chars: Vec<Vec<char>> = said.iter().map(|s| s.chars.clone()).collect();
        let parts = align(&chars, &heard.chars, &Edits);
        let tally = Tally::of(visit, &outcome, &said, &heard, &parts);
        let text = |p: Part| Heard { edits: p.cost, text: heard.between(p.heard) };
        let utterances = parts.into_iter().map(text).collect();
        // A run that failed soon was not fast.
        let (spent, waits) =
            if failed.is_none() { (Some((run.wall, run.audio)), run.waits) } else { (None, Vec::new()) };
        let spent = spent.filter(|_| !self.live);
        VisitReport::new(visit, tally, spent, waits, failed, utterances)
    }
}

/// Runs an outside command over one visit, on a thread where it may block.
async fn command(adapter: &Adapter, path: &std::path::Path, visit_at: &str) -> Result<Run> {
    let (adapter, path, visit_at): (Adapter, PathBuf, String) =
        (adapter.clone(), path.to_path_buf(), visit_at.to_owned());
    let run = tokio::task::spawn_blocking(move || {
        let decoded = Decode::new(&DecodeConfig::default()).file(&path, &mut |_| true)?;
        let ran = adapter.run(&path, &visit_at);
        let wall = ran.wall.as_secs_f64();
        let audio = decoded.duration_ms.0 as f64 / 1000.0;
        Ok(Run { outcome: ran.outcome, wall, audio, waits: vec![wall], peak_mib: ran.peak_mib })
    });
    run.await.map_err(Error::internal)?
}

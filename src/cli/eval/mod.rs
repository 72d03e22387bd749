//! `visitscribe eval`: accuracy and speed of pipelines on a labelled set, side by side.

mod read_aloud;
mod score;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::pipeline::{Analysis, Catalog, visit_time};

use score::{Labelled, Score, Tally};

/// Compare pipelines on labelled visits: character error rate, moments, speed
///
/// DIR holds <id>.json (text, times and labels) beside <id>.ogg, .wav, .flac, .mp3, .m4a or .webm; with --text the
/// words alone are enough.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
    visitscribe eval labelled/ --pipeline visit --pipeline visit-cpp
    visitscribe eval tests/data/validation --text

Error rate: punctuation and case dropped, digits read aloud, edits pooled over the set. Moments: a hit is a
moment whose time overlaps a labelled utterance of its kind by half of the shorter of the two. Speed: wall
clock of the whole pipeline over the length of the audio, one visit at a time on this machine.")]
pub struct EvalArgs {
    /// The labelled set
    dir: PathBuf,
    /// A pipeline to run; repeat for more [default: pipeline.name]
    #[arg(long, value_name = "NAME")]
    pipeline: Vec<String>,
    /// Judge the text stages alone: give them the labelled words instead of the sound
    #[arg(long)]
    text: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Figures of one pipeline.
#[derive(Debug, Serialize)]
struct Report {
    pipeline: String,
    visits: Vec<VisitReport>,
    #[serde(flatten)]
    pooled: Score,
    /// Wall clock over audio length.
    realtime: f64,
}

#[derive(Debug, Serialize)]
struct VisitReport {
    id: String,
    acoustics: Option<String>,
    #[serde(flatten)]
    score: Score,
    realtime: f64,
}

/// Runs the command.
pub async fn run(args: EvalArgs, config: &Config) -> anyhow::Result<()> {
    let set = labelled(&args.dir, args.text)?;
    let catalog = Catalog::load(config.pipeline_dir())?;
    let names = if args.pipeline.is_empty() { vec![config.pipeline.name.clone()] } else { args.pipeline };
    let mut reports = Vec::new();
    for name in names {
        reports.push(one(&catalog, config, &name, &set).await?);
    }
    let out = if args.json { serde_json::to_string_pretty(&reports)? + "\n" } else { table(&reports) };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    Ok(())
}

/// Runs a pipeline over every visit: over its sound, or over its words where no sound is given.
async fn one(
    catalog: &Catalog,
    config: &Config,
    name: &str,
    set: &[(Labelled, Option<PathBuf>)],
) -> Result<Report> {
    let pipeline = catalog.get(name)?;
    let engines = super::load(config, &pipeline)?;
    let mut pooled = Tally::default();
    let (mut wall, mut audio) = (0.0, 0.0);
    let mut visits = Vec::new();
    for (n, (visit, path)) in set.iter().enumerate() {
        eprintln!("{name}: {} ({}/{})", visit.id, n + 1, set.len());
        let at = visit_time(&visit.visit_at)?;
        let begin = Instant::now();
        let result = match path {
            Some(path) => {
                super::transcribe::file(&pipeline, &engines, path.clone(), at, visit.hotwords.clone()).await?
            }
            None => super::analyze::analyze(Analysis::new(&pipeline, &engines, at)?, visit.words()).await?,
        };
        let (spent, length) = (begin.elapsed().as_secs_f64(), result.duration_ms.0 as f64 / 1000.0);
        let tally = Tally::of(visit, &result);
        visits.push(VisitReport {
            id: visit.id.clone(),
            acoustics: visit.acoustics.clone(),
            score: tally.score(),
            realtime: spent / length,
        });
        pooled.add(&tally);
        wall += spent;
        audio += length;
    }
    Ok(Report { pipeline: name.to_owned(), visits, pooled: pooled.score(), realtime: wall / audio })
}

/// Every labelled visit of a directory, with its sound unless only `text` is asked for, sorted by file name.
fn labelled(dir: &Path, text: bool) -> Result<Vec<(Labelled, Option<PathBuf>)>> {
    let wrong = |why: String| Error::new(Code::InvalidRequest, format!("{}: {why}", dir.display()));
    let entries = std::fs::read_dir(dir).map_err(|e| wrong(e.to_string()))?;
    let mut files: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "json"));
    files.sort();
    let mut set = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|e| wrong(e.to_string()))?;
        let visit: Labelled =
            serde_json::from_slice(&bytes).map_err(|e| wrong(format!("{}: {e}", file.display())))?;
        let audio = ["ogg", "wav", "flac", "mp3", "m4a", "webm"].map(|e| file.with_extension(e));
        let audio = audio.into_iter().find(|p| p.exists());
        if !text && audio.is_none() {
            return Err(wrong(format!(
                "no audio beside {}; give --text to judge the words alone",
                file.display()
            )));
        }
        set.push((visit, audio.filter(|_| !text)));
    }
    if set.is_empty() {
        return Err(wrong("no labelled visits there; give a folder with <id>.json beside <id>.ogg".into()));
    }
    Ok(set)
}

fn table(reports: &[Report]) -> String {
    let row = |pipeline: &str, visit: &str, acoustics: &str, s: &Score, realtime: f64| {
        let f1 = |f: Option<f64>| f.map_or("    -".into(), |f| format!("{f:5.3}"));
        format!(
            "{pipeline:<14} {visit:<8} {acoustics:<8} {:6.2}% {} {} {:8.3}\n",
            s.cer * 100.0,
            f1(s.core_f1),
            f1(s.all_f1),
            realtime
        )
    };
    let mut out = String::from("pipeline       visit    room         CER  core  all5  realtime\n");
    for r in reports {
        for v in &r.visits {
            out += &row(&r.pipeline, &v.id, v.acoustics.as_deref().unwrap_or("-"), &v.score, v.realtime);
        }
        out += &row(&r.pipeline, "pooled", "", &r.pooled, r.realtime);
    }
    out
}

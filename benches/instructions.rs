//! How many instructions the deterministic stages take: a gate that does not depend on how busy the machine is.
//!
//! Each stage does a fixed piece of work, prepared beforehand, in a process of its own under valgrind's callgrind,
//! which counts from the entry of one function to its end. The counts are held against `instructions.json`: more
//! than [`TOLERANCE`] above it fails. `cargo bench --bench instructions -- --record` writes it anew; say in the
//! commit why.
//!
//! Counts rest on the compilers (the Opus decoder is C) and on the instruction set: with others they are shown, not
//! judged. Which processor of one instruction set it is does not matter: programs see the one that valgrind plays.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use clap::Parser as _;
use serde::{Deserialize, Serialize};
use visitscribe::domain::ids::{MomentId, SegmentId};
use visitscribe::domain::moment::{Moment, MomentKind};
use visitscribe::domain::time::Millis;
use visitscribe::domain::transcript::Segment;
use visitscribe::engine::manifest::Manifests;
use visitscribe::engine::onnx::TextFeatures;
use visitscribe::engine::{ClassifyRequest, MomentScores, Said};
use visitscribe::pipeline::visit_time;
use visitscribe::stage::classify::Detected;
use visitscribe::stage::extract::{Extract, ExtractConfig};
use visitscribe::stage::mask::{Mask, MaskConfig};
use visitscribe::stage::normalize::{Normalize, NormalizeConfig};
use visitscribe::stage::resample::{Resample, ResampleConfig};
use visitscribe::stage::summarize::{Summarize, SummarizeConfig};

use history::History;

mod history;
mod shipped;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.json");
/// By how much a count may exceed its baseline. Run to run they differ by up to a hundredth,
/// where a hash map is asked whose seed is not ours to set.
const TOLERANCE: f64 = 0.04;
/// Sound that is decoded and resampled.
const SECONDS: usize = 10;

/// Work that is ready to be counted; what it returns keeps it from being optimised away.
type Work = Box<dyn FnOnce() -> usize>;

/// A stage, and how its work is prepared.
type Stage = (&'static str, fn() -> anyhow::Result<Work>);

/// The stages.
const STAGES: [Stage; 7] = [
    ("decode", decode),
    ("resample", resample),
    ("normalize", normalize),
    ("mask", mask),
    ("classify_text", classify_text),
    ("extract", extract),
    ("summarize", summarize),
];

/// Instructions of the deterministic stages
#[derive(clap::Parser)]
struct Args {
    /// Take the counts of this run as the baseline
    #[arg(long)]
    record: bool,
    /// Do the work of one stage: what runs under valgrind
    #[arg(long, value_name = "STAGE", hide = true)]
    work: Option<String>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Serialize, Deserialize)]
struct Baseline {
    /// What the counts rest on.
    compilers: [String; 2],
    machine: String,
    instructions: BTreeMap<String, u64>,
}

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` comes through here too; only a real run measures.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let args = Args::parse();
    if let Some(stage) = args.work {
        let (_, prepare) = STAGES.iter().find(|(name, _)| *name == stage).context("no such stage")?;
        println!("{}", instructions_are_counted_here(prepare()?));
        return Ok(());
    }
    let mut counts = BTreeMap::new();
    for (stage, _) in STAGES {
        counts.insert(stage.to_owned(), count(stage)?);
    }
    let now = Baseline {
        compilers: [version("rustc")?, version("cc")?],
        machine: std::env::consts::ARCH.to_owned(),
        instructions: counts,
    };
    if args.record {
        fs::write(BASELINE, serde_json::to_string_pretty(&now)? + "\n")?;
    }
    let baseline: Baseline = serde_json::from_slice(&fs::read(BASELINE)?)?;
    judge(&now, &baseline)
}

/// Shows the counts beside the baseline, and fails where they are to be compared and too many.
fn judge(now: &Baseline, baseline: &Baseline) -> anyhow::Result<()> {
    let mut history = History::open("instructions")?;
    println!("\n{}, under valgrind", history.machine());
    println!("stage            instructions (ratio to the last run)   to the baseline");
    let (mut more, mut fewer) = (Vec::new(), Vec::new());
    for (stage, count) in &now.instructions {
        let told = history.note(stage, *count as f64, 0);
        let before = baseline.instructions.get(stage).copied();
        let ratio = before.map(|before| *count as f64 / before.max(1) as f64);
        println!("{stage:<16} {told:<38} {}", ratio.map_or("none".to_owned(), |r| format!("{r:.4}")));
        match ratio {
            Some(ratio) if ratio > 1.0 + TOLERANCE => {
                more.push(format!("{stage} by {:.1} %", (ratio - 1.0) * 100.0))
            }
            Some(ratio) if ratio < 1.0 - TOLERANCE => fewer.push(stage.as_str()),
            Some(_) => {}
            None => more.push(format!("{stage}, of which there is no baseline")),
        }
    }
    history.save()?;
    let built = |by: &Baseline| format!("{}, {} on {}", by.compilers[0], by.compilers[1], by.machine);
    if built(now) != built(baseline) {
        println!("not judged: the baseline is of {}; this is {}", built(baseline), built(now));
        return Ok(());
    }
    if !fewer.is_empty() {
        println!("fewer than before: {}; keep it with `make instructions RECORD=1`", fewer.join(", "));
    }
    anyhow::ensure!(
        more.is_empty(),
        "more instructions than the baseline allows: {}; if that is meant, `make instructions RECORD=1`",
        more.join("; ")
    );
    Ok(())
}

/// Runs a stage's work in a process of its own and reads what callgrind counted.
fn count(stage: &str) -> anyhow::Result<u64> {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*instructions_are_counted_here*")
        .arg(std::env::current_exe()?)
        .args(["--bench", "--work", stage])
        .output()
        .context("valgrind does not run; `make instructions` installs it")?;
    let told = String::from_utf8_lossy(&out.stderr);
    let counted = told.lines().filter_map(|line| line.split_once("Collected :")).next_back();
    let count = counted.and_then(|(_, count)| count.trim().parse().ok()).filter(|count| *count > 0);
    count.filter(|_| out.status.success()).with_context(|| format!("{stage} was not counted:\n{told}"))
}

/// callgrind finds this function by its name.
#[inline(never)]
fn instructions_are_counted_here(work: Work) -> usize {
    black_box(work())
}

/// What a compiler says it is.
fn version(compiler: &str) -> anyhow::Result<String> {
    let mut command = Command::new(compiler);
    let out = command.arg("--version").current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let out = out.with_context(|| format!("{compiler} does not run"))?;
    let told = String::from_utf8(out.stdout)?;
    Ok(told.lines().next().unwrap_or_default().to_owned())
}

fn decode() -> anyhow::Result<Work> {
    Ok(Box::new(|| shipped::blocks(SECONDS).map_or(0, |blocks| blocks.len())))
}

fn resample() -> anyhow::Result<Work> {
    let (blocks, mut stage) = (shipped::blocks(SECONDS)?, Resample::new(&ResampleConfig::default())?);
    Ok(Box::new(move || blocks.iter().filter_map(|block| stage.run(block).ok()).map(|s| s.len()).sum()))
}

fn normalize() -> anyhow::Result<Work> {
    let (lines, stage) = (Line::all()?, Normalize::new(&NormalizeConfig::default())?);
    Ok(Box::new(move || lines.iter().map(|line| stage.run(&stage.simplify(&line.text)).len()).sum()))
}

fn mask() -> anyhow::Result<Work> {
    let (lines, stage) = (Line::all()?, Mask::new(&MaskConfig::default())?);
    let texts: Vec<String> = lines.into_iter().map(|line| line.text).collect();
    // As a visit is masked: an utterance behind the one before it.
    Ok(Box::new(move || texts.windows(2).map(|pair| stage.run(&mut pair.to_vec()).len()).sum()))
}

fn classify_text() -> anyhow::Result<Work> {
    let nowhere = Path::new("/nowhere");
    let features = TextFeatures::load(Manifests::read(nowhere)?.get("moments")?, nowhere)?;
    let texts: Vec<String> = Line::all()?.into_iter().map(|line| line.text).collect();
    let around = texts.windows(5).filter_map(|near| {
        let [before @ .., judged, after] = near else { return None };
        let said = |text: &String| Said { text: text.clone(), speaker: None };
        let before = before.iter().map(said).collect();
        Some(ClassifyRequest { before, judged: said(judged), after: Some(said(after)) })
    });
    let requests: Vec<ClassifyRequest> = around.collect();
    Ok(Box::new(move || requests.iter().map(|request| features.input(request).window.ids.len()).sum()))
}

fn extract() -> anyhow::Result<Work> {
    let (lines, stage) = (Line::all()?, Extract::new(&ExtractConfig::default())?);
    Ok(Box::new(move || moments(&lines, &stage).map_or(0, |moments| moments.len())))
}

fn summarize() -> anyhow::Result<Work> {
    let (lines, extract) = (Line::all()?, Extract::new(&ExtractConfig::default())?);
    let (moments, stage) = (moments(&lines, &extract)?, Summarize::new(&SummarizeConfig::default())?);
    let segments: Vec<Segment> = (1..).zip(lines).map(|(nth, line)| line.segment(nth)).collect();
    Ok(Box::new(move || (0..20).map(|_| stage.run(black_box(&moments), &segments, 1.0).headline.len()).sum()))
}

/// An utterance of the shipped visit's script.
#[derive(Deserialize)]
struct Line {
    text: String,
    labels: Vec<MomentKind>,
    start: f64,
    end: f64,
}

impl Line {
    fn all() -> anyhow::Result<Vec<Self>> {
        #[derive(Deserialize)]
        struct Script {
            utterances: Vec<Line>,
        }
        let script: Script = serde_json::from_slice(&fs::read(shipped::path().with_extension("json"))?)?;
        Ok(script.utterances)
    }

    fn segment(self, nth: usize) -> Segment {
        Segment {
            id: SegmentId::nth(nth),
            start_ms: Millis((self.start * 1000.0) as u64),
            end_ms: Millis((self.end * 1000.0) as u64),
            raw_text: self.text.clone(),
            text: self.text,
            speaker: None,
            confidence: 0.9,
        }
    }
}

/// The moments of the script with what is read of them.
fn moments(lines: &[Line], extract: &Extract) -> anyhow::Result<Vec<Moment>> {
    let at = visit_time("2026-09-16T10:00:00+08:00")?;
    let mut moments = Vec::new();
    let mut before: Vec<String> = Vec::new();
    for (nth, line) in (1..).zip(lines) {
        for kind in &line.labels {
            let found = Detected { kind: *kind, score: 0.9, scores: MomentScores::default() };
            moments.push(Moment {
                id: MomentId::of(&SegmentId::nth(nth), *kind),
                kind: *kind,
                start_ms: Millis((line.start * 1000.0) as u64),
                end_ms: Millis((line.end * 1000.0) as u64),
                utterances: None,
                segment_ids: vec![SegmentId::nth(nth)],
                score: 0.9,
                evidence: line.text.clone(),
                slots: extract.run(&found, &line.text, &before, &at),
            });
        }
        before.push(line.text.clone());
    }
    Ok(moments)
}

//! What earlier runs of a bench measured, so that a figure stands beside its last value.
//!
//! Each run appends one JSON line to `target/bench/history.jsonl` (or the file named by `BENCH_HISTORY`): when, at
//! which commit, on which machine, and every figure by its name. Figures are compared with the last run of the same
//! bench on a machine of the same kind that has them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, create_dir_all};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

/// One run: a line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    bench: String,
    time: jiff::Timestamp,
    commit: String,
    cores: usize,
    cpu: String,
    figures: BTreeMap<String, f64>,
}

/// This run beside those before it.
pub struct History {
    file: PathBuf,
    last: BTreeMap<String, f64>,
    run: Run,
}

impl History {
    /// Reads what earlier runs of this bench had.
    pub fn open(bench: &str) -> anyhow::Result<Self> {
        let file = match std::env::var_os("BENCH_HISTORY") {
            Some(file) => file.into(),
            None => target().join("bench/history.jsonl"),
        };
        let run = Run {
            bench: bench.to_owned(),
            time: jiff::Timestamp::now(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: cpu(),
            figures: BTreeMap::new(),
        };
        let mut last = BTreeMap::new();
        if file.exists() {
            for line in BufReader::new(File::open(&file)?).lines() {
                // A line that is cut off, or of another time's shape, is no reason not to measure.
                let Ok(earlier) = serde_json::from_str::<Run>(&line?) else { continue };
                if (&earlier.bench, earlier.cores, &earlier.cpu) == (&run.bench, run.cores, &run.cpu) {
                    last.extend(earlier.figures);
                }
            }
        }
        Ok(Self { file, last, run })
    }

    /// The machine in words.
    pub fn machine(&self) -> String {
        format!("{} cores, {}", self.run.cores, self.run.cpu)
    }

    /// Takes a figure; returns it with its ratio to the last run, as in `531 (1.02)`.
    pub fn note(&mut self, name: &str, value: f64, decimals: usize) -> String {
        self.run.figures.insert(name.to_owned(), value);
        match self.last.get(name) {
            Some(last) if *last != 0.0 => format!("{value:.decimals$} ({:.2})", value / last),
            Some(_) if value == 0.0 => format!("{value:.decimals$} (1.00)"),
            _ => format!("{value:.decimals$} (-)"),
        }
    }

    /// Appends the run, if anything was measured.
    pub fn save(&self) -> anyhow::Result<()> {
        if self.run.figures.is_empty() {
            return Ok(());
        }
        if let Some(folder) = self.file.parent() {
            create_dir_all(folder)?;
        }
        let line = serde_json::to_string(&self.run)? + "\n";
        OpenOptions::new().create(true).append(true).open(&self.file)?.write_all(line.as_bytes())?;
        println!("\n{}: kept in {}", self.run.commit, self.file.display());
        Ok(())
    }
}

/// Where cargo builds.
pub fn target() -> &'static Path {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().unwrap_or(tmp)
}

/// The commit that is checked out; `-dirty` behind it if files differ from it.
fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--exclude=*"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let out = git.output().ok().filter(|out| out.status.success())?;
    Some(String::from_utf8(out.stdout).ok()?.trim().to_owned())
}

/// What the processor calls itself.
fn cpu() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        told.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == "model name");
    model.map_or(std::env::consts::ARCH, |(_, name)| name.trim()).to_owned()
}

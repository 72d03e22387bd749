//! The terminal: one file a sub-command; the only home of clap. stdout is the result, stderr the log.
//!
//! Every command ends in an exit code: 0 good, 1 failed, 2 wrong usage. A failure is one line that tells the
//! cause and the way out.

mod analyze;
mod eval;
mod export;
mod keys;
mod migrate;
mod models;
mod pipeline;
pub mod replay;
mod serve;
mod switch;
mod transcribe;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::engine::{self, EngineConfig, Engines};
use crate::error::{Code, Error};
use crate::pipeline::Pipeline;

/// From a consented sales visit's sound to a confirmed card: live or from a file, on ordinary CPUs.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "\
Start here:
    visitscribe models fetch                    the weights, once
    visitscribe transcribe visit.m4a            what was said, the key moments, the summary, as JSON
    visitscribe serve                           the service, with its page at http://127.0.0.1:8080

Configuration: VISITSCRIBE_<SECTION>__<KEY> in the environment, such as VISITSCRIBE_MODELS__DIR=/srv/models;
`visitscribe serve --print-config` lists every key. stdout is the result, stderr the log; exit code 0 good,
1 failed, 2 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Transcribe(transcribe::TranscribeArgs),
    Analyze(analyze::AnalyzeArgs),
    Eval(eval::EvalArgs),
    Pipeline(pipeline::PipelineArgs),
    Models(models::ModelsArgs),
    Replay(replay::ReplayArgs),
    Serve(serve::ServeArgs),
    Keys(keys::KeysArgs),
    Export(export::ExportArgs),
    Migrate(migrate::MigrateArgs),
}

/// Parses the command line, runs the command and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    // Where the allocator has no such switch, all works with more memory.
    let _ = engine::return_large_blocks();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return failed(&anyhow::anyhow!("cannot start the runtime: {e}")),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => failed(&e),
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Transcribe(args) => transcribe::run(args, &quiet()?).await?,
        Command::Analyze(args) => analyze::run(args, &quiet()?).await?,
        Command::Eval(args) => eval::run(args, &quiet()?).await?,
        Command::Pipeline(args) => pipeline::run(args, &quiet()?).await?,
        Command::Models(args) => models::run(args, &quiet()?).await?,
        Command::Replay(args) => replay::run(&args).await?,
        Command::Serve(args) => serve::run(&args).await?,
        Command::Keys(args) => keys::run(&args).await?,
        Command::Export(args) => export::run(&args).await?,
        Command::Migrate(args) => migrate::run(&args).await?,
    }
    Ok(())
}

/// The configuration of a command whose result is its output: only warnings reach stderr.
fn quiet() -> Result<Config, Error> {
    let config = Config::load(None)?;
    crate::telemetry::init(config.log.json, "warn");
    Ok(config)
}

fn failed(e: &anyhow::Error) -> ExitCode {
    // A reader that has seen enough (`| head`) is no failure worth a word.
    if e.chain().any(|c| {
        c.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    }) {
        return ExitCode::FAILURE;
    }
    eprintln!("error: {e}");
    match e.downcast_ref::<Error>().map(|e| e.code) {
        Some(Code::UnknownPipeline | Code::InvalidConfig | Code::InvalidRequest) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// The models of a pipeline for one job at a time: all cores, as workers of one thread each, so that packed
/// windows run side by side without ggml's barriers between them.
fn load(config: &Config, pipeline: &Pipeline) -> Result<Engines, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if config.engine.workers == 0 { cores } else { config.engine.workers };
    engine::load(
        &config.models_dir()?,
        &EngineConfig {
            workers,
            threads: 1,
            recognizer: pipeline.models.recognizer.clone(),
            vad: pipeline.models.vad.clone(),
            voiceprints: pipeline.models.voiceprints.clone(),
            moments: pipeline.models.moments.clone(),
            ..EngineConfig::default()
        },
    )
}

/// Minutes and seconds for people.
fn clock(ms: crate::domain::time::Millis) -> String {
    let seconds = ms.0 / 1000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

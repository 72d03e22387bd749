//! `visitscribe transcribe`: a file in, the whole result out.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::clock;
use crate::config::Config;
use crate::domain::audio::{AudioFormat, Encoding};
use crate::domain::result::VisitResult;
use crate::domain::time::Millis;
use crate::engine::Engines;
use crate::error::{Code, Error, Result};
use crate::pipeline::session::{self, Pass, SessionEvent, SessionSetup};
use crate::pipeline::{Catalog, Pipeline, visit_time};

/// Less audio than this cannot hold a word: a tenth of a second.
const MIN_DURATION: Millis = Millis(100);

/// Turn a recording into transcript, key moments and summary
///
/// Reads WAV, FLAC, MP3, AAC/M4A, Ogg Vorbis, Opus in Ogg or WebM, any rate, mono or stereo.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    visitscribe transcribe visit.m4a > visit.json
    visitscribe transcribe visit.ogg --visit-at 2026-11-23T10:00:00+08:00 --hotwords 雅固,纳米树脂
    visitscribe transcribe visit.wav --format srt > visit.srt")]
pub struct TranscribeArgs {
    /// The recording
    audio: PathBuf,
    /// Declared pipeline to run: `visitscribe pipeline list` [default: pipeline.name]
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// When the visit was, RFC 3339 with offset: what 下周三 is counted from [default: now]
    #[arg(long, value_name = "RFC3339")]
    visit_at: Option<String>,
    /// Names and terms to expect, comma-separated
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    hotwords: Vec<String>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

/// Output formats of `transcribe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The whole result
    Json,
    /// Transcript, moments and summary for reading
    Text,
    /// Subtitles
    Srt,
}

/// Runs the command.
pub async fn run(args: TranscribeArgs, config: &Config) -> anyhow::Result<()> {
    let catalog = Catalog::load(config.pipeline_dir())?;
    let pipeline = catalog.get(args.pipeline.as_deref().unwrap_or(&config.pipeline.name))?;
    let visit_at = match &args.visit_at {
        Some(text) => visit_time(text)?,
        None => jiff::Timestamp::now().to_zoned_datetime(config.timezone()?),
    };
    // Before the models are loaded: a wrong path is the commonest mistake.
    if !args.audio.exists() {
        let detail = format!("there is no file {}", args.audio.display());
        return Err(Error::new(Code::AudioUnreadable, detail).into());
    }
    let engines = super::load(config, &pipeline)?;
    let result = file(&pipeline, &engines, args.audio, visit_at, args.hotwords).await?;
    let out = match args.format {
        Format::Json => serde_json::to_string_pretty(&result)? + "\n",
        Format::Text => text(&result),
        Format::Srt => srt(&result),
    };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    Ok(())
}

/// Transcribes one file, with a progress line when stderr is a terminal.
pub(super) async fn file(
    pipeline: &Arc<Pipeline>,
    engines: &Engines,
    path: PathBuf,
    visit_at: jiff::ZonedDateTime,
    hotwords: Vec<String>,
) -> Result<VisitResult> {
    let format = AudioFormat { encoding: Encoding::Container, sample_rate: 16_000, channels: 1 };
    let setup = SessionSetup { format, visit_at, hotwords, pass: Pass::Batch, cuts: Vec::new() };
    let name = path.display().to_string();
    let progress = spinner();
    let mut events = session::start_file(pipeline, engines, setup, path)?;
    while let Some(event) = events.recv().await {
        match event {
            SessionEvent::Progress { decoded_ms, recognized_ms } => {
                progress.set_message(format!("heard {}, read {}", clock(recognized_ms), clock(decoded_ms)));
                progress.tick();
            }
            SessionEvent::Done(result) => {
                progress.finish_and_clear();
                if result.duration_ms < MIN_DURATION {
                    let ms = result.duration_ms.0;
                    return Err(Error::new(
                        Code::AudioEmpty,
                        format!("{name} holds {ms} ms of audio; at least {} ms are needed", MIN_DURATION.0),
                    ));
                }
                return Ok(*result);
            }
            SessionEvent::Failed(error) => {
                progress.finish_and_clear();
                return Err(error);
            }
            _ => {}
        }
    }
    Err(Error::internal(anyhow::anyhow!("the session ended without a result")))
}

fn spinner() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Transcript, moments and summary for reading; also what `analyze --format text` prints.
pub(super) fn text(result: &VisitResult) -> String {
    let mut out = String::new();
    for segment in &result.segments {
        out += &format!("[{}] {}\n", clock(segment.start_ms), segment.text);
    }
    if !result.moments.is_empty() {
        out += "\n关键时刻\n";
    }
    for moment in &result.moments {
        let slots = serde_json::to_value(&moment.slots).unwrap_or_default();
        let known: Vec<_> = slots
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| format!("{k}={}", v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
            .collect();
        let at = clock(moment.start_ms);
        out += &format!(
            "[{at}] {} {:.2} {} {}\n",
            moment.kind.label_zh(),
            moment.score,
            known.join(" "),
            moment.evidence
        );
    }
    let summary = &result.summary;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    out += &format!(
        "\n小结 {}\n阶段 {}  下一步 {}  日期 {}\n",
        summary.headline,
        summary.stage.map_or("-", |s| s.as_str()),
        or_dash(summary.next_action.clone()),
        or_dash(summary.next_date.map(|d| d.to_string())),
    );
    out
}

fn srt(result: &VisitResult) -> String {
    let time = |ms: Millis| {
        let (s, ms) = (ms.0 / 1000, ms.0 % 1000);
        format!("{:02}:{:02}:{:02},{ms:03}", s / 3600, s / 60 % 60, s % 60)
    };
    let cue = |(n, s): (usize, &crate::domain::transcript::Segment)| {
        format!("{}\n{} --> {}\n{}\n\n", n + 1, time(s.start_ms), time(s.end_ms), s.text)
    };
    result.segments.iter().enumerate().map(cue).collect()
}

//! Live delays with some visits at once, and the cost of each stage as a share of real time.
//!
//! The first minute of the shipped visit is played to some sessions at once at the speed of speech, with the second
//! pass on where there is time for it: a partial's delay is counted from the start of its segment, a final's from
//! the end of its segment's speech. Under load partials become fewer, finals late, and the second pass rests; sound
//! is never lost, or the command fails. Then the whole visit runs as a file, for the cost of each stage.
//!
//! Figures of one machine and one run, each with its ratio to the run before (`history`).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use visitscribe::domain::result::VisitResult;
use visitscribe::domain::time::Millis;
use visitscribe::domain::transcript::GapReason;
use visitscribe::engine::Engines;
use visitscribe::pipeline::session::{self, Pass, SessionEvent, SessionHandle, SessionInput};
use visitscribe::pipeline::{Catalog, Pipeline};
use visitscribe::telemetry::peak_memory_kib;

use history::History;

mod history;
mod shipped;

/// How long each visit is.
const MINUTE: Duration = Duration::from_secs(60);
/// Sound in one message.
const CHUNK: Duration = Duration::from_millis(100);
/// A final after this counts as late: what 16 visits at once are allowed.
const LATE: Duration = Duration::from_secs(2);

/// Delays of live visits
#[derive(clap::Parser)]
struct Args {
    /// How many visits are live at once; a row of a minute each
    #[arg(long, value_name = "N,N...", value_delimiter = ',', default_value = "1,2,4,8,16,20,24,32")]
    visits: Vec<usize>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    shipped::asked::<Args>().map_or(Ok(()), |args| measure(&args.visits))
}

#[tokio::main]
async fn measure(rows: &[usize]) -> anyhow::Result<()> {
    let mut history = History::open("live")?;
    let pipeline = Catalog::load(None)?.get("visit")?;
    let engines = shipped::engines()?;
    let mut samples = shipped::samples()?;
    samples.truncate(shipped::SAMPLES_MS * MINUTE.as_millis() as usize);

    let (machine, seconds) = (history.machine(), MINUTE.as_secs());
    println!("\n{machine}; {seconds} s live at once; in brackets the ratio to the last run\n");
    println!(
        "        first partial, ms after          final, ms after                   finals over    partials       \
         second   sound      memory"
    );
    println!(
        "visits  speech starts: median / p95      speech ends: median / p95         {} ms late, %  a visit        \
         pass     lost, ms   MB",
        LATE.as_millis()
    );
    let mut lost = Millis(0);
    for &visits in rows {
        let row = row(&pipeline, &engines, &samples, visits).await?;
        lost = Millis(lost.0 + row.lost.0);
        println!("{}", row.told(visits, &mut history));
    }

    let begin = Instant::now();
    let result = whole(&pipeline, &engines, shipped::path()).await?;
    let (wall, audio) = (begin.elapsed().as_millis() as f64, result.duration_ms.0 as f64);
    println!("\nstage       ms           x real time   (file of {:.0} s)", audio / 1000.0);
    let timings = result.timings.iter().map(|(stage, ms)| (stage.as_str(), *ms as f64));
    for (stage, ms) in timings.chain([("wall", wall)]) {
        println!("{stage:<10}  {:<12} {:.4}", history.note(&format!("file/{stage}_ms"), ms, 0), ms / audio);
    }
    history.save()?;
    anyhow::ensure!(lost == Millis(0), "{} ms of sound were lost", lost.0);
    Ok(())
}

/// What a row of visits, or one of them, came to.
#[derive(Default)]
struct Row {
    partials: usize,
    firsts: Vec<Duration>,
    finals: Vec<Duration>,
    lost: Millis,
    has_second_pass: bool,
}

impl Row {
    fn told(mut self, visits: usize, history: &mut History) -> String {
        let late = self.finals.iter().filter(|delay| **delay > LATE).count() as f64;
        let late = 100.0 * late / self.finals.len().max(1) as f64;
        let pass = if self.has_second_pass { "on" } else { "rests" };
        let memory = peak_memory_kib(std::process::id()).unwrap_or_default() as f64 / 1024.0;
        let mut note =
            |name: &str, value, decimals| history.note(&format!("{visits}_visits/{name}"), value, decimals);
        format!(
            "{visits:>6}  {:<15} {:<16} {:<15} {:<17} {:<14} {:<14} {pass:<8} {:<10} {}",
            note("first_partial_p50_ms", shipped::at(&mut self.firsts, 50), 0),
            note("first_partial_p95_ms", shipped::at(&mut self.firsts, 95), 0),
            note("final_p50_ms", shipped::at(&mut self.finals, 50), 0),
            note("final_p95_ms", shipped::at(&mut self.finals, 95), 0),
            note("late_finals_percent", late, 1),
            note("partials_a_visit", self.partials as f64 / visits as f64, 1),
            self.lost.0,
            note("memory_mb", memory, 0),
        )
    }
}

/// So many visits at once. Each begins its minute at another place.
async fn row(
    pipeline: &Arc<Pipeline>,
    engines: &Engines,
    samples: &[i16],
    visits: usize,
) -> anyhow::Result<Row> {
    let started: anyhow::Result<Vec<_>> =
        (0..visits).map(|_| Ok(session::start(pipeline, engines, shipped::setup(Pass::Live)?)?)).collect();
    let started = started?;
    // Each of them holds its claim from its start on.
    let has_second_pass = engines.recognizer.workers() > 1 && engines.recognizer.is_calm();
    let heard = started.into_iter().enumerate().map(|(nth, handle)| {
        let (end, start) = samples.split_at(nth * 7 * 16_000 % samples.len());
        live(handle, [start, end].concat())
    });
    let mut row = Row { has_second_pass, ..Row::default() };
    for visit in futures_util::future::try_join_all(heard).await? {
        row.partials += visit.partials;
        row.firsts.extend(visit.firsts);
        row.finals.extend(visit.finals);
        row.lost = Millis(row.lost.0 + visit.lost.0);
    }
    Ok(row)
}

/// One visit at the speed of speech.
async fn live(handle: SessionHandle, samples: Vec<i16>) -> anyhow::Result<Row> {
    let SessionHandle { input, mut events } = handle;
    let length = Millis((samples.len() / shipped::SAMPLES_MS) as u64);
    let begin = Instant::now();
    let feed = tokio::spawn(async move {
        let mut tick = tokio::time::interval(CHUNK);
        for piece in samples.chunks(shipped::SAMPLES_MS * CHUNK.as_millis() as usize) {
            tick.tick().await;
            if input.send(SessionInput::Audio(shipped::bytes(piece))).await.is_err() {
                return;
            }
        }
        // Whether anybody still listens is seen at the other end.
        let _ = input.send(SessionInput::Stop).await;
    });
    let (mut heard, mut result) = (Row::default(), None);
    while let Some(event) = events.recv().await {
        let now = begin.elapsed();
        let since = |ms: Millis| now.saturating_sub(Duration::from_millis(ms.0));
        match event {
            SessionEvent::Partial(partial) => {
                heard.partials += 1;
                if partial.rev == 1 {
                    heard.firsts.push(since(partial.start_ms));
                }
            }
            SessionEvent::Final(segment) => heard.finals.push(since(segment.end_ms)),
            SessionEvent::Done(done) => result = Some(done),
            SessionEvent::Failed(e) => return Err(e.into()),
            _ => {}
        }
    }
    feed.await?;
    let result = result.ok_or_else(|| anyhow::anyhow!("a session ended without a result"))?;
    let gaps = result.gaps.iter().filter(|gap| gap.reason != GapReason::NoSpeech);
    let gaps: u64 = gaps.map(|gap| gap.end_ms.since(gap.start_ms).0).sum();
    heard.lost = Millis(gaps + length.since(result.duration_ms).0);
    Ok(heard)
}

async fn whole(pipeline: &Arc<Pipeline>, engines: &Engines, path: &Path) -> anyhow::Result<VisitResult> {
    let mut events = session::start_file(pipeline, engines, shipped::setup(Pass::Batch)?, path.to_owned())?;
    while let Some(event) = events.recv().await {
        match event {
            SessionEvent::Done(result) => return Ok(*result),
            SessionEvent::Failed(e) => return Err(e.into()),
            _ => {}
        }
    }
    anyhow::bail!("the session ended without a result")
}

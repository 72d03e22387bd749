//! How long the whole result takes after a visit has ended, whatever its length: the target is 800 ms (p95).
//!
//! The shipped visit is repeated for as long as the visit is to be, each time from another place on. Sound is given
//! as fast as the session hears it and the end at the speed of speech, so that the second pass stands where it
//! stands in a real visit. The delay is counted from the last bytes, given together with `stop`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use visitscribe::domain::time::Millis;
use visitscribe::engine::Engines;
use visitscribe::pipeline::session::{self, Pass, SessionEvent, SessionHandle, SessionInput};
use visitscribe::pipeline::{Catalog, Pipeline};

use history::History;

mod history;
mod shipped;

/// Sound in one message.
const CHUNK: Duration = Duration::from_millis(100);
/// The end of a visit, at the speed of speech: longer than a window of the second pass, and its recognition.
const TAIL: Duration = Duration::from_secs(45);
/// How far what is final may lie behind what was given before: the longest segment of a live visit, and some.
const BEHIND: Millis = Millis(12_000);
/// Milliseconds within which the result is to be there (p95).
const TARGET: f64 = 800.0;

/// Delay of the whole result after the end of a visit
#[derive(clap::Parser)]
struct Args {
    /// Lengths of the visits in minutes; a row each
    #[arg(long, value_name = "N,N...", value_delimiter = ',', default_value = "5,30,60")]
    minutes: Vec<u64>,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    shipped::asked::<Args>().map_or(Ok(()), |args| measure(&args))
}

#[tokio::main]
async fn measure(args: &Args) -> anyhow::Result<()> {
    let mut history = History::open("end")?;
    let pipeline = Catalog::load(None)?.get("visit")?;
    let engines = shipped::engines()?;
    let samples = shipped::samples()?;

    println!("\n{}; in brackets the ratio to the last run", history.machine());
    println!("          result after stop, ms");
    println!("minutes   median         p95            repeats   segments   corrected   target");
    for &minutes in &args.minutes {
        let length = Duration::from_secs(60 * minutes);
        let mut ends = Vec::new();
        for nth in 0..args.repeats {
            ends.push(visit(&pipeline, &engines, &samples, length, nth).await?);
        }
        let mut delays: Vec<Duration> = ends.iter().map(|end| end.delay).collect();
        let [median, last] = [50, 95].map(|percent| shipped::at(&mut delays, percent));
        let mean = |of: fn(&End) -> usize| ends.iter().map(of).sum::<usize>() / ends.len();
        println!(
            "{minutes:>7}   {:<14} {:<14} {:<9} {:<10} {:<11} {}",
            history.note(&format!("{minutes}_minutes/result_p50_ms"), median, 0),
            history.note(&format!("{minutes}_minutes/result_p95_ms"), last, 0),
            args.repeats,
            mean(|end| end.segments),
            mean(|end| end.corrected),
            if last <= TARGET { "holds" } else { "missed" },
        );
    }
    history.save()
}

/// How a visit ended.
struct End {
    delay: Duration,
    segments: usize,
    /// By the second pass.
    corrected: usize,
}

async fn visit(
    pipeline: &Arc<Pipeline>,
    engines: &Engines,
    samples: &[i16],
    length: Duration,
    nth: u32,
) -> anyhow::Result<End> {
    let SessionHandle { input, mut events } = session::start(pipeline, engines, shipped::setup(Pass::Live)?)?;
    let (end, start) = samples.split_at(nth as usize * 37 * 16_000 % samples.len());
    let sound = [start, end].concat();
    let (heard, mut so_far) = watch::channel(Millis(0));
    let feed = tokio::spawn(async move {
        let chunk = shipped::SAMPLES_MS * CHUNK.as_millis() as usize;
        let mut tick = tokio::time::interval(CHUNK);
        let mut sound = sound.into_iter().cycle();
        let pieces = length.as_millis() / CHUNK.as_millis();
        let quick = length.saturating_sub(TAIL).as_millis() / CHUNK.as_millis();
        let mut last = Instant::now();
        for n in 1..=pieces {
            let piece: Vec<i16> = sound.by_ref().take(chunk).collect();
            if n <= quick {
                let given = Millis((n * CHUNK.as_millis()) as u64);
                so_far.wait_for(|heard| given.since(*heard).0 <= BEHIND.0).await?;
                tick.reset();
            } else {
                tick.tick().await;
            }
            last = Instant::now();
            input.send(SessionInput::Audio(shipped::bytes(&piece))).await?;
        }
        input.send(SessionInput::Stop).await?;
        anyhow::Ok(last)
    });
    let mut corrected = 0;
    while let Some(event) = events.recv().await {
        match event {
            SessionEvent::Progress { recognized_ms, .. } => {
                heard.send_replace(recognized_ms);
            }
            SessionEvent::Corrected(_) => corrected += 1,
            SessionEvent::Done(result) => {
                let now = Instant::now();
                let delay = now.saturating_duration_since(feed.await??);
                return Ok(End { delay, segments: result.segments.len(), corrected });
            }
            SessionEvent::Failed(e) => return Err(e.into()),
            _ => {}
        }
    }
    anyhow::bail!("the session ended without a result")
}

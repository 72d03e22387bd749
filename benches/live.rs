//! Live delays and the cost of each stage, as a table with ratios to real time.
//!
//! The first minute of the shipped visit is played to some sessions at once at the speed of speech, with the second
//! pass on where there is time for it: a partial's delay is counted from the start of its segment, a final's from
//! the end of its segment's speech. Then the whole visit runs as a file, for the cost of each stage. Figures of one machine and one run; compare ratios.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use visitscribe::config::Config;
use visitscribe::domain::audio::{AudioFormat, Encoding, Pcm};
use visitscribe::domain::result::VisitResult;
use visitscribe::engine::{EngineConfig, Engines, load, return_large_blocks};
use visitscribe::pipeline::session::{self, Pass, SessionEvent, SessionInput, SessionSetup};
use visitscribe::pipeline::{Catalog, Pipeline, visit_time};
use visitscribe::stage::decode::{Decode, DecodeConfig};
use visitscribe::stage::resample::{Resample, ResampleConfig};
use visitscribe::telemetry::peak_memory_kib;

const SECONDS: usize = 60;
/// Visits that are live at once.
const VISITS: [usize; 6] = [1, 2, 4, 8, 16, 24];
const CHUNK: Duration = Duration::from_millis(100);

fn main() -> anyhow::Result<()> {
    // As the binary does.
    return_large_blocks();
    measure()
}

#[tokio::main]
async fn measure() -> anyhow::Result<()> {
    // `cargo test --benches` and criterion's own flags come through here too; only a real run measures.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/visit/visit.ogg"));
    let pipeline = Catalog::load(None)?.get("visit")?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let config = EngineConfig { workers: cores, ..EngineConfig::default() };
    let engines = load(&Config::load(None)?.models_dir()?, &config)?;

    let samples = samples(path)?;
    println!(
        "\n{cores} cores, {SECONDS} s live     first partial after speech starts    final after speech ends"
    );
    println!("visits                      median        p95            median        p95      memory");
    for visits in VISITS {
        let at_once = (0..visits).map(|n| live(&pipeline, &engines, &samples, n));
        let heard = futures_util::future::try_join_all(at_once).await?;
        let (partials, finals): (Vec<_>, Vec<_>) = heard.into_iter().unzip();
        let [mut partials, mut finals] = [partials.concat(), finals.concat()];
        partials.sort();
        finals.sort();
        let [first, last] = [&partials, &finals].map(|delays| (at(delays, 50), at(delays, 95)));
        println!(
            "{visits:>6}  {:>23} ms {:>7} ms  {:>13} ms {:>7} ms {:>7} MB",
            first.0,
            first.1,
            last.0,
            last.1,
            peak_memory_kib(std::process::id()).unwrap_or_default() / 1024
        );
    }

    let begin = Instant::now();
    let result = whole(&pipeline, &engines, path).await?;
    let (wall, audio) = (begin.elapsed().as_millis() as f64, result.duration_ms.0 as f64);
    println!("\nstage         ms   x real time   (file of {:.0} s)", audio / 1000.0);
    for (stage, ms) in &result.timings {
        println!("{stage:<10} {ms:>6}   {:.4}", *ms as f64 / audio);
    }
    println!("{:<10} {wall:>6.0}   {:.4}", "wall", wall / audio);
    Ok(())
}

fn at(sorted: &[Duration], percent: usize) -> u128 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .map_or(0, Duration::as_millis)
}

fn samples(path: &Path) -> anyhow::Result<Vec<i16>> {
    let mut resample = Resample::new(&ResampleConfig::default())?;
    let mut blocks: Vec<Pcm> = Vec::new();
    Decode::new(&DecodeConfig::default()).file(path, &mut |block| {
        blocks.push(block);
        true
    })?;
    let mut out = Vec::new();
    for block in &blocks {
        out.extend(resample.run(block)?);
    }
    out.truncate(16_000 * SECONDS);
    Ok(out.into_iter().map(|s| (s * 32_767.0) as i16).collect())
}

fn setup(pass: Pass) -> anyhow::Result<SessionSetup> {
    let format = AudioFormat { encoding: Encoding::PcmS16le, sample_rate: 16_000, channels: 1 };
    Ok(SessionSetup {
        format,
        visit_at: visit_time("2026-11-23T10:00:00+08:00")?,
        hotwords: Vec::new(),
        pass,
        cuts: Vec::new(),
    })
}

/// Delays of first partials and of finals. The `nth` of some visits begins its minute at another place.
async fn live(
    pipeline: &Arc<Pipeline>,
    engines: &Engines,
    samples: &[i16],
    nth: usize,
) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let mut handle = session::start(pipeline, engines, setup(Pass::Live)?)?;
    let chunk = 16 * CHUNK.as_millis() as usize;
    let (end, start) = samples.split_at(nth * 7 * 16_000 % samples.len());
    let samples = [start, end].concat();
    let pieces: Vec<Vec<u8>> =
        samples.chunks(chunk).map(|c| c.iter().flat_map(|s| s.to_le_bytes()).collect()).collect();
    let begin = Instant::now();
    let feed = tokio::spawn(async move {
        let mut tick = tokio::time::interval(CHUNK);
        for piece in pieces {
            tick.tick().await;
            if handle.input.send(SessionInput::Audio(piece)).await.is_err() {
                return;
            }
        }
        let _ = handle.input.send(SessionInput::Stop).await;
    });
    let (mut partials, mut finals) = (Vec::new(), Vec::new());
    while let Some(event) = handle.events.recv().await {
        let now = begin.elapsed();
        match event {
            SessionEvent::Partial(p) if p.rev == 1 => {
                partials.push(now.saturating_sub(Duration::from_millis(p.start_ms.0)))
            }
            SessionEvent::Final(s) => finals.push(now.saturating_sub(Duration::from_millis(s.end_ms.0))),
            SessionEvent::Failed(e) => return Err(e.into()),
            _ => {}
        }
    }
    feed.await?;
    Ok((partials, finals))
}

async fn whole(pipeline: &Arc<Pipeline>, engines: &Engines, path: &Path) -> anyhow::Result<VisitResult> {
    let mut events = session::start_file(pipeline, engines, setup(Pass::Batch)?, path.to_owned())?;
    while let Some(event) = events.recv().await {
        match event {
            SessionEvent::Done(result) => return Ok(*result),
            SessionEvent::Failed(e) => return Err(e.into()),
            _ => {}
        }
    }
    anyhow::bail!("the session ended without a result")
}

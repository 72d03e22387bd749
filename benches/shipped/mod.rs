//! The shipped visit as benches play it, and how they read delays.

// Each bench uses a part of it.
#![allow(dead_code)]

use std::path::Path;
use std::time::Duration;

use visitscribe::config::Config;
use visitscribe::domain::audio::{AudioFormat, Encoding, Pcm};
use visitscribe::engine::{EngineConfig, Engines, load, return_large_blocks};
use visitscribe::pipeline::session::{Pass, SessionSetup};
use visitscribe::pipeline::visit_time;
use visitscribe::stage::decode::{Decode, DecodeConfig};
use visitscribe::stage::resample::{Resample, ResampleConfig};

/// What a bench of live visits is asked for, ready to measure as the binary would run; nothing where `cargo test
/// --benches` came through: only a real run measures.
pub fn asked<A: clap::Parser>() -> Option<A> {
    std::env::args().any(|a| a == "--bench").then(|| {
        let args = A::parse();
        return_large_blocks();
        args
    })
}

/// Longer than it is, in seconds.
const HOUR: usize = 3600;
/// Samples in a millisecond.
pub const SAMPLES_MS: usize = 16;

/// The sound file.
pub fn path() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/visit/visit.ogg"))
}

/// Its first seconds, decoded.
pub fn blocks(seconds: usize) -> anyhow::Result<Vec<Pcm>> {
    let (mut blocks, mut frames) = (Vec::new(), 0);
    Decode::new(&DecodeConfig::default()).file(path(), &mut |block| {
        frames += block.samples.len() / usize::from(block.channels.max(1));
        let more = frames < seconds * block.rate_hz as usize;
        blocks.push(block);
        more
    })?;
    Ok(blocks)
}

/// All of it at 16 kHz.
pub fn samples() -> anyhow::Result<Vec<i16>> {
    let mut resample = Resample::new(&ResampleConfig::default())?;
    let mut out = Vec::new();
    for block in &blocks(HOUR)? {
        out.extend(resample.run(block)?);
    }
    Ok(out.into_iter().map(|s| (s * 32_767.0) as i16).collect())
}

/// The bytes of a stream.
pub fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// The models as the service loads them.
pub fn engines() -> anyhow::Result<Engines> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let config = EngineConfig { workers, ..EngineConfig::default() };
    Ok(load(&Config::load(None)?.models_dir()?, &config)?)
}

/// A visit of such samples.
pub fn setup(pass: Pass) -> anyhow::Result<SessionSetup> {
    let format = AudioFormat { encoding: Encoding::PcmS16le, sample_rate: 16_000, channels: 1 };
    Ok(SessionSetup {
        format,
        visit_at: visit_time("2026-11-23T10:00:00+08:00")?,
        hotwords: Vec::new(),
        pass,
        cuts: Vec::new(),
    })
}

/// The delay, in milliseconds, that so many percent are not above; 0 of none.
pub fn at(delays: &mut [Duration], percent: usize) -> f64 {
    delays.sort();
    let rank = (delays.len() * percent).div_ceil(100).max(1) - 1;
    delays.get(rank).map_or(0.0, |delay| delay.as_secs_f64() * 1000.0)
}

//! resample: decoded sound of any rate and channel count -> mono at 16 kHz.
//!
//! A windowed sinc (rubato) as a stream: blocks go in as they are decoded, and the output keeps the length
//! and the pitch of the input whatever the block sizes are. Channels are averaged, since one microphone in the
//! room is the case we are built for. A source that changes its rate midway starts a new filter.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, Indexing, Resampler as _, SincInterpolationParameters, WindowFunction};
use serde::{Deserialize, Serialize};

use crate::domain::audio::{Pcm, SAMPLE_RATE_HZ};
use crate::error::{Code, Error, Result};

/// Input frames a filter takes at once: 10 to 64 ms at the usual rates.
const BLOCK_FRAMES: usize = 512;

/// Configuration of `use = "resample"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResampleConfig {
    /// Length of the sinc in input samples; longer is steeper and slower. A multiple of 8.
    pub sinc_len: usize,
}

impl Default for ResampleConfig {
    fn default() -> Self {
        Self { sinc_len: 128 }
    }
}

/// The stage: one stream's resampler.
pub struct Resample {
    config: ResampleConfig,
    filter: Option<Filter>,
}

struct Filter {
    rate_hz: u32,
    inner: Async<f32>,
    pending: Vec<f32>,
    frames_in: u64,
    frames_out: u64,
    /// Leading output frames that are the filter's own delay.
    skip: usize,
}

impl Resample {
    /// A resampler for one stream.
    pub fn new(config: &ResampleConfig) -> Result<Self> {
        if config.sinc_len < 16 || config.sinc_len > 1024 || !config.sinc_len.is_multiple_of(8) {
            return Err(Error::new(
                Code::InvalidPipeline,
                format!("resample.sinc_len is {}; give a multiple of 8 from 16 to 1024", config.sinc_len),
            ));
        }
        Ok(Self { config: config.clone(), filter: None })
    }

    /// Takes the next block and returns the samples that are ready, mono at 16 kHz.
    pub fn run(&mut self, block: &Pcm) -> Result<Vec<f32>> {
        let mut out = Vec::new();
        if self.filter.as_ref().is_some_and(|f| f.rate_hz != block.rate_hz) {
            out = self.finish()?;
        }
        let mono = downmix(block);
        if block.rate_hz == SAMPLE_RATE_HZ && self.filter.is_none() {
            out.extend(mono);
            return Ok(out);
        }
        let filter = match &mut self.filter {
            Some(filter) => filter,
            None => self.filter.insert(Filter::new(block.rate_hz, self.config.sinc_len)?),
        };
        filter.push(&mono, &mut out)?;
        Ok(out)
    }

    /// Ends the stream: the samples still inside the filter, so that durations agree.
    pub fn finish(&mut self) -> Result<Vec<f32>> {
        let mut out = Vec::new();
        if let Some(filter) = self.filter.take() {
            filter.finish(&mut out)?;
        }
        Ok(out)
    }
}

fn downmix(block: &Pcm) -> Vec<f32> {
    let channels = usize::from(block.channels.max(1));
    if channels == 1 {
        return block.samples.clone();
    }
    block.samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect()
}

impl Filter {
    fn new(rate_hz: u32, sinc_len: usize) -> Result<Self> {
        let ratio = f64::from(SAMPLE_RATE_HZ) / f64::from(rate_hz.max(1));
        let parameters = SincInterpolationParameters::new(sinc_len, WindowFunction::BlackmanHarris2);
        let inner = Async::<f32>::new_sinc(ratio, 1.0, &parameters, BLOCK_FRAMES, 1, FixedAsync::Input)
            .map_err(|e| {
                Error::caused(Code::AudioUnreadable, format!("cannot resample from {rate_hz} Hz"), e)
            })?;
        let skip = inner.output_delay();
        Ok(Self { rate_hz, inner, pending: Vec::new(), frames_in: 0, frames_out: 0, skip })
    }

    fn push(&mut self, mono: &[f32], out: &mut Vec<f32>) -> Result<()> {
        self.frames_in += mono.len() as u64;
        self.pending.extend_from_slice(mono);
        let mut used = 0;
        while self.pending.len() - used >= BLOCK_FRAMES {
            let block = self.pending.get(used..used + BLOCK_FRAMES).unwrap_or_default().to_vec();
            self.process(&block, None, out)?;
            used += BLOCK_FRAMES;
        }
        self.pending.drain(..used);
        Ok(())
    }

    fn finish(mut self, out: &mut Vec<f32>) -> Result<()> {
        // The output must be as long as the input in time, so silence pushes the tail out of the filter.
        let due =
            (self.frames_in as f64 * f64::from(SAMPLE_RATE_HZ) / f64::from(self.rate_hz)).round() as u64;
        let mut tail = std::mem::take(&mut self.pending);
        while self.frames_out < due {
            let frames = tail.len();
            tail.resize(BLOCK_FRAMES, 0.0);
            self.process(&tail, Some(frames), out)?;
            tail.clear();
        }
        let surplus = self.frames_out.saturating_sub(due) as usize;
        out.truncate(out.len().saturating_sub(surplus));
        Ok(())
    }

    fn process(&mut self, block: &[f32], partial_len: Option<usize>, out: &mut Vec<f32>) -> Result<()> {
        let input = InterleavedSlice::new(block, 1, block.len()).map_err(Error::internal)?;
        let indexing = partial_len.map(|n| Indexing::new().partial_len(n));
        let made = self.inner.process(&input, indexing.as_ref()).map_err(Error::internal)?.take_data();
        let skipped = self.skip.min(made.len());
        self.skip -= skipped;
        self.frames_out += (made.len() - skipped) as u64;
        out.extend(made.into_iter().skip(skipped));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tone(rate_hz: u32, hz: f32, frames: usize, channels: u16) -> Pcm {
        let samples = (0..frames)
            .flat_map(|n| {
                let s = (std::f32::consts::TAU * hz * n as f32 / rate_hz as f32).sin() * 0.5;
                std::iter::repeat_n(s, channels.into())
            })
            .collect();
        Pcm { rate_hz, channels, samples }
    }

    fn all(blocks: &[Pcm]) -> Vec<f32> {
        let mut stage = Resample::new(&ResampleConfig::default()).unwrap();
        let mut out = Vec::new();
        for block in blocks {
            out.extend(stage.run(block).unwrap());
        }
        out.extend(stage.finish().unwrap());
        out
    }

    /// Zero crossings upward per second.
    fn frequency_hz(samples: &[f32]) -> f32 {
        let ups = samples.windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0).count();
        ups as f32 * SAMPLE_RATE_HZ as f32 / samples.len() as f32
    }

    #[test]
    fn keeps_the_duration_and_frequency_of_a_tone() {
        for rate_hz in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000] {
            let out = all(&[tone(rate_hz, 440.0, rate_hz as usize * 2, 2)]);
            assert_eq!(out.len(), 32_000, "{rate_hz} Hz");
            let middle = &out[1_600..30_400];
            assert!((frequency_hz(middle) - 440.0).abs() < 2.0, "{rate_hz} Hz: {}", frequency_hz(middle));
            let peak = middle.iter().fold(0.0_f32, |m, s| m.max(s.abs()));
            assert!((peak - 0.5).abs() < 0.02, "{rate_hz} Hz: peak {peak}");
        }
    }

    #[test]
    fn keeps_the_place_of_a_click() {
        let mut block = Pcm { rate_hz: 48_000, channels: 1, samples: vec![0.0; 48_000] };
        block.samples[24_000] = 1.0;
        let out = all(&[block]);
        let at = (0..out.len()).max_by(|a, b| out[*a].total_cmp(&out[*b])).unwrap();
        assert!(at.abs_diff(8_000) <= 1, "click came out at {at}");
    }

    #[test]
    fn removes_what_16_khz_cannot_hold() {
        let out = all(&[tone(48_000, 11_000.0, 48_000, 1)]);
        let loudest = out[1_600..14_400].iter().fold(0.0_f32, |m, s| m.max(s.abs()));
        assert!(loudest < 0.005, "an 11 kHz tone leaves {loudest}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn blocks_do_not_matter(cuts in proptest::collection::vec(1_usize..3_000, 1..12)) {
            let whole = tone(44_100, 300.0, 20_000, 1);
            let mut blocks = Vec::new();
            let mut rest = whole.samples.as_slice();
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                blocks.push(Pcm { samples: head.to_vec(), ..whole.clone() });
                rest = tail;
            }
            blocks.push(Pcm { samples: rest.to_vec(), ..whole.clone() });
            prop_assert_eq!(all(&blocks), all(&[whole]));
        }
    }
}

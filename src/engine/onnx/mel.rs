//! Sound to a mel spectrogram: the energy in each band, in windows of 25 ms every 10 ms. Whisper's form of it
//! is here too; the voice encoder takes the energies as they are.

use std::f32::consts::TAU;
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

/// Samples of a window.
const WINDOW: usize = 400;
/// Samples from one window to the next.
const HOP: usize = 160;
/// Frequency bins of a window.
const BINS: usize = WINDOW / 2 + 1;

/// The transform and the filters.
pub struct Mel {
    fft: Arc<dyn Fft<f32>>,
    hann: Vec<f32>,
    /// For each band the first bin it hears and the weights from there on.
    bands: Vec<(usize, Vec<f32>)>,
}

impl Mel {
    /// `filters`: a row of [`BINS`] weights for each band; nothing if they are of another shape.
    pub fn new(filters: &[f32]) -> Option<Self> {
        let (rows, rest) = filters.as_chunks::<BINS>();
        let band = |row: &[f32; BINS]| {
            let first = row.iter().position(|w| *w != 0.0).unwrap_or(0);
            let last = row.iter().rposition(|w| *w != 0.0).map_or(first, |n| n + 1);
            (first, row.get(first..last).unwrap_or_default().to_vec())
        };
        rest.is_empty().then(|| Self {
            fft: FftPlanner::new().plan_fft_forward(WINDOW),
            hann: (0..WINDOW).map(|n| 0.5 - 0.5 * (TAU * n as f32 / WINDOW as f32).cos()).collect(),
            bands: rows.iter().map(band).collect(),
        })
    }

    /// Hands out the energy of each band in each of `frames` windows as frame, band, energy. The first window
    /// has its middle at sample 0; `sample` tells what is heard, also before that and after the end.
    pub fn energies(
        &self,
        frames: usize,
        sample: impl Fn(isize) -> f32,
        mut take: impl FnMut(usize, usize, f32),
    ) {
        let mut scratch = vec![Complex::default(); self.fft.get_inplace_scratch_len()];
        let mut buffer = vec![Complex::default(); WINDOW];
        for frame in 0..frames {
            let start = (frame * HOP) as isize - (WINDOW / 2) as isize;
            for (n, (to, weight)) in buffer.iter_mut().zip(&self.hann).enumerate() {
                *to = Complex::new(sample(start + n as isize) * weight, 0.0);
            }
            self.fft.process_with_scratch(&mut buffer, &mut scratch);
            for (band, (first, weights)) in self.bands.iter().enumerate() {
                let bins = buffer.iter().skip(*first).zip(weights);
                take(frame, band, bins.map(|(bin, weight)| bin.norm_sqr() * weight).sum());
            }
        }
    }

    /// What Whisper hears: bands in a row of `samples / 160` frames each, and that number; the logarithm of
    /// the energies, floored at 8 under the loudest and scaled to about -1..=1. Silence follows the audio.
    pub fn spectrogram(&self, audio: &[f32], samples: usize) -> (Vec<f32>, usize) {
        let frames = samples / HOP;
        let quiet = 1e-10f32.log10();
        let mut out = vec![quiet; self.bands.len() * frames];
        let mut loudest = quiet;
        // The audio is mirrored at its start and, at its end, followed by silence.
        let sample = |at: isize| audio.get(at.unsigned_abs()).copied().unwrap_or(0.0);
        let heard = (audio.len() + WINDOW / 2).div_ceil(HOP).min(frames);
        self.energies(heard, sample, |frame, band, energy| {
            let value = energy.max(1e-10).log10();
            loudest = loudest.max(value);
            if let Some(to) = out.get_mut(band * frames + frame) {
                *to = value;
            }
        });
        out.iter_mut().for_each(|value| *value = (value.max(loudest - 8.0) + 4.0) / 4.0);
        (out, frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_loud_in_its_band_and_silence_is_flat() {
        let mut filters = vec![0.0; 4 * BINS];
        // Bands of 2 kHz each: 50 bins of 40 Hz.
        for band in 0..4 {
            filters[band * BINS + band * 50..][..50].fill(1.0);
        }
        let mel = Mel::new(&filters).unwrap();
        let tone: Vec<f32> = (0..3_200).map(|n| (TAU * 3_000.0 * n as f32 / 16_000.0).sin()).collect();
        let (bands, frames) = mel.spectrogram(&tone, 6_400);
        assert_eq!((frames, bands.len()), (40, 160));
        let at = |band: usize, frame: usize| bands[band * frames + frame];
        assert!(at(1, 10) > at(0, 10) + 1.0 && at(1, 10) > at(3, 10) + 1.0);
        assert!((at(1, 10) - at(1, 39) - 2.0).abs() < 1e-5, "silence is 8 under the loudest, in fourths");
        let (silence, _) = mel.spectrogram(&[], 1_600);
        assert!(silence.iter().all(|value| *value == (1e-10f32.log10() + 4.0) / 4.0));
        assert!(Mel::new(&filters[1..]).is_none());
    }
}

//! The voice encoder: 1.6 s of speech -> a direction in 256 dimensions; one person's lie close together.
//!
//! GE2E (Wan et al. 2018) with Resemblyzer's weights: the energies of 40 mel bands through three LSTM layers; what
//! the last one holds at the end, made positive and of length 1. The file is torch's old format; its hash is
//! pinned by the manifest, so the places of the tensors in it are known and nothing in it is ever unpickled.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use ort::operator::Attribute;
use ort::session::Session;
use ort::value::{TensorElementType, TensorRef};

use super::build::Build;
use super::mel::Mel;
use super::{Environment, failed};
use crate::engine::ggml::mel_filters;
use crate::engine::{EngineError, VOICEPRINT_WINDOW, VoiceEncoder, Voiceprint, VoiceprintRequest};

/// Mel bands, and frames of a window.
const BANDS: usize = 40;
const FRAMES: usize = 160;
/// Width of each layer, and of the result.
const WIDTH: usize = 256;
/// What an LSTM layer reckons at each step: its input, output and forget gate, and what it would remember.
const GATES: usize = 4;
/// Windows in one run; bounds the memory of a long stretch.
const MAX_BATCH: usize = 32;
/// Shorter audio has no voice in it: 0.2 s.
const SHORTEST: usize = 3_200;
/// Loudness that the weights were trained with: -30 dB of full scale.
const LOUDNESS: f32 = 0.031_622_776;

/// Where a layer's tensors begin in the file, in bytes; 32-bit floats, little-endian.
struct Places {
    input: u64,
    recurrent: u64,
    input_bias: u64,
    recurrent_bias: u64,
}

const LAYERS: [Places; 3] = [
    Places { input: 269_883, recurrent: 433_723, input_bias: 5_676_603, recurrent_bias: 5_680_699 },
    Places { input: 1_482_299, recurrent: 2_530_875, input_bias: 5_684_795, recurrent_bias: 5_688_891 },
    Places { input: 3_579_451, recurrent: 4_628_027, input_bias: 5_692_987, recurrent_bias: 5_697_083 },
];
const LAST: (u64, u64) = (7_731, 6_699);

/// One worker's voice encoder.
pub struct OnnxVoices {
    session: Session,
    mel: Mel,
}

impl OnnxVoices {
    /// Puts the graph together from the file's weights.
    pub fn load(environment: &Environment, weights: &Path) -> Result<Self, EngineError> {
        let unreadable = |e| EngineError::Missing(format!("cannot read {}: {e}", weights.display()));
        let mut file = File::open(weights).map_err(unreadable)?;
        let mut read = |place, length| floats(&mut file, place, length).map_err(unreadable);
        let mut build = Build::new().map_err(failed)?;
        let any = [-1, -1, BANDS as i64];
        let mut value = build.input("mel", TensorElementType::Float32, &any);
        value = build.transpose(&value, &[1, 0, 2]).map_err(failed)?;
        let mut width = BANDS;
        for (n, at) in LAYERS.iter().enumerate() {
            let input = regrouped(&read(at.input, GATES * WIDTH * width)?, width);
            let recurrent = regrouped(&read(at.recurrent, GATES * WIDTH * WIDTH)?, WIDTH);
            let mut bias = regrouped(&read(at.input_bias, GATES * WIDTH)?, 1);
            bias.extend(regrouped(&read(at.recurrent_bias, GATES * WIDTH)?, 1));
            let [all, last] =
                layer(&mut build, &value, [&input, &recurrent, &bias], width).map_err(failed)?;
            value = if n + 1 < LAYERS.len() { all } else { last };
            width = WIDTH;
        }
        let (weights, bias) = (read(LAST.0, WIDTH * WIDTH)?, read(LAST.1, WIDTH)?);
        finish(&mut build, &value, &weights, &bias).map_err(failed)?;
        let filters: Vec<f32> = mel_filters(BANDS as u32).collect();
        let mel = Mel::new(&filters).ok_or_else(|| EngineError::Failed("no mel filters".to_owned()))?;
        Ok(Self { session: build.open(environment, 1).map_err(failed)?, mel })
    }

    fn run(&mut self, windows: &[Vec<f32>]) -> Result<Vec<Voiceprint>, EngineError> {
        let mut mel = vec![0.0; windows.len() * FRAMES * BANDS];
        for (window, rows) in windows.iter().zip(mel.chunks_exact_mut(FRAMES * BANDS)) {
            let window = filled(window)?;
            let sample =
                |at: isize| usize::try_from(at).ok().and_then(|at| window.get(at)).copied().unwrap_or(0.0);
            self.mel.energies(FRAMES, sample, |frame, band, energy| {
                if let Some(to) = rows.get_mut(frame * BANDS + band) {
                    *to = energy;
                }
            });
        }
        let shape = [windows.len(), FRAMES, BANDS];
        let mel = TensorRef::from_array_view((shape, mel.as_slice())).map_err(failed)?;
        let outputs = self.session.run(ort::inputs!["mel" => mel]).map_err(failed)?;
        let missing = || EngineError::Failed("the voice encoder gave no direction".to_owned());
        let voices = outputs.get("voice").ok_or_else(missing)?;
        let (_, voices) = voices.try_extract_tensor::<f32>().map_err(failed)?;
        let prints: Vec<Voiceprint> =
            voices.chunks_exact(WIDTH).map(|direction| Voiceprint(unit(direction))).collect();
        if prints.len() == windows.len() { Ok(prints) } else { Err(missing()) }
    }
}

impl VoiceEncoder for OnnxVoices {
    fn encode(&mut self, request: &VoiceprintRequest) -> Result<Vec<Voiceprint>, EngineError> {
        let mut prints = Vec::with_capacity(request.windows.len());
        for windows in request.windows.chunks(MAX_BATCH) {
            prints.extend(self.run(windows)?);
        }
        Ok(prints)
    }
}

fn floats(file: &mut File, place: u64, length: usize) -> std::io::Result<Vec<f32>> {
    let mut bytes = vec![0; length * 4];
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// The gates in ONNX's order (input, output, forget, cell) from torch's (input, forget, cell, output).
fn regrouped(rows: &[f32], width: usize) -> Vec<f32> {
    let gate = |n: usize| rows.chunks_exact(WIDTH * width).nth(n).unwrap_or_default();
    [0, 3, 1, 2].map(gate).concat()
}

/// An LSTM layer over [frames, batch, `width`]: what it gave at each step, and at the last one.
fn layer(
    build: &mut Build,
    value: &str,
    [input, recurrent, bias]: [&[f32]; 3],
    width: usize,
) -> ort::Result<[String; 2]> {
    let input = build.constant(&[1, GATES * WIDTH, width], input)?;
    let recurrent = build.constant(&[1, GATES * WIDTH, WIDTH], recurrent)?;
    let bias = build.constant(&[1, 2 * GATES * WIDTH], bias)?;
    let hidden = vec![Attribute::new("hidden_size", WIDTH as i64)?];
    let [all, last] = build.lstm(&[value, &input, &recurrent, &bias], hidden)?;
    let (direction, first) = (build.constant(&[1], &[1i64])?, build.constant(&[1], &[0i64])?);
    Ok([build.op("Squeeze", &[&all, &direction])?, build.op("Squeeze", &[&last, &first])?])
}

fn finish(build: &mut Build, value: &str, weights: &[f32], bias: &[f32]) -> ort::Result<()> {
    let (weights, bias) = (build.constant(&[WIDTH, WIDTH], weights)?, build.constant(&[WIDTH], bias)?);
    let dense = build.op_with("Gemm", &[value, &weights, &bias], vec![Attribute::new("transB", 1i64)?])?;
    let positive = build.op("Relu", &[&dense])?;
    build.output("voice", &positive, 2)
}

/// Audio repeated until it fills the window, at the loudness that the weights know.
fn filled(window: &[f32]) -> Result<Vec<f32>, EngineError> {
    if !(SHORTEST..=VOICEPRINT_WINDOW).contains(&window.len()) {
        let why = format!("{} samples are no window of a voice", window.len());
        return Err(EngineError::Input(why));
    }
    let sound = |s: &f32| if s.is_finite() { *s } else { 0.0 };
    let energy: f32 = window.iter().map(|s| sound(s).powi(2)).sum::<f32>() / window.len() as f32;
    let gain = LOUDNESS / energy.sqrt().max(1e-6);
    Ok(window.iter().cycle().take(VOICEPRINT_WINDOW).map(|s| sound(s) * gain).collect())
}

/// Of length 1; silence has no direction and gets the first one.
fn unit(direction: &[f32]) -> Vec<f32> {
    let length = direction.iter().map(|x| x * x).sum::<f32>().sqrt();
    let known = length.is_finite() && length > 1e-6;
    let first = |n: usize| if n == 0 { 1.0 } else { 0.0 };
    direction.iter().enumerate().map(|(n, x)| if known { x / length } else { first(n) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::real;

    fn voices() -> OnnxVoices {
        OnnxVoices::load(real::environment(), &real::model("ge2e-voice").1).unwrap()
    }

    fn encode(voices: &mut OnnxVoices, windows: &[&[f32]]) -> Vec<Vec<f32>> {
        let request = VoiceprintRequest { windows: windows.iter().map(|w| w.to_vec()).collect() };
        voices.encode(&request).unwrap().into_iter().map(|print| print.0).collect()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn a_window_has_the_direction_that_the_formula_gives() {
        // By numpy from the same weights, a step at a time: places of the largest values and those values.
        let clip = real::clip("damo.wav");
        let found = encode(&mut voices(), &[&clip[16_000..16_000 + VOICEPRINT_WINDOW]]).remove(0);
        let places = [124, 122, 238, 113, 125, 148, 143, 109];
        let values = [0.2349, 0.2342, 0.2304, 0.2304, 0.2094, 0.2023, 0.1869, 0.1866];
        for (place, value) in places.into_iter().zip(values) {
            assert!((found[place] - value).abs() < 2e-3, "{place}: {} for {value}", found[place]);
        }
        assert!((cosine(&found, &found) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn one_persons_windows_are_alike_and_a_batch_changes_nothing() {
        let (one, other) = (real::clip("damo.wav"), real::clip("aishell.wav"));
        let windows: [&[f32]; 4] =
            [&one[8_000..33_600], &one[48_000..73_600], &other[8_000..33_600], &other[30_000..50_000]];
        let mut voices = voices();
        let found = encode(&mut voices, &windows);
        let same = cosine(&found[0], &found[1]).min(cosine(&found[2], &found[3]));
        for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            assert!(cosine(&found[a], &found[b]) + 0.1 < same, "{a} {b}: {same}");
        }
        for (n, window) in windows.iter().enumerate() {
            assert!(cosine(&encode(&mut voices, &[window])[0], &found[n]) > 0.9999);
        }
    }

    #[test]
    fn what_is_no_window_is_refused_and_any_sound_has_a_direction() {
        let mut voices = voices();
        for length in [0, 100, VOICEPRINT_WINDOW + 1] {
            let request = VoiceprintRequest { windows: vec![vec![0.1; length]] };
            assert!(matches!(voices.encode(&request), Err(EngineError::Input(_))), "{length}");
        }
        for sample in [0.0, f32::NAN, f32::MAX] {
            let found = encode(&mut voices, &[&vec![sample; SHORTEST]]).remove(0);
            assert!((cosine(&found, &found) - 1.0).abs() < 1e-4, "{sample}");
        }
        assert!(voices.encode(&VoiceprintRequest::default()).unwrap().is_empty());
    }
}

//! Sound for tests: the shipped visit, files of it, and rooms in which nobody speaks.

use std::f32::consts::TAU;
use std::path::Path;

use visitscribe::domain::audio::SAMPLE_RATE_HZ;
use visitscribe::stage::decode::{Decode, DecodeConfig};
use visitscribe::stage::resample::{Resample, ResampleConfig};

const RATE: usize = SAMPLE_RATE_HZ as usize;

/// A WAV file, 16-bit mono at 16 kHz.
pub fn wav(path: &Path, samples: impl Iterator<Item = i16>) {
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let mut out = Vec::new();
    out.extend(b"RIFF");
    out.extend((36 + data.len() as u32).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend(SAMPLE_RATE_HZ.to_le_bytes());
    out.extend((SAMPLE_RATE_HZ * 2).to_le_bytes());
    out.extend(b"\x02\0\x10\0data");
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    std::fs::write(path, out).unwrap();
}

/// As a WAV file has them.
pub fn whole(samples: &[f32]) -> impl Iterator<Item = i16> {
    samples.iter().map(|s| (s.clamp(-1.0, 1.0) * 32_767.0) as i16)
}

/// The shipped visit, 16 kHz mono, -1..1.
pub fn shipped_visit() -> Vec<f32> {
    let visit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/visit/visit.ogg");
    let mut blocks = Vec::new();
    Decode::new(&DecodeConfig::default())
        .file(&visit, &mut |block| {
            blocks.push(block);
            true
        })
        .unwrap();
    let mut resample = Resample::new(&ResampleConfig::default()).unwrap();
    blocks.iter().flat_map(|block| resample.run(block).unwrap()).collect()
}

/// Numbers that look random, the same in every run.
struct Dice(u32);

impl Dice {
    /// -1..1.
    fn throw(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// 0..below.
    fn below(&mut self, below: usize) -> usize {
        (((self.throw() + 1.0) / 2.0 * below as f32) as usize).min(below - 1)
    }
}

/// Half a minute of each of the rooms in which nobody can be understood, that many times: still, hiss, a fan, mains hum,
/// a hold tone, a ringing telephone, a keyboard, knocks, music, and a cafe where two dozen talk at once.
pub fn rooms(times: usize) -> Vec<f32> {
    let voices = shipped_visit();
    let mut dice = Dice(1);
    let mut sound = Vec::new();
    for _ in 0..times {
        let length = RATE * 30;
        let steady: [fn(f32, &mut Dice) -> f32; 6] = [
            |_, _| 0.0,
            |_, dice| 0.1 * dice.throw(),
            |t, dice| 0.06 * dice.throw() * (1.0 + 0.5 * (TAU * 0.3 * t).sin()),
            |t, dice| 0.05 * (TAU * 50.0 * t).sin() + 0.03 * (TAU * 150.0 * t).sin() + 0.004 * dice.throw(),
            |t, _| if t % 5.0 < 1.0 { 0.25 * (TAU * 450.0 * t).sin() } else { 0.0 },
            |t, _| if t % 6.0 < 2.0 { 0.3 * (TAU * 440.0 * t).sin() * (TAU * 20.0 * t).sin() } else { 0.0 },
        ];
        for room in steady {
            sound.extend((0..length).map(|n| room(n as f32 / RATE as f32, &mut dice)));
        }
        sound.extend(struck(length, 180, &mut dice, |t, dice| 0.3 * dice.throw() * (-t * 180.0).exp()));
        sound.extend(struck(length, 45, &mut dice, |t, _| 0.6 * (TAU * 130.0 * t).sin() * (-t * 32.0).exp()));
        let scale = [261.6, 293.7, 329.6, 392.0, 440.0, 523.3, 587.3, 659.3];
        let mut music = vec![0.0; length];
        for beat in 0..120 {
            let pitch = scale[dice.below(scale.len())];
            for (n, sample) in music.iter_mut().skip(beat * RATE / 4).take(RATE / 2).enumerate() {
                let t = n as f32 / RATE as f32;
                let tone = |harmonic: f32| 0.08 / harmonic * (TAU * pitch * harmonic * t).sin();
                *sample += (-4.0 * t).exp() * (tone(1.0) + tone(2.0) + tone(3.0) + tone(4.0));
            }
        }
        sound.extend(music);
        let mut cafe = vec![0.0; length];
        for _ in 0..24 {
            let from = dice.below(voices.len() - length);
            for (sample, voice) in cafe.iter_mut().zip(&voices[from..]) {
                *sample += 0.06 * voice;
            }
        }
        sound.extend(cafe);
    }
    sound
}

/// Short sounds at times that nobody foresees.
fn struck(length: usize, times: usize, dice: &mut Dice, strike: fn(f32, &mut Dice) -> f32) -> Vec<f32> {
    let mut sound = vec![0.0; length];
    for _ in 0..times {
        let from = dice.below(length);
        for (n, sample) in sound.iter_mut().skip(from).take(RATE / 5).enumerate() {
            *sample += strike(n as f32 / RATE as f32, dice);
        }
    }
    sound
}

//! For tests that need the real models: where they are, and real speech. A test whose model is not there
//! fails and says how to get it; it never passes by not running.

use std::path::{Path, PathBuf};

use super::installed;
use super::manifest::{Manifest, Manifests, RUNTIME};
use super::onnx::{self, Environment};
use crate::config::Config;

/// The models directory that this machine is configured with.
pub fn models_dir() -> PathBuf {
    Config::load(None).unwrap().models_dir().unwrap()
}

/// The manifest of a model whose file is there and right, and the file's path.
pub fn model(name: &str) -> (Manifest, PathBuf) {
    let dir = models_dir();
    let manifest = Manifests::read(&dir).unwrap().get(name).unwrap().clone();
    let path = installed::require(&manifest, &dir).unwrap_or_else(|e| panic!("{e}"));
    (manifest, path)
}

/// The ONNX runtime.
pub fn environment() -> &'static Environment {
    onnx::environment(&model(RUNTIME).1).unwrap()
}

/// Samples of a clip in `tests/data/real`: 16-bit mono at 16 kHz.
pub fn clip(name: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/real").join(name);
    let bytes = std::fs::read(path).unwrap();
    let data = bytes.windows(4).position(|w| w == b"data").unwrap() + 8;
    let (samples, _) = bytes[data..].as_chunks::<2>();
    samples.iter().map(|s| f32::from(i16::from_le_bytes(*s)) / 32_768.0).collect()
}

/// Noise that is the same every time, from -`level` to `level`.
pub fn noise(samples: usize, level: f32) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..samples).map(|_| next() * level).collect()
}

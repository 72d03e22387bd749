//! Sound: the one sample rate everything after `resample` runs at, and blocks of samples before it.

use serde::{Deserialize, Serialize};

use super::time::Millis;

/// Sample rate of everything after `resample`: what Whisper and Silero VAD were trained on.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// A count of samples at [`SAMPLE_RATE_HZ`], also used as a position in a visit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Samples(pub u64);

impl Samples {
    /// The time of this position, rounded down.
    pub fn to_millis(self) -> Millis {
        Millis(self.0 * 1000 / u64::from(SAMPLE_RATE_HZ))
    }

    /// The position of a time.
    pub fn from_millis(time: Millis) -> Self {
        Self(time.0 * u64::from(SAMPLE_RATE_HZ) / 1000)
    }
}

/// Decoded sound before resampling: interleaved samples in -1.0..=1.0 at the rate of the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Pcm {
    /// Sample rate in Hz, never zero.
    pub rate_hz: u32,
    /// Number of interleaved channels, never zero.
    pub channels: u16,
    /// `frames * channels` samples.
    pub samples: Vec<f32>,
}

/// How the bytes of a live stream or an upload are to be read (`start.audio` of the live protocol).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Raw signed 16-bit little-endian samples.
    PcmS16le,
    /// A growing Ogg/Opus, WebM/Opus, MP4/AAC, MP3, FLAC or WAV file; rate and channels come from inside it.
    Container,
}

/// The declared format of a visit's one audio stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFormat {
    /// Raw samples or a container.
    pub encoding: Encoding,
    /// Samples per second of raw audio; ignored for a container.
    #[serde(default = "default_rate")]
    pub sample_rate: u32,
    /// Interleaved channels of raw audio; ignored for a container.
    #[serde(default = "default_channels")]
    pub channels: u16,
}

fn default_rate() -> u32 {
    SAMPLE_RATE_HZ
}

fn default_channels() -> u16 {
    1
}

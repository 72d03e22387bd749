//! The file to be streamed: its bytes in memory, and which moment of the sound each offset is.

use std::path::Path;

use super::SendAs;
use crate::domain::audio::{AudioFormat, Encoding, SAMPLE_RATE_HZ};
use crate::error::Result;
use crate::stage::decode::{Decode, DecodeConfig};
use crate::stage::resample::{Resample, ResampleConfig};

/// Sound in one message: within the protocol's 20 to 200 ms.
const CHUNK_MS: u64 = 100;

/// The bytes of the declared audio stream. The whole of it is the buffer from which anything that the server
/// has not made durable can be sent again.
pub struct Audio {
    /// How the bytes are to be read.
    pub format: AudioFormat,
    /// The stream.
    pub bytes: Vec<u8>,
    /// Length of the sound.
    pub duration_ms: u64,
}

impl Audio {
    /// Reads and decodes a file. Blocking. Container bytes are decoded too, to learn their duration.
    pub fn open(path: &Path, send: SendAs) -> Result<Self> {
        let mut resample = Resample::new(&ResampleConfig::default())?;
        let mut samples = Vec::new();
        let mut failed = None;
        Decode::new(&DecodeConfig::default()).file(path, &mut |block| match resample.run(&block) {
            Ok(mono) => {
                samples.extend(mono.into_iter().map(to_i16));
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        samples.extend(resample.finish()?.into_iter().map(to_i16));
        let duration_ms = samples.len() as u64 * 1000 / u64::from(SAMPLE_RATE_HZ);
        let (encoding, bytes) = match send {
            SendAs::Pcm => (Encoding::PcmS16le, samples.into_iter().flat_map(i16::to_le_bytes).collect()),
            SendAs::Container => {
                let bytes = std::fs::read(path).map_err(crate::error::Error::internal)?;
                (Encoding::Container, bytes)
            }
        };
        let format = AudioFormat { encoding, sample_rate: SAMPLE_RATE_HZ, channels: 1 };
        Ok(Self { format, bytes, duration_ms })
    }

    /// Length of the stream in bytes.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// How much sound lies before an offset. Exact for samples; for a container its share of the bytes.
    pub fn ms_at(&self, offset: u64) -> u64 {
        offset.min(self.len()) * self.duration_ms / self.len().max(1)
    }

    /// The next message: 8 bytes of offset, then sound. `None` at the end.
    pub fn message(&self, offset: u64) -> Option<Vec<u8>> {
        let chunk = (self.len() * CHUNK_MS / self.duration_ms.max(1)).max(1);
        let end = offset.saturating_add(chunk).min(self.len());
        let sound = self.bytes.get(offset as usize..end as usize).filter(|sound| !sound.is_empty())?;
        let mut message = offset.to_le_bytes().to_vec();
        message.extend_from_slice(sound);
        Some(message)
    }
}

fn to_i16(sample: f32) -> i16 {
    (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second_of_samples() -> Audio {
        let format = AudioFormat { encoding: Encoding::PcmS16le, sample_rate: SAMPLE_RATE_HZ, channels: 1 };
        Audio { format, bytes: (0..32_000_u32).map(|n| n as u8).collect(), duration_ms: 1000 }
    }

    #[test]
    fn messages_carry_every_byte_once_behind_its_offset() {
        let audio = second_of_samples();
        let (mut offset, mut rebuilt, mut count) = (0, Vec::new(), 0);
        while let Some(message) = audio.message(offset) {
            assert_eq!(message[..8], offset.to_le_bytes());
            rebuilt.extend_from_slice(&message[8..]);
            offset += message.len() as u64 - 8;
            count += 1;
        }
        assert_eq!((rebuilt, count), (audio.bytes.clone(), 10));
    }

    #[test]
    fn an_offset_is_a_moment_of_the_sound() {
        let audio = second_of_samples();
        assert_eq!([0, 3_200, 16_001, 32_000, 99_999].map(|n| audio.ms_at(n)), [0, 100, 500, 1000, 1000]);
    }

    #[test]
    fn the_shipped_visit_opens_either_way() {
        let path = Path::new("tests/data/visit/visit.ogg");
        let samples = Audio::open(path, SendAs::Pcm).unwrap();
        let container = Audio::open(path, SendAs::Container).unwrap();
        assert_eq!(samples.len() / 32, samples.duration_ms);
        assert_eq!(samples.duration_ms, container.duration_ms);
        assert_eq!(container.len(), std::fs::metadata(path).unwrap().len());
    }
}

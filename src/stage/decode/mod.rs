//! decode: bytes of WAV, FLAC, MP3, AAC/M4A, Ogg Vorbis, Opus in Ogg or WebM, or raw samples -> [`Pcm`].
//!
//! Blocking, on a thread of its own: a file is read to its end, and a growing stream is a [`Growing`] source
//! whose reads wait for the next bytes. The input is hostile: rate, channels and total duration are capped,
//! samples are forced into -1..=1, and a packet that cannot be decoded becomes silence of its own length, so
//! that times after it stay right. Crashes of a codec are the caller's to contain.

mod growing;

use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

pub use growing::{Growing, GrowingSender};

use crate::domain::audio::{AudioFormat, Encoding, Pcm};
use crate::domain::time::{Millis, Span};
use crate::error::{Code, Error, Result};

/// What can be read, for messages.
const READABLE: &str = "WAV, FLAC, MP3, AAC/M4A, Ogg Vorbis, Opus in Ogg or WebM";

/// Configuration of `use = "decode"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeConfig {
    /// Longest decoded audio, minutes. Ten megabytes of Opus can be days.
    pub max_minutes: u32,
}

impl Default for DecodeConfig {
    fn default() -> Self {
        Self { max_minutes: 480 }
    }
}

/// The stage. Holds nothing but its limits.
#[derive(Debug, Clone)]
pub struct Decode {
    config: DecodeConfig,
}

/// What is known once a source has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Length of what was decoded, silence for broken packets included.
    pub duration_ms: Millis,
    /// Stretches that could not be decoded.
    pub broken: Vec<Span>,
}

/// Symphonia's codecs and Opus.
static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    codecs
});

impl Decode {
    /// A decoder with these limits.
    pub fn new(config: &DecodeConfig) -> Self {
        Self { config: config.clone() }
    }

    /// Decodes a file. `sink` gets each block and returns false to stop early.
    pub fn file(&self, path: &Path, sink: &mut dyn FnMut(Pcm) -> bool) -> Result<Decoded> {
        let name = path.display();
        let file = std::fs::File::open(path)
            .map_err(|e| Error::new(Code::AudioUnreadable, format!("cannot open {name}: {e}")))?;
        let meta = file
            .metadata()
            .map_err(|e| Error::new(Code::AudioUnreadable, format!("cannot read {name}: {e}")))?;
        if meta.is_dir() {
            return Err(Error::new(
                Code::AudioUnreadable,
                format!("{name} is a directory; give an audio file"),
            ));
        }
        if meta.len() == 0 {
            return Err(Error::new(Code::AudioEmpty, format!("{name} is empty (0 bytes); record it again")));
        }
        self.container(Box::new(file), sink)
            .map_err(|e| Error { detail: format!("{name}: {}", e.detail), ..e })
    }

    /// Decodes the bytes of a growing stream in its declared format.
    pub fn stream(
        &self,
        format: AudioFormat,
        mut source: Growing,
        sink: &mut dyn FnMut(Pcm) -> bool,
    ) -> Result<Decoded> {
        match format.encoding {
            Encoding::Container => {
                source.sniff().map_err(Error::internal)?;
                self.container(Box::new(source), sink)
            }
            Encoding::PcmS16le => self.raw(format, source, sink),
        }
    }

    fn container(&self, source: Box<dyn MediaSource>, sink: &mut dyn FnMut(Pcm) -> bool) -> Result<Decoded> {
        let (mut reader, track, mut decoder) = open(source)?;
        let mut progress = Progress::new(&self.config);
        loop {
            let packet = match reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == track => packet,
                Ok(Some(_)) => continue,
                // A container that stops in the middle: what came before it counts.
                Ok(None) | Err(Symphonia::IoError(_)) => break,
                Err(Symphonia::ResetRequired) => {
                    let Ok((next, ..)) = decoder_of(reader.as_ref()) else { break };
                    decoder = next;
                    continue;
                }
                Err(e) if progress.is_empty() => return Err(unreadable(&e)),
                Err(_) => break,
            };
            let block = match decoder.decode(&packet) {
                Ok(buffer) => {
                    let (rate_hz, channels) = (buffer.spec().rate(), buffer.spec().channels().count());
                    let mut samples = Vec::new();
                    buffer.copy_to_vec_interleaved::<f32>(&mut samples);
                    progress.accept(rate_hz, channels, samples)?
                }
                Err(Symphonia::DecodeError(_) | Symphonia::IoError(_)) => {
                    progress.broken(packet.dur.get())?
                }
                Err(e) => return Err(unreadable(&e)),
            };
            if block.is_some_and(|block| !sink(block)) {
                break;
            }
        }
        progress.end()
    }

    fn raw(
        &self,
        format: AudioFormat,
        mut source: Growing,
        sink: &mut dyn FnMut(Pcm) -> bool,
    ) -> Result<Decoded> {
        let mut progress = Progress::new(&self.config);
        let frame_bytes = usize::from(format.channels.max(1)) * 2;
        let mut held = Vec::new();
        while let Some(bytes) = source.next_chunk() {
            held.extend(bytes);
            let whole = held.len() - held.len() % frame_bytes;
            let samples = held
                .drain(..whole)
                .as_slice()
                .chunks_exact(2)
                .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0)
                .collect();
            let block = progress.accept(format.sample_rate, format.channels.into(), samples)?;
            if block.is_some_and(|block| !sink(block)) {
                break;
            }
        }
        // Zero bytes of raw audio are a visit where nobody spoke, not a broken file.
        Ok(progress.decoded)
    }
}

/// Decodes a whole file that is already in memory; for tests and fixtures.
pub fn bytes(config: &DecodeConfig, data: Vec<u8>, sink: &mut dyn FnMut(Pcm) -> bool) -> Result<Decoded> {
    Decode::new(config).container(Box::new(Cursor::new(data)), sink)
}

type Opened = (Box<dyn FormatReader>, u32, Box<dyn AudioDecoder>);

fn open(source: Box<dyn MediaSource>) -> Result<Opened> {
    let stream = MediaSourceStream::new(source, Default::default());
    let reader = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|e| unreadable(&e))?;
    let (decoder, track) = decoder_of(reader.as_ref())?;
    Ok((reader, track, decoder))
}

fn decoder_of(reader: &dyn FormatReader) -> Result<(Box<dyn AudioDecoder>, u32)> {
    let track = reader
        .default_track(TrackType::Audio)
        .ok_or_else(|| Error::new(Code::AudioUnreadable, "the file has no audio track"))?;
    let parameters = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(|| {
        Error::new(Code::AudioUnreadable, "the audio track does not say what codec it uses")
    })?;
    let decoder =
        CODECS.make_audio_decoder(parameters, &AudioDecoderOptions::default()).map_err(|e| unreadable(&e))?;
    Ok((decoder, track.id))
}

fn unreadable(e: &Symphonia) -> Error {
    Error::new(Code::AudioUnreadable, format!("not audio we can read ({e}); give {READABLE}"))
}

/// Counts, caps and cleans what comes out of a codec.
struct Progress {
    max_ms: u64,
    rate_hz: u32,
    channels: u16,
    /// Frames at the present rate; earlier rates are already in `before_ms`.
    frames: u64,
    before_ms: u64,
    decoded: Decoded,
}

impl Progress {
    fn new(config: &DecodeConfig) -> Self {
        Self {
            max_ms: u64::from(config.max_minutes) * 60_000,
            rate_hz: 0,
            channels: 0,
            frames: 0,
            before_ms: 0,
            decoded: Decoded::default(),
        }
    }

    fn is_empty(&self) -> bool {
        self.rate_hz == 0
    }

    fn now_ms(&self) -> u64 {
        self.before_ms + self.frames * 1000 / u64::from(self.rate_hz.max(1))
    }

    fn accept(&mut self, rate_hz: u32, channels: usize, mut samples: Vec<f32>) -> Result<Option<Pcm>> {
        if !(2_000..=384_000).contains(&rate_hz) || !(1..=32).contains(&channels) {
            return Err(Error::new(
                Code::AudioUnreadable,
                format!(
                    "the audio claims {rate_hz} Hz and {channels} channels; record at 8 to 96 kHz, mono or stereo"
                ),
            ));
        }
        if samples.is_empty() {
            return Ok(None);
        }
        if rate_hz != self.rate_hz {
            self.before_ms = self.now_ms();
            self.frames = 0;
            self.rate_hz = rate_hz;
        }
        self.channels = channels as u16;
        self.frames += (samples.len() / channels) as u64;
        self.decoded.duration_ms = Millis(self.now_ms());
        if self.now_ms() > self.max_ms {
            let minutes = self.max_ms / 60_000;
            return Err(Error::new(
                Code::AudioTooLong,
                format!("the audio is longer than {minutes} minutes; cut it, or raise decode.max_minutes"),
            ));
        }
        for s in &mut samples {
            *s = if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 };
        }
        Ok(Some(Pcm { rate_hz, channels: self.channels, samples }))
    }

    /// Silence as long as a packet that could not be decoded.
    fn broken(&mut self, frames: u64) -> Result<Option<Pcm>> {
        if self.is_empty() || frames == 0 {
            return Ok(None);
        }
        let start_ms = self.now_ms();
        let frames = frames.min(u64::from(self.rate_hz));
        let silence = vec![0.0; frames as usize * usize::from(self.channels)];
        let block = self.accept(self.rate_hz, self.channels.into(), silence)?;
        self.decoded.broken.push(Span::new(start_ms, self.now_ms()));
        Ok(block)
    }

    fn end(self) -> Result<Decoded> {
        if self.is_empty() {
            return Err(Error::new(
                Code::AudioUnreadable,
                format!("no audio could be decoded; give {READABLE}"),
            ));
        }
        Ok(self.decoded)
    }
}

#[cfg(test)]
mod tests;

//! The messages of the live protocol `visit.v1`, both ways, and its close codes.

use std::collections::BTreeMap;

use axum::extract::ws::Message;
use serde::{Deserialize, Serialize};

use crate::config::Limits;
use crate::domain::audio::{AudioFormat, Encoding};
use crate::domain::card::Card;
use crate::domain::ids::{MomentId, SegmentId};
use crate::domain::moment::Moment;
use crate::domain::result::{ModelRef, PipelineRef};
use crate::domain::time::Millis;
use crate::domain::transcript::{Gap, GapReason, Segment, Speaker};
use crate::error::{Code, Error, Kind};

/// The subprotocol that a client must offer.
pub const SUBPROTOCOL: &str = "visit.v1";

/// Bytes of the offset before the audio of a binary message.
const OFFSET_BYTES: usize = 8;

/// What a client says in text.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromClient {
    /// The first message: what the bytes are.
    Start {
        /// How to read them.
        audio: AudioFormat,
        /// More names and terms to expect.
        #[serde(default)]
        hotwords: Vec<String>,
    },
    /// Make final what was sent so far.
    Finalize,
    /// Nothing to say; still here.
    Keepalive,
    /// That was all.
    Stop {
        /// Length of the whole stream.
        total_bytes: u64,
    },
}

/// Anything a client sends, read.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A text message.
    Said(FromClient),
    /// Audio at an offset.
    Audio(u64, &'a [u8]),
    /// Ping, pong: the socket answers by itself.
    Nothing,
    /// The client closes.
    Goodbye,
}

/// Reads a message. The refusal says what is wrong with it.
pub fn read<'a>(message: &'a Message, limits: &Limits) -> Result<Incoming<'a>, Error> {
    let too_large = |n: usize| {
        Error::new(
            Code::TooLarge,
            format!("a message of {n} bytes; at most {} are taken", limits.message_bytes),
        )
    };
    match message {
        Message::Text(text) if text.len() > limits.message_bytes => Err(too_large(text.len())),
        Message::Binary(bytes) if bytes.len() > limits.message_bytes => Err(too_large(bytes.len())),
        Message::Text(text) => serde_json::from_str(text.as_str())
            .map(Incoming::Said)
            .map_err(|e| malformed(format!("not a message of {SUBPROTOCOL}: {e}"))),
        Message::Binary(bytes) => {
            let (offset, audio) = bytes
                .split_first_chunk::<OFFSET_BYTES>()
                .ok_or_else(|| malformed("a binary message begins with an 8-byte little-endian offset"))?;
            Ok(Incoming::Audio(u64::from_le_bytes(*offset), audio))
        }
        Message::Ping(_) | Message::Pong(_) => Ok(Incoming::Nothing),
        Message::Close(_) => Ok(Incoming::Goodbye),
    }
}

/// A refusal of something that is not of the protocol.
pub fn malformed(detail: impl Into<String>) -> Error {
    Error::new(Code::InvalidRequest, detail)
}

/// Whether raw audio is declared as something that can be: 8 to 192 kHz, one to eight channels.
pub fn check_format(format: AudioFormat) -> Result<(), Error> {
    let fits = (8_000..=192_000).contains(&format.sample_rate) && (1..=8).contains(&format.channels);
    if format.encoding == Encoding::Container || fits {
        return Ok(());
    }
    Err(malformed("audio: sample_rate 8000 to 192000, channels 1 to 8"))
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum FromServer<'a> {
    /// The stream is open: send from `next_offset`.
    Ready {
        next_offset: u64,
        epoch: i64,
        limits: StreamLimits,
        pipeline: &'a PipelineRef,
        models: &'a BTreeMap<String, ModelRef>,
    },
    /// How far bytes and engine are.
    Ack { received: u64, durable: u64, decoded_ms: Millis, lag_ms: u64 },
    /// Replaceable text.
    Partial {
        segment_id: &'a SegmentId,
        rev: u32,
        text: &'a str,
        stable_chars: usize,
        start_ms: Millis,
        end_ms: Millis,
    },
    /// Text that stays, unless it is `corrected`.
    Final(Said<'a>),
    /// What the second pass heard in a segment told before: other words, the same stretch.
    Corrected(Said<'a>),
    /// A key moment. One with an id told before replaces that one.
    Moment { moment: &'a Moment },
    /// A moment told before is none.
    Retracted { moment_id: &'a MomentId },
    /// Audio without a transcript.
    Gap { start_ms: Millis, end_ms: Millis, reason: GapReason },
    /// How much of the live service there is at present.
    Degraded { level: Level, reason: &'static str },
    /// The end, after `stop`.
    Done { coverage: f64, gaps: &'a [Gap], card: &'a Card },
    /// What is wrong; always said before a close.
    Error {
        code: &'static str,
        message: String,
        detail_zh: &'static str,
        retryable: bool,
        retry_after_ms: Option<u64>,
        next_offset: Option<u64>,
    },
}

impl FromServer<'_> {
    /// As a text message. An unserialisable one is impossible by construction and becomes an empty object.
    pub fn to_message(&self) -> Message {
        Message::text(serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned()))
    }

    /// An error as it is told to the client.
    pub fn error(error: &Error, next_offset: Option<u64>) -> Self {
        let retryable = matches!(error.code.kind(), Kind::Busy | Kind::Unavailable | Kind::Internal)
            || matches!(error.code, Code::Idle | Code::OffsetMismatch);
        Self::Error {
            code: error.code.as_str(),
            message: error.detail.clone(),
            detail_zh: error.code.message_zh(),
            retryable,
            retry_after_ms: retryable.then_some(if error.code == Code::OffsetMismatch { 0 } else { 1000 }),
            next_offset,
        }
    }
}

/// A segment as it is told.
#[derive(Debug, Serialize)]
pub struct Said<'a> {
    segment_id: &'a SegmentId,
    text: &'a str,
    start_ms: Millis,
    end_ms: Millis,
    confidence: f32,
    speaker: Option<Speaker>,
}

impl<'a> From<&'a Segment> for Said<'a> {
    fn from(segment: &'a Segment) -> Self {
        Self {
            segment_id: &segment.id,
            text: &segment.text,
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            confidence: segment.confidence,
            speaker: segment.speaker,
        }
    }
}

/// What a client may do, told in `ready`.
#[derive(Debug, Serialize)]
pub struct StreamLimits {
    /// Largest message, offset included.
    pub max_message_bytes: usize,
    /// Sustained rate of audio bytes.
    pub max_bytes_per_s: u64,
    /// Longest silence between two messages.
    pub idle_ms: u64,
    /// Largest stream.
    pub max_stream_bytes: u64,
}

impl From<&Limits> for StreamLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            max_message_bytes: limits.message_bytes,
            max_bytes_per_s: limits.live_bytes_per_second,
            idle_ms: limits.idle_seconds * 1000,
            max_stream_bytes: limits.stream_bytes,
        }
    }
}

/// Levels of live service under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Partials and finals.
    Full,
    /// Finals only.
    FinalsOnly,
    /// Audio is kept; its text comes later.
    Deferred,
}

impl Level {
    /// The level for an engine that is this far behind. Going back takes half the lag, so that it does not
    /// flutter.
    pub fn for_lag(self, lag_ms: u64) -> Self {
        let (finals_only, deferred) = (20_000, 60_000);
        match self {
            _ if lag_ms >= deferred => Self::Deferred,
            Self::Deferred if lag_ms >= deferred / 2 => Self::Deferred,
            _ if lag_ms >= finals_only => Self::FinalsOnly,
            Self::FinalsOnly | Self::Deferred if lag_ms >= finals_only / 2 => Self::FinalsOnly,
            _ => Self::Full,
        }
    }
}

/// The close code for an error.
pub fn close_code(code: Code) -> u16 {
    match code {
        Code::ShuttingDown => 1001,
        Code::TooLarge => 1009,
        Code::Unauthenticated => 4401,
        Code::ConsentRequired | Code::ConsentWithdrawn | Code::Forbidden => 4403,
        Code::NotFound => 4404,
        Code::Idle => 4408,
        Code::TakenOver => 4409,
        Code::TooFast | Code::AtCapacity => 4429,
        _ if matches!(code.kind(), Kind::BadInput | Kind::Conflict | Kind::TooLarge) => 4400,
        _ => 1011,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_code_of_the_protocol_is_used() {
        let mut used: Vec<u16> = Code::ALL.iter().map(|code| close_code(*code)).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, [1001, 1009, 1011, 4400, 4401, 4403, 4404, 4408, 4409, 4429]);
    }

    #[test]
    fn the_level_does_not_flutter() {
        let mut level = Level::Full;
        let mut at = |lag| {
            level = level.for_lag(lag);
            level
        };
        assert_eq!(at(19_999), Level::Full);
        assert_eq!(at(20_000), Level::FinalsOnly);
        assert_eq!(at(10_001), Level::FinalsOnly);
        assert_eq!(at(9_999), Level::Full);
        assert_eq!(at(90_000), Level::Deferred);
        assert_eq!(at(31_000), Level::Deferred);
        assert_eq!(at(29_000), Level::FinalsOnly);
    }

    #[test]
    fn what_is_not_of_the_protocol_is_refused() {
        let limits = crate::config::Config::from_parts(None, []).unwrap().limits;
        for text in [
            "",
            "{}",
            "[]",
            r#"{"type":"begin"}"#,
            r#"{"type":"stop"}"#,
            r#"{"type":"stop","total_bytes":-1}"#,
        ] {
            assert!(read(&Message::text(text), &limits).is_err(), "{text}");
        }
        assert!(read(&Message::binary(vec![0; 7]), &limits).is_err());
        let long = read(&Message::binary(vec![0; limits.message_bytes + 1]), &limits).unwrap_err();
        assert_eq!(close_code(long.code), 1009);
        let frame = Message::binary([7u64.to_le_bytes().as_slice(), b"ab"].concat());
        assert!(matches!(read(&frame, &limits).unwrap(), Incoming::Audio(7, b"ab")));
    }
}

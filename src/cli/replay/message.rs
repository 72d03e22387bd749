//! What the server says, as far as this client reads it. Fields it does not need are skipped, so a newer
//! server is understood too.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::time::Millis;

/// A message of the live protocol, server to client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromServer {
    /// The stream is open.
    Ready {
        /// The first byte the server wants.
        next_offset: u64,
        /// What it allows.
        #[serde(default)]
        limits: Limits,
    },
    /// How far the audio has come.
    Ack {
        /// Bytes that survive a crash.
        durable: u64,
    },
    /// Replaceable text of the segment being spoken.
    Partial {
        /// The segment.
        segment_id: String,
        /// Its text so far.
        text: String,
        /// How many characters of it will stay.
        stable_chars: usize,
        /// Start of the speech.
        start_ms: Millis,
    },
    /// A segment that has ended.
    Final {
        /// The segment.
        segment_id: String,
        /// Its text.
        text: String,
        /// Start of the speech.
        start_ms: Millis,
        /// End of the speech.
        end_ms: Millis,
    },
    /// Other words of a segment that has ended.
    Corrected {
        /// The words.
        text: String,
        /// Start of the speech.
        start_ms: Millis,
    },
    /// A moment told before is none.
    Retracted {
        /// Which.
        moment_id: String,
    },
    /// A key moment.
    Moment {
        /// The moment, as in the result.
        moment: Value,
    },
    /// Audio without a transcript.
    Gap {
        /// Where it begins.
        start_ms: Millis,
        /// Where it ends.
        end_ms: Millis,
        /// Why.
        reason: String,
    },
    /// The server does less than it could.
    Degraded {
        /// How much less.
        level: String,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// The end.
    Done {
        /// Share of the speech that has a transcript.
        coverage: f64,
        /// The card, or what names it.
        #[serde(default)]
        card: Value,
    },
    /// Why the connection is about to close.
    Error {
        /// The stable code.
        code: String,
        /// A sentence.
        #[serde(default)]
        message: String,
        /// Whether coming back helps.
        #[serde(default)]
        retryable: bool,
        /// When to come back.
        #[serde(default)]
        retry_after_ms: Option<u64>,
    },
    /// Something newer than this client.
    #[serde(other)]
    Other,
}

/// `ready.limits`, as far as they bind a sender.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Sustained audio bytes a second.
    pub max_bytes_per_s: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> FromServer {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn messages_are_read_and_unknown_ones_skipped() {
        let ready =
            r#"{"type":"ready","next_offset":7,"epoch":1,"limits":{"x":1},"pipeline":{},"models":{}}"#;
        assert!(matches!(read(ready), FromServer::Ready { next_offset: 7, .. }));
        let error = r#"{"type":"error","code":"too_fast","message":"slow down","retryable":true,"retry_after_ms":500,"next_offset":9}"#;
        assert!(matches!(read(error), FromServer::Error { retry_after_ms: Some(500), retryable: true, .. }));
        assert!(matches!(read(r#"{"type":"weather","sun":true}"#), FromServer::Other));
    }
}

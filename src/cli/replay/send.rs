//! The sending half: each byte once it has been spoken, and no faster than the server allows.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::client::Socket;
use super::message::Limits;
use super::report::Report;
use super::source::Audio;

/// Share of the server's rate limit that is used, so that jitter does not cross it.
const RATE_SHARE: f64 = 0.9;
/// A third of the server's usual patience with a silent client.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// When bytes may leave.
pub struct Pace {
    /// When the recording began.
    pub began: Instant,
    /// When this connection was ready.
    pub connected: Instant,
    /// The first byte it sends.
    pub from: u64,
    /// Times as fast as speech; 0 for no pause.
    pub speed: f64,
    /// What the server allows.
    pub limits: Limits,
}

impl Pace {
    /// When the message that ends at `offset` (at `until_ms` of the sound) is due: once it has been spoken,
    /// and within the server's rate.
    fn due(&self, offset: u64, until_ms: u64) -> Instant {
        let spoken = if self.speed > 0.0 { until_ms as f64 / 1000.0 / self.speed } else { 0.0 };
        let bytes = offset.saturating_sub(self.from) as f64;
        let rate = self.limits.max_bytes_per_s.filter(|rate| *rate > 0).map(|rate| rate as f64 * RATE_SHARE);
        let allowed = rate.map(|rate| bytes / rate).unwrap_or_default();
        (self.began + Duration::from_secs_f64(spoken)).max(self.connected + Duration::from_secs_f64(allowed))
    }
}

/// Sends what the server lacks, then `stop`, then signs of life. Ends only with an error.
pub async fn send_audio(
    sink: &mut SplitSink<Socket, Message>,
    audio: &Audio,
    pace: Pace,
    report: &RefCell<Report>,
) -> Result<Infallible, WsError> {
    let mut offset = pace.from;
    while let Some(message) = audio.message(offset) {
        offset += message.len() as u64 - size_of::<u64>() as u64;
        let until_ms = audio.ms_at(offset);
        tokio::time::sleep_until(pace.due(offset, until_ms).into()).await;
        report.borrow_mut().on_sent(until_ms);
        sink.send(Message::binary(message)).await?;
    }
    let stop = serde_json::json!({"type": "stop", "total_bytes": audio.len()});
    report.borrow_mut().on_stop();
    sink.send(Message::text(stop.to_string())).await?;
    // The engine may have much left to do; silence would look like a client that has gone.
    loop {
        tokio::time::sleep(KEEPALIVE_EVERY).await;
        sink.send(Message::text(r#"{"type":"keepalive"}"#)).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_leaves_once_it_is_spoken_and_within_the_rate() {
        let now = Instant::now();
        let pace = |speed, max_bytes_per_s| Pace {
            began: now,
            connected: now,
            from: 32_000,
            speed,
            limits: Limits { max_bytes_per_s },
        };
        let due = |pace: Pace| pace.due(64_000, 2000).duration_since(now).as_millis();
        assert_eq!(due(pace(1.0, None)), 2000);
        assert_eq!(due(pace(4.0, Some(2_000_000))), 500);
        assert_eq!(due(pace(0.0, None)), 0);
        assert_eq!(due(pace(0.0, Some(16_000))), 2222);
    }
}

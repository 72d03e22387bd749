//! How fast a client may send: a bucket of bytes and one of messages.

use tokio::time::Instant;

/// Seconds' worth that may come at once: what a phone held back in a short hole of the network.
const BURST_S: f64 = 8.0;

/// Messages a second: twenty times what 20 ms frames need.
const MESSAGES_PER_S: f64 = 1_000.0;

/// What is left of a client's allowance.
pub struct Pace {
    bytes_per_s: f64,
    bytes: f64,
    messages: f64,
    at: Instant,
}

impl Pace {
    /// A full allowance.
    pub fn new(bytes_per_s: u64, now: Instant) -> Self {
        let bytes_per_s = bytes_per_s as f64;
        Self { bytes_per_s, bytes: bytes_per_s * BURST_S, messages: MESSAGES_PER_S * BURST_S, at: now }
    }

    /// Takes one message of so many bytes from the allowance. False if it is used up.
    pub fn allows(&mut self, bytes: usize, now: Instant) -> bool {
        let passed = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        self.bytes = (self.bytes + passed * self.bytes_per_s).min(self.bytes_per_s * BURST_S) - bytes as f64;
        self.messages = (self.messages + passed * MESSAGES_PER_S).min(MESSAGES_PER_S * BURST_S) - 1.0;
        self.bytes >= 0.0 && self.messages >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_taken_and_a_flood_is_not() {
        let now = Instant::now();
        let mut pace = Pace::new(1_000, now);
        assert!(pace.allows(8_000, now));
        assert!(!pace.allows(1, now));
        let later = now + Duration::from_secs(2);
        assert!(pace.allows(1_900, later));
        assert!(!pace.allows(200, later));
    }
}

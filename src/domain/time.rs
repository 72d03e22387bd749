//! Time on the visit's own axis (milliseconds since its first sample) and the clock that services are given.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Milliseconds since the first audio sample of a visit, or a duration in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// This many seconds, rounded down to whole milliseconds; negative and NaN become zero.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds.max(0.0) * 1000.0) as u64)
    }

    /// The distance to an earlier time, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add for Millis {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

/// A stretch of a visit; `start_ms <= end_ms`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First millisecond inside.
    pub start_ms: Millis,
    /// First millisecond after.
    pub end_ms: Millis,
}

impl Span {
    /// A span from plain milliseconds.
    pub fn new(start_ms: u64, end_ms: u64) -> Self {
        Self { start_ms: Millis(start_ms), end_ms: Millis(end_ms) }
    }

    /// How long it is.
    pub fn len_ms(self) -> Millis {
        self.end_ms.since(self.start_ms)
    }
}

/// Where the service reads the wall clock, so that 72 h and "Monday 09:00" can be tested in milliseconds.
///
/// Nothing in `service/`, `store/` or `webhook/` calls the system clock directly.
pub trait Clock: Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> jiff::Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// A shared clock handle.
pub type SharedClock = Arc<dyn Clock>;

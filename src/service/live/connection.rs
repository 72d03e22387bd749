//! One sender's hold on a visit in flight: the live socket's or an upload request's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::flight::{Flight, taken_over};
use super::story::Story;
use crate::domain::audio::AudioFormat;
use crate::domain::result::ModelRef;
use crate::error::{Error, Result};
use crate::store::audio::Appended;

/// Least time between two syncs of one visit's audio: bytes are grouped, an ack is at most this much later.
const GROUP: Duration = Duration::from_millis(100);

/// A sender's hold on a visit. Dropping it leaves the visit in flight, waiting for the next one.
pub struct Connection {
    flight: Arc<Flight>,
    epoch: i64,
    arrived: Notify,
}

impl Connection {
    /// Takes a seat for `epoch`. None if the flight was removed at this very moment: look it up again.
    pub(super) fn new(flight: Arc<Flight>, epoch: i64) -> Option<Self> {
        flight.sit().then(|| Self { flight, epoch, arrived: Notify::new() })
    }

    /// Which connection to the visit this is, counted from 1.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The models that listen to this visit, by manifest name.
    pub fn models(&self) -> &BTreeMap<String, ModelRef> {
        &self.flight.listening.models
    }

    /// How the stream was first declared.
    pub fn format(&self) -> AudioFormat {
        self.flight.format()
    }

    /// Takes bytes at `offset`. Those already held are ignored if equal; other bytes there are `AudioConflict`.
    pub async fn append(&self, offset: u64, bytes: &[u8]) -> Result<Appended> {
        let appended = self.flight.append(self.epoch, offset, bytes).await?;
        self.arrived.notify_one();
        Ok(appended)
    }

    /// Makes all received bytes durable; the durable length.
    pub async fn sync(&self) -> Result<u64> {
        self.flight.sync().await
    }

    /// Makes arriving bytes durable in groups. Runs beside the receiver; returns only if storage fails.
    pub async fn keep_durable(&self) -> Error {
        loop {
            self.arrived.notified().await;
            let began = tokio::time::Instant::now();
            if let Err(error) = self.sync().await {
                return error;
            }
            // A disk that is slow under many visits gets larger groups instead of a queue.
            tokio::time::sleep(GROUP.max(began.elapsed() * 4)).await;
        }
    }

    /// Makes everything received so far final.
    pub fn finalize(&self) {
        self.flight.flush();
    }

    /// Ends the stream, if exactly `total` bytes are here. Returns the wanted offset if some are missing.
    pub async fn stop(&self, total: u64) -> Result<Option<u64>> {
        self.flight.stop(self.epoch, total).await
    }

    /// Bytes received.
    pub fn received(&self) -> u64 {
        self.flight.log.received()
    }

    /// Bytes durable.
    pub fn durable_now(&self) -> u64 {
        self.flight.log.durable()
    }

    /// Follows the durable length.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.flight.log.watch()
    }

    /// Follows the story.
    pub fn story(&self) -> watch::Receiver<Story> {
        self.flight.story.subscribe()
    }

    /// Returns when a newer connection has taken the visit over.
    pub async fn taken_over(&self) -> Error {
        let mut writer = self.flight.writer.subscribe();
        // The sender lives as long as `self.flight`.
        let _ = writer.wait_for(|newest| *newest != self.epoch).await;
        taken_over()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.flight.stand_up();
    }
}

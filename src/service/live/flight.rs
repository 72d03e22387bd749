//! One visit in flight: its stored audio, the session that listens to it, and the story so far.
//!
//! The sender's bytes go to the audio log and nowhere else; `listen` takes them from there in a task that
//! outlives every connection. So a slow engine never touches acceptance, and a lost client never touches the
//! engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::story::{Ending, Story};
use super::{Ground, Key};
use crate::domain::audio::AudioFormat;
use crate::domain::visit::{Visit, VisitState};
use crate::error::{Code, Error, Result};
use crate::pipeline::session::{Pass, SessionSetup};
use crate::service::hearing::Listening;
use crate::store::audio::{Appended, AudioLog};
use crate::store::{Change, StreamRow};

/// What the sender wants done at certain offsets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Orders {
    /// Make final what was heard up to here.
    pub(super) flush_at: u64,
    /// The stream ends here.
    pub(super) end_at: Option<u64>,
}

/// Who listens to the story, and since when nobody does.
struct Seats {
    taken: usize,
    empty_since: Instant,
    removed: bool,
}

pub(super) struct Flight {
    pub(super) key: Key,
    pub(super) story: watch::Sender<Story>,
    pub(super) log: AudioLog,
    /// The newest epoch; a connection of an older one has been taken over.
    pub(super) writer: watch::Sender<i64>,
    pub(super) ground: Arc<Ground>,
    /// What listens to it, from its first byte to its result.
    pub(super) listening: Arc<Listening>,
    pub(super) setup: SessionSetup,
    pub(super) orders: watch::Sender<Orders>,
    /// Held while bytes are taken or the writer changes, so that no byte slips in after a take-over.
    gate: tokio::sync::Mutex<()>,
    seats: Mutex<Seats>,
    pub(super) cancelled: CancellationToken,
}

impl Flight {
    /// Takes a visit up from its stored audio; the engine begins to listen at once.
    pub(super) async fn take_off(
        ground: Arc<Ground>,
        key: Key,
        visit: &Visit,
        row: StreamRow,
        hotwords: Vec<String>,
        pass: Pass,
    ) -> Result<Arc<Self>> {
        let log = ground.audio.open(&key.0, &key.1).await?;
        let finals = ground.store.finals(&key.0, &key.1).await?;
        // What the visit's own words are relative to: the day it was planned for, else its first byte.
        let at = visit.scheduled_at.or(visit.started_at).unwrap_or_else(|| ground.clock.now());
        let flight = Arc::new(Self {
            key,
            story: watch::Sender::new(Story::resumed(finals)),
            log,
            writer: watch::Sender::new(row.epoch),
            setup: SessionSetup {
                format: row.format,
                visit_at: at.to_zoned_datetime(ground.timezone.clone()),
                hotwords,
                pass,
                cuts: Vec::new(),
            },
            orders: watch::Sender::default(),
            gate: tokio::sync::Mutex::default(),
            seats: Mutex::new(Seats { taken: 0, empty_since: Instant::now(), removed: false }),
            cancelled: ground.closing.child_token(),
            listening: ground.hearing.now(),
            ground: ground.clone(),
        });
        ground.tasks.spawn(flight.clone().fly());
        Ok(flight)
    }

    /// Makes `epoch` the writer unless a newer one is there. Returns the offset it goes on from.
    pub(super) async fn hand_over(&self, epoch: i64) -> Result<u64> {
        let _gate = self.gate.lock().await;
        self.writer.send_if_modified(|newest| {
            let newer = epoch > *newest;
            *newest = epoch.max(*newest);
            newer
        });
        self.check_writer(epoch)?;
        Ok(self.log.received())
    }

    fn check_writer(&self, epoch: i64) -> Result<()> {
        if *self.writer.borrow() == epoch { Ok(()) } else { Err(taken_over()) }
    }

    /// Takes bytes in the name of `epoch`.
    pub(super) async fn append(&self, epoch: i64, offset: u64, bytes: &[u8]) -> Result<Appended> {
        let _gate = self.gate.lock().await;
        self.check_writer(epoch)?;
        if let Some(Ending::Failed { code, detail }) = &self.story.borrow().ending {
            return Err(Error::new(*code, detail.clone()));
        }
        let most = self.ground.stream_bytes;
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > most) {
            return Err(Error::new(Code::TooLarge, format!("a visit holds at most {most} bytes of audio")));
        }
        if self.orders.borrow().end_at.is_some_and(|end| offset.saturating_add(bytes.len() as u64) > end) {
            return Err(Error::new(Code::WrongState, "the stream has ended; its length was declared"));
        }
        self.log.append(offset, bytes).await.inspect_err(|e| self.give_up_log(e))
    }

    /// Makes all received bytes durable; the durable length.
    pub(super) async fn sync(&self) -> Result<u64> {
        self.log.sync().await.inspect_err(|e| self.give_up_log(e))
    }

    /// A log that failed to write may be broken for good, so the flight ends: the next join opens the log anew
    /// and finds exactly what is durable.
    fn give_up_log(&self, error: &Error) {
        if error.code == Code::StorageUnavailable {
            self.end_now(Ending::Failed { code: error.code, detail: error.detail.clone() });
        }
    }

    /// Makes everything received final, once it is durable.
    pub(super) fn flush(&self) {
        let received = self.log.received();
        self.orders.send_modify(|orders| orders.flush_at = orders.flush_at.max(received));
    }

    /// Ends the stream at `total`, if all of it is here. The wanted offset if bytes are missing.
    pub(super) async fn stop(&self, epoch: i64, total: u64) -> Result<Option<u64>> {
        let _gate = self.gate.lock().await;
        self.check_writer(epoch)?;
        let received = self.log.received();
        if received < total {
            return Ok(Some(received));
        }
        if received > total {
            let detail = format!("total_bytes is {total}, but {received} bytes were received");
            return Err(Error::new(Code::AudioConflict, detail));
        }
        if self.orders.borrow().end_at.is_none() {
            self.sync().await?;
            self.ground.store.finish_stream(&self.key.0, &self.key.1, epoch, total).await?;
            self.end_at(total).await?;
        }
        Ok(None)
    }

    /// Moves the visit to `ended` and tells the session where the end is.
    pub(super) async fn end_at(&self, total: u64) -> Result<()> {
        let change = Change { ended_at: Some(self.ground.clock.now()), ..Change::default() };
        let moved =
            self.ground.move_visit(&self.key, &[VisitState::Live], VisitState::Ended, change, &[]).await;
        if let Err(error) = moved {
            // Ended before, by a request whose answer was lost or by the run before a restart?
            let visit = self.ground.store.visit(&self.key.0, &self.key.1).await?;
            if error.code != Code::WrongState || visit.state != VisitState::Ended {
                return Err(error);
            }
        }
        self.orders.send_modify(|orders| orders.end_at = Some(total));
        Ok(())
    }

    /// Ends the story from outside; the engine stops listening.
    pub(super) fn end_now(&self, ending: Ending) {
        self.story.send_modify(|story| {
            story.ending.get_or_insert(ending);
        });
        self.cancelled.cancel();
    }

    /// Whether it ended without a result; a visit that can still be joined then needs a new flight.
    pub(super) fn failed(&self) -> bool {
        matches!(self.story.borrow().ending, Some(Ending::Failed { .. }))
    }

    /// How the stream was first declared.
    pub(super) fn format(&self) -> AudioFormat {
        self.setup.format
    }

    /// Takes a seat, unless the flight has been removed meanwhile.
    pub(super) fn sit(&self) -> bool {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.taken += usize::from(!seats.removed);
        !seats.removed
    }

    pub(super) fn stand_up(&self) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.taken -= 1;
        seats.empty_since = Instant::now();
    }

    /// Removes the flight if nobody needs it: its story has ended, or its client is gone for longer than
    /// `detached`. The audio stays; a client that comes back finds all of it. True if it was removed.
    pub(super) fn remove_if_idle(&self, detached: Duration) -> bool {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = seats.taken == 0;
        let told = self.story.borrow().ending.is_some();
        let abandoned = self.orders.borrow().end_at.is_none() && seats.empty_since.elapsed() >= detached;
        if empty && (told || abandoned) {
            seats.removed = true;
            self.cancelled.cancel();
        }
        seats.removed
    }
}

pub(super) fn taken_over() -> Error {
    Error::new(Code::TakenOver, "a newer connection goes on with this visit; this one is closed")
}

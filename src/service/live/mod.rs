//! Visits in flight: who may send audio, where it goes, and what comes of it.
//!
//! `http/stream` and `http/uploads` come here with bytes; [`Hub`] finds or starts the visit's [`Flight`] and
//! hands out a [`Connection`]. It knows neither WebSockets nor status codes. The engine comes in as a
//! function that starts a session, so that loads can be tested with a stub.

mod connection;
mod flight;
mod listen;
pub mod story;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use connection::Connection;
use flight::Flight;
use story::Ending;

use super::hearing::Hearing;
use crate::domain::access::TenantId;
use crate::domain::audio::AudioFormat;
use crate::domain::consent::Purpose;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::ids::VisitId;
use crate::domain::time::SharedClock;
use crate::domain::visit::{Visit, VisitState};
use crate::error::{Code, Error, Result};
use crate::pipeline::session::{Pass, SessionHandle, SessionSetup};
use crate::store::audio::AudioStore;
use crate::store::{Change, Store, StreamRow};

/// Starts a session on the configured pipeline and engines.
pub type StartSession = Arc<dyn Fn(SessionSetup) -> Result<SessionHandle> + Send + Sync>;

type Key = (TenantId, VisitId);

/// Visits that a restart takes up again at the same time.
const RECOVERING: usize = 2;

/// What every flight stands on.
pub struct Ground {
    /// The database.
    pub store: Store,
    /// The service's clock.
    pub clock: SharedClock,
    /// What listens.
    pub hearing: Arc<Hearing>,
    /// Stored audio.
    pub audio: AudioStore,
    /// What relative dates are resolved in.
    pub timezone: jiff::tz::TimeZone,
    /// The largest audio of one visit.
    pub stream_bytes: u64,
    /// Ends everything.
    pub closing: CancellationToken,
    /// Every task of every flight.
    pub tasks: TaskTracker,
}

impl Ground {
    async fn move_visit(
        &self,
        key: &Key,
        from: &[VisitState],
        to: VisitState,
        change: Change,
        events: &[NewEvent],
    ) -> Result<Visit> {
        let visit = self.store.transition(&key.0, &key.1, from, to, change, events).await?;
        metrics::counter!(crate::telemetry::VISITS, "state" => to.as_str()).increment(1);
        Ok(visit)
    }
}

/// All visits in flight in this process.
pub struct Hub {
    ground: Arc<Ground>,
    flights: Mutex<HashMap<Key, Arc<OnceCell<Arc<Flight>>>>>,
    places: Arc<Semaphore>,
    detached: Duration,
}

/// A place among the live streams, held while a socket is open.
pub struct Admission {
    /// The visit as it stands.
    pub visit: Visit,
    _place: OwnedSemaphorePermit,
}

impl Hub {
    /// No visit in flight yet. `live_visits` sockets at once; a visit without one is kept for `detached`.
    pub fn new(ground: Arc<Ground>, live_visits: usize, detached: Duration) -> Self {
        Self { ground, flights: Mutex::default(), places: Arc::new(Semaphore::new(live_visits)), detached }
    }

    /// The gate before an upgrade: the visit exists, takes audio, its customer agreed, and there is a place.
    pub async fn admit(&self, tenant: &TenantId, id: &VisitId) -> Result<Admission> {
        if self.ground.closing.is_cancelled() {
            return Err(Error::new(
                Code::ShuttingDown,
                "the service is restarting; connect again in a moment",
            ));
        }
        let visit = self.ground.store.visit(tenant, id).await?;
        self.check_consent(tenant, &visit).await?;
        if !(visit.state.takes_audio() || visit.state == VisitState::Ended) {
            let detail = format!("the visit is {}; it takes no more audio", visit.state.as_str());
            return Err(Error::new(Code::WrongState, detail));
        }
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            Error::new(Code::AtCapacity, "as many visits are live as this server takes; try again shortly")
        })?;
        Ok(Admission { visit, _place: place })
    }

    /// Consent to recording and to transcription: the engine listens while the sound arrives.
    async fn check_consent(&self, tenant: &TenantId, visit: &Visit) -> Result<()> {
        if visit.state == VisitState::Withdrawn {
            return Err(Error::new(Code::ConsentWithdrawn, "the customer took the consent back"));
        }
        let consent = self.ground.store.active_consent(tenant, &visit.id).await?;
        for (purpose, name) in [(Purpose::Recording, "recording"), (Purpose::Transcription, "transcription")]
        {
            if !consent.as_ref().is_some_and(|consent| consent.allows(purpose)) {
                let detail = format!("the customer has not agreed to {name}; POST /v1/visits/{{id}}/consent");
                return Err(Error::new(Code::ConsentRequired, detail));
            }
        }
        Ok(())
    }

    /// Makes the caller the visit's one sender and returns the offset it goes on from. The sender before is
    /// told that it was taken over. A visit that has ended can be joined too: to hear the end of it. `pass` tells
    /// how a session listens that is not under way yet: live, or to the whole at leisure.
    pub async fn join(
        &self,
        tenant: &TenantId,
        id: &VisitId,
        format: AudioFormat,
        hotwords: &[String],
        pass: Pass,
    ) -> Result<(Connection, u64)> {
        let store = &self.ground.store;
        let mut visit = store.visit(tenant, id).await?;
        self.check_consent(tenant, &visit).await?;
        let row = if visit.state == VisitState::Ended {
            self.ended_stream(tenant, id).await?
        } else {
            store.claim_stream(tenant, id, format).await?
        };
        if visit.state == VisitState::Consented {
            visit = self.begin(visit, tenant).await?;
        }
        loop {
            let flight = self.flight(tenant, &visit, row, hotwords, pass).await?;
            // A finished stream has no writer to take over from: whoever joins hears the same end.
            let epoch = if row.total_bytes.is_some() { *flight.writer.borrow() } else { row.epoch };
            let seat = if flight.failed() { None } else { Connection::new(flight.clone(), epoch) };
            if let Some(connection) = seat {
                let next_offset = flight.hand_over(epoch).await?;
                if let Some(total) = row.total_bytes.filter(|total| *total == next_offset) {
                    flight.end_at(total).await?;
                }
                // A withdrawal that came between found no flight to end.
                if let Err(error) = self.check_consent(tenant, &visit).await {
                    self.withdraw(tenant, id);
                    return Err(error);
                }
                return Ok((connection, next_offset));
            }
            self.forget(&(tenant.clone(), id.clone()), &flight);
        }
    }

    /// How many bytes of a visit's audio are durable.
    pub async fn durable_length(&self, tenant: &TenantId, id: &VisitId) -> Result<u64> {
        self.declared_format(tenant, id).await?;
        self.ground.audio.open(tenant, id).await?.sync().await
    }

    /// How a visit's stream was declared. `NotFound` if it never was.
    pub async fn declared_format(&self, tenant: &TenantId, id: &VisitId) -> Result<AudioFormat> {
        let stream = self.ground.store.stream(tenant, id).await?;
        let absent = || Error::new(Code::NotFound, "there is nothing under this id");
        stream.map(|row| row.format).ok_or_else(absent)
    }

    async fn ended_stream(&self, tenant: &TenantId, id: &VisitId) -> Result<StreamRow> {
        self.ground.store.stream(tenant, id).await?.ok_or_else(|| {
            Error::new(Code::WrongState, "the visit has ended without audio; there is nothing to go on with")
        })
    }

    /// The first audio of a visit: from now on it is live.
    async fn begin(&self, visit: Visit, tenant: &TenantId) -> Result<Visit> {
        let change = Change { started_at: Some(self.ground.clock.now()), ..Change::default() };
        let started = NewEvent::new(
            EventKind::VisitStarted,
            serde_json::json!({"external_id": visit.external_id, "customer_id": visit.customer.id, "rep_id": visit.rep.id}),
        );
        let key = (tenant.clone(), visit.id.clone());
        let from = [VisitState::Consented];
        match self.ground.move_visit(&key, &from, VisitState::Live, change, &[started]).await {
            // Two connections at once: the other one began it.
            Err(e) if e.code == Code::WrongState => self.ground.store.visit(tenant, &visit.id).await,
            other => other,
        }
    }

    /// The visit's flight, started from its stored audio if there is none.
    async fn flight(
        &self,
        tenant: &TenantId,
        visit: &Visit,
        row: StreamRow,
        hotwords: &[String],
        pass: Pass,
    ) -> Result<Arc<Flight>> {
        let key = (tenant.clone(), visit.id.clone());
        let cell = self.map().entry(key.clone()).or_default().clone();
        let take_off = || {
            let words = visit.hotwords.iter().chain(hotwords).cloned().collect();
            Flight::take_off(self.ground.clone(), key.clone(), visit, row, words, pass)
        };
        cell.get_or_try_init(take_off).await.cloned()
    }

    /// Ends a visit's flight at once: its consent was taken back. Its open connection is told why.
    pub fn withdraw(&self, tenant: &TenantId, id: &VisitId) {
        let cell = self.map().remove(&(tenant.clone(), id.clone()));
        if let Some(flight) = cell.as_deref().and_then(OnceCell::get) {
            flight.end_now(Ending::Failed {
                code: Code::ConsentWithdrawn,
                detail: "the customer took the consent back; recording has stopped".to_owned(),
            });
        }
    }

    /// Takes up again what a crash or restart left: visits whose stream was declared complete and that have
    /// no card. Visits that are live wait for their client.
    pub async fn recover(&self) -> Result<()> {
        let unfinished = self.ground.store.unfinished().await?;
        futures_util::stream::iter(unfinished)
            .for_each_concurrent(RECOVERING, |(tenant, id, _)| async move {
                if let Err(error) = self.take_up(&tenant, &id).await {
                    tracing::error!(visit = %id, code = error.code.as_str(), cause = ?error.source, "not taken up");
                }
            })
            .await;
        Ok(())
    }

    async fn take_up(&self, tenant: &TenantId, id: &VisitId) -> Result<()> {
        let visit = self.ground.store.visit(tenant, id).await?;
        let row = self.ended_stream(tenant, id).await?;
        let flight = self.flight(tenant, &visit, row, &[], Pass::Live).await?;
        // Fewer bytes than declared: the sender must bring the rest.
        let Some(total) = row.total_bytes.filter(|total| *total == flight.log.received()) else {
            return Ok(());
        };
        flight.end_at(total).await?;
        tracing::info!(visit = %id, "taken up after a restart");
        let mut story = flight.story.subscribe();
        // An error means that the flight is gone, with the service.
        let _ = story.wait_for(|story| story.ending.is_some()).await;
        Ok(())
    }

    /// Lets go of flights that nobody needs any more. Called every few seconds.
    pub fn sweep(&self) {
        self.map().retain(|_, cell| match cell.get() {
            Some(flight) => !flight.remove_if_idle(self.detached),
            // Being opened by somebody, else left by an opening that failed.
            None => Arc::strong_count(cell) > 1,
        });
    }

    fn forget(&self, key: &Key, flight: &Arc<Flight>) {
        let mut map = self.map();
        if map.get(key).and_then(|cell| cell.get()).is_some_and(|known| Arc::ptr_eq(known, flight)) {
            map.remove(key);
        }
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<OnceCell<Arc<Flight>>>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

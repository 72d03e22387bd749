//! The use cases, and the only place that joins pipeline, store and webhook.
//!
//! [`App`] is what a running service is made of; `http` asks it, `cli` starts it. Plain reads go to
//! [`App::store`] directly; whatever has a rule of its own is a method or a part here. Nothing here knows HTTP.

pub mod classifier;
mod confirm;
pub mod delivery;
pub mod hearing;
pub mod labels;
pub mod live;
pub mod tickets;

use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::config::Config;
use crate::domain::access::TenantId;
use crate::domain::event::EventKind;
use crate::domain::ids::VisitId;
use crate::domain::time::SharedClock;
use crate::domain::visit::Visit;
use crate::error::{Code, Error, Result};
use crate::store::audio::AudioStore;
use crate::store::{Endpoint, Store};
use crate::webhook;
use delivery::Dispatcher;
pub use hearing::Hearing;
use live::{Ground, Hub};
use tickets::Tickets;

/// How often flights that nobody needs are let go of.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// A running service.
pub struct App {
    /// As it was started.
    pub config: Config,
    /// The service's clock.
    pub clock: SharedClock,
    /// The database.
    pub store: Store,
    /// Visits in flight.
    pub live: Hub,
    /// One-time tickets for live streams.
    pub tickets: Tickets,
    /// What listens.
    pub hearing: Arc<Hearing>,
    /// Cancelled when the service goes down: open streams end, no new one begins.
    pub closing: CancellationToken,
    webhooks: webhook::Client,
    tasks: TaskTracker,
}

impl App {
    /// Opens database and audio folder (made if absent), brings the schema up to date, takes up what a crash
    /// left, takes the classifier that was chosen and starts delivering.
    pub async fn open(config: Config, clock: SharedClock, hearing: Hearing) -> Result<Arc<Self>> {
        let store = open_store(&config, clock.clone()).await?;
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let hearing = Arc::new(hearing);
        let chosen = classifier::take_first(&store, &hearing).await?;
        tasks.spawn(classifier::follow(store.clone(), hearing.clone(), chosen, closing.clone()));
        let ground = Ground {
            store: store.clone(),
            clock: clock.clone(),
            hearing: hearing.clone(),
            audio: AudioStore::new(config.audio_dir()),
            timezone: config.timezone()?,
            stream_bytes: config.limits.stream_bytes,
            closing: closing.child_token(),
            tasks: tasks.clone(),
        };
        let detached = Duration::from_secs(config.limits.detached_seconds);
        let live = Hub::new(Arc::new(ground), config.limits.live_visits, detached);
        let tickets = Tickets::new(clock.clone());
        let webhooks = webhook::Client::new(&config.webhook.allow_networks)?;
        let dispatcher = Dispatcher::new(store.clone(), webhooks.clone(), clock.clone());
        tasks.spawn(dispatcher.run(closing.clone()));
        let app = Arc::new(Self { config, clock, store, live, tickets, hearing, closing, webhooks, tasks });
        app.tasks.spawn(app.clone().look_after_visits());
        Ok(app)
    }

    /// Recovery first, then the sweep, until the service goes down.
    async fn look_after_visits(self: Arc<Self>) {
        let sweeping = async {
            let mut every = tokio::time::interval(SWEEP_EVERY);
            loop {
                every.tick().await;
                self.live.sweep();
            }
        };
        let recovering = async {
            if let Err(error) = self.live.recover().await {
                tracing::error!(code = error.code.as_str(), cause = ?error.source, "nothing was taken up");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.closing.cancelled() => {}
            () = sweeping => {}
            () = recovering => {}
        }
    }

    /// Takes consent back: on record first, then the open stream, if any, is cut.
    pub async fn withdraw_consent(&self, tenant: &TenantId, id: &VisitId) -> Result<Visit> {
        let visit = self.store.withdraw_consent(tenant, id).await?;
        self.live.withdraw(tenant, id);
        Ok(visit)
    }

    /// Registers a receiver of events, if its address is one that we may post to.
    pub async fn register_endpoint(
        &self,
        tenant: &TenantId,
        url: &str,
        events: &[EventKind],
    ) -> Result<(Endpoint, SecretString)> {
        self.webhooks.check_url(url)?;
        self.store.create_endpoint(tenant, url, events).await
    }

    /// Whether the service can do its work right now: the database answers. Models are loaded before
    /// anything listens.
    pub async fn ready(&self) -> Result<()> {
        if self.closing.is_cancelled() {
            return Err(Error::new(Code::ShuttingDown, "the service is going down"));
        }
        self.store.ping().await
    }

    /// Makes [`App::close`] wait until the token is dropped.
    pub fn track(&self) -> TaskTrackerToken {
        self.tasks.token()
    }

    /// Ends everything in the background and waits for it, `drain_seconds` at most. Stored audio is durable;
    /// what was being listened to is taken up at the next start, as are webhooks under way.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        let drain = Duration::from_secs(self.config.server.drain_seconds);
        if tokio::time::timeout(drain, self.tasks.wait()).await.is_err() {
            tracing::warn!("background work was still going on at the end of the drain time");
        }
    }
}

/// Opens the configured database, made if absent, and brings its schema up to date. The folders of database and
/// audio are made for the owner alone: what was said in a visit is nobody else's.
pub async fn open_store(config: &Config, clock: SharedClock) -> Result<Store> {
    for dir in [config.data.dir.clone(), config.audio_dir()] {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|e| {
            let detail = format!("cannot make {}: {e}; choose another data.dir", dir.display());
            Error::new(Code::StorageUnavailable, detail)
        })?;
    }
    let store = Store::open(&config.database_url(), clock).await?;
    store.migrate().await?;
    Ok(store)
}

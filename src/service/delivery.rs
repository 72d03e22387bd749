//! The dispatcher: takes due deliveries out of the store, posts them, and puts down what came of it.
//!
//! It holds no queue of its own. What is due, in what order and to whom is the store's to say, so a crash at any
//! point loses nothing: an attempt whose outcome was not put down is made again, with the same id and bytes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::time::SharedClock;
use crate::error::Result;
use crate::store::{Due, Outcome, Store};
use crate::telemetry;
use crate::webhook::{Answer, Client, Envelope};

/// Attempts under way at once, in all and to one endpoint.
const UNDER_WAY: usize = 64;
const PER_ENDPOINT: u32 = 8;

/// How long a claim holds: well above the client's 15 s.
const LEASE_MS: i64 = 60_000;

/// Pauses between attempts, in seconds: those the Standard Webhooks specification proposes. After the last one
/// the delivery is a dead letter.
const PAUSES_S: [i64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600];

/// A pause is lengthened by up to this share of itself, so that what failed together does not return together.
const JITTER: f64 = 0.1;

/// The longest that a `Retry-After` is honoured for.
const LONGEST_PAUSE_S: i64 = 24 * 3600;

/// The longest sleep: bounds what is lost where no wake-up comes, as from another process that commits or a
/// clock that was set.
const NAP: Duration = Duration::from_secs(5);

/// How long to leave the database alone after it failed.
const AWAY: Duration = Duration::from_secs(1);

/// Delivers webhooks until it is told to stop.
pub struct Dispatcher {
    store: Store,
    client: Client,
    clock: SharedClock,
    under_way: JoinSet<()>,
}

impl Dispatcher {
    /// A dispatcher at rest.
    pub fn new(store: Store, client: Client, clock: SharedClock) -> Self {
        Self { store, client, clock, under_way: JoinSet::new() }
    }

    /// Delivers what is due, as soon as it is, until `shutdown`; then waits for the attempts under way, 15 s at
    /// most. Dropping it earlier is safe: their claims run out.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut commits = self.store.commits();
        loop {
            // Seen before looking: a commit from here on ends the wait below.
            commits.mark_unchanged();
            let wait = match self.start_due().await {
                Ok(next) => next.map_or(NAP, |at| self.until(at)),
                Err(error) => {
                    tracing::error!(code = error.code.as_str(), cause = ?error.source, "deliveries stand still");
                    AWAY
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = commits.changed() => {}
                Some(_) = self.under_way.join_next() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        while self.under_way.join_next().await.is_some() {}
    }

    /// Starts an attempt for everything due that there is room for; when the next one falls due.
    async fn start_due(&mut self) -> Result<Option<Timestamp>> {
        let now = self.clock.now();
        let room = UNDER_WAY.saturating_sub(self.under_way.len());
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        for due in self.store.claim_due(now, room, PER_ENDPOINT, LEASE_MS).await? {
            let (store, client, clock) = (self.store.clone(), self.client.clone(), self.clock.clone());
            self.under_way.spawn(async move {
                if let Err(error) = attempt(&store, &client, &clock, &due).await {
                    // The claim runs out and the attempt is made again.
                    let (id, code) = (due.id.as_str(), error.code.as_str());
                    tracing::error!(delivery = id, code, cause = ?error.source, "attempt not put down");
                }
            });
        }
        self.store.next_due_at(now).await
    }

    fn until(&self, at: Timestamp) -> Duration {
        let wait = at.duration_since(self.clock.now());
        Duration::try_from(wait).unwrap_or(Duration::ZERO).min(NAP)
    }
}

async fn attempt(store: &Store, client: &Client, clock: &SharedClock, due: &Due) -> Result<()> {
    let envelope =
        Envelope { id: due.event_id.as_str(), at: clock.now(), body: &due.body, secrets: &due.secrets };
    let answer = client.post(&due.url, envelope).await?;
    let gone = matches!(answer, Answer::Status { code: 410, .. });
    let outcome = judge(&answer, due.attempt, clock.now(), jitter()?);
    let label = match &outcome {
        Outcome::Delivered => "delivered",
        Outcome::Retry { .. } => "retry",
        Outcome::Dead { .. } => "dead",
    };
    metrics::counter!(telemetry::DELIVERIES, "outcome" => label).increment(1);
    if label != "delivered" {
        let (id, attempt) = (due.id.as_str(), due.attempt);
        tracing::warn!(delivery = id, attempt, ?answer, outcome = label, "webhook not accepted");
    }
    store.settle(&due.id, due.fence, outcome).await?;
    if gone {
        store.disable_endpoint(&due.tenant, &due.endpoint_id, "endpoint_gone").await?;
    }
    Ok(())
}

/// What follows from an answer to the `attempt`-th try. `jitter` lies in 0..=1.
fn judge(answer: &Answer, attempt: u32, now: Timestamp, jitter: f64) -> Outcome {
    let (reason, asked) = match answer {
        Answer::Status { code: 200..=299, .. } => return Outcome::Delivered,
        Answer::Status { code: 410, .. } => return Outcome::Dead { reason: "http_410".into() },
        Answer::Status { code: code @ (429 | 503), retry_at } => (format!("http_{code}"), *retry_at),
        Answer::Status { code, .. } => (format!("http_{code}"), None),
        Answer::None(reason) => ((*reason).to_owned(), None),
    };
    let pause = usize::try_from(attempt).ok().and_then(|n| PAUSES_S.get(n.saturating_sub(1)));
    let Some(pause) = pause else { return Outcome::Dead { reason } };
    let pause = SignedDuration::from_secs(*pause).mul_f64(1.0 + JITTER * jitter);
    let latest = SignedDuration::from_secs(LONGEST_PAUSE_S);
    let asked = asked.map_or(SignedDuration::ZERO, |at| at.duration_since(now).min(latest));
    let at = now.checked_add(pause.max(asked)).unwrap_or(Timestamp::MAX);
    Outcome::Retry { at, reason }
}

/// A random share, 0..=1.
fn jitter() -> Result<f64> {
    let random =
        getrandom::u32().map_err(|e| crate::Error::internal(anyhow::anyhow!("no randomness: {e}")))?;
    Ok(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;

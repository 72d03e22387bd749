//! Listening to a visit in flight: the task that gives the session what is durable, writes down what it says,
//! and stores result and card at the end.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::mpsc;

use super::flight::Flight;
use super::story::{Ending, Progress, Story};
use crate::domain::audio::Samples;
use crate::domain::card::{Card, CardState};
use crate::domain::ids::CardId;
use crate::domain::result::VisitResult;
use crate::domain::transcript::Segment;
use crate::domain::visit::VisitState;
use crate::error::{Code, Error, Kind, Result};
use crate::pipeline::session::{SessionEvent, SessionInput, SessionSetup};
use crate::stage::summarize::card_fields;
use crate::store::Change;
use crate::telemetry;

/// Bytes handed to the session at a time: a second of 16 kHz PCM.
const FEED_BYTES: usize = 32_000;

/// Pauses before a failed session listens to the audio once more, from its start. Then the visit fails.
const AGAIN_AFTER: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(30)];

impl Flight {
    /// The flight's own task.
    pub(super) async fn fly(self: Arc<Self>) {
        let ending = tokio::select! {
            () = self.cancelled.cancelled() => return,
            ending = self.reach_an_end() => ending,
        };
        self.story.send_modify(|story| {
            story.partial = None;
            story.ending.get_or_insert(ending);
        });
    }

    async fn reach_an_end(&self) -> Ending {
        let outcome = match self.listen().await {
            Ok(result) => self.keep_result(result).await,
            Err(error) => Err(error),
        };
        let error = match outcome {
            Ok(done) => return done,
            Err(error) => error,
        };
        tracing::error!(visit = %self.key.1, code = error.code.as_str(), cause = ?error.source, "a visit failed");
        let change = Change { failure: Some(error.code.message_zh().to_owned()), ..Change::default() };
        let from = [VisitState::Live, VisitState::Ended];
        if let Err(e) = self.ground.move_visit(&self.key, &from, VisitState::Failed, change, &[]).await {
            // A visit that was withdrawn meanwhile is no failure.
            tracing::warn!(visit = %self.key.1, code = e.code.as_str(), "the failure could not be recorded");
        }
        Ending::Failed { code: error.code, detail: error.detail }
    }

    /// Listens to the whole visit, again from its start if the engine fails on the way.
    async fn listen(&self) -> Result<Box<VisitResult>> {
        let mut pauses = AGAIN_AFTER.iter();
        loop {
            let error = match self.listen_once().await {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            let may_pass = matches!(error.code.kind(), Kind::Internal | Kind::Unavailable);
            match pauses.next().filter(|_| may_pass) {
                Some(pause) => {
                    tracing::warn!(visit = %self.key.1, code = error.code.as_str(), "listening again");
                    tokio::time::sleep(*pause).await;
                }
                None => return Err(error),
            }
        }
    }

    async fn listen_once(&self) -> Result<Box<VisitResult>> {
        let cuts = self.ground.store.cuts(&self.key.0, &self.key.1).await?;
        let mut session = (self.listening.start)(SessionSetup { cuts, ..self.setup.clone() })?;
        let feeding = async {
            match self.feed(&session.input).await {
                // All is fed, or the session is gone: `collect` will tell.
                Ok(()) => std::future::pending().await,
                Err(error) => error,
            }
        };
        tokio::select! {
            outcome = self.collect(&mut session.events) => outcome,
            error = feeding => Err(error),
        }
    }

    /// Gives the session the durable prefix as it grows, and the orders at their offsets.
    async fn feed(&self, input: &mpsc::Sender<SessionInput>) -> Result<()> {
        let (mut durable, mut orders) = (self.log.watch(), self.orders.subscribe());
        let (mut fed, mut flushed) = (0, 0);
        loop {
            let (held, ordered) = (*durable.borrow_and_update(), *orders.borrow_and_update());
            loop {
                let flush = flushed < ordered.flush_at;
                if flush && fed >= ordered.flush_at {
                    flushed = ordered.flush_at;
                    // A session that is gone shows at the next send of audio.
                    let _ = input.send(SessionInput::Finalize).await;
                    continue;
                }
                if fed >= held {
                    break;
                }
                // Not beyond a flush: what came after it is not part of it.
                let upto = if flush { held.min(ordered.flush_at) } else { held };
                let bytes = self.log.read(fed, FEED_BYTES.min((upto - fed) as usize)).await?;
                if bytes.is_empty() {
                    return Err(Error::internal(anyhow::anyhow!(
                        "stored audio ends before its durable length"
                    )));
                }
                fed += bytes.len() as u64;
                if input.send(SessionInput::Audio(bytes)).await.is_err() {
                    return Ok(());
                }
            }
            if ordered.end_at.is_some_and(|end| fed >= end) {
                let _ = input.send(SessionInput::Stop).await;
                return Ok(());
            }
            tokio::select! {
                changed = durable.changed() => changed.map_err(Error::internal)?,
                changed = orders.changed() => changed.map_err(Error::internal)?,
            }
        }
    }

    /// Writes the story down as the session tells it.
    async fn collect(&self, events: &mut mpsc::Receiver<SessionEvent>) -> Result<Box<VisitResult>> {
        while let Some(event) = events.recv().await {
            match event {
                SessionEvent::Partial(partial) => {
                    self.story.send_modify(|story| story.partial = Some(partial));
                }
                SessionEvent::Final(segment) => {
                    let segment = Arc::new(segment);
                    if self.tell(|story| story.tell_segment(&segment)) {
                        counter!(telemetry::FINALS).increment(1);
                        self.keep_final(&segment).await;
                    }
                }
                SessionEvent::Moment(moment) => {
                    let kind = moment.kind.as_str();
                    if self.tell(|story| story.tell_moment(moment)) {
                        counter!(telemetry::MOMENTS, "kind" => kind).increment(1);
                    }
                }
                SessionEvent::Corrected(segment) => {
                    let segment = Arc::new(segment);
                    if self.tell(|story| story.tell_segment(&segment)) {
                        counter!(telemetry::CORRECTIONS).increment(1);
                    }
                }
                SessionEvent::Retracted(id) => self.story.send_modify(|story| story.tell_retracted(id)),
                SessionEvent::Cut(at) => self.keep_cut(at).await,
                SessionEvent::Gap(gap) => self.story.send_modify(|story| story.tell_gap(gap)),
                SessionEvent::Progress { decoded_ms, recognized_ms } => {
                    self.story.send_modify(|story| story.progress = Progress { decoded_ms, recognized_ms })
                }
                SessionEvent::Done(result) => return Ok(result),
                SessionEvent::Failed(error) => return Err(error),
            }
        }
        Err(Error::internal(anyhow::anyhow!("the session ended without a result")))
    }

    fn tell(&self, tell: impl FnOnce(&mut Story) -> bool) -> bool {
        let mut news = false;
        self.story.send_modify(|story| news = tell(story));
        news
    }

    /// Finals are stored so that a client finds them after a restart; the audio can always yield them anew,
    /// so a database that is away costs no more than that.
    async fn keep_final(&self, segment: &Segment) {
        if let Err(error) = self.ground.store.put_final(&self.key.0, &self.key.1, segment).await {
            tracing::warn!(visit = %self.key.1, code = error.code.as_str(), "a final segment was not stored");
        }
    }

    /// Where `finalize` cut is stored before the finals it made are told, so that hearing the audio again after
    /// a crash yields the same ones.
    async fn keep_cut(&self, at: Samples) {
        if let Err(error) = self.ground.store.add_cut(&self.key.0, &self.key.1, at).await {
            tracing::warn!(visit = %self.key.1, code = error.code.as_str(), "a cut was not stored");
        }
    }

    /// Makes the card and stores it with the result; waits for a database that is away.
    async fn keep_result(&self, result: Box<VisitResult>) -> Result<Ending> {
        let (tenant, visit) = &self.key;
        let (fields, chips) = card_fields(&result.summary, &result.moments);
        let mut card = Card {
            id: CardId::generate(),
            visit_id: visit.clone(),
            version: 1,
            state: CardState::Pending,
            headline: result.summary.headline.clone(),
            fields,
            chips,
        };
        let mut pause = Duration::from_millis(200);
        loop {
            match self.ground.store.put_result(tenant, visit, &result, &card).await {
                Ok(_) => break,
                Err(error) if error.code == Code::StorageUnavailable => {
                    tracing::warn!(visit = %visit, "the result waits for the database");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                // A commit whose answer was lost: the card is there.
                Err(error) if error.code == Code::WrongState => {
                    card = self.ground.store.card(tenant, visit).await.map_err(|_| error)?;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        counter!(telemetry::VISITS, "state" => VisitState::CardReady.as_str()).increment(1);
        Ok(Ending::Done { coverage: result.coverage, gaps: result.gaps, card: Arc::new(card) })
    }
}

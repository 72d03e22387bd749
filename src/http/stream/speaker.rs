//! What a live client is told, in order: lasting entries, the newest partial, how far everything is, the end.

use std::time::Duration;

use axum::extract::ws::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::conversation::{Ending, Sink, send};
use super::protocol::{FromServer, Level};
use crate::domain::audio::Encoding;
use crate::domain::ids::SegmentId;
use crate::domain::time::Millis;
use crate::error::Error;
use crate::pipeline::session::Partial;
use crate::service::live::Connection;
use crate::service::live::story::{self, Entry, Progress, Story};

/// An ack comes at least this often.
const ACK_EVERY: Duration = Duration::from_secs(1);

/// Speaks to one client until there is nothing more to say or it is gone.
pub(super) struct Speaker<'a> {
    sink: &'a mut Sink,
    connection: &'a Connection,
    /// Entries told.
    told: usize,
    /// The partial told last.
    partial: Option<(SegmentId, u32)>,
    level: Level,
}

/// What is new since the last look.
struct News {
    entries: Vec<Entry>,
    partial: Option<Partial>,
    progress: Progress,
    ending: Option<story::Ending>,
}

/// The client is gone.
struct Gone;

impl<'a> Speaker<'a> {
    pub(super) fn new(sink: &'a mut Sink, connection: &'a Connection) -> Self {
        Self { sink, connection, told: 0, partial: None, level: Level::Full }
    }

    /// Tells the story from its beginning, and `answers` as they come.
    pub(super) async fn speak(mut self, mut answers: mpsc::Receiver<Message>) -> Ending {
        self.follow(&mut answers).await.unwrap_or(Ending::Gone)
    }

    async fn follow(&mut self, answers: &mut mpsc::Receiver<Message>) -> Result<Ending, Gone> {
        let (mut story, mut durable) = (self.connection.story(), self.connection.durable());
        let mut beat = tokio::time::interval(ACK_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut open = true;
        loop {
            let news = self.look(&mut story);
            let progress = news.progress;
            self.tell(&news).await?;
            match news.ending {
                Some(story::Ending::Done { coverage, gaps, card }) => {
                    self.ack(progress).await?;
                    self.say(&FromServer::Done { coverage, gaps: &gaps, card: &card }).await?;
                    return Ok(Ending::Done);
                }
                Some(story::Ending::Failed { code, detail }) => {
                    return Ok(Ending::Refused(Error::new(code, detail)));
                }
                None => {}
            }
            tokio::select! {
                changed = story.changed() => changed.map_err(|_| Gone)?,
                changed = durable.changed() => {
                    changed.map_err(|_| Gone)?;
                    durable.mark_unchanged();
                    self.ack(progress).await?;
                }
                _ = beat.tick() => self.ack(progress).await?,
                answer = answers.recv(), if open => match answer {
                    Some(answer) => send(self.sink, answer).await.map_err(|()| Gone)?,
                    None => open = false,
                },
            }
        }
    }

    fn look(&self, story: &mut watch::Receiver<Story>) -> News {
        let story = story.borrow_and_update();
        News {
            entries: story.entries.get(self.told..).unwrap_or_default().to_vec(),
            partial: story.partial.clone(),
            progress: story.progress,
            ending: story.ending.clone(),
        }
    }

    async fn tell(&mut self, news: &News) -> Result<(), Gone> {
        for entry in &news.entries {
            let message = match entry {
                Entry::Final(segment) => FromServer::Final(segment.as_ref().into()),
                Entry::Corrected(segment) => FromServer::Corrected(segment.as_ref().into()),
                Entry::Moment(moment) => FromServer::Moment { moment },
                Entry::Retracted(moment_id) => FromServer::Retracted { moment_id },
                Entry::Gap(gap) => {
                    FromServer::Gap { start_ms: gap.start_ms, end_ms: gap.end_ms, reason: gap.reason }
                }
            };
            self.say(&message).await?;
            self.told += 1;
        }
        let partial_end = news.partial.as_ref().map_or(Millis(0), |partial| partial.end_ms);
        let level = self.level.for_lag(self.lag_ms(news.progress, partial_end));
        if level != self.level && news.ending.is_none() {
            self.level = level;
            let reason = if level == Level::Full { "caught_up" } else { "engine_behind" };
            self.say(&FromServer::Degraded { level, reason }).await?;
        }
        let Some(partial) = news.partial.as_ref().filter(|_| self.level == Level::Full) else {
            return Ok(());
        };
        let name = (partial.segment_id.clone(), partial.rev);
        if self.partial.as_ref() != Some(&name) {
            self.say(&FromServer::Partial {
                segment_id: &partial.segment_id,
                rev: partial.rev,
                text: &partial.text,
                stable_chars: partial.stable_chars,
                start_ms: partial.start_ms,
                end_ms: partial.end_ms,
            })
            .await?;
            self.partial = Some(name);
        }
        Ok(())
    }

    async fn ack(&mut self, progress: Progress) -> Result<(), Gone> {
        let lag_ms = self.lag_ms(progress, Millis(0));
        let durable = self.connection.durable_now();
        // Read after `durable`, so that it is never the smaller one.
        let received = self.connection.received();
        self.say(&FromServer::Ack { received, durable, decoded_ms: progress.decoded_ms, lag_ms }).await
    }

    /// How far final text is behind the audio received (raw audio) or decoded (a container, whose bytes tell no
    /// time). Words heard in a partial count as heard.
    fn lag_ms(&self, progress: Progress, heard: Millis) -> u64 {
        let format = self.connection.format();
        let here = match format.encoding {
            Encoding::PcmS16le => {
                let bytes_per_s = u64::from(format.sample_rate) * u64::from(format.channels) * 2;
                Millis(self.connection.received().saturating_mul(1000) / bytes_per_s.max(1))
            }
            Encoding::Container => progress.decoded_ms,
        };
        here.since(progress.recognized_ms.max(heard)).0
    }

    async fn say(&mut self, message: &FromServer<'_>) -> Result<(), Gone> {
        send(self.sink, message.to_message()).await.map_err(|()| Gone)
    }
}

//! The second pass of a live visit: what has become final is packed into whole windows and recognised once
//! more, with more candidates and with its neighbours, while the visit goes on.
//!
//! It goes through an analysis of its own, utterance by utterance as the first one, so that both name things
//! alike and what changed can be told: a corrected segment, another moment, one that is none. A window that
//! the recogniser has no time for, and what is not done when the visit ends, keeps its first words; so the
//! second pass is never waited for, and its result is the visit's.

use std::collections::{BTreeMap, VecDeque};

use super::SessionEvent;
use super::run::{Task, next};
use super::told::Told;
use crate::domain::ids::SegmentId;
use crate::domain::result::VisitResult;
use crate::domain::time::Millis;
use crate::domain::transcript::Gap;
use crate::error::Result;
use crate::pipeline::{Analysis, Heard, News};
use crate::stage::diarize::Print;
use crate::stage::recognize::{Clip, Pass, Reading, Recognize};

/// What the first pass asked for at once, and what it heard.
struct Stretch {
    clips: Vec<Clip>,
    heard: Vec<Heard>,
}

pub(super) struct Second {
    recognize: Recognize,
    hotwords: Vec<String>,
    analysis: Analysis,
    /// Recognised by the first pass, but not told yet.
    fresh: VecDeque<Stretch>,
    /// How many utterances of the first of them are told.
    told: usize,
    /// Told; waits to be packed full.
    packing: Vec<Stretch>,
    /// First words of the windows that are full, in order. The first of them is at the recogniser if `asked`.
    windows: VecDeque<Vec<Heard>>,
    asked: Option<Task<Result<Vec<Option<Reading>>>>>,
    texts: BTreeMap<SegmentId, String>,
    told_moments: Told,
}

impl Second {
    pub(super) fn new(recognize: Recognize, hotwords: Vec<String>, analysis: Analysis) -> Self {
        Self {
            recognize,
            hotwords,
            analysis,
            fresh: VecDeque::new(),
            told: 0,
            packing: Vec::new(),
            windows: VecDeque::new(),
            asked: None,
            texts: BTreeMap::new(),
            told_moments: Told::default(),
        }
    }

    /// Takes what the first pass heard in a stretch, before it goes into the first analysis.
    pub(super) fn hear(&mut self, clips: Vec<Clip>, heard: Vec<Heard>) {
        if !heard.is_empty() {
            self.fresh.push_back(Stretch { clips, heard });
        }
    }

    /// Takes how the voices sound in what was heard.
    pub(super) fn listen(&mut self, prints: Vec<Print>) {
        self.analysis.hear(prints);
    }

    /// Takes note of what the first pass told. Segments come one for each utterance, in order.
    pub(super) fn note(&mut self, news: &News) {
        match news {
            News::Segment(segment) => {
                self.texts.insert(segment.id.clone(), segment.text.clone());
                self.told += 1;
                if self.fresh.front().is_some_and(|first| self.told >= first.heard.len()) {
                    self.told = 0;
                    self.fresh.pop_front().into_iter().for_each(|stretch| self.pack(stretch));
                }
            }
            News::Judged(segment, moments) => {
                self.told_moments.note(segment, moments);
            }
        }
    }

    fn pack(&mut self, stretch: Stretch) {
        let together = self.packing.iter().chain([&stretch]).flat_map(|stretch| &stretch.clips);
        if !self.recognize.fits(Pass::Batch, together) {
            self.ask();
        }
        self.packing.push(stretch);
    }

    /// Closes the window. If the one before is not back yet, there is no time for this one.
    fn ask(&mut self) {
        let (mut clips, mut window) = (Vec::new(), Vec::new());
        for stretch in self.packing.drain(..) {
            clips.extend(stretch.clips);
            window.extend(stretch.heard);
        }
        if window.is_empty() {
            return;
        }
        if self.windows.is_empty() {
            let (recognize, hotwords) = (self.recognize.clone(), self.hotwords.clone());
            let told: Vec<String> = window.iter().map(|heard| heard.text.clone()).collect();
            self.asked = Some(Box::pin(async move { recognize.again(clips, &told, &hotwords).await }));
        }
        self.windows.push_back(window);
    }

    /// The readings of the window at the recogniser; never ready if there is none.
    pub(super) async fn readings(&mut self) -> Result<Vec<Option<Reading>>> {
        next(&mut self.asked).await
    }

    /// Takes the readings of the first window, and all windows behind it as they were heard first.
    pub(super) async fn revise(
        &mut self,
        readings: Result<Vec<Option<Reading>>>,
    ) -> Result<Vec<SessionEvent>> {
        let readings = readings.unwrap_or_else(|error| {
            tracing::warn!(code = error.code.as_str(), "a window keeps its first words");
            Vec::new()
        });
        let mut window = self.windows.pop_front().unwrap_or_default();
        for (heard, reading) in window.iter_mut().zip(readings) {
            if let Some(Reading { text, confidence }) = reading {
                (heard.text, heard.confidence) = (text, confidence);
            }
        }
        let behind: Vec<Heard> = self.windows.drain(..).flatten().collect();
        self.take(window.into_iter().chain(behind)).await
    }

    /// Takes all that is left as it was heard first.
    pub(super) async fn close(&mut self) -> Result<Vec<SessionEvent>> {
        self.asked = None;
        let stretches = self.packing.drain(..).chain(self.fresh.drain(..));
        let left: Vec<Heard> =
            self.windows.drain(..).flatten().chain(stretches.flat_map(|s| s.heard)).collect();
        let mut changes = self.take(left).await?;
        let news = self.analysis.close().await?;
        changes.extend(self.compare(news));
        Ok(changes)
    }

    /// Closes the visit, as [`Analysis::finish`] does. The `first` pass's share of time is added.
    pub(super) fn finish(
        mut self,
        first: Analysis,
        duration: Millis,
        speech: Millis,
        gaps: Vec<Gap>,
    ) -> VisitResult {
        self.analysis.add_times(first);
        self.analysis.finish(duration, speech, gaps)
    }

    async fn take(&mut self, heard: impl IntoIterator<Item = Heard>) -> Result<Vec<SessionEvent>> {
        let mut changes = Vec::new();
        for heard in heard {
            let news = self.analysis.push(heard).await?;
            changes.extend(self.compare(news));
        }
        Ok(changes)
    }

    /// What of the news was not told by the first pass, or otherwise.
    fn compare(&mut self, news: Vec<News>) -> Vec<SessionEvent> {
        let mut changes = Vec::new();
        for item in news {
            match item {
                News::Segment(segment) => {
                    if self.texts.remove(&segment.id).as_ref() != Some(&segment.text) {
                        changes.push(SessionEvent::Corrected(segment));
                    }
                }
                News::Judged(segment, moments) => {
                    changes.extend(self.told_moments.change(segment, moments));
                }
            }
        }
        changes
    }
}

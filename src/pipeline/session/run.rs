//! The task behind a session: sound in, speech found, words asked for, text analysed, events out.
//!
//! Recognition runs ahead on the model's threads while sound keeps coming; finals leave in order. A stretch
//! that the recogniser fails on is tried once more and then becomes a gap. Work stops when nobody listens.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;

use super::partial::Partials;
use super::second::Second;
use super::told::Told;
use super::{CHANNEL, Partial, Pass, SessionEvent, SessionSetup};
use crate::domain::audio::Samples;
use crate::domain::time::{Millis, Span};
use crate::domain::transcript::{Gap, GapReason};
use crate::engine::{Engines, Expected, Lane, Recognizer};
use crate::error::{Error, Result};
use crate::pipeline::source::Sound;
use crate::pipeline::{Analysis, Heard, News, Pipeline};
use crate::stage::diarize::{Diarize, Print, Voices};
use crate::stage::recognize::{Clip, Reading, Recognize, Words};
use crate::stage::vad::{Speech, Vad};

/// Requests to the recogniser on their way at once; past it no more sound is taken.
const IN_FLIGHT: usize = 6;

pub(super) type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Words of some neighbouring stretches, or why there are none.
struct Recognized {
    clips: Vec<Clip>,
    words: Result<Vec<Words>>,
    prints: Vec<Print>,
    listened: Duration,
    begin: Instant,
}

struct Hypothesis {
    start: Samples,
    end: Samples,
    words: Result<Vec<Words>>,
}

struct Run {
    setup: SessionSetup,
    vad: Vad,
    diarize: Option<Diarize>,
    recognize: Recognize,
    analysis: Analysis,
    told: Told,
    /// Live, where there is one.
    second: Option<Second>,
    /// Live.
    _expected: Option<Expected<dyn Recognizer>>,
    sound: Tape,
    /// Where to cut because an earlier session did; those still ahead.
    cuts: VecDeque<Samples>,
    /// Stretches that wait to be packed together.
    packing: Vec<Clip>,
    waiting: FuturesOrdered<Task<Recognized>>,
    hypothesis: Option<Task<Hypothesis>>,
    partials: Partials,
    gaps: Vec<Gap>,
    speech: Samples,
    recognized_ms: Millis,
    /// When the last request came back.
    settled: Instant,
    events: mpsc::Sender<SessionEvent>,
}

/// Why the task ends before its result.
enum Stop {
    /// Nobody listens.
    Abandoned,
    /// It cannot go on.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

/// Starts the task.
pub(super) fn spawn(
    pipeline: &Arc<Pipeline>,
    engines: &Engines,
    setup: SessionSetup,
    sounds: mpsc::Receiver<Sound>,
) -> Result<mpsc::Receiver<SessionEvent>> {
    let (events, reported) = mpsc::channel(CHANNEL);
    let vad = match setup.pass {
        Pass::Live => pipeline.stages.vad.live(),
        Pass::Batch => pipeline.stages.vad.clone(),
    };
    let live = setup.pass == Pass::Live;
    let recognize = Recognize::new(&pipeline.stages.recognize, engines.recognizer.clone())?;
    let second = if live && recognize.has_second_pass() {
        // A shadow counts each text once.
        let engines = Engines { shadow: None, ..engines.clone() };
        let analysis = Analysis::new(pipeline, &engines, setup.visit_at.clone())?;
        Some(Second::new(recognize.clone(), setup.hotwords.clone(), analysis))
    } else {
        None
    };
    let analysis = Analysis::new(pipeline, engines, setup.visit_at.clone())?;
    // Where there is a second pass it has the last word.
    let analysis = if second.is_some() { analysis.once() } else { analysis };
    let diarize = match (&pipeline.stages.diarize, &engines.voiceprints) {
        (Some(config), Some(pool)) => Some(Diarize::new(config, pool.clone())?),
        _ => None,
    };
    let run = Run {
        vad: Vad::new(&vad, engines.voice.clone())?,
        _expected: live.then(|| recognize.expect_live()),
        diarize,
        recognize,
        analysis,
        told: Told::default(),
        second,
        cuts: setup.cuts.iter().copied().collect(),
        setup,
        sound: Tape::default(),
        packing: Vec::new(),
        waiting: FuturesOrdered::new(),
        hypothesis: None,
        partials: Partials::default(),
        gaps: Vec::new(),
        speech: Samples(0),
        recognized_ms: Millis(0),
        settled: Instant::now(),
        events: events.clone(),
    };
    tokio::spawn(async move {
        if let Err(Stop::Failed(error)) = run.all(sounds).await {
            // If nobody listens, nobody needs to know.
            let _ = events.send(SessionEvent::Failed(error)).await;
        }
    });
    Ok(reported)
}

impl Run {
    async fn all(mut self, mut sounds: mpsc::Receiver<Sound>) -> Result<(), Stop> {
        loop {
            let room = self.waiting.len() < IN_FLIGHT;
            tokio::select! {
                biased;
                Some(recognized) = self.waiting.next() => self.settle(recognized).await?,
                hypothesis = next(&mut self.hypothesis) => self.show(hypothesis).await?,
                readings = again(&mut self.second) => self.revise(readings).await?,
                () = self.events.closed() => return Err(Stop::Abandoned),
                sound = sounds.recv(), if room => match sound {
                    Some(Sound::Samples(samples)) => self.listen(samples).await?,
                    Some(Sound::Flush) => self.flush().await?,
                    Some(Sound::End { decoded, decode, resample }) => {
                        let now = Instant::now();
                        self.analysis.spent("decode", now.checked_sub(decode).unwrap_or(now));
                        self.analysis.spent("resample", now.checked_sub(resample).unwrap_or(now));
                        let broken = decoded.broken.into_iter();
                        self.gaps.extend(broken.map(|s| gap(s, GapReason::Undecodable)));
                        return self.finish().await;
                    }
                    Some(Sound::Failed(error)) => return Err(Stop::Failed(error)),
                    None => return Err(Stop::Abandoned),
                },
            }
        }
    }

    /// Takes the next samples, and cuts again where an earlier session did.
    async fn listen(&mut self, samples: Vec<f32>) -> Result<(), Stop> {
        let mut rest = samples.as_slice();
        while let Some(&cut) = self.cuts.front() {
            let Some((before, after)) =
                rest.split_at_checked(cut.0.saturating_sub(self.sound.end().0) as usize)
            else {
                break;
            };
            self.hear(before).await?;
            self.cuts.pop_front();
            self.flush().await?;
            rest = after;
        }
        self.hear(rest).await
    }

    async fn hear(&mut self, samples: &[f32]) -> Result<(), Stop> {
        let begin = Instant::now();
        self.sound.push(samples);
        let ended = self.vad.run(self.lane(), samples).await?;
        self.analysis.spent("vad", begin);
        self.take(ended);
        let needed = self.packing.first().map_or(self.vad.needed_from(), |c| c.speech.end);
        self.sound.forget(needed.min(self.vad.needed_from()));
        self.guess();
        self.progress().await
    }

    /// Takes stretches of speech that have ended: alone, or packed with their neighbours.
    fn take(&mut self, ended: Vec<Speech>) {
        for speech in ended {
            self.speech = Samples(self.speech.0 + speech.end.0 - speech.start.0);
            let draft = self.partials.draft(speech.start);
            let clip = Clip { speech, samples: self.sound.cut(speech.start, speech.end), draft };
            if !self.recognize.fits(self.setup.pass, self.packing.iter().chain([&clip])) {
                self.ask();
            }
            self.packing.push(clip);
            if self.recognize.takes_alone(self.setup.pass) {
                self.ask();
            }
        }
    }

    /// Sends what is packed to the recogniser.
    fn ask(&mut self) {
        let clips = std::mem::take(&mut self.packing);
        if clips.is_empty() {
            return;
        }
        let (recognize, pass, hotwords) =
            (self.recognize.clone(), self.setup.pass, self.setup.hotwords.clone());
        let (diarize, lane) = (self.diarize.clone(), self.lane());
        let voices = self.analysis.voices_alone();
        self.waiting.push_back(Box::pin(async move {
            let begin = Instant::now();
            // Somebody waits for live words; the words of a file are joined by whose they are.
            let listen = listen(diarize.filter(|_| pass == Pass::Batch || recognize.is_calm()), lane, &clips);
            let recognize = async |voices: &Voices| {
                let apart = |one, other| voices.differ(one, other);
                match recognize.run(pass, clips.clone(), &hotwords, apart).await {
                    Ok(words) => Ok(words),
                    Err(_) => recognize.run(pass, clips.clone(), &hotwords, apart).await,
                }
            };
            let ((prints, listened), words) = match pass {
                Pass::Live => futures_util::join!(listen, recognize(&voices)),
                Pass::Batch => {
                    let (listened, mut voices) = (listen.await, voices);
                    voices.hear(listened.0.clone());
                    let words = recognize(&voices).await;
                    (listened, words)
                }
            };
            Recognized { clips, words, prints, listened, begin }
        }));
    }

    /// Asks for the text of what is being said, if that is due and the recogniser has nothing better to do.
    fn guess(&mut self) {
        if self.setup.pass != Pass::Live || self.hypothesis.is_some() || !self.waiting.is_empty() {
            return;
        }
        let (Some(start), end) = (self.vad.open_since(), self.sound.end()) else { return };
        if !self.partials.due(start, end) {
            return;
        }
        self.partials.begin(start, end);
        let draft = self.partials.draft(start);
        let clip = Clip { speech: Speech { start, end }, samples: self.sound.cut(start, end), draft };
        let (recognize, hotwords) = (self.recognize.clone(), self.setup.hotwords.clone());
        self.hypothesis = Some(Box::pin(async move {
            let words = recognize.run(Pass::Live, vec![clip], &hotwords, |_, _| false).await;
            Hypothesis { start, end, words }
        }));
    }

    async fn show(&mut self, hypothesis: Hypothesis) -> Result<(), Stop> {
        // A failed guess is no loss: the final is asked for anew.
        let Ok(words) = hypothesis.words else { return Ok(()) };
        if self.vad.open_since() != Some(hypothesis.start) {
            return Ok(());
        }
        let text: String = words.into_iter().map(|w| w.text).collect();
        let id = self.analysis.next_segment();
        let shown = self.analysis.preview(&text);
        let partial: Option<Partial> =
            shown.and_then(|text| self.partials.take(id, hypothesis.start, hypothesis.end, &text));
        match partial {
            Some(partial) => self.emit(SessionEvent::Partial(partial)).await,
            None => Ok(()),
        }
    }

    async fn settle(&mut self, recognized: Recognized) -> Result<(), Stop> {
        // Requests overlap; time in which two were under way counts once.
        self.analysis.spent("recognize", recognized.begin.max(self.settled));
        self.settled = Instant::now();
        self.recognized_ms = recognized.clips.last().map_or(self.recognized_ms, |c| c.speech.end.to_millis());
        if let Some(second) = &mut self.second {
            second.listen(recognized.prints.clone());
        }
        self.analysis.hear(recognized.prints);
        self.analysis.took("diarize", recognized.listened);
        match recognized.words {
            Ok(words) => {
                let heard: Vec<Heard> = words.into_iter().map(heard).collect();
                if let Some(second) = &mut self.second {
                    second.hear(recognized.clips, heard.clone());
                }
                for heard in heard {
                    let news = self.analysis.push(heard).await?;
                    self.report(news).await?;
                }
            }
            Err(error) => {
                tracing::warn!(code = error.code.as_str(), "a stretch of speech could not be recognised");
                for Clip { speech, .. } in recognized.clips {
                    let span = Span { start_ms: speech.start.to_millis(), end_ms: speech.end.to_millis() };
                    let gap = gap(span, GapReason::EngineFailed);
                    self.gaps.push(gap.clone());
                    self.emit(SessionEvent::Gap(gap)).await?;
                }
            }
        }
        self.progress().await
    }

    async fn report(&mut self, news: Vec<News>) -> Result<(), Stop> {
        for item in news {
            if let Some(second) = &mut self.second {
                second.note(&item);
            }
            match item {
                News::Segment(segment) => self.emit(SessionEvent::Final(segment)).await?,
                News::Judged(segment, moments) => {
                    let changes = self.told.change(segment, moments);
                    self.tell(changes).await?;
                }
            }
        }
        Ok(())
    }

    /// Tells what the second pass made of a window.
    async fn revise(&mut self, readings: Result<Vec<Option<Reading>>>) -> Result<(), Stop> {
        let Some(second) = &mut self.second else { return Ok(()) };
        let changes = second.revise(readings).await?;
        self.tell(changes).await
    }

    async fn tell(&mut self, events: Vec<SessionEvent>) -> Result<(), Stop> {
        for event in events {
            self.emit(event).await?;
        }
        Ok(())
    }

    /// Makes everything heard so far final.
    async fn flush(&mut self) -> Result<(), Stop> {
        let ended = self.vad.flush();
        let asked = !self.packing.is_empty() || !self.waiting.is_empty();
        if ended.is_some() || asked || self.analysis.is_unfinished() {
            self.emit(SessionEvent::Cut(self.vad.position())).await?;
        }
        self.take(ended.into_iter().collect());
        self.drain().await
    }

    async fn drain(&mut self) -> Result<(), Stop> {
        self.ask();
        while let Some(recognized) = self.waiting.next().await {
            self.settle(recognized).await?;
        }
        let news = self.analysis.close().await?;
        self.report(news).await
    }

    async fn finish(mut self) -> Result<(), Stop> {
        self.hypothesis = None;
        let ended = self.vad.finish(self.lane()).await?;
        self.take(ended);
        self.drain().await?;
        let (duration, speech) = (self.sound.end().to_millis(), self.speech.to_millis());
        let result = match self.second.take() {
            Some(mut second) => {
                let changes = second.close().await?;
                self.tell(changes).await?;
                second.finish(self.analysis, duration, speech, self.gaps)
            }
            None => self.analysis.finish(duration, speech, self.gaps),
        };
        self.events.send(SessionEvent::Done(Box::new(result))).await.map_err(|_| Stop::Abandoned)
    }

    fn lane(&self) -> Lane {
        match self.setup.pass {
            Pass::Live => Lane::Live,
            Pass::Batch => Lane::Deferred,
        }
    }

    async fn progress(&mut self) -> Result<(), Stop> {
        let idle = self.waiting.is_empty() && self.packing.is_empty() && self.vad.open_since().is_none();
        if idle {
            self.recognized_ms = self.sound.end().to_millis();
        }
        let (decoded_ms, recognized_ms) = (self.sound.end().to_millis(), self.recognized_ms);
        self.emit(SessionEvent::Progress { decoded_ms, recognized_ms }).await
    }

    async fn emit(&mut self, event: SessionEvent) -> Result<(), Stop> {
        self.events.send(event).await.map_err(|_| Stop::Abandoned)
    }
}

/// What is under way; never ready if there is nothing.
pub(super) async fn next<T>(under_way: &mut Option<Task<T>>) -> T {
    match under_way {
        Some(task) => {
            let done = task.await;
            *under_way = None;
            done
        }
        None => std::future::pending().await,
    }
}

/// How the voices in these stretches sound. Words are worth more: without it nothing is known of who spoke.
async fn listen(diarize: Option<Diarize>, lane: Lane, clips: &[Clip]) -> (Vec<Print>, Duration) {
    let Some(diarize) = diarize else { return (Vec::new(), Duration::ZERO) };
    let begin = Instant::now();
    let prints = diarize.run(lane, clips).await.unwrap_or_else(|error| {
        tracing::warn!(code = error.code.as_str(), "voices could not be told apart in a stretch");
        Vec::new()
    });
    (prints, begin.elapsed())
}

/// What the second pass heard; never ready if nothing is asked of it.
async fn again(second: &mut Option<Second>) -> Result<Vec<Option<Reading>>> {
    match second {
        Some(second) => second.readings().await,
        None => std::future::pending().await,
    }
}

fn heard(words: Words) -> Heard {
    Heard { span: words.span, text: words.text, confidence: words.confidence }
}

fn gap(span: Span, reason: GapReason) -> Gap {
    Gap { start_ms: span.start_ms, end_ms: span.end_ms, reason }
}

/// The samples that may still be needed.
#[derive(Debug, Default)]
struct Tape {
    start: u64,
    samples: VecDeque<f32>,
}

impl Tape {
    fn push(&mut self, samples: &[f32]) {
        self.samples.extend(samples);
    }

    fn end(&self) -> Samples {
        Samples(self.start + self.samples.len() as u64)
    }

    fn cut(&self, from: Samples, to: Samples) -> Vec<f32> {
        let skip = from.0.saturating_sub(self.start) as usize;
        let take = to.0.saturating_sub(from.0.max(self.start)) as usize;
        self.samples.iter().skip(skip).take(take).copied().collect()
    }

    fn forget(&mut self, before: Samples) {
        let n = (before.0.saturating_sub(self.start) as usize).min(self.samples.len());
        self.samples.drain(..n);
        self.start += n as u64;
    }
}

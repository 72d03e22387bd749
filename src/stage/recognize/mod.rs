//! recognize: stretches of speech -> words with times.
//!
//! Two passes share one model. Live takes one stretch at a time through a trimmed encoder window, for speed.
//! Batch packs neighbouring stretches into one full window, for context and accuracy; the recogniser's own
//! times, which count inside the packed audio, are mapped back. A live visit goes through both: what live heard
//! first is recognised again by batch, and cut where the first texts met (`borders`). What comes back is judged by
//! measured signals before anybody sees it (`guard`): Whisper says sentences into silence. Last, what it heard
//! right and wrote wrong is written anew: the visit's own terms by their sound (`hotwords`), then all else by
//! what goes together (`homophones`).

mod borders;
mod guard;
mod homophones;
mod hotwords;
mod pack;

use serde::{Deserialize, Serialize};

use crate::domain::audio::{SAMPLE_RATE_HZ, Samples};
use crate::domain::time::{Millis, Span};
use crate::engine::{Draft, EncoderWindow, Expected, Lane, Piece, Pool, RecognizeRequest, Recognizer, Retry};
use crate::error::{Code, Error, Result};
use crate::stage::mandarin::script;
use crate::stage::vad::Speech;

pub use borders::Reading;
use hotwords::Hotwords;

/// Configuration of `use = "recognize"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecognizeConfig {
    /// Language code.
    pub language: String,
    /// The pass of a live visit.
    pub live: PassConfig,
    /// The pass over files and finished uploads.
    pub batch: PassConfig,
    /// Whether a live visit is recognised a second time, as a file is, while it goes on. Needs two workers, and
    /// at least as many as there are live visits.
    pub second_pass: bool,
    /// Text that sets script and style.
    pub prompt: String,
    /// Whether what sounds like a hotword of the visit is written as one.
    pub hotwords: bool,
    /// What it costs to write another character of the same sound than the recogniser did, in nats: the less,
    /// the more is changed. 0 leaves everything as it was written.
    pub homophones: f32,
    /// Pieces of one stretch of speech are joined into sentences up to this length.
    pub sentence_ms: u32,
    /// What is taken for invented speech.
    pub guard: GuardConfig,
}

/// How one pass recognises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PassConfig {
    /// Candidates kept while decoding; 1 is greedy.
    pub beam: u8,
    /// Full or trimmed encoder window.
    pub window: EncoderWindow,
    /// Neighbouring stretches are packed up to this length; 0 takes each alone. At most 28000.
    pub pack_ms: u32,
    /// What is decoded once more, with more candidates.
    pub retry: Option<Retry>,
}

/// Signals that mark a text as invented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    /// Dropped when "no speech" is at least this probable and the words are improbable as well.
    pub no_speech: f32,
    /// Mean log probability under which words count as improbable.
    pub logprob: f32,
    /// More characters a second than anybody speaks.
    pub chars_per_second: f32,
}

impl Default for RecognizeConfig {
    fn default() -> Self {
        Self {
            language: "zh".into(),
            live: PassConfig { beam: 1, window: EncoderWindow::Trimmed, pack_ms: 0, retry: None },
            batch: PassConfig::default(),
            second_pass: true,
            prompt: String::new(),
            hotwords: true,
            homophones: 3.0,
            sentence_ms: 6_000,
            guard: GuardConfig::default(),
        }
    }
}

impl Default for PassConfig {
    fn default() -> Self {
        Self { beam: 1, window: EncoderWindow::Full, pack_ms: 28_000, retry: None }
    }
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self { no_speech: 0.6, logprob: -0.8, chars_per_second: 14.0 }
    }
}

/// Which of the two passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Somebody waits for it: live lane, trimmed window.
    Live,
    /// Deferred lane, packed full windows.
    Batch,
}

/// A stretch of speech and its samples at 16 kHz.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Where it lies in the visit.
    pub speech: Speech,
    /// `speech.end - speech.start` samples.
    pub samples: Vec<f32>,
    /// What was heard of its beginning; shared by all clips that begin there.
    pub draft: Draft,
}

/// What the recogniser heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Words {
    /// Where, in the visit.
    pub span: Span,
    /// The words, with hotwords and homophones as they were meant.
    pub text: String,
    /// Mean token probability, 0..=1.
    pub confidence: f32,
}

impl Words {
    fn join(&mut self, next: Self) {
        let length = |span: Span| span.len_ms().0.max(1) as f32;
        let (mine, its) = (length(self.span), length(next.span));
        self.confidence = (self.confidence * mine + next.confidence * its) / (mine + its);
        self.span.end_ms = next.span.end_ms;
        if !self.text.ends_with(['，', ',', '、']) {
            self.text.push('，');
        }
        self.text.push_str(&next.text);
    }
}

/// The stage.
#[derive(Clone)]
pub struct Recognize {
    config: RecognizeConfig,
    pool: Pool<dyn Recognizer>,
}

/// Reads what a pass needs besides its model, so that the first visit does not wait for it. Blocks.
pub fn warm_up(config: &RecognizeConfig) {
    if config.hotwords || config.homophones > 0.0 {
        homophones::load();
    }
}

impl Recognize {
    /// Recognises with the model in `pool`.
    pub fn new(config: &RecognizeConfig, pool: Pool<dyn Recognizer>) -> Result<Self> {
        if config.live.pack_ms > 28_000 || config.batch.pack_ms > 28_000 {
            return Err(Error::new(Code::InvalidPipeline, "recognize: pack_ms must be at most 28000"));
        }
        let passes = [&config.live, &config.batch];
        let mut beams = passes.iter().flat_map(|p| [Some(p.beam), p.retry.map(|r| r.beam)]).flatten();
        if !beams.all(|beam| (1..=8).contains(&beam)) {
            return Err(Error::new(Code::InvalidPipeline, "recognize: beam must be from 1 to 8"));
        }
        if !(config.homophones.is_finite() && config.homophones >= 0.0) {
            return Err(Error::new(Code::InvalidPipeline, "recognize: homophones must be 0 or more"));
        }
        Ok(Self { config: config.clone(), pool })
    }

    /// Whether these stretches may go into one request of this pass.
    pub fn fits<'a>(&self, pass: Pass, clips: impl IntoIterator<Item = &'a Clip>) -> bool {
        let length = clips.into_iter().map(|clip| clip.samples.len() as u64).sum();
        Samples(length) <= Samples::from_millis(Millis(self.pass(pass).pack_ms.into()))
    }

    /// Whether this pass takes each stretch alone, at once.
    pub fn takes_alone(&self, pass: Pass) -> bool {
        self.pass(pass).pack_ms == 0
    }

    /// Whether live visits are to go through batch as well, and can.
    pub fn has_second_pass(&self) -> bool {
        self.config.second_pass && self.pool.workers() > 1
    }

    /// Keeps a worker free for live requests, where there are several, for as long as the answer is held.
    pub fn expect_live(&self) -> Expected<dyn Recognizer> {
        self.pool.expect_live()
    }

    /// Recognises neighbouring stretches as one request. Words come in order, mapped to the visit's time.
    /// Those of stretches that `apart` says are of different voices are never joined.
    pub async fn run(
        &self,
        pass: Pass,
        clips: Vec<Clip>,
        hotwords: &[String],
        apart: impl Fn(Span, Span) -> bool,
    ) -> Result<Vec<Words>> {
        let lane = match pass {
            Pass::Live => Lane::Live,
            Pass::Batch => Lane::Deferred,
        };
        self.hear(self.pass(pass), lane, clips, hotwords, apart).await
    }

    /// Whether there is a worker for each live visit, so that there is time for more than is waited for.
    pub fn is_calm(&self) -> bool {
        self.pool.is_calm()
    }

    /// Recognises once more, as batch does, what live has heard stretch by stretch. For each text `told` of
    /// them, in order: what stands there now, or `None` where nothing does. Empty while more visits are live than
    /// there are workers: a window takes seconds, and they would wait.
    pub async fn again(
        &self,
        clips: Vec<Clip>,
        told: &[String],
        hotwords: &[String],
    ) -> Result<Vec<Option<Reading>>> {
        if !self.is_calm() {
            return Ok(Vec::new());
        }
        let words = self.hear(&self.config.batch, Lane::Second, clips, hotwords, |_, _| false).await?;
        Ok(borders::part(&words, told))
    }

    async fn hear(
        &self,
        settings: &PassConfig,
        lane: Lane,
        clips: Vec<Clip>,
        hotwords: &[String],
        apart: impl Fn(Span, Span) -> bool,
    ) -> Result<Vec<Words>> {
        let draft = match clips.as_slice() {
            [alone] => alone.draft.clone(),
            _ => Draft::default(),
        };
        let (audio, map) = pack::join(clips);
        let prompt = Some(self.config.prompt.clone()).filter(|prompt| !prompt.is_empty());
        let seconds = audio.len() as f32 / SAMPLE_RATE_HZ as f32;
        let request = RecognizeRequest {
            audio,
            language: self.config.language.clone(),
            prompt: prompt.clone(),
            beam: settings.beam,
            retry: settings.retry,
            window: settings.window,
            // One sentence needs no times inside; several do, or they would come as one segment. A stretch
            // that is taken alone is final as a whole, so that its start does not wait for its end twice.
            timestamps: settings.pack_ms > 0 && seconds > self.config.sentence_ms as f32 / 1000.0,
            draft,
        };
        let pieces = self
            .pool
            .run(lane, request)
            .await
            .map_err(|e| Error::caused(Code::EngineFailed, "the recogniser failed", e))?;
        let mut words: Vec<Words> = Vec::new();
        let mut last_stretch = usize::MAX;
        for piece in pieces {
            let stretch = map.stretch(piece.start_ms);
            let Some(next) = self.judge(piece, &map, prompt.as_deref()) else { continue };
            match words.last_mut() {
                Some(last)
                    if stretch == last_stretch
                        && self.belongs(last, &next)
                        && !apart(last.span, next.span) =>
                {
                    last.join(next);
                }
                _ => words.push(next),
            }
            last_stretch = stretch;
        }
        self.rewrite(words, hotwords).await
    }

    /// Writes what was heard right and written wrong as it was meant.
    async fn rewrite(&self, mut words: Vec<Words>, hotwords: &[String]) -> Result<Vec<Words>> {
        if words.is_empty() {
            return Ok(words);
        }
        let cost = self.config.homophones;
        let hotwords = Hotwords::new(if self.config.hotwords { hotwords } else { &[] });
        // A few milliseconds of reckoning for a long text.
        tokio::task::spawn_blocking(move || {
            for words in &mut words {
                let mut text: Vec<char> = script::simplified(&words.text).chars().collect();
                let fixed = hotwords.write(&mut text);
                if cost > 0.0 {
                    text = homophones::settle(&text, &fixed, cost);
                }
                words.text = text.into_iter().collect();
            }
            words
        })
        .await
        .map_err(Error::internal)
    }

    /// Whether a piece goes on with the sentence before it. Whisper cuts at every breath; a moment needs the
    /// whole sentence.
    fn belongs(&self, last: &Words, next: &Words) -> bool {
        let ended = last.text.ends_with(['。', '？', '！', '?', '!', '.']);
        !ended && next.span.end_ms.since(last.span.start_ms).0 <= self.config.sentence_ms.into()
    }

    fn judge(&self, piece: Piece, map: &pack::TimeMap, prompt: Option<&str>) -> Option<Words> {
        let text = guard::run(&self.config.guard, &piece, prompt)?;
        let confidence = piece.avg_logprob.exp().clamp(0.0, 1.0);
        Some(Words { span: map.span(piece.start_ms, piece.end_ms), text, confidence })
    }

    fn pass(&self, pass: Pass) -> &PassConfig {
        match pass {
            Pass::Live => &self.config.live,
            Pass::Batch => &self.config.batch,
        }
    }
}

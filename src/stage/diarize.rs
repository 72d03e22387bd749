//! diarize: stretches of speech -> who spoke there: the salesperson, a customer, or not known.
//!
//! Two kinds of evidence meet here. How the voices sound, window by window, tells which windows are of one
//! person; what is said tells which person is the salesperson. Neither is enough alone: a sentence's words are
//! often anybody's, but a person's words over some minutes are not, and a voice has no role. Prints of voices
//! tell a person, so they stay in memory and go with the visit.
//!
//! [`Diarize`] asks the model; [`Voices`] is what is known of one visit's voices so far. It does no sound and no
//! text itself: the session brings prints, the analysis brings what the words say.

use serde::{Deserialize, Serialize};

use super::recognize::Clip;
use crate::domain::audio::Samples;
use crate::domain::time::{Millis, Span};
use crate::domain::transcript::Speaker;
use crate::engine::{Lane, Pool, PoolError, VOICEPRINT_WINDOW, VoiceEncoder, VoiceprintRequest};
use crate::error::{Code, Error, Result};

mod cluster;

/// Configuration of `use = "diarize"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiarizeConfig {
    /// From the start of one window to that of the next, in a file; windows are 1.6 s long.
    pub step_ms: u32,
    /// The same in a live visit.
    pub live_step_ms: u32,
    /// Cosine, counted from the mean of the visit's voices, over which two groups of windows are one voice's.
    pub same: f32,
    /// Evidence of its words that gives a voice its role, in nats.
    pub sure: f32,
}

impl Default for DiarizeConfig {
    fn default() -> Self {
        Self { step_ms: 800, live_step_ms: 1_600, same: 0.3, sure: 2.5 }
    }
}

/// Shorter stretches have no voice to speak of.
const SHORTEST: u64 = 16_000 / 4;
/// What one utterance's words can say at most, in nats: a model is surer than it is right.
const MOST: f32 = 1.5;
/// `same` where there are some seconds of a visit only.
const CLEARLY_APART: f32 = 0.0;
/// Share of a stretch that must be of one voice.
const CLEAR: f32 = 0.6;

/// How a voice sounds at a place of the visit.
#[derive(Debug, Clone, PartialEq)]
pub struct Print {
    span: Span,
    direction: Vec<f32>,
}

/// The stage.
#[derive(Clone)]
pub struct Diarize {
    config: DiarizeConfig,
    pool: Pool<dyn VoiceEncoder>,
}

impl Diarize {
    /// Listens with the model in `pool`.
    pub fn new(config: &DiarizeConfig, pool: Pool<dyn VoiceEncoder>) -> Result<Self> {
        let wrong = |why: &str| Error::new(Code::InvalidPipeline, format!("diarize: {why}"));
        if [config.step_ms, config.live_step_ms].iter().any(|ms| !(200..=10_000).contains(ms)) {
            return Err(wrong("step_ms and live_step_ms must be from 200 to 10000"));
        }
        if !(config.same.is_finite() && config.same.abs() < 1.0 && config.sure.is_finite()) {
            return Err(wrong("same must lie between -1 and 1, and sure must be a number"));
        }
        Ok(Self { config: config.clone(), pool })
    }

    /// The prints of these stretches, in order of time.
    pub async fn run(&self, lane: Lane, clips: &[Clip]) -> Result<Vec<Print>> {
        let step = if lane == Lane::Live { self.config.live_step_ms } else { self.config.step_ms };
        let step = Samples::from_millis(Millis(step.into())).0;
        let (mut spans, mut windows) = (Vec::new(), Vec::new());
        for clip in clips {
            for (start, samples) in cut(&clip.samples, step) {
                let start = Samples(clip.speech.start.0 + start);
                let end = Samples(start.0 + samples.len() as u64);
                spans.push(Span { start_ms: start.to_millis(), end_ms: end.to_millis() });
                windows.push(samples.to_vec());
            }
        }
        if windows.is_empty() {
            return Ok(Vec::new());
        }
        let prints = self.pool.run(lane, VoiceprintRequest { windows }).await.map_err(failed)?;
        Ok(spans.into_iter().zip(prints).map(|(span, print)| Print { span, direction: print.0 }).collect())
    }
}

fn failed(e: PoolError) -> Error {
    Error::caused(Code::EngineFailed, "the voice encoder failed", e)
}

/// Windows of a stretch with their places in it; the last one ends where it ends.
fn cut(samples: &[f32], step: u64) -> Vec<(u64, &[f32])> {
    let length = samples.len() as u64;
    if length < SHORTEST {
        return Vec::new();
    }
    let last = length.saturating_sub(VOICEPRINT_WINDOW as u64);
    let starts = (0..last).step_by(step.max(1) as usize).chain([last]);
    let window = |start: u64| {
        let end = (start + VOICEPRINT_WINDOW as u64).min(length);
        samples.get(start as usize..end as usize).map(|samples| (start, samples))
    };
    starts.filter_map(window).collect()
}

/// What is known of the voices of one visit.
#[derive(Debug, Clone, Default)]
pub struct Voices {
    config: DiarizeConfig,
    prints: Vec<Print>,
    /// The voice of each print, and how many voices there are.
    of: Vec<usize>,
    centres: cluster::Centres,
    /// Prints at the last division.
    divided: usize,
    /// What the words of a stretch say of its speaker: over 0 a customer.
    words: Vec<(Span, f32)>,
}

impl Voices {
    /// Nothing is known yet.
    pub fn new(config: &DiarizeConfig) -> Self {
        Self { config: config.clone(), ..Self::default() }
    }

    /// Another one, for a short stretch of the visit: what little there is must lie clearly apart.
    pub fn anew(&self) -> Self {
        Self::new(&DiarizeConfig { same: self.config.same.min(CLEARLY_APART), ..self.config.clone() })
    }

    /// Takes the next prints.
    pub fn hear(&mut self, prints: Vec<Print>) {
        self.prints.extend(prints);
        // As often as the visit grows by an eighth, so that a long one costs no more for each minute.
        if self.prints.len() > self.divided + self.divided / 8 {
            self.divided = self.prints.len();
            let all = self.prints.iter().map(|p| p.direction.as_slice()).collect();
            (self.centres, self.of) = cluster::divide(all, self.config.same);
        } else {
            let fresh = self.prints.iter().skip(self.of.len()).map(|p| p.direction.as_slice());
            let fresh: Vec<usize> = fresh.map(|direction| self.centres.nearest(direction)).collect();
            self.of.extend(fresh);
        }
    }

    /// Takes what the words of a stretch say: the probability that a customer speaks them.
    pub fn read(&mut self, span: Span, customer: f32) {
        // A probability of 0 or 1 has no finite odds; the bound takes care of it.
        let odds = (customer / (1.0 - customer)).ln();
        self.words.push((span, odds.clamp(-MOST, MOST)));
    }

    /// Whether two stretches are of different voices, as far as is known.
    pub fn differ(&self, one: Span, other: Span) -> bool {
        matches!((self.voice(one), self.voice(other)), (Some(one), Some(other)) if one != other)
    }

    /// Who speaks in each of these stretches.
    pub fn speakers(&self, spans: impl IntoIterator<Item = Span>) -> Vec<Option<Speaker>> {
        let mut evidence = vec![0.0; self.centres.len()];
        for (span, odds) in &self.words {
            if let Some(sum) = self.voice(*span).and_then(|voice| evidence.get_mut(voice)) {
                *sum += odds;
            }
        }
        let role = |voice: usize| match evidence.get(voice).copied().unwrap_or_default() {
            sum if sum >= self.config.sure => Some(Speaker::Customer),
            sum if sum <= -self.config.sure => Some(Speaker::Rep),
            _ => None,
        };
        spans.into_iter().map(|span| self.voice(span).and_then(role)).collect()
    }

    /// The voice of most of a stretch.
    fn voice(&self, span: Span) -> Option<usize> {
        let mut time = vec![0.0; self.centres.len()];
        // Prints come in order of time, and none is longer than a window.
        let from = self.prints.partition_point(|p| p.span.end_ms <= span.start_ms);
        let near = self.prints.iter().zip(&self.of).skip(from.saturating_sub(2));
        for (print, voice) in near.take_while(|(p, _)| p.span.start_ms < span.end_ms) {
            let shared = print.span.end_ms.min(span.end_ms).since(print.span.start_ms.max(span.start_ms)).0;
            let whole = print.span.len_ms().0.max(1);
            if let Some(sum) = time.get_mut(*voice) {
                // A window that lies half outside is half somebody else's.
                *sum += (shared * shared) as f32 / whole as f32;
            }
        }
        let all: f32 = time.iter().sum();
        let (voice, most) = time.into_iter().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        (most > 0.0 && most >= CLEAR * all).then_some(voice)
    }
}

#[cfg(test)]
mod tests;

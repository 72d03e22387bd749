//! vad: samples at 16 kHz -> stretches of speech, each sample of speech in exactly one.
//!
//! Silero gives a probability for every 32 ms; this stage makes decisions of them: hysteresis against
//! flicker, padding so that first and last sounds survive, an end only after enough silence, and a cut at the
//! quietest point where somebody talks on and on. It keeps no audio, only positions; the session keeps the
//! samples. One instance follows one stream and may be asked for a flush at any time.

use serde::{Deserialize, Serialize};

use crate::domain::audio::{SAMPLE_RATE_HZ, Samples};
use crate::engine::{Lane, Pool, PoolError, VOICE_WINDOW, VoiceDetector, VoiceRequest, VoiceState};
use crate::error::{Code, Error, Result};

/// Configuration of `use = "vad"`. Times in milliseconds of audio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VadConfig {
    /// Speech begins at this probability.
    pub threshold: f32,
    /// Speech goes on down to this probability.
    pub release: f32,
    /// Anything shorter is not speech.
    pub min_speech_ms: u32,
    /// Silence that ends a segment up to `short_ms` long.
    pub min_silence_ms: u32,
    /// The longer somebody has spoken, the shorter the pause that ends the segment: from here on...
    pub short_ms: u32,
    /// ...to here, from where on...
    pub long_ms: u32,
    /// ...this silence is enough.
    pub long_silence_ms: u32,
    /// Kept before and after the speech.
    pub pad_ms: u32,
    /// Longest segment; past it the quietest point of its last third is the border.
    pub max_segment_ms: u32,
    /// From `long_ms` on ever shallower dips end a segment, and past its greatest length the border is looked
    /// for in the last second only: nobody waits for a place that has long gone by.
    pub dips: bool,
    /// `long_ms` of a live visit, where somebody waits for the end of a segment.
    pub live_long_ms: u32,
    /// `max_segment_ms` of a live visit.
    pub live_max_segment_ms: u32,
    /// `dips` of a live visit.
    pub live_dips: bool,
}

impl Default for VadConfig {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            release: 0.35,
            min_speech_ms: 160,
            min_silence_ms: 400,
            short_ms: 2_500,
            long_ms: 8_000,
            long_silence_ms: 96,
            pad_ms: 200,
            max_segment_ms: 12_000,
            dips: false,
            live_long_ms: 6_000,
            live_max_segment_ms: 10_000,
            live_dips: true,
        }
    }
}

impl VadConfig {
    /// The same for a live visit.
    pub fn live(&self) -> Self {
        let (long_ms, max_segment_ms) = (self.live_long_ms, self.live_max_segment_ms);
        Self { long_ms, max_segment_ms, dips: self.live_dips, ..self.clone() }
    }
}

/// A stretch of speech, padding included; `start < end`. Successive stretches are ordered and disjoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speech {
    /// First sample.
    pub start: Samples,
    /// First sample after.
    pub end: Samples,
}

/// The stage: one stream's voice activity.
pub struct Vad {
    config: VadConfig,
    pool: Pool<dyn VoiceDetector>,
    state: VoiceState,
    /// Samples that do not fill a window yet.
    pending: Vec<f32>,
    decider: Decider,
}

impl Vad {
    /// Follows a new stream.
    pub fn new(config: &VadConfig, pool: Pool<dyn VoiceDetector>) -> Result<Self> {
        let c = config;
        let wrong = |why: &str| Error::new(Code::InvalidPipeline, format!("vad: {why}"));
        if !(c.release > 0.0 && c.release <= c.threshold && c.threshold < 1.0) {
            return Err(wrong("0 < release <= threshold < 1 must hold"));
        }
        if [c.max_segment_ms, c.live_max_segment_ms].iter().any(|ms| !(1_000..=28_000).contains(ms)) {
            return Err(wrong("max_segment_ms and live_max_segment_ms must be from 1000 to 28000"));
        }
        if c.min_silence_ms < 64 || c.pad_ms > c.min_silence_ms {
            return Err(wrong("min_silence_ms must be at least 64 and at least pad_ms"));
        }
        if !(64..=c.min_silence_ms).contains(&c.long_silence_ms)
            || c.short_ms >= c.long_ms.min(c.live_long_ms)
        {
            let rule =
                "64 <= long_silence_ms <= min_silence_ms and short_ms < long_ms, live_long_ms must hold";
            return Err(wrong(rule));
        }
        Ok(Self {
            config: config.clone(),
            pool,
            state: VoiceState::default(),
            pending: Vec::new(),
            decider: Decider::new(config),
        })
    }

    /// Takes the next samples and returns the stretches of speech that have ended.
    pub async fn run(&mut self, lane: Lane, samples: &[f32]) -> Result<Vec<Speech>> {
        self.pending.extend_from_slice(samples);
        let whole = self.pending.len() - self.pending.len() % VOICE_WINDOW;
        if whole == 0 {
            return Ok(Vec::new());
        }
        let windows = self.pending.drain(..whole).collect();
        self.judge(lane, windows).await
    }

    /// Ends the stream: judges the last, incomplete window and closes an open stretch.
    pub async fn finish(&mut self, lane: Lane) -> Result<Vec<Speech>> {
        let mut ended = Vec::new();
        let end = Samples(self.decider.position.0 + self.pending.len() as u64);
        if !self.pending.is_empty() {
            let mut last = std::mem::take(&mut self.pending);
            last.resize(VOICE_WINDOW, 0.0);
            ended = self.judge(lane, last).await?;
        }
        ended.extend(self.decider.close(end));
        // The padding of the last window is not part of the stream.
        for speech in &mut ended {
            speech.end = speech.end.min(end);
        }
        Ok(ended)
    }

    /// Closes an open stretch here and now, without waiting for silence.
    pub fn flush(&mut self) -> Option<Speech> {
        self.decider.close(self.decider.position)
    }

    /// How far the stream has been judged: a whole number of windows.
    pub fn position(&self) -> Samples {
        self.decider.position
    }

    /// Where the open stretch began, if somebody is speaking.
    pub fn open_since(&self) -> Option<Samples> {
        self.decider.open.as_ref().filter(|o| o.voiced >= self.decider.min_speech).map(|o| o.start)
    }

    /// No sample before this can be part of a later stretch: what the session may forget.
    pub fn needed_from(&self) -> Samples {
        let pad = ms(self.config.pad_ms) + VOICE_WINDOW as u64;
        let idle = Samples(self.decider.position.0.saturating_sub(pad));
        self.decider.open.as_ref().map_or(idle, |o| o.start)
    }

    async fn judge(&mut self, lane: Lane, samples: Vec<f32>) -> Result<Vec<Speech>> {
        let state = std::mem::take(&mut self.state);
        let reply = self.pool.run(lane, VoiceRequest { state, samples }).await.map_err(failed)?;
        self.state = reply.state;
        Ok(reply.probabilities.iter().filter_map(|p| self.decider.window(*p)).collect())
    }
}

fn failed(e: PoolError) -> Error {
    Error::caused(Code::EngineFailed, "the voice detector failed", e)
}

/// How far back a border is looked for where somebody waits for it.
const LOOK_BACK: u64 = ms(1_000);
/// Windows of a dip.
const DIP: u64 = 2;

const fn ms(ms: u32) -> u64 {
    ms as u64 * SAMPLE_RATE_HZ as u64 / 1000
}

/// Turns probabilities into stretches. All positions in samples.
#[derive(Debug)]
struct Decider {
    threshold: f32,
    release: f32,
    min_speech: u64,
    min_silence: u64,
    short: u64,
    long: u64,
    long_silence: u64,
    pad: u64,
    max: u64,
    dips: bool,
    /// End of the last judged window.
    position: Samples,
    /// End of the last stretch given out.
    last_end: Samples,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    start: Samples,
    /// End of the last window that was speech.
    voice_end: Samples,
    /// Samples that were speech.
    voiced: u64,
    /// Probability of each window since `start` (rounded up to a window).
    first_window: Samples,
    probabilities: Vec<f32>,
}

impl Decider {
    fn new(config: &VadConfig) -> Self {
        Self {
            threshold: config.threshold,
            release: config.release,
            min_speech: ms(config.min_speech_ms),
            min_silence: ms(config.min_silence_ms),
            short: ms(config.short_ms),
            long: ms(config.long_ms),
            long_silence: ms(config.long_silence_ms),
            pad: ms(config.pad_ms),
            max: ms(config.max_segment_ms),
            dips: config.dips,
            position: Samples(0),
            last_end: Samples(0),
            open: None,
        }
    }

    /// Judges the next window; at most one stretch ends with it.
    fn window(&mut self, probability: f32) -> Option<Speech> {
        const WINDOW: u64 = VOICE_WINDOW as u64;
        let begin = self.position;
        self.position = Samples(begin.0 + WINDOW);
        let Some(open) = &mut self.open else {
            if probability >= self.threshold {
                self.open = Some(Open {
                    start: Samples(begin.0.saturating_sub(self.pad)).max(self.last_end),
                    voice_end: self.position,
                    voiced: WINDOW,
                    first_window: begin,
                    probabilities: vec![probability],
                });
            }
            return None;
        };
        open.probabilities.push(probability);
        if probability >= self.release {
            open.voice_end = self.position;
            open.voiced += WINDOW;
        }
        let (start, voice_end) = (open.start.0, open.voice_end.0);
        if self.position.0 - voice_end >= self.enough_silence(voice_end - start) {
            return self.close(self.position);
        }
        let length = self.position.0 - start;
        if length >= self.max {
            return Some(self.split(if self.dips { LOOK_BACK } else { self.max / 3 }));
        }
        if self.dips && length > self.long && self.is_in_dip(length) {
            return Some(self.split(DIP * WINDOW));
        }
        None
    }

    /// Whether the last windows are less surely speech than a segment of this length asks for: anything will do in
    /// the end, and next to nothing at first. Silence is none: it ends the segment by itself, and with its padding.
    fn is_in_dip(&self, length: u64) -> bool {
        let past = (length - self.long) as f32 / (self.max - self.long) as f32;
        let bound = self.release + (1.0 - self.release) * past * past;
        let Some(open) = &self.open else { return false };
        open.probabilities.iter().rev().take(DIP as usize).all(|p| (self.release..bound).contains(p))
    }

    /// The silence that ends a segment of this length: falls linearly between the two lengths.
    fn enough_silence(&self, length: u64) -> u64 {
        let (from, over) = (self.short, self.long - self.short);
        let past = length.saturating_sub(from).min(over);
        self.min_silence - (self.min_silence - self.long_silence) * past / over
    }

    /// Ends the open stretch no later than `limit`; one that is too short for speech is dropped.
    fn close(&mut self, limit: Samples) -> Option<Speech> {
        let open = self.open.take()?;
        if open.voiced < self.min_speech {
            return None;
        }
        let end = Samples(open.voice_end.0 + self.pad).min(limit);
        self.last_end = end;
        Some(Speech { start: open.start, end })
    }

    /// Cuts the open stretch at the quietest window of the last `back` samples and goes on from there.
    fn split(&mut self, back: u64) -> Speech {
        const WINDOW: u64 = VOICE_WINDOW as u64;
        let open = self.open.take();
        let Some(open) = open else { return Speech { start: self.position, end: self.position } };
        let from = open.probabilities.len().saturating_sub((back / WINDOW).max(1) as usize);
        let (quietest, _) = open
            .probabilities
            .iter()
            .enumerate()
            .skip(from)
            .min_by(|a, b| a.1.total_cmp(b.1))
            .unwrap_or((open.probabilities.len() - 1, &0.0));
        let border = Samples(open.first_window.0 + quietest as u64 * WINDOW + WINDOW / 2);
        let rest: Vec<f32> = open.probabilities.iter().skip(quietest + 1).copied().collect();
        let voiced = rest.iter().filter(|p| **p >= self.release).count() as u64 * WINDOW;
        self.last_end = border;
        if voiced > 0 {
            self.open = Some(Open {
                start: border,
                voice_end: open.voice_end,
                voiced: voiced.max(self.min_speech),
                first_window: Samples(open.first_window.0 + (quietest as u64 + 1) * WINDOW),
                probabilities: rest,
            });
        }
        Speech { start: open.start, end: border }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: u64 = VOICE_WINDOW as u64;

    fn decide(probabilities: &[f32]) -> Vec<Speech> {
        decide_by(&VadConfig::default(), probabilities)
    }

    fn decide_by(config: &VadConfig, probabilities: &[f32]) -> Vec<Speech> {
        let mut decider = Decider::new(config);
        let mut out: Vec<_> = probabilities.iter().filter_map(|p| decider.window(*p)).collect();
        out.extend(decider.close(decider.position));
        out
    }

    fn script(parts: &[(f32, usize)]) -> Vec<f32> {
        parts.iter().flat_map(|(p, n)| std::iter::repeat_n(*p, *n)).collect()
    }

    #[test]
    fn silence_gives_nothing_and_a_click_gives_nothing() {
        assert!(decide(&script(&[(0.02, 1_000)])).is_empty());
        assert!(decide(&script(&[(0.02, 100), (0.9, 3), (0.02, 100)])).is_empty());
    }

    #[test]
    fn a_short_pause_does_not_end_a_sentence_and_a_long_one_does() {
        let together = decide(&script(&[(0.0, 20), (0.9, 30), (0.1, 8), (0.9, 30), (0.0, 40)]));
        assert_eq!(together.len(), 1);
        let apart = decide(&script(&[(0.0, 20), (0.9, 30), (0.1, 20), (0.9, 30), (0.0, 40)]));
        assert_eq!(apart.len(), 2);
    }

    #[test]
    fn the_longer_a_sentence_the_shorter_the_pause_that_ends_it() {
        // Windows of speech, and how many of silence end it.
        for (speech, silence) in [(30, 13), (60, 13), (160, 8), (300, 3)] {
            let found =
                |silence| decide(&script(&[(0.9, speech), (0.1, silence), (0.9, 30), (0.0, 40)])).len();
            assert_eq!((found(silence - 1), found(silence)), (1, 2), "after {speech} windows of speech");
        }
    }

    #[test]
    fn padding_keeps_first_and_last_sounds() {
        let speech = decide(&script(&[(0.0, 20), (0.9, 30), (0.0, 40)]))[0];
        let pad = ms(VadConfig::default().pad_ms);
        assert_eq!(speech.start.0, 20 * WINDOW - pad);
        assert_eq!(speech.end.0, 50 * WINDOW + pad);
    }

    #[test]
    fn an_endless_talker_is_cut_at_the_quietest_point() {
        let mut p = vec![0.95; 900];
        p[300] = 0.4;
        let found = decide(&p);
        assert_eq!(found[0].end.0, 300 * WINDOW + WINDOW / 2);
        assert_eq!(found[0].end, found[1].start);
    }

    #[test]
    fn a_live_talker_is_cut_at_a_dip_that_has_just_been_and_never_waits_long() {
        let live = VadConfig::default().live();
        // 8 s in, halfway from long_ms to the end: 0.5 is a dip there, and was none after 5 s.
        let mut p = vec![0.95; 900];
        p[150..154].fill(0.5);
        p[255..259].fill(0.5);
        let found = decide_by(&live, &p);
        assert!((255 * WINDOW..259 * WINDOW).contains(&found[0].end.0), "{}", found[0].end.0 / WINDOW);
        // Silence after a long stretch is no dip.
        let speech = decide_by(&live, &script(&[(0.0, 20), (0.95, 260), (0.0, 40)]))[0];
        assert!(speech.end.0 > 280 * WINDOW + ms(90), "{}", speech.end.0);
        // Whoever never pauses at all is cut not far behind the end.
        let mut decider = Decider::new(&live);
        for window in 0..2_000_u64 {
            if let Some(speech) = decider.window(if window % 40 == 0 { 0.97 } else { 0.99 }) {
                assert!(decider.position.0 - speech.end.0 <= LOOK_BACK, "window {window}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_spoken_sample_is_in_exactly_one_stretch(
            parts in proptest::collection::vec((0.0_f32..1.0, 1_usize..120), 1..40),
            live in proptest::bool::ANY,
        ) {
            let p = script(&parts);
            let config = if live { VadConfig::default().live() } else { VadConfig::default() };
            let found = decide_by(&config, &p);
            let total = p.len() as u64 * WINDOW;
            for pair in found.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start, "overlap: {pair:?}");
            }
            let max = ms(config.max_segment_ms) + ms(config.pad_ms);
            for s in &found {
                prop_assert!(s.start < s.end && s.end.0 <= total && s.end.0 - s.start.0 <= max);
            }
            // A run of sure speech that is long enough is inside the stretches, whole.
            let mut at = 0;
            for (probability, n) in parts {
                let (begin, end) = (at, at + n as u64 * WINDOW);
                at = end;
                if probability >= config.threshold && n as u64 * WINDOW >= ms(config.min_speech_ms) {
                    let inside: u64 = found
                        .iter()
                        .map(|s| s.end.0.min(end).saturating_sub(s.start.0.max(begin)))
                        .sum();
                    prop_assert_eq!(inside, end - begin);
                }
            }
        }
    }
}

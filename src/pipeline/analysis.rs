//! The text half of a pipeline: recognised words in; segments, moments and at last the result out.
//!
//! Live sessions, file transcription, `analyze` and the cases of a pipeline file all come through here, so
//! that a sentence means the same whichever way it arrived. Utterances go in as they are heard. One that ends
//! inside a number, an address or a plate is held back until the next is there, since that may run across
//! the border; nothing leaves this module unmasked. What moments a segment holds is judged when the one after
//! it is there as well (a question is answered, a price is sighed at), or when nothing more is to come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Pipeline, TextStages};
use crate::domain::ids::{MomentId, SegmentId};
use crate::domain::moment::Moment;
use crate::domain::result::{ModelRef, PipelineRef, VisitResult};
use crate::domain::time::{Millis, Span};
use crate::domain::transcript::{Gap, GapReason, Pii, Segment, Speaker};
use crate::engine::{ClassifyRequest, Engines, MomentScores, Said};
use crate::error::Result;
use crate::stage::classify::{Classify, Detected};
use crate::stage::diarize::{Print, Voices};

/// Most utterances that are held back waiting for a number to end: one said group by group, and said back so.
const MAX_HELD: usize = 6;

/// Segments before the judged one that a stage may look at.
const CONTEXT: usize = 6;

/// An utterance as recognised (or as given to `analyze`).
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Where it lies in the visit.
    pub span: Span,
    /// Its words, unmasked.
    pub text: String,
    /// Mean token probability.
    pub confidence: f32,
}

/// What became known with the last utterance.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A finished segment.
    Segment(Segment),
    /// The moments of a segment told before; there may be none.
    Judged(SegmentId, Vec<Moment>),
}

/// What came of a segment when those were its speaker and the ones around it.
struct Judged {
    scores: Option<MomentScores>,
    speaker: Option<Speaker>,
    around: Vec<Option<Speaker>>,
    moments: Vec<Moment>,
}

/// One visit's text, growing.
pub struct Analysis {
    stages: Arc<TextStages>,
    classify: Classify,
    visit_at: jiff::ZonedDateTime,
    pipeline: PipelineRef,
    models: BTreeMap<String, ModelRef>,
    held: Vec<Heard>,
    segments: Vec<Segment>,
    /// The first segments, judged.
    judged: Vec<Judged>,
    voices: Voices,
    /// Whether moments are told once only, whatever becomes known of the speakers.
    once: bool,
    pii: Vec<(Pii, usize, usize)>,
    timings: Timings,
}

impl Analysis {
    /// An empty visit at this time.
    pub fn new(pipeline: &Pipeline, engines: &Engines, visit_at: jiff::ZonedDateTime) -> Result<Self> {
        Ok(Self {
            stages: pipeline.text.clone(),
            classify: Classify::new(&pipeline.stages.classify, engines)?,
            visit_at,
            pipeline: pipeline.reference.clone(),
            models: engines.models.clone(),
            held: Vec::new(),
            segments: Vec::new(),
            judged: Vec::new(),
            voices: Voices::new(&pipeline.stages.diarize.clone().unwrap_or_default()),
            once: false,
            pii: Vec::new(),
            timings: Timings::default(),
        })
    }

    /// Leaves moments as they were first told: another analysis of the visit has the last word.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// What tells voices apart, without what this visit's sound like.
    pub fn voices_alone(&self) -> Voices {
        self.voices.anew()
    }

    /// Takes how the voices sound in what is heard next.
    pub fn hear(&mut self, prints: Vec<Print>) {
        self.voices.hear(prints);
    }

    /// The id that the next finished segment will get, counting what is held back.
    pub fn next_segment(&self) -> SegmentId {
        SegmentId::nth(self.segments.len() + self.held.len() + 1)
    }

    /// Masked form of words that are not final. `None` while they end inside what may be personal data.
    pub fn preview(&self, text: &str) -> Option<String> {
        let mut texts = self.waiting(text);
        if self.stages.mask.may_continue(&texts) {
            return None;
        }
        // The end of what is held back is shown to the mask, never returned.
        self.stages.mask.run(&mut texts);
        texts.pop()
    }

    /// Takes the next utterance.
    pub async fn push(&mut self, heard: Heard) -> Result<Vec<News>> {
        let open = self.stages.mask.may_continue(&self.waiting(&heard.text));
        self.held.push(heard);
        if open && self.held.len() < MAX_HELD { Ok(Vec::new()) } else { self.flush().await }
    }

    /// The words before `text` that may say what it is, masked or held back, and `text` itself.
    fn waiting(&self, text: &str) -> Vec<String> {
        let held = self.held.iter().map(|h| h.text.as_str()).chain([text]);
        let before = self.segments.last().map(|s| s.raw_text.clone());
        before.into_iter().chain(held.map(|text| self.stages.normalize.simplify(text))).collect()
    }

    /// Whether anything waits for the next utterance.
    pub fn is_unfinished(&self) -> bool {
        !self.held.is_empty() || self.judged.len() < self.segments.len()
    }

    /// Finishes everything: what is held back, the moments of the last segment, and of those whose speaker became
    /// known since.
    pub async fn close(&mut self) -> Result<Vec<News>> {
        let mut news = self.flush().await?;
        while self.judged.len() < self.segments.len() {
            news.extend(self.judge_next().await?);
        }
        if !self.once {
            news.extend(self.judge_by_speakers().await?);
        }
        Ok(news)
    }

    /// Asks the model again and decides anew where it became known who speaks.
    async fn judge_by_speakers(&mut self) -> Result<Vec<News>> {
        let speakers = self.speakers();
        let speaker = |at: usize| speakers.get(at).copied().flatten();
        let asked = (0..self.judged.len()).map(|at| (at, self.request(at, speaker)));
        let is_news = |judged: &Judged, request: &ClassifyRequest| {
            judged.speaker != request.judged.speaker || judged.around != request.speakers()
        };
        let changed = asked.filter(|(at, request)| {
            self.judged.get(*at).is_some_and(|j| j.scores.is_some() && is_news(j, request))
        });
        let (places, requests): (Vec<usize>, Vec<ClassifyRequest>) = changed.unzip();
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let begin = Instant::now();
        let scores = self.classify.again(&requests).await?;
        self.timings.add("classify", begin);
        let mut news = Vec::new();
        for ((at, request), scores) in places.into_iter().zip(requests).zip(scores) {
            let (speaker, around) = (request.judged.speaker, request.speakers());
            let moments = self.moments(at, Some(&scores), speaker);
            if moments != self.judged[at].moments {
                news.push(News::Judged(self.segments[at].id.clone(), moments.clone()));
            }
            self.judged[at] = Judged { scores: Some(scores), speaker, around, moments };
        }
        Ok(news)
    }

    /// What the model is asked of a segment, when those are the speakers of it and its neighbours.
    fn request(&self, at: usize, speaker: impl Fn(usize) -> Option<Speaker>) -> ClassifyRequest {
        let said = |at: usize| {
            let text = self.segments.get(at)?.raw_text.clone();
            Some(Said { text, speaker: speaker(at) })
        };
        let before: Vec<Said> = (at.saturating_sub(CONTEXT)..at).filter_map(said).collect();
        self.classify.request(&before, said(at).unwrap_or_default(), said(at + 1))
    }

    /// Who speaks in each segment, as far as is known by now.
    fn speakers(&self) -> Vec<Option<Speaker>> {
        self.voices.speakers(self.segments.iter().map(Segment::span))
    }

    /// Finishes what is held back.
    async fn flush(&mut self) -> Result<Vec<News>> {
        let held = std::mem::take(&mut self.held);
        let (raws, texts, found) = self.read(&held);
        let first = self.segments.len();
        let mut news = Vec::new();
        for ((heard, raw_text), text) in held.into_iter().zip(raws).zip(texts) {
            let segment = Segment {
                id: SegmentId::nth(self.segments.len() + 1),
                start_ms: heard.span.start_ms,
                end_ms: heard.span.end_ms,
                text,
                raw_text,
                speaker: self.voices.speakers([heard.span]).pop().flatten(),
                confidence: heard.confidence,
            };
            news.push(News::Segment(segment.clone()));
            self.segments.push(segment);
            while self.judged.len() + 1 < self.segments.len() {
                news.extend(self.judge_next().await?);
            }
        }
        for (kind, from, to) in found {
            let (from, to) = (first + from, first + to);
            let span = (self.segments.get(from).map(|s| s.start_ms), self.segments.get(to).map(|s| s.end_ms));
            self.pii.push((Pii { kind, start_ms: span.0, end_ms: span.1, utterances: None }, from, to));
        }
        Ok(news)
    }

    /// Raw and shown text of neighbouring utterances, both masked, and what was masked where.
    fn read(&mut self, held: &[Heard]) -> (Vec<String>, Vec<String>, Vec<Found>) {
        let stages = self.stages.clone();
        let mut raws: Vec<String> = self
            .timings
            .measure("normalize", || held.iter().map(|h| stages.normalize.simplify(&h.text)).collect());
        let before = self.segments.last().cloned();
        let mut found = self.mask(before.as_ref().map(|s| s.raw_text.as_str()), &mut raws);
        let mut texts: Vec<String> =
            self.timings.measure("normalize", || raws.iter().map(|raw| stages.normalize.run(raw)).collect());
        // Rewriting numbers can bring to light what the spoken form hid; the second look finds nothing twice.
        found.extend(self.mask(before.as_ref().map(|s| s.text.as_str()), &mut texts));
        (raws, texts, found)
    }

    /// Masks `texts`. The text `before` them may say what they are (您手机多少), and is told already.
    fn mask(&mut self, before: Option<&str>, texts: &mut Vec<String>) -> Vec<Found> {
        let stages = self.stages.clone();
        let told = before.map_or(0, |before| {
            texts.insert(0, before.to_owned());
            1
        });
        let found = self.timings.measure("mask", || stages.mask.run(texts));
        texts.drain(..told);
        let fresh = found.into_iter().filter(|m| m.last >= told);
        fresh.map(|m| (m.kind, m.first.saturating_sub(told), m.last - told)).collect()
    }

    /// The moments of the first segment that has not been judged.
    async fn judge_next(&mut self) -> Result<Option<News>> {
        let at = self.judged.len();
        let Some(segment) = self.segments.get(at).cloned() else { return Ok(None) };
        let begin = Instant::now();
        let from = at.saturating_sub(CONTEXT);
        let near = self.segments.iter().skip(from).take(at + 2 - from);
        let speakers = self.voices.speakers(near.map(Segment::span));
        let request = self.request(at, |n| speakers.get(n - from).copied().flatten());
        let around = request.speakers();
        let scores = self.classify.run(request).await?;
        self.timings.add("classify", begin);
        if let Some(scores) = &scores {
            self.voices.read(segment.span(), scores.customer);
        }
        let speaker = self.voices.speakers([segment.span()]).pop().flatten();
        let moments = self.moments(at, scores.as_ref(), speaker);
        self.judged.push(Judged { scores, speaker, around, moments: moments.clone() });
        Ok(Some(News::Judged(segment.id, moments)))
    }

    /// What the segment holds by these scores, when this is its speaker.
    fn moments(&mut self, at: usize, scores: Option<&MomentScores>, speaker: Option<Speaker>) -> Vec<Moment> {
        let (Some(segment), Some(scores)) = (self.segments.get(at), scores) else { return Vec::new() };
        let begin = Instant::now();
        let recent = self.segments.get(at.saturating_sub(CONTEXT)..at).unwrap_or_default();
        let texts: Vec<String> = recent.iter().map(|s| s.text.clone()).collect();
        let moment = |found: Detected| Moment {
            id: MomentId::of(&segment.id, found.kind),
            kind: found.kind,
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            utterances: None,
            segment_ids: vec![segment.id.clone()],
            score: found.score,
            evidence: segment.text.clone(),
            slots: self.stages.extract.run(&found, &segment.text, &texts, &self.visit_at),
        };
        let moments = self.classify.decide(scores, speaker).into_iter().map(moment).collect();
        self.timings.add("extract", begin);
        moments
    }

    /// Time spent elsewhere for this visit, to be reported with the rest.
    pub fn spent(&mut self, stage: &'static str, begin: Instant) {
        self.timings.add(stage, begin);
    }

    /// The same, of work that took so long.
    pub fn took(&mut self, stage: &'static str, time: Duration) {
        self.timings.record(stage, time);
    }

    /// Adds the time that another analysis of this visit took.
    pub fn add_times(&mut self, other: Self) {
        for (stage, micros) in other.timings.0 {
            *self.timings.0.entry(stage).or_default() += micros;
        }
    }

    /// Closes the visit: `gaps` are stretches that failed, silence between segments is added to them.
    pub fn finish(mut self, duration_ms: Millis, speech_ms: Millis, gaps: Vec<Gap>) -> VisitResult {
        let lost: u64 = gaps.iter().map(|g| g.end_ms.since(g.start_ms).0).sum();
        let coverage =
            if speech_ms.0 == 0 { 1.0 } else { 1.0 - lost.min(speech_ms.0) as f64 / speech_ms.0 as f64 };
        let coverage = (coverage * 1e4).round() / 1e4;
        let speakers = self.speakers();
        for (segment, speaker) in self.segments.iter_mut().zip(speakers) {
            segment.speaker = speaker;
        }
        let moments: Vec<Moment> = self.judged.into_iter().flat_map(|judged| judged.moments).collect();
        let (stages, segments) = (self.stages.clone(), &self.segments);
        let summary =
            self.timings.measure("summarize", || stages.summarize.run(&moments, segments, coverage));
        VisitResult {
            duration_ms,
            speech_ms,
            coverage,
            gaps: with_silence(&self.segments, gaps, duration_ms),
            segments: self.segments,
            moments,
            pii: self.pii.into_iter().map(|(pii, ..)| pii).collect(),
            summary,
            timings: self.timings.millis(),
            pipeline: self.pipeline,
            models: self.models,
        }
    }

    /// Closes a given transcript: moments and personal data name the utterances by their own numbers.
    pub fn finish_text(mut self, numbers: &[u32], duration_ms: Millis) -> VisitResult {
        for (at, judged) in self.judged.iter_mut().enumerate() {
            for moment in &mut judged.moments {
                moment.utterances = Some(numbers.get(at).copied().into_iter().collect());
            }
        }
        for (pii, from, to) in &mut self.pii {
            *pii = Pii {
                utterances: Some(numbers.get(*from..=*to).unwrap_or_default().to_vec()),
                start_ms: None,
                end_ms: None,
                ..pii.clone()
            };
        }
        let speech_ms = Millis(self.segments.iter().map(|s| s.span().len_ms().0).sum());
        let mut result = self.finish(duration_ms, speech_ms, Vec::new());
        result.gaps.clear();
        result
    }
}

/// Kind, first and last text of something masked.
type Found = (crate::domain::transcript::PiiKind, usize, usize);

/// Fills what neither a segment nor a failed stretch covers, so that together they cover the whole visit.
fn with_silence(segments: &[Segment], failed: Vec<Gap>, duration_ms: Millis) -> Vec<Gap> {
    let mut taken: Vec<Span> = segments.iter().map(Segment::span).collect();
    taken.extend(failed.iter().map(|g| Span { start_ms: g.start_ms, end_ms: g.end_ms }));
    taken.sort_by_key(|s| s.start_ms);
    let mut gaps = failed;
    let mut at = Millis(0);
    for span in taken.into_iter().chain([Span { start_ms: duration_ms, end_ms: duration_ms }]) {
        if span.start_ms > at {
            gaps.push(Gap { start_ms: at, end_ms: span.start_ms, reason: GapReason::NoSpeech });
        }
        at = at.max(span.end_ms);
    }
    gaps.sort_by_key(|g| g.start_ms);
    gaps
}

/// Time by stage, kept in microseconds so that many short turns do not round to nothing.
#[derive(Debug, Default)]
struct Timings(BTreeMap<&'static str, u64>);

impl Timings {
    fn add(&mut self, stage: &'static str, begin: Instant) {
        self.record(stage, begin.elapsed());
    }

    fn record(&mut self, stage: &'static str, spent: Duration) {
        *self.0.entry(stage).or_default() += spent.as_micros() as u64;
        metrics::histogram!(crate::telemetry::STAGE_SECONDS, "stage" => stage).record(spent);
    }

    fn measure<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let out = work();
        self.add(stage, begin);
        out
    }

    fn millis(self) -> BTreeMap<String, u64> {
        self.0.into_iter().map(|(stage, micros)| (stage.to_owned(), micros.div_ceil(1000))).collect()
    }
}

#[cfg(test)]
mod tests;

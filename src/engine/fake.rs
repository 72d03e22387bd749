//! Deterministic stand-ins for the models, for tests of everything around them. Never part of a result that
//! anybody is shown: the service takes them only from test code.

use super::{
    ClassifyRequest, EngineError, Engines, MomentClassifier, MomentScores, Piece, Pool, RecognizeRequest,
    Recognizer, VOICE_WINDOW, VoiceDetector, VoiceEncoder, VoiceReply, VoiceRequest, Voiceprint,
    VoiceprintRequest,
};
use crate::domain::audio::Samples;
use crate::domain::time::Millis;

/// Says one fixed sentence for every second of audio begun.
pub struct FakeRecognizer;

/// What [`FakeRecognizer`] hears: one quote, one intent, one step, by turns of the audio's length.
pub const FAKE_LINES: [&str; 3] =
    ["这套一共28.8万元，月底前签可以打九折", "行，那合同发我，下周三签", "周五我把方案发给您"];

impl Recognizer for FakeRecognizer {
    fn recognize(&mut self, request: &RecognizeRequest) -> Result<Vec<Piece>, EngineError> {
        let end = Samples(request.audio.len() as u64).to_millis();
        let line = FAKE_LINES[(end.0 / 1000) as usize % FAKE_LINES.len()];
        Ok(vec![Piece {
            start_ms: Millis(0),
            end_ms: end,
            text: line.to_owned(),
            avg_logprob: -0.2,
            no_speech_prob: 0.01,
            tokens: line.chars().count() as u32,
        }])
    }
}

/// Hears speech wherever the mean level of a window is above 0.01.
pub struct FakeVoice;

impl VoiceDetector for FakeVoice {
    fn detect(&mut self, request: &VoiceRequest) -> Result<VoiceReply, EngineError> {
        let probabilities = request
            .samples
            .chunks(VOICE_WINDOW)
            .map(|w| if w.iter().map(|s| s.abs()).sum::<f32>() / w.len() as f32 > 0.01 { 0.95 } else { 0.02 })
            .collect();
        Ok(VoiceReply { state: request.state.clone(), probabilities })
    }
}

/// Two voices: one that is louder than 0.3, and one that is not.
pub struct FakeVoices;

impl VoiceEncoder for FakeVoices {
    fn encode(&mut self, request: &VoiceprintRequest) -> Result<Vec<Voiceprint>, EngineError> {
        let level = |w: &Vec<f32>| w.iter().map(|s| s.abs()).sum::<f32>() / w.len().max(1) as f32;
        let voice = |w| if level(w) > 0.3 { vec![0.6, 0.8, 0.0] } else { vec![0.6, 0.0, 0.8] };
        Ok(request.windows.iter().map(|w| Voiceprint(voice(w))).collect())
    }
}

/// Finds a quote where there is 元 or 折, an intent where there is 签, a step where there is 发给. Takes whoever says
/// 行 for a customer, and whoever says 您 for the salesperson.
pub struct FakeMoments;

impl MomentClassifier for FakeMoments {
    fn classify(&mut self, batch: &[ClassifyRequest]) -> Result<Vec<MomentScores>, EngineError> {
        let has =
            |text: &str, words: &[&str]| if words.iter().any(|w| text.contains(w)) { 0.9 } else { 0.05 };
        Ok(batch
            .iter()
            .map(|r| MomentScores {
                kinds: [
                    has(&r.judged.text, &["元", "折"]),
                    0.05,
                    0.05,
                    has(&r.judged.text, &["合同"]),
                    has(&r.judged.text, &["发给"]),
                ],
                categories: [0.1; 10],
                levels: [0.8, 0.2],
                customer: match () {
                    () if r.judged.text.contains('行') => 0.9,
                    () if r.judged.text.contains('您') => 0.1,
                    () => 0.5,
                },
            })
            .collect())
    }

    fn thresholds(&self) -> [f32; 5] {
        [0.5; 5]
    }
}

/// Finds a step where there is 发给 and nothing else: a candidate that differs from [`FakeMoments`].
pub struct FakeSteps;

impl MomentClassifier for FakeSteps {
    fn classify(&mut self, batch: &[ClassifyRequest]) -> Result<Vec<MomentScores>, EngineError> {
        let mut scores = FakeMoments.classify(batch)?;
        for scores in &mut scores {
            let [.., step] = scores.kinds;
            scores.kinds = [0.05, 0.05, 0.05, 0.05, step];
        }
        Ok(scores)
    }

    fn thresholds(&self) -> [f32; 5] {
        [0.5; 5]
    }
}

/// All three fakes: two recognisers, as a second pass needs, and one of each other.
pub fn engines() -> Result<Engines, EngineError> {
    Ok(Engines {
        recognizer: Pool::start("fake-recognizer", 2, 64, || {
            Ok(Box::new(FakeRecognizer) as Box<dyn Recognizer>)
        })?,
        voice: Pool::start("fake-voice", 1, 64, || Ok(Box::new(FakeVoice) as Box<dyn VoiceDetector>))?,
        voiceprints: Some(Pool::start("fake-voiceprint", 1, 64, || {
            Ok(Box::new(FakeVoices) as Box<dyn VoiceEncoder>)
        })?),
        moments: Pool::start("fake-moments", 1, 64, || {
            Ok(Box::new(FakeMoments) as Box<dyn MomentClassifier>)
        })?,
        thresholds: FakeMoments.thresholds(),
        shadow: None,
        models: Default::default(),
    })
}

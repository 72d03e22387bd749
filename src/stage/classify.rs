//! classify: which kinds of moment an utterance is, by the model and nothing else.

mod shadow;

use serde::{Deserialize, Serialize};

use crate::domain::moment::MomentKind;
use crate::domain::transcript::Speaker;
use crate::engine::candidate::Shadow;
use crate::engine::{ClassifyRequest, Engines, Lane, MomentClassifier, MomentScores, Pool, PoolError, Said};
use crate::error::{Code, Error};

/// Utterances that are judged at once, so that a long visit neither holds up others nor takes much memory.
const MAX_BATCH: usize = 16;

/// How an utterance is put to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassifyConfig {
    /// Utterances before the judged one that the model is shown.
    pub context: usize,
    /// Decision thresholds in the order of `MomentKind::ALL`, instead of the manifest's.
    pub thresholds: Option<[f32; 5]>,
    /// By what the odds of a kind that only one side can say are multiplied where that side speaks...
    pub right_side: f32,
    /// ...and where the other side does. 1 and 1 leave the speaker out of it.
    pub wrong_side: f32,
}

impl Default for ClassifyConfig {
    fn default() -> Self {
        Self { context: 3, thresholds: None, right_side: 2.0, wrong_side: 0.05 }
    }
}

/// A kind of moment found in an utterance.
#[derive(Debug, Clone, PartialEq)]
pub struct Detected {
    /// Which of the five.
    pub kind: MomentKind,
    /// Its calibrated probability, 0..=1.
    pub score: f32,
    /// All that the model said of the utterance.
    pub scores: MomentScores,
}

/// Asks the model.
pub struct Classify {
    pool: Pool<dyn MomentClassifier>,
    context: usize,
    thresholds: [f32; 5],
    sides: [f32; 2],
    shadow: Option<Shadow>,
}

impl Classify {
    /// Takes the model's pool; fails on thresholds outside 0..=1.
    pub fn new(config: &ClassifyConfig, engines: &Engines) -> Result<Self, Error> {
        let thresholds = config.thresholds.unwrap_or(engines.thresholds);
        if thresholds.iter().any(|t| !(0.0..=1.0).contains(t)) {
            return Err(Error::new(Code::InvalidConfig, "classify.thresholds must lie between 0 and 1"));
        }
        let sides = [config.right_side, config.wrong_side];
        if sides.iter().any(|factor| !(factor.is_finite() && *factor > 0.0)) {
            return Err(Error::new(Code::InvalidConfig, "classify.right_side and wrong_side must be over 0"));
        }
        let (pool, shadow) = (engines.moments.clone(), engines.shadow.clone());
        Ok(Self { pool, context: config.context, thresholds, sides, shadow })
    }

    /// What the model says of an utterance; nothing where there is nothing to ask.
    pub async fn run(&self, request: ClassifyRequest) -> Result<Option<MomentScores>, Error> {
        if is_wordless(&request.judged.text) {
            return Ok(None);
        }
        let again = self.shadow.as_ref().map(|shadow| (shadow, request.clone()));
        let scores = self.ask(Lane::Live, vec![request]).await?.into_iter().next();
        if let (Some((shadow, request)), Some(scores)) = (again, &scores) {
            shadow::judge(shadow, request, over(scores, &self.thresholds));
        }
        Ok(scores)
    }

    /// How an utterance said after `before` (oldest first) and, if that is known, before `after` is put to the model.
    pub fn request(&self, before: &[Said], judged: Said, after: Option<Said>) -> ClassifyRequest {
        let shown = before.len().saturating_sub(self.context);
        ClassifyRequest { before: before.get(shown..).unwrap_or_default().to_vec(), judged, after }
    }

    /// What the model says of utterances that it has judged before, now that it is known who speaks.
    pub async fn again(&self, requests: &[ClassifyRequest]) -> Result<Vec<MomentScores>, Error> {
        let mut scores = Vec::with_capacity(requests.len());
        for batch in requests.chunks(MAX_BATCH) {
            scores.extend(self.ask(Lane::Live, batch.to_vec()).await?);
        }
        Ok(scores)
    }

    async fn ask(&self, lane: Lane, batch: Vec<ClassifyRequest>) -> Result<Vec<MomentScores>, Error> {
        self.pool.run(lane, batch).await.map_err(|e| match e {
            PoolError::Gone => Error::new(Code::EngineFailed, "the classifier is not running"),
            PoolError::Engine(e) => Error::caused(Code::EngineFailed, "the classifier failed on a text", e),
        })
    }

    /// The kinds over their thresholds, when this side speaks. A customer's objection is none of the salesperson's.
    pub fn decide(&self, scores: &MomentScores, speaker: Option<Speaker>) -> Vec<Detected> {
        let [right, wrong] = self.sides;
        let factor = |kind: MomentKind| match (kind.said_by(), speaker) {
            (Some(side), Some(speaker)) if side == speaker => right,
            (Some(_), Some(_)) => wrong,
            _ => 1.0,
        };
        let kinds = std::array::from_fn(|n| {
            let (score, factor) = (scores.kinds[n], factor(MomentKind::ALL[n]));
            score * factor / (1.0 - score + score * factor)
        });
        let scores = &MomentScores { kinds, ..scores.clone() };
        MomentKind::ALL
            .into_iter()
            .zip(scores.kinds)
            .zip(over(scores, &self.thresholds))
            .filter(|(_, over)| *over)
            .map(|((kind, score), _)| Detected { kind, score, scores: scores.clone() })
            .collect()
    }
}

/// Nothing to ask about a text of less than two characters.
fn is_wordless(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphanumeric()).count() < 2
}

/// Which kinds reach their thresholds, in the order of `MomentKind::ALL`.
fn over(scores: &MomentScores, thresholds: &[f32; 5]) -> [bool; 5] {
    std::array::from_fn(|n| scores.kinds[n] >= thresholds[n])
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};
    use std::time::Duration;

    use super::*;
    use crate::engine::candidate::Classifier;
    use crate::engine::{EngineError, fake};

    fn said(text: &str) -> Said {
        Said { text: text.to_owned(), speaker: None }
    }

    async fn kinds(classify: &Classify, text: &str) -> Vec<MomentKind> {
        let scores = classify.run(classify.request(&[], said(text), None)).await.unwrap().unwrap();
        classify.decide(&scores, None).iter().map(|d| d.kind).collect()
    }

    #[tokio::test]
    async fn kinds_over_their_threshold_come_back() {
        let classify = Classify::new(&ClassifyConfig::default(), &fake::engines().unwrap()).unwrap();
        let found = kinds(&classify, "合同发给我，一共三万元").await;
        assert_eq!(found, [MomentKind::Quote, MomentKind::SigningIntent, MomentKind::NextStep]);
        let nothing = classify.request(&[], said("。"), None);
        assert_eq!(classify.run(nothing).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_only_one_side_can_say_is_not_found_in_the_others_words() {
        let classify = Classify::new(&ClassifyConfig::default(), &fake::engines().unwrap()).unwrap();
        let scores = |kinds| MomentScores { kinds, categories: [0.1; 10], levels: [0.5; 2], customer: 0.5 };
        let found = |kinds, speaker| -> Vec<MomentKind> {
            classify.decide(&scores(kinds), speaker).iter().map(|d| d.kind).collect()
        };
        let all = [0.7; 5];
        use MomentKind::*;
        assert_eq!(found(all, None), MomentKind::ALL);
        assert_eq!(found(all, Some(Speaker::Rep)), [Quote, ObjectionHandling, NextStep]);
        assert_eq!(found(all, Some(Speaker::Customer)), [Quote, Objection, SigningIntent, NextStep]);
        let nearly = [0.45; 5];
        assert_eq!(found(nearly, None), []);
        assert_eq!(found(nearly, Some(Speaker::Rep)), [ObjectionHandling]);
    }

    #[tokio::test]
    async fn only_the_nearest_texts_are_shown() {
        let config = ClassifyConfig { context: 1, ..Default::default() };
        let classify = Classify::new(&config, &fake::engines().unwrap()).unwrap();
        let before = [said("一"), said("二")];
        assert_eq!(classify.request(&before, said("好的"), None).before, [said("二")]);
    }

    /// Judges nothing for as long as the other end is there, and then fails.
    struct Stuck(Arc<Mutex<mpsc::Receiver<()>>>);

    impl MomentClassifier for Stuck {
        fn classify(&mut self, _: &[ClassifyRequest]) -> Result<Vec<MomentScores>, EngineError> {
            let gone = self.0.lock().unwrap().recv().unwrap_err();
            Err(EngineError::Failed(gone.to_string()))
        }

        fn thresholds(&self) -> [f32; 5] {
            [0.0; 5]
        }
    }

    #[tokio::test]
    async fn a_shadow_that_is_stuck_or_fails_delays_and_changes_nothing() {
        let (let_go, stuck) = mpsc::channel();
        let stuck = Arc::new(Mutex::new(stuck));
        let shadow = Shadow::of(Classifier::fake("stuck", move || Stuck(stuck.clone())).unwrap());
        let places = shadow.places.clone();
        let free = places.available_permits();
        let engines = Engines { shadow: Some(shadow), ..fake::engines().unwrap() };
        let classify = Classify::new(&ClassifyConfig::default(), &engines).unwrap();
        let ask = async || kinds(&classify, "合同发给我，一共三万元").await;
        for _ in 0..3 * free {
            let found = tokio::time::timeout(Duration::from_secs(10), ask()).await.unwrap();
            assert_eq!(found, [MomentKind::Quote, MomentKind::SigningIntent, MomentKind::NextStep]);
        }
        assert_eq!(places.available_permits(), 0, "the rest was dropped");
        drop(let_go);
        let all = u32::try_from(free).unwrap();
        drop(tokio::time::timeout(Duration::from_secs(10), places.acquire_many(all)).await.unwrap());
        assert_eq!(ask().await.len(), 3);
    }

    #[test]
    fn thresholds_are_checked() {
        let config = ClassifyConfig { thresholds: Some([0.5, 0.5, 1.5, 0.5, 0.5]), ..Default::default() };
        let refused = Classify::new(&config, &fake::engines().unwrap()).err().unwrap();
        assert_eq!(refused.code, Code::InvalidConfig);
    }
}

//! The real graphs on the real runtime.

use std::path::Path;

use super::*;
use crate::domain::transcript::Speaker;
use crate::engine::manifest::Manifests;
use crate::engine::{
    ClassifyRequest, MomentClassifier, Said, VOICE_WINDOW, VoiceDetector, VoiceRequest, VoiceState, real,
};

fn voice() -> SileroVoice {
    let (manifest, path) = real::model("silero-vad");
    SileroVoice::load(real::environment(), &manifest, &std::fs::read(path).unwrap()).unwrap()
}

fn whole_windows(mut samples: Vec<f32>) -> Vec<f32> {
    samples.truncate(samples.len() / VOICE_WINDOW * VOICE_WINDOW);
    samples
}

fn detect(voice: &mut SileroVoice, samples: &[f32]) -> Vec<f32> {
    let request = VoiceRequest { samples: samples.to_vec(), ..VoiceRequest::default() };
    voice.detect(&request).unwrap().probabilities
}

#[test]
fn speech_is_told_from_silence_and_noise() {
    let mut voice = voice();
    for file in ["aishell.wav", "damo.wav"] {
        let speech = detect(&mut voice, &whole_windows(real::clip(file)));
        let share = speech.iter().filter(|p| **p > 0.5).count() as f64 / speech.len() as f64;
        assert!(share > 0.7, "{file}: {share}");
    }
    for quiet in
        [vec![0.0; 64_000], real::noise(64_000, 0.003), real::noise(64_000, 0.1), vec![f32::NAN; 64_000]]
    {
        let heard = detect(&mut voice, &whole_windows(quiet));
        assert!(heard.iter().all(|p| *p < 0.5), "{:?}", heard.iter().copied().fold(0.0, f32::max));
    }
}

#[test]
fn how_a_stream_is_cut_changes_nothing() {
    let samples = whole_windows(real::clip("aishell.wav"));
    let mut voice = voice();
    let at_once = detect(&mut voice, &samples);
    let (mut state, mut cut) = (VoiceState::default(), Vec::new());
    for run in samples.chunks(3 * VOICE_WINDOW) {
        let reply = voice.detect(&VoiceRequest { state, samples: run.to_vec() }).unwrap();
        state = reply.state;
        cut.extend(reply.probabilities);
        // Another visit in between must not matter.
        detect(&mut voice, &[0.3; VOICE_WINDOW]);
    }
    assert_eq!(at_once, cut);
    assert!(voice.detect(&VoiceRequest { samples: vec![0.0; 100], ..VoiceRequest::default() }).is_err());
}

#[test]
fn a_graph_that_is_not_as_described_is_refused() {
    let (mut manifest, path) = real::model("silero-vad");
    let graph = std::fs::read(path).unwrap();
    manifest.inputs[1].shape[0] = Dim::Fixed(4);
    let error = SileroVoice::load(real::environment(), &manifest, &graph).err().unwrap();
    assert!(matches!(&error, EngineError::Altered(why) if why.contains("`state`")), "{error}");
    let cut = &graph[..graph.len() / 2];
    assert!(SileroVoice::load(real::environment(), &manifest, cut).is_err());
}

/// `models/moments/golden.json`.
#[derive(serde::Deserialize)]
struct Golden {
    tolerance: f32,
    items: Vec<Item>,
}

#[derive(serde::Deserialize)]
struct Item {
    previous: Vec<String>,
    text: String,
    following: Option<String>,
    #[serde(default)]
    speakers: Vec<Option<Speaker>>,
    ids: Vec<i64>,
    segments: Vec<i64>,
    #[serde(default)]
    speaking: Vec<i64>,
    grams: [Vec<i64>; 3],
    scores: [f32; 5],
    categories: [f32; 10],
    levels: [f32; 2],
    customer: [f32; 1],
}

impl Item {
    fn request(&self) -> ClassifyRequest {
        let mut speakers = self.speakers.iter().copied().chain(std::iter::repeat(None));
        let mut said = |text: &String| Said { text: text.clone(), speaker: speakers.next().flatten() };
        ClassifyRequest {
            before: self.previous.iter().map(&mut said).collect(),
            judged: said(&self.text),
            after: self.following.as_ref().map(said),
        }
    }
}

fn golden() -> (Golden, Manifest) {
    let golden = serde_json::from_str(include_str!("../../../models/moments/golden.json")).unwrap();
    (golden, Manifests::read(Path::new("/nowhere")).unwrap().get("moments").unwrap().clone())
}

#[test]
fn text_becomes_the_golden_ids() {
    let (golden, manifest) = golden();
    let features = TextFeatures::load(&manifest, Path::new("/nowhere")).unwrap();
    for item in &golden.items {
        let input = features.input(&item.request());
        assert_eq!((&input.window.ids, &input.window.segments), (&item.ids, &item.segments), "{}", item.text);
        assert_eq!(input.window.speakers, item.speaking, "{}", item.text);
        assert_eq!(input.grams, item.grams, "{}", item.text);
    }
}

#[test]
fn the_classifier_gives_the_golden_scores() {
    let (golden, manifest) = golden();
    let mut classifier = OnnxMoments::load(real::environment(), &manifest, Path::new("/nowhere")).unwrap();
    let requests: Vec<_> = golden.items.iter().map(Item::request).collect();
    let together = classifier.classify(&requests).unwrap();
    assert_eq!(together.len(), golden.items.len());
    for ((item, request), scores) in golden.items.iter().zip(&requests).zip(together) {
        // A batch is padded to its longest; alone, nothing is.
        let alone = classifier.classify(std::slice::from_ref(request)).unwrap().remove(0);
        for scores in [scores, alone] {
            let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= golden.tolerance);
            assert!(near(&scores.kinds, &item.scores), "{}: {:?}", item.text, scores.kinds);
            assert!(near(&scores.categories, &item.categories), "{}", item.text);
            assert!(near(&scores.levels, &item.levels), "{}", item.text);
            assert!(near(&[scores.customer], &item.customer), "{}", item.text);
        }
    }
}

//! The moment classifier: an utterance, up to three before it and, if known, the one after it in; a probability
//! for each kind out.
//!
//! The model is our own and small, so it is part of the binary; one in the models directory replaces it. How
//! text becomes ids is in `pieces` and `grams`; calibration is part of the graph.

use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::value::TensorRef;
use sha2::{Digest, Sha256};

use super::grams::Hasher;
use super::pieces::{self, Pieces, Window, prepared};
use super::{Environment, failed, session};
use crate::domain::moment::{MomentKind, ObjectionCategory};
use crate::engine::installed;
use crate::engine::manifest::{self, Manifest};
use crate::engine::{ClassifyRequest, EngineError, MomentClassifier, MomentScores};

const GRAPH: &[u8] = include_bytes!("../../../models/moments/moments.onnx");
const PINYIN: &[u8] = include_bytes!("../../../models/moments/pinyin.tsv");
const TOKENIZER: &[u8] = include_bytes!("../../../models/moments/tokenizer.json");

/// Utterances judged in one run; bounds the memory of a long visit's pass.
const MAX_BATCH: usize = 32;
/// Rows of n-grams: the utterance, the one before, the one before that.
const ROLES: usize = 3;

/// One worker's classifier.
pub struct OnnxMoments {
    session: Session,
    pieces: Pieces,
    hasher: Hasher,
    roles: [char; ROLES],
    thresholds: [f32; 5],
}

/// What the graph is given of one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) window: Window,
    pub(super) grams: [Vec<i64>; ROLES],
}

impl OnnxMoments {
    /// Opens the graph that the manifest names: the built-in one, or a file in the models directory.
    pub fn load(
        environment: &Environment,
        manifest: &Manifest,
        models_dir: &Path,
    ) -> Result<Self, EngineError> {
        let damaged = |what: &str| EngineError::Altered(format!("the manifest of {}: {what}", manifest.name));
        let features = manifest.features.as_ref().ok_or_else(|| damaged("no [features]"))?;
        let (graph, pinyin, tokenizer) = if manifest.is_embedded() {
            (GRAPH.to_vec(), PINYIN.to_vec(), TOKENIZER.to_vec())
        } else {
            let read = |path: PathBuf| {
                let missing = |e| EngineError::Missing(format!("cannot read {}: {e}", path.display()));
                std::fs::read(&path).map_err(missing)
            };
            let beside = |file: &Path| read(models_dir.join(file));
            let graph = read(installed::require(manifest, models_dir)?)?;
            (graph, beside(&features.pinyin)?, beside(&features.tokenizer)?)
        };
        let is = |bytes: &[u8], hash: &manifest::Sha256| {
            installed::hex(Sha256::new_with_prefix(bytes)) == hash.as_str()
        };
        if !is(&pinyin, &features.pinyin_sha256) {
            return Err(damaged("the table of syllables is not the one it names"));
        }
        if !is(&tokenizer, &features.tokenizer_sha256) {
            return Err(damaged("the tokenizer is not the one it names"));
        }
        let pinyin = String::from_utf8(pinyin).map_err(|_| damaged("the table of syllables is no text"))?;
        check_order(manifest).map_err(damaged)?;
        Ok(Self {
            session: session(environment, manifest, &graph)?,
            pieces: Pieces::new(&tokenizer)?,
            hasher: Hasher::new(features, &pinyin)?,
            roles: features.roles.as_slice().try_into().map_err(|_| damaged("three roles are needed"))?,
            thresholds: thresholds(manifest)?,
        })
    }

    pub(super) fn input(&self, request: &ClassifyRequest) -> Input {
        // An utterance without words is none.
        let mut before: Vec<(&String, String)> = request
            .before
            .iter()
            .rev()
            .map(|text| (text, prepared(text)))
            .filter(|(_, prepared)| !prepared.is_empty())
            .take(pieces::MAX_BEFORE)
            .collect();
        let earlier = |n: usize| before.get(n).map_or("", |(text, _)| text.as_str());
        let texts = [request.text.as_str(), earlier(0), earlier(1)];
        let grams = std::array::from_fn(|n| self.hasher.ids(texts[n], self.roles[n]));
        before.reverse();
        let before: Vec<String> = before.into_iter().map(|(_, prepared)| prepared).collect();
        let after = request.after.as_deref().map(prepared);
        Input { window: self.pieces.window(&before, &prepared(&request.text), after.as_deref()), grams }
    }

    fn run(&mut self, batch: &[ClassifyRequest]) -> Result<Vec<MomentScores>, EngineError> {
        let inputs: Vec<Input> = batch.iter().map(|request| self.input(request)).collect();
        let rows = |of: fn(&Input) -> &Vec<i64>| inputs.iter().map(of).collect::<Vec<_>>();
        let (ids, length) = padded(&rows(|i| &i.window.ids), pieces::PADDING);
        let (segments, _) = padded(&rows(|i| &i.window.segments), 0);
        let (grams, most) = padded(&inputs.iter().flat_map(|i| &i.grams).collect::<Vec<_>>(), 0);
        let tensor = |shape: Vec<usize>, values| TensorRef::from_array_view((shape, values)).map_err(failed);
        let outputs = self
            .session
            .run(ort::inputs![
                "ids" => tensor(vec![batch.len(), length], ids.as_slice())?,
                "segments" => tensor(vec![batch.len(), length], segments.as_slice())?,
                "grams" => tensor(vec![batch.len(), ROLES, most], grams.as_slice())?,
            ])
            .map_err(failed)?;
        let output = |name: &str| {
            let value = outputs.get(name).ok_or_else(|| missing(name))?;
            value.try_extract_tensor::<f32>().map(|(_, values)| values).map_err(failed)
        };
        let (kinds, categories, levels) = (output("scores")?, output("categories")?, output("levels")?);
        let (kinds, categories, levels) =
            (kinds.as_chunks().0, categories.as_chunks().0, levels.as_chunks().0);
        if [kinds.len(), categories.len(), levels.len()] != [batch.len(); 3] {
            return Err(missing("scores"));
        }
        let scores = kinds.iter().zip(categories).zip(levels);
        Ok(scores
            .map(|((kinds, categories), levels)| MomentScores {
                kinds: *kinds,
                categories: *categories,
                levels: *levels,
            })
            .collect())
    }
}

/// Rows made equally long, in one run, and that length; at least 1.
fn padded(rows: &[&Vec<i64>], padding: i64) -> (Vec<i64>, usize) {
    let width = rows.iter().map(|row| row.len()).max().unwrap_or(0).max(1);
    let mut out = Vec::with_capacity(rows.len() * width);
    for row in rows {
        out.extend_from_slice(row);
        out.resize(out.len() + width - row.len(), padding);
    }
    (out, width)
}

impl MomentClassifier for OnnxMoments {
    fn classify(&mut self, batch: &[ClassifyRequest]) -> Result<Vec<MomentScores>, EngineError> {
        let mut scores = Vec::with_capacity(batch.len());
        for part in batch.chunks(MAX_BATCH) {
            scores.extend(self.run(part)?);
        }
        Ok(scores)
    }

    fn thresholds(&self) -> [f32; 5] {
        self.thresholds
    }
}

/// Decision thresholds in the order of `MomentKind::ALL`.
pub fn thresholds(manifest: &Manifest) -> Result<[f32; 5], EngineError> {
    let threshold = |kind: &MomentKind| manifest.thresholds.get(kind.as_str()).copied();
    let all: Option<Vec<f32>> = MomentKind::ALL.iter().map(threshold).collect();
    let all = all.and_then(|all| all.try_into().ok());
    all.ok_or_else(|| EngineError::Altered(format!("the manifest of {} lacks a threshold", manifest.name)))
}

/// The graph's outputs are read by position, so the manifest's names must be in our order.
fn check_order(manifest: &Manifest) -> Result<(), &'static str> {
    let kinds = MomentKind::ALL.map(MomentKind::as_str);
    let categories = serde_json::to_value(ObjectionCategory::ALL).ok();
    if manifest.labels != kinds {
        Err("its labels are not the kinds of moment in their order")
    } else if serde_json::to_value(&manifest.categories).ok() != categories {
        Err("its categories are not those of objections in their order")
    } else if manifest.levels != ["strong", "conditional"] {
        Err("its levels are not strong and conditional")
    } else {
        Ok(())
    }
}

fn missing(name: &str) -> EngineError {
    EngineError::Failed(format!("the classifier gave no `{name}` for each utterance"))
}

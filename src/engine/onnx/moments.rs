//! The moment classifier: an utterance and the two before it in, a probability for each kind out.
//!
//! The model is our own and small, so it is part of the binary; one in the models directory replaces it. How
//! text becomes ids is in `features`; calibration is part of the graph.

use std::path::Path;

use ort::session::Session;
use ort::value::TensorRef;
use sha2::{Digest, Sha256};

use super::features::Hasher;
use super::{Environment, failed, session};
use crate::domain::moment::{MomentKind, ObjectionCategory};
use crate::engine::installed;
use crate::engine::manifest::Manifest;
use crate::engine::{ClassifyRequest, EngineError, MomentClassifier, MomentScores};

const GRAPH: &[u8] = include_bytes!("../../../models/moments/moments.onnx");
const PINYIN: &[u8] = include_bytes!("../../../models/moments/pinyin.tsv");

/// Utterances judged in one run; bounds the memory of a long visit's pass.
const MAX_BATCH: usize = 32;
/// The utterance, the one before, the one before that.
const ROLES: usize = 3;

/// One worker's classifier.
pub struct OnnxMoments {
    session: Session,
    hasher: Hasher,
    roles: [char; ROLES],
    thresholds: [f32; 5],
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
        let (graph, pinyin) = if manifest.is_embedded() {
            (GRAPH.to_vec(), PINYIN.to_vec())
        } else {
            let graph = installed::require(manifest, models_dir)?;
            let pinyin = models_dir.join(&features.pinyin);
            let read = |path: &Path| {
                let missing = |e| EngineError::Missing(format!("cannot read {}: {e}", path.display()));
                std::fs::read(path).map_err(missing)
            };
            (read(&graph)?, read(&pinyin)?)
        };
        if installed::hex(Sha256::new_with_prefix(&pinyin)) != features.pinyin_sha256.as_str() {
            return Err(damaged("the table of syllables is not the one it names"));
        }
        let pinyin = String::from_utf8(pinyin).map_err(|_| damaged("the table of syllables is no text"))?;
        check_order(manifest).map_err(damaged)?;
        Ok(Self {
            session: session(environment, manifest, &graph)?,
            hasher: Hasher::new(features, &pinyin)?,
            roles: features.roles.as_slice().try_into().map_err(|_| damaged("three roles are needed"))?,
            thresholds: thresholds(manifest)?,
        })
    }

    pub(super) fn ids(&self, request: &ClassifyRequest) -> [Vec<i64>; ROLES] {
        let mut before = request.before.iter().rev().map(String::as_str);
        let texts = [request.text.as_str(), before.next().unwrap_or(""), before.next().unwrap_or("")];
        std::array::from_fn(|n| self.hasher.ids(texts[n], self.roles[n]))
    }

    fn run(&mut self, batch: &[ClassifyRequest]) -> Result<Vec<MomentScores>, EngineError> {
        let rows: Vec<_> = batch.iter().flat_map(|request| self.ids(request)).collect();
        let width = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let mut ids = Vec::with_capacity(rows.len() * width);
        for row in &rows {
            ids.extend_from_slice(row);
            ids.resize(ids.len() + width - row.len(), 0);
        }
        let shape = [batch.len(), ROLES, width];
        let input = TensorRef::from_array_view((shape, ids.as_slice())).map_err(failed)?;
        let outputs = self.session.run(ort::inputs!["ids" => input]).map_err(failed)?;
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

//! The moment classifier: an utterance, up to three before it and, if known, the one after it in; a probability
//! for each kind out.
//!
//! The model is our own and small, so it is part of the binary; one in the models directory replaces it. How
//! text becomes ids is in `features`; calibration is part of the graph.

use std::path::Path;

use ort::session::Session;
use ort::value::TensorRef;

use super::features::{Input, ROLES, TextFeatures};
use super::pieces;
use super::{Environment, failed, session};
use crate::domain::moment::{MomentKind, ObjectionCategory};
use crate::engine::installed;
use crate::engine::manifest::Manifest;
use crate::engine::{ClassifyRequest, EngineError, MomentClassifier, MomentScores};

const GRAPH: &[u8] = include_bytes!("../../../models/moments/moments.onnx");

/// Utterances judged in one run; bounds the memory of a long visit's pass.
const MAX_BATCH: usize = 32;
/// Says nothing of who speaks.
const UNTOLD: f32 = 0.5;

/// One worker's classifier.
pub struct OnnxMoments {
    session: Session,
    features: TextFeatures,
    thresholds: [f32; 5],
    /// Whether the graph tells who may speak: those before 0.3.1 do not.
    tells_customers: bool,
    /// Whether it is told who speaks: those before 0.4.0 are not.
    told_speakers: bool,
}

impl OnnxMoments {
    /// Opens the graph that the manifest names: the built-in one, or a file in the models directory.
    pub fn load(
        environment: &Environment,
        manifest: &Manifest,
        models_dir: &Path,
    ) -> Result<Self, EngineError> {
        let damaged = |what: &str| EngineError::Altered(format!("the manifest of {}: {what}", manifest.name));
        let graph = if manifest.is_embedded() {
            GRAPH.to_vec()
        } else {
            let path = installed::require(manifest, models_dir)?;
            std::fs::read(&path)
                .map_err(|e| EngineError::Missing(format!("cannot read {}: {e}", path.display())))?
        };
        let features = TextFeatures::load(manifest, models_dir)?;
        check_order(manifest).map_err(damaged)?;
        Ok(Self {
            session: session(environment, manifest, &graph)?,
            features,
            thresholds: thresholds(manifest)?,
            tells_customers: manifest.outputs.iter().any(|output| output.name == "customer"),
            told_speakers: manifest.inputs.iter().any(|input| input.name == "speakers"),
        })
    }

    fn run(&mut self, batch: &[ClassifyRequest]) -> Result<Vec<MomentScores>, EngineError> {
        let inputs: Vec<Input> = batch.iter().map(|request| self.features.input(request)).collect();
        let rows = |of: fn(&Input) -> &Vec<i64>| inputs.iter().map(of).collect::<Vec<_>>();
        let (ids, length) = padded(&rows(|i| &i.window.ids), pieces::PADDING);
        let (segments, _) = padded(&rows(|i| &i.window.segments), 0);
        let (speakers, _) = padded(&rows(|i| &i.window.speakers), 0);
        let (grams, most) = padded(&inputs.iter().flat_map(|i| &i.grams).collect::<Vec<_>>(), 0);
        let tensor = |shape: Vec<usize>, values| TensorRef::from_array_view((shape, values)).map_err(failed);
        let mut given = ort::inputs![
            "ids" => tensor(vec![batch.len(), length], ids.as_slice())?,
            "segments" => tensor(vec![batch.len(), length], segments.as_slice())?,
            "grams" => tensor(vec![batch.len(), ROLES, most], grams.as_slice())?,
        ];
        if self.told_speakers {
            given.extend(ort::inputs!["speakers" => tensor(vec![batch.len(), length], speakers.as_slice())?]);
        }
        let outputs = self.session.run(given).map_err(failed)?;
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
        let customers = if self.tells_customers { output("customer")? } else { &[] };
        let customers = customers.iter().copied().chain(std::iter::repeat(UNTOLD));
        let scores = kinds.iter().zip(categories).zip(levels).zip(customers);
        Ok(scores
            .map(|(((kinds, categories), levels), customer)| MomentScores {
                kinds: *kinds,
                categories: *categories,
                levels: *levels,
                customer,
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

//! One classifier apart from the other models: loaded by its name, checked, and put to work while visits go on.
//!
//! `service/hearing` swaps it in or runs it in the shadow of the active one. It is ready when its files are those
//! of its manifest, its graph has the inputs and outputs described there, and it gives the golden scores, if the
//! manifest names any.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Semaphore;

use super::load::of_kind;
use super::manifest::{Kind, Manifest, Manifests, RUNTIME};
use super::onnx::{self, OnnxMoments};
use super::{ClassifyRequest, EngineError, MomentClassifier, MomentScores, Pool, Said, installed};
use crate::domain::result::ModelRef;
use crate::domain::transcript::Speaker;
use crate::error::{Error, Result};

/// Jobs that may wait for it.
const QUEUE: usize = 64;

/// Utterances that may wait for a shadow or be judged by it at once; one more is dropped.
const SHADOWED: usize = 4;

/// What the classifier of this repository must give: part of the binary, as its weights are.
const BUILT_IN_GOLDEN: &str = include_str!("../../models/moments/golden.json");

/// A classifier that is loaded.
#[derive(Clone)]
pub struct Classifier {
    /// Its manifest's name.
    pub name: String,
    /// Its version and hash.
    pub reference: ModelRef,
    /// The thread that owns it.
    pub pool: Pool<dyn MomentClassifier>,
    /// Decision thresholds in the order of `MomentKind::ALL`.
    pub thresholds: [f32; 5],
}

/// A classifier that judges beside the active one without any effect.
#[derive(Clone)]
pub struct Shadow {
    /// Who judges.
    pub classifier: Classifier,
    /// Who may wait for it: without a place nothing is asked.
    pub places: Arc<Semaphore>,
}

impl Shadow {
    /// This classifier as a shadow.
    pub fn of(classifier: Classifier) -> Self {
        Self { classifier, places: Arc::new(Semaphore::new(SHADOWED)) }
    }
}

/// Loads and checks the classifier of that name. Takes about a second; blocks.
pub fn load(models_dir: &Path, name: &str) -> Result<Classifier> {
    let manifests = Manifests::read(models_dir)?;
    let runtime = of_kind(&manifests, RUNTIME, Kind::Onnxruntime)?;
    let manifest = of_kind(&manifests, name, Kind::MomentClassifier)?.clone();
    let environment = onnx::environment(&installed::require(runtime, models_dir)?)?;
    let golden = Golden::of(&manifest, models_dir)?;
    let (reference, thresholds) = (manifest.model_ref(), onnx::thresholds(&manifest)?);
    let models_dir = models_dir.to_owned();
    let pool = Pool::start("moments", 1, QUEUE, move || {
        let mut moments = OnnxMoments::load(environment, &manifest, &models_dir)?;
        match &golden {
            Some(golden) => golden.check(&manifest, &mut moments)?,
            None => drop(moments.classify(&[ClassifyRequest::default()])?),
        }
        Ok(Box::new(moments) as Box<dyn MomentClassifier>)
    })?;
    Ok(Classifier { name: name.to_owned(), reference, pool, thresholds })
}

/// Inputs and the outputs they must give, as `models/moments/SPEC.md` describes the file.
#[derive(Debug, Deserialize)]
struct Golden {
    model_sha256: String,
    tolerance: f32,
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    previous: Vec<String>,
    text: String,
    following: Option<String>,
    /// Who speaks all of them, in order; nobody knows where it ends.
    #[serde(default)]
    speakers: Vec<Option<Speaker>>,
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

impl Golden {
    /// The one that the manifest names: built in, or beside it.
    fn of(manifest: &Manifest, models_dir: &Path) -> Result<Option<Self>, EngineError> {
        let Some(file) = &manifest.golden else { return Ok(None) };
        let text = if manifest.is_embedded() {
            BUILT_IN_GOLDEN.to_owned()
        } else {
            let path = models_dir.join(file);
            std::fs::read_to_string(&path)
                .map_err(|e| EngineError::Missing(format!("cannot read {}: {e}", path.display())))?
        };
        let unreadable =
            |e| EngineError::Altered(format!("the golden outputs of {} cannot be read: {e}", manifest.name));
        serde_json::from_str(&text).map(Some).map_err(unreadable)
    }

    fn check(&self, manifest: &Manifest, model: &mut dyn MomentClassifier) -> Result<(), EngineError> {
        let wrong = |why: String| EngineError::Altered(format!("{} {why}", manifest.name));
        if self.model_sha256 != manifest.sha256.as_str() {
            return Err(wrong("and its golden outputs are of different weights".to_owned()));
        }
        let given = model.classify(&self.items.iter().map(Item::request).collect::<Vec<_>>())?;
        for (n, (item, given)) in (1..).zip(self.items.iter().zip(&given)) {
            if !self.is_near(item, given) {
                return Err(wrong(format!("does not give its golden outputs for text {n}")));
            }
        }
        Ok(())
    }

    fn is_near(&self, item: &Item, given: &MomentScores) -> bool {
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= self.tolerance);
        near(&given.kinds, &item.scores)
            && near(&given.categories, &item.categories)
            && near(&given.levels, &item.levels)
            && near(&[given.customer], &item.customer)
    }
}

impl Classifier {
    /// Any other model as a classifier, for tests of what is around it.
    pub fn fake<M: MomentClassifier>(
        name: &str,
        make: impl Fn() -> M + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let thresholds = make().thresholds();
        let pool =
            Pool::start("fake-moments", 1, QUEUE, move || Ok(Box::new(make()) as Box<dyn MomentClassifier>))?;
        let reference = ModelRef { version: "fake".to_owned(), sha256: String::new() };
        Ok(Self { name: name.to_owned(), reference, pool, thresholds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::real;
    use crate::error::Code;

    #[test]
    fn the_built_in_classifier_gives_its_golden_outputs() {
        let loaded = load(&real::models_dir(), "moments").unwrap();
        assert_eq!((loaded.name.as_str(), loaded.reference.sha256.len()), ("moments", 64));
    }

    #[test]
    fn a_candidate_that_is_not_as_described_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let (_, runtime) = real::model(RUNTIME);
        std::os::unix::fs::symlink(&runtime, dir.path().join(runtime.file_name().unwrap())).unwrap();
        std::fs::create_dir(dir.path().join("moments")).unwrap();
        for file in ["moments.onnx", "pinyin.tsv", "tokenizer.json", "golden.json"] {
            std::fs::copy(models.join("moments").join(file), dir.path().join("moments").join(file)).unwrap();
        }
        let manifest = std::fs::read_to_string(models.join("moments.toml")).unwrap();
        let manifest = manifest.replacen("name = \"moments\"", "name = \"trial\"", 1);
        put("trial.toml", &manifest);
        load(dir.path(), "trial").unwrap();

        let refused = |code: Code, word: &str| {
            let error = load(dir.path(), "trial").err().unwrap();
            assert!(error.code == code && error.detail.contains(word), "{:?} {}", error.code, error.detail);
        };
        let golden = std::fs::read_to_string(models.join("moments/golden.json")).unwrap();
        put("moments/golden.json", &golden.replacen("\"scores\": [0.0", "\"scores\": [0.5", 1));
        refused(Code::ModelAltered, "golden outputs for text 1");
        put("moments/golden.json", &golden.replacen("\"model_sha256\": \"", "\"model_sha256\": \"0", 1));
        refused(Code::ModelAltered, "different weights");
        put("moments/golden.json", &golden);
        put("trial.toml", &manifest.replacen("name = \"segments\"", "name = \"pieces\"", 1));
        refused(Code::ModelAltered, "no input `pieces`");
        std::fs::remove_file(dir.path().join("moments/golden.json")).unwrap();
        refused(Code::ModelMissing, "golden.json");
        assert_eq!(load(dir.path(), "silero-vad").err().unwrap().code, Code::InvalidConfig);
        assert!(load(dir.path(), "nope").err().unwrap().detail.contains("trial"));
    }
}

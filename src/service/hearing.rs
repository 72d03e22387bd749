//! What listens to visits: the declared pipeline on loaded models, of which the classifier can be exchanged while
//! the service runs.
//!
//! A visit in flight keeps what it was taken up with until its end, so that all of its moments are of one model:
//! an exchange is for visits taken up from then on. The models of before go when the last visit that uses them
//! has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::live::StartSession;
use crate::config::Config;
use crate::domain::result::{ModelRef, PipelineRef};
use crate::engine::candidate::{self, Classifier, Shadow};
use crate::engine::{self, EngineConfig, Engines};
use crate::error::{Code, Error, Result};
use crate::pipeline::{Catalog, Pipeline, session};
use crate::stage::recognize::warm_up;
use crate::store::Choice;

/// Loads and checks a classifier by its name; blocks.
pub type LoadClassifier = Arc<dyn Fn(&str) -> Result<Classifier> + Send + Sync>;

/// What a visit that is taken up now is listened to with.
pub struct Listening {
    /// Starts a session.
    pub start: StartSession,
    /// The models that take part, by manifest name; a shadow takes no part.
    pub models: BTreeMap<String, ModelRef>,
    /// The name of the classifier that judges.
    pub classifier: String,
    /// The one that judges beside it.
    pub shadow: Option<Shadow>,
    /// The one that judges, unless it is the pipeline's own.
    exchanged: Option<Classifier>,
}

impl Listening {
    /// The shadow's name.
    pub fn shadow_name(&self) -> Option<&str> {
        self.shadow.as_ref().map(|shadow| shadow.classifier.name.as_str())
    }
}

/// The pipeline and everything loaded for it.
pub struct Hearing {
    /// The pipeline as declared.
    pub declared: Arc<Pipeline>,
    /// With the pipeline's own classifier, which stays loaded.
    engines: Engines,
    load: LoadClassifier,
    now: RwLock<Arc<Listening>>,
}

impl Hearing {
    /// A pipeline on given engines, with a way to load other classifiers.
    pub fn of(pipeline: Arc<Pipeline>, engines: Engines, load: LoadClassifier) -> Self {
        let now = listening(&pipeline, &engines, None, None);
        Self { declared: pipeline, engines, load, now: RwLock::new(Arc::new(now)) }
    }

    /// The configured pipeline on the models it names: loaded, checked against their manifests, warmed up.
    ///
    /// One thread a worker and never more workers than cores: threads that wait for each other inside a model
    /// starve under load.
    pub async fn load(config: &Config) -> Result<Self> {
        let catalog = Catalog::load(config.pipeline_dir())?;
        let pipeline = catalog.get(&config.pipeline.name)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let engine_config = EngineConfig {
            workers: if config.engine.workers == 0 { cores } else { config.engine.workers.min(cores) },
            threads: 1,
            recognizer: pipeline.models.recognizer.clone(),
            vad: pipeline.models.vad.clone(),
            voiceprints: pipeline.models.voiceprints.clone(),
            moments: pipeline.models.moments.clone(),
            ..EngineConfig::default()
        };
        let models_dir = config.models_dir()?;
        let load: LoadClassifier = {
            let models_dir = models_dir.clone();
            Arc::new(move |name| candidate::load(&models_dir, name))
        };
        let recognize = pipeline.stages.recognize.clone();
        let loading = tokio::task::spawn_blocking(move || {
            warm_up(&recognize);
            engine::load(&models_dir, &engine_config)
        });
        Ok(Self::of(pipeline, loading.await.map_err(Error::internal)??, load))
    }

    /// Name, version and hash of the pipeline.
    pub fn pipeline(&self) -> &PipelineRef {
        &self.declared.reference
    }

    /// The longest sound of a visit that the pipeline takes, minutes.
    pub fn max_minutes(&self) -> u32 {
        self.declared.stages.decode.max_minutes
    }

    /// What listens to a visit that is taken up now.
    pub fn now(&self) -> Arc<Listening> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads what was chosen and is not loaded yet, then exchanges all of it at once; on an error nothing changes.
    /// Blocks. For one caller at a time.
    pub fn take(&self, choice: &Choice) -> Result<()> {
        let (now, own) = (self.now(), self.declared.models.moments.as_str());
        let exchanged = match choice.active.as_deref().filter(|name| *name != own) {
            None => None,
            Some(name) if name == now.classifier => now.exchanged.clone(),
            Some(name) => Some(self.exchange(name)?),
        };
        let shadow = match choice.shadow.as_deref() {
            None => None,
            Some(name) if now.shadow_name() == Some(name) => now.shadow.clone(),
            Some(name) => Some(Shadow::of((self.load)(name)?)),
        };
        let next = listening(&self.declared, &self.engines, exchanged, shadow);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }

    fn exchange(&self, name: &str) -> Result<Classifier> {
        if self.declared.stages.classify.thresholds.is_some() {
            let detail = format!(
                "the pipeline {} sets classify.thresholds for its own classifier; take them out of its file, or \
                 name {name} in it",
                self.pipeline().name
            );
            return Err(Error::new(Code::InvalidConfig, detail));
        }
        (self.load)(name)
    }
}

fn listening(
    pipeline: &Arc<Pipeline>,
    engines: &Engines,
    exchanged: Option<Classifier>,
    shadow: Option<Shadow>,
) -> Listening {
    let own = &pipeline.models.moments;
    let mut engines = Engines { shadow: shadow.clone(), ..engines.clone() };
    if let Some(classifier) = &exchanged {
        engines.models.remove(own);
        engines.models.insert(classifier.name.clone(), classifier.reference.clone());
        engines.moments = classifier.pool.clone();
        engines.thresholds = classifier.thresholds;
    }
    let classifier = exchanged.as_ref().map_or(own, |classifier| &classifier.name).clone();
    let (models, pipeline) = (engines.models.clone(), pipeline.clone());
    let start: StartSession = Arc::new(move |setup| session::start(&pipeline, &engines, setup));
    Listening { start, models, classifier, shadow, exchanged }
}

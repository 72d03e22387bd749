//! Models that run on ONNX Runtime: the library, loaded once, and sessions checked against their manifests.
//!
//! Only `load` makes these; everyone else sees the traits. This is the only home of `ort`.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

pub use ort::environment::Environment;
use ort::session::Session;
use ort::value::{Outlet, TensorElementType};

use super::EngineError;
use super::manifest::{Dim, ElementType, Manifest, Tensor};

mod build;
mod features;
mod grams;
mod mel;
mod moments;
mod pieces;
mod silero;
mod voiceprint;
mod whisper;

pub use features::{Input, TextFeatures};
pub use moments::{OnnxMoments, thresholds};
pub use silero::SileroVoice;
pub use voiceprint::OnnxVoices;
pub use whisper::OnnxWhisper;

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();

/// Loads the runtime library. The first caller decides which; later ones get the same.
pub fn environment(library: &Path) -> Result<&'static Environment, EngineError> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let failed = |e: &dyn std::fmt::Display| {
        EngineError::Failed(format!("cannot load the ONNX runtime {}: {e}", library.display()))
    };
    let environment = ort::init_from(library)
        .map_err(|e| failed(&e))?
        .with_name("visitscribe")
        .with_telemetry(false)
        .build()
        .map_err(|e| failed(&e))?;
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// Opens a graph from its bytes with one thread, and checks that it has the manifest's inputs and outputs.
fn session(environment: &Environment, manifest: &Manifest, graph: &[u8]) -> Result<Session, EngineError> {
    let open = || -> ort::Result<Session> {
        let builder = Session::builder(environment)?;
        builder.with_intra_threads(1)?.with_inter_threads(1)?.commit_from_memory(graph)
    };
    let session = open().map_err(|e| EngineError::Failed(format!("cannot open {}: {e}", manifest.name)))?;
    for (what, expected, found) in
        [("input", &manifest.inputs, session.inputs()), ("output", &manifest.outputs, session.outputs())]
    {
        for tensor in expected {
            let matches = |outlet: &Outlet| outlet.name() == tensor.name && fits(tensor, outlet);
            if !found.iter().any(matches) {
                return Err(EngineError::Altered(format!(
                    "the graph of {} has no {what} `{}` as its manifest describes it",
                    manifest.name, tensor.name
                )));
            }
        }
    }
    Ok(session)
}

fn fits(tensor: &Tensor, outlet: &Outlet) -> bool {
    let element = match tensor.dtype {
        ElementType::Float32 => TensorElementType::Float32,
        ElementType::Int64 => TensorElementType::Int64,
    };
    let Some(shape) = outlet.dtype().tensor_shape() else { return false };
    let same = |(expected, found): (&Dim, &i64)| match expected {
        Dim::Fixed(n) => i64::from(*n) == *found,
        Dim::Any(_) => true,
    };
    outlet.dtype().tensor_type() == Some(element)
        && shape.len() == tensor.shape.len()
        && tensor.shape.iter().zip(shape.iter()).all(same)
}

fn failed(e: ort::Error) -> EngineError {
    EngineError::Failed(format!("ONNX Runtime: {e}"))
}

impl From<ort::Error> for EngineError {
    fn from(e: ort::Error) -> Self {
        failed(e)
    }
}

#[cfg(test)]
mod tests;

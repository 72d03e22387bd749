//! Test cases inside a pipeline file: what is said, and what must come of it.

use serde::Deserialize;
use serde_json::Value;

use super::{Analysis, Heard, Pipeline};
use crate::domain::moment::MomentKind;
use crate::domain::time::{Millis, Span};
use crate::domain::transcript::PiiKind;
use crate::engine::Engines;
use crate::error::{Code, Error, Result};

/// One case. Absent expectations are not checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case is about.
    pub name: String,
    /// The visit's time, RFC 3339.
    pub at: String,
    /// The utterances, as recognised.
    pub say: Vec<String>,
    /// The shown text of each utterance.
    #[serde(default)]
    pub text: Option<Vec<String>>,
    /// The kinds found in each utterance.
    #[serde(default)]
    pub moments: Option<Vec<Vec<MomentKind>>>,
    /// The kinds of personal data masked, in order.
    #[serde(default)]
    pub pii: Option<Vec<PiiKind>>,
    /// Parts of the summary's JSON.
    #[serde(default)]
    pub summary: Option<Value>,
}

impl Case {
    /// The line of the pipeline file's `text` where this case stands.
    pub fn line(&self, text: &str) -> usize {
        1 + text.lines().position(|l| l.starts_with("name") && l.contains(&self.name)).unwrap_or(0)
    }

    /// Runs the case; `Err` only if it cannot run. The list holds what differs, empty when all is well.
    pub async fn run(&self, pipeline: &Pipeline, engines: &Engines) -> Result<Vec<String>> {
        let at = crate::pipeline::visit_time(&self.at)
            .map_err(|e| Error::new(Code::InvalidPipeline, format!("case {:?}: {e}", self.name)))?;
        let mut analysis = Analysis::new(pipeline, engines, at)?;
        for (n, text) in self.say.iter().enumerate() {
            let span = Span::new(n as u64 * 3_000, n as u64 * 3_000 + 2_500);
            analysis.push(Heard { span, text: text.clone(), confidence: 1.0 }).await?;
        }
        analysis.close().await?;
        let result = analysis.finish(Millis(self.say.len() as u64 * 3_000), Millis(0), Vec::new());
        let mut wrong = Vec::new();
        let mut compare = |what: &str, want: String, got: String| {
            if want != got {
                wrong.push(format!("{what}: expected {want}, got {got}"));
            }
        };
        if let Some(want) = &self.text {
            let got: Vec<_> = result.segments.iter().map(|s| s.text.clone()).collect();
            compare("text", format!("{want:?}"), format!("{got:?}"));
        }
        if let Some(want) = &self.moments {
            let kinds = |s: &crate::domain::transcript::Segment| {
                result.moments.iter().filter(|m| m.segment_ids.contains(&s.id)).map(|m| m.kind).collect()
            };
            let got: Vec<Vec<MomentKind>> = result.segments.iter().map(kinds).collect();
            compare("moments", format!("{want:?}"), format!("{got:?}"));
        }
        if let Some(want) = &self.pii {
            let got: Vec<_> = result.pii.iter().map(|p| p.kind).collect();
            compare("pii", format!("{want:?}"), format!("{got:?}"));
        }
        if let Some(Value::Object(want)) = &self.summary {
            let got = serde_json::to_value(&result.summary).map_err(Error::internal)?;
            for (field, value) in want {
                compare(&format!("summary.{field}"), value.to_string(), got[field].to_string());
            }
        }
        Ok(wrong)
    }
}

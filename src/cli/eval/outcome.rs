//! What a candidate made of one visit, read from the JSON that `transcribe` prints: our own result and that of
//! an outside command go the same way.

use serde::Deserialize;
use serde_json::Value;

use super::speakers::Turn;
use crate::domain::moment::MomentKind;
use crate::domain::result::VisitResult;
use crate::domain::time::Millis;
use crate::error::{Error, Result};

/// What was made of a visit. What a candidate does not give is not scored.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// All that was heard, in order.
    pub(super) heard: String,
    /// Who spoke when.
    pub(super) turns: Vec<Turn>,
    pub(super) moments: Option<Vec<Told>>,
    pub(super) summary: Option<Value>,
}

/// A moment, as far as it is scored.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Told {
    pub(super) kind: MomentKind,
    pub(super) start_ms: Millis,
    pub(super) end_ms: Millis,
    /// The utterances it names, where the words were given.
    #[serde(default)]
    pub(super) utterances: Option<Vec<u32>>,
    #[serde(default)]
    pub(super) slots: Value,
}

/// The whole result, as far as it is scored.
#[derive(Debug, Deserialize)]
struct Whole {
    segments: Vec<Words>,
    #[serde(default)]
    moments: Option<Vec<Told>>,
    #[serde(default)]
    summary: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Words {
    text: String,
    #[serde(flatten)]
    turn: Turn,
}

impl Outcome {
    /// A result of our own.
    pub(super) fn of(result: &VisitResult) -> Result<Self> {
        let json = serde_json::to_value(result).map_err(Error::internal)?;
        Self::read(json).map_err(Error::internal)
    }

    /// The JSON of `transcribe`, of which `segments` with their `text` suffice, or a list of `{"text": ...}`.
    pub(super) fn read(json: Value) -> serde_json::Result<Self> {
        let whole = match json {
            Value::Array(_) => {
                Whole { segments: serde_json::from_value(json)?, moments: None, summary: None }
            }
            json => serde_json::from_value(json)?,
        };
        let (texts, turns): (Vec<String>, Vec<Turn>) =
            whole.segments.into_iter().map(|s| (s.text, s.turn)).unzip();
        Ok(Self { heard: texts.concat(), turns, moments: whole.moments, summary: whole.summary })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_of_words_or_a_whole_result_is_read() {
        let list =
            Outcome::read(json!([{"start": 0.0, "end": 1.2, "text": "你好"}, {"text": "再见"}])).unwrap();
        assert_eq!((list.heard.as_str(), list.moments.is_none()), ("你好再见", true));
        let moment =
            json!({"kind": "quote", "start_ms": 0, "end_ms": 9, "slots": {"amount_cny": 5}, "score": 1});
        let whole =
            json!({"segments": [{"text": "五块", "id": "seg_0001"}], "moments": [moment], "summary": {}});
        let whole = Outcome::read(whole).unwrap();
        assert_eq!((whole.heard.as_str(), whole.moments.unwrap().len()), ("五块", 1));
        assert!(Outcome::read(json!({"text": "no segments"})).unwrap_err().to_string().contains("segments"));
        assert!(Outcome::read(json!("words")).is_err());
    }
}

//! The labelled set: visits of a folder, each with its sound and whatever labels it has.
//!
//! Labels are optional, down to none at all: `score` counts only what can be counted.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::analyze;
use crate::domain::moment::MomentKind;
use crate::domain::transcript::Speaker;
use crate::error::{Code, Error, Result};

/// One labelled visit; keys that are not needed here are not read.
#[derive(Debug, Deserialize)]
pub(super) struct Labelled {
    pub(super) id: String,
    /// RFC 3339.
    pub(super) visit_at: String,
    #[serde(default)]
    pub(super) hotwords: Vec<String>,
    /// The room, such as clean, office, cafe or phone.
    pub(super) acoustics: Option<String>,
    pub(super) utterances: Vec<Utterance>,
    /// Where the visit leaves the deal, in the words of the summary; absent where nobody judged it.
    pub(super) gold: Option<Value>,
    /// Its sound; not there when the words alone are judged.
    #[serde(skip)]
    pub(super) audio: Option<PathBuf>,
}

/// What was said, and what it is.
#[derive(Debug, Deserialize)]
pub(super) struct Utterance {
    pub(super) i: u32,
    pub(super) text: String,
    /// `rep`, or one of the customers.
    pub(super) speaker: Option<String>,
    /// Absent where nobody labelled it; an empty list is a label: it holds no moment.
    pub(super) labels: Option<Vec<MomentKind>>,
    /// By kind: what the moment says.
    #[serde(default)]
    pub(super) slots: Map<String, Value>,
    /// Seconds.
    pub(super) start: Option<f64>,
    /// Seconds.
    pub(super) end: Option<f64>,
}

impl Labelled {
    /// Its words, as `analyze` takes them.
    pub(super) fn words(&self) -> Vec<analyze::Utterance> {
        let words =
            |u: &Utterance| analyze::Utterance { i: u.i, text: u.text.clone(), start: u.start, end: u.end };
        self.utterances.iter().map(words).collect()
    }

    /// Whether somebody looked for moments in all of it.
    pub(super) fn has_labels(&self) -> bool {
        self.utterances.iter().all(|u| u.labels.is_some())
    }
}

impl Utterance {
    /// Whether it holds a moment of this kind.
    pub(super) fn is(&self, kind: MomentKind) -> bool {
        self.labels.as_ref().is_some_and(|l| l.contains(&kind))
    }

    /// Which side speaks it.
    pub(super) fn side(&self) -> Option<Speaker> {
        let speaker = self.speaker.as_deref()?;
        Some(if speaker == "rep" { Speaker::Rep } else { Speaker::Customer })
    }

    /// Start and end in seconds, if both are known.
    pub(super) fn span(&self) -> Option<(f64, f64)> {
        self.start.zip(self.end)
    }
}

/// Every labelled visit of a folder, with its sound unless only `text` is asked for, sorted by file name.
pub(super) fn read(dir: &Path, text: bool) -> Result<Vec<Labelled>> {
    let wrong = |why: String| Error::new(Code::InvalidRequest, format!("{}: {why}", dir.display()));
    let entries = std::fs::read_dir(dir).map_err(|e| wrong(e.to_string()))?;
    let mut files: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "json"));
    files.sort();
    let mut set = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|e| wrong(e.to_string()))?;
        let visit: Labelled =
            serde_json::from_slice(&bytes).map_err(|e| wrong(format!("{}: {e}", file.display())))?;
        let audio = ["ogg", "wav", "flac", "mp3", "m4a", "webm"].map(|e| file.with_extension(e));
        let audio = audio.into_iter().find(|p| p.exists());
        if !text && audio.is_none() {
            return Err(wrong(format!(
                "no audio beside {}; give --text to judge the words alone",
                file.display()
            )));
        }
        set.push(Labelled { audio: audio.filter(|_| !text), ..visit });
    }
    if set.is_empty() {
        return Err(wrong("no labelled visits there; give a folder with <id>.json beside <id>.ogg".into()));
    }
    Ok(set)
}

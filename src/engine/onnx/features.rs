//! Utterances to what the moment classifier's graph is given: pieces in one sequence (`pieces`) and hashed n-grams
//! (`grams`). Needs the tables of the model, not its graph.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::grams::Hasher;
use super::pieces::{self, Pieces, Spoken, Window, prepared};
use crate::engine::manifest::{self, Manifest};
use crate::engine::{ClassifyRequest, EngineError, Said, installed};

const PINYIN: &[u8] = include_bytes!("../../../models/moments/pinyin.tsv");
const TOKENIZER: &[u8] = include_bytes!("../../../models/moments/tokenizer.json");

/// Rows of n-grams: the utterance, the one before, the one before that.
pub(super) const ROLES: usize = 3;

/// The tables that text becomes ids by.
pub struct TextFeatures {
    pieces: Pieces,
    hasher: Hasher,
    roles: [char; ROLES],
}

/// What the graph is given of one request.
#[derive(Debug, PartialEq, Eq)]
pub struct Input {
    /// The judged utterance among its neighbours.
    pub window: Window,
    /// Ids of n-grams, a row for each role.
    pub grams: [Vec<i64>; ROLES],
}

impl TextFeatures {
    /// Reads the tables that the manifest names: the built-in ones, or files in the models directory.
    pub fn load(manifest: &Manifest, models_dir: &Path) -> Result<Self, EngineError> {
        let damaged = |what: &str| EngineError::Altered(format!("the manifest of {}: {what}", manifest.name));
        let features = manifest.features.as_ref().ok_or_else(|| damaged("no [features]"))?;
        let (pinyin, tokenizer) = if manifest.is_embedded() {
            (PINYIN.to_vec(), TOKENIZER.to_vec())
        } else {
            let beside = |file: &Path| {
                let path = models_dir.join(file);
                let missing = |e| EngineError::Missing(format!("cannot read {}: {e}", path.display()));
                std::fs::read(&path).map_err(missing)
            };
            (beside(&features.pinyin)?, beside(&features.tokenizer)?)
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
        Ok(Self {
            pieces: Pieces::new(&tokenizer)?,
            hasher: Hasher::new(features, &pinyin)?,
            roles: features.roles.as_slice().try_into().map_err(|_| damaged("three roles are needed"))?,
        })
    }

    /// One request as ids.
    pub fn input(&self, request: &ClassifyRequest) -> Input {
        let spoken = |said: &Said| (prepared(&said.text), said.speaker);
        // An utterance without words is none.
        let mut before: Vec<(&Said, Spoken)> = request
            .before
            .iter()
            .rev()
            .map(|said| (said, spoken(said)))
            .filter(|(_, (prepared, _))| !prepared.is_empty())
            .take(pieces::MAX_BEFORE)
            .collect();
        let earlier = |n: usize| before.get(n).map_or("", |(said, _)| said.text.as_str());
        let texts = [request.judged.text.as_str(), earlier(0), earlier(1)];
        let grams = std::array::from_fn(|n| self.hasher.ids(texts[n], self.roles[n]));
        before.reverse();
        let before: Vec<Spoken> = before.into_iter().map(|(_, spoken)| spoken).collect();
        let after = request.after.as_ref().map(spoken);
        Input { window: self.pieces.window(&before, &spoken(&request.judged), after.as_ref()), grams }
    }
}

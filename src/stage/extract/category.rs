//! What an objection is about: the model's opinion, and the plain words for it.
//!
//! The model weighs the whole sentence and what came before it; a plain word (预算, 账期, 说了不算) is surer of its own
//! category than the model is. So each wording of `pipelines/rules/objections.toml` that is found adds to the score
//! that the model gives its category, and the greatest sum decides.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

use crate::domain::moment::ObjectionCategory;
use crate::error::{Code, Error};
use crate::stage::rules;

/// `pipelines/rules/objections.toml`; its comments say what each part is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    weight: f32,
    most: u8,
    categories: BTreeMap<String, Vec<String>>,
}

/// The wordings of each category, ready to search.
#[derive(Debug)]
pub struct Rules {
    weight: f32,
    most: u8,
    wordings: Vec<(ObjectionCategory, Vec<Regex>)>,
}

/// A score below this is no opinion of the model's that a wording would have to beat.
const LEAST: f32 = 1e-4;

impl Rules {
    /// Reads the patterns; each category has its list, and nothing else has.
    pub fn new(file: File) -> Result<Self, Error> {
        let mut lists = file.categories;
        let mut wordings = Vec::new();
        for category in ObjectionCategory::ALL {
            let list = lists.remove(category.as_str()).unwrap_or_default();
            wordings.push((category, rules::patterns("objections.toml", &list)?));
        }
        match lists.keys().next() {
            Some(unknown) => Err(Error::new(
                Code::InvalidConfig,
                format!("objections.toml has a category that is none: {unknown}"),
            )),
            None => Ok(Self { weight: file.weight, most: file.most, wordings }),
        }
    }

    /// The category of an objection in these words, of which the model has these opinions.
    pub fn judge(&self, text: &str, scores: &[f32; 10]) -> ObjectionCategory {
        let sums = self.wordings.iter().zip(scores).map(|((category, patterns), score)| {
            let found = patterns.iter().filter(|pattern| pattern.is_match(text)).take(self.most.into());
            (*category, score.max(LEAST).ln() + self.weight * found.count() as f32)
        });
        sums.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(ObjectionCategory::Price, |(category, _)| category)
    }
}

//! normalize: the recogniser's words into Simplified script, and into the text that is shown.
//!
//! Two results of the same words: [`Normalize::simplify`] changes the script only (`raw_text`), and
//! [`Normalize::run`] writes numbers and marks as a business reader expects (`text`). Both are idempotent.
//! What is a number that stays a word, and what makes a question, is data: `pipelines/rules/shown_text.toml`.

mod numbers;
mod punctuation;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::stage::mandarin::script;
use crate::stage::rules;

/// Which parts of the shown text are rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NormalizeConfig {
    /// Spoken numbers become digits: 二十八万八 -> 28.8万.
    pub numbers: bool,
    /// Full-width sentence marks, and an end mark where there is none.
    pub punctuation: bool,
}

impl Default for NormalizeConfig {
    fn default() -> Self {
        Self { numbers: true, punctuation: true }
    }
}

/// More than any text is known to need.
const ROUNDS: usize = 8;

/// `pipelines/rules/shown_text.toml`; its comments say what each list is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    keep: Vec<String>,
    keep_not: Vec<String>,
    question_endings: Vec<String>,
    question_words: Vec<String>,
    question_never: Vec<String>,
    question_never_before_ne: Vec<String>,
    clause_openers: Vec<String>,
    clause_length: usize,
}

/// The stage.
pub struct Normalize {
    config: NormalizeConfig,
    rules: Rules,
}

impl Normalize {
    /// Loads the tables.
    pub fn new(config: &NormalizeConfig) -> Result<Self, Error> {
        let rules =
            rules::parse("shown_text.toml", include_str!("../../../pipelines/rules/shown_text.toml"))?;
        script::load()?;
        Ok(Self { config: config.clone(), rules })
    }

    /// `raw_text`: Simplified, half-width letters and digits, trimmed; broken, invisible and control
    /// characters dropped; no other change.
    pub fn simplify(&self, raw: &str) -> String {
        script::simplified(raw)
    }

    /// `text`: what a business reader sees.
    pub fn run(&self, raw: &str) -> String {
        let mut text = self.simplify(raw);
        if !text.chars().any(char::is_alphanumeric) {
            return String::new();
        }
        // Rewriting one thing can uncover another (`3 千`); ordinary text is settled after the first round.
        for _ in 0..ROUNDS {
            let again = self.rewrite(&text);
            if again == text {
                break;
            }
            text = again;
        }
        text
    }

    fn rewrite(&self, text: &str) -> String {
        let mut text = self.simplify(text);
        if self.config.punctuation {
            text = punctuation::widen(&text);
        }
        if self.config.numbers {
            text = numbers::write(&text, &self.rules);
        }
        if self.config.punctuation {
            text = punctuation::complete(&text, &self.rules);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalize() -> &'static Normalize {
        static BUILT: std::sync::OnceLock<Normalize> = std::sync::OnceLock::new();
        BUILT.get_or_init(|| Normalize::new(&NormalizeConfig::default()).unwrap())
    }

    #[test]
    fn the_table_of_shown_texts_holds() {
        let normalize = normalize();
        let mut wrong = Vec::new();
        let table = include_str!("../../../tests/data/cases/shown_text.tsv");
        for line in table.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let (raw, wanted) = line.split_once('\t').unwrap();
            let got = normalize.run(raw);
            if got != wanted {
                wrong.push(format!("{raw}: {got} instead of {wanted}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn raw_text_changes_its_script_and_nothing_else() {
        let normalize = normalize();
        assert_eq!(
            normalize.simplify(" 這個價格是二十八萬八，Ｏ\u{fffd}Ｋ\u{7}１２ "),
            "这个价格是二十八万八，OK12"
        );
        assert_eq!(normalize.simplify(""), "");
    }

    #[test]
    fn parts_can_be_switched_off() {
        let config = NormalizeConfig { numbers: false, punctuation: false };
        let normalize = Normalize::new(&config).unwrap();
        assert_eq!(normalize.run("二十八万八,行吗"), "二十八万八,行吗");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn any_text_is_normalised_once_and_for_all(raw in ".{0,40}") {
            let normalize = normalize();
            let once = normalize.run(&raw);
            prop_assert_eq!(normalize.run(&once), once);
        }

        #[test]
        fn numbers_and_marks_are_normalised_once_and_for_all(
            raw in "[0-9零一二两三五八九十百千万亿点几多来个年月号折半年台百分之幺但是所以吗呢,.?:，。… A]{0,16}"
        ) {
            let normalize = normalize();
            let once = normalize.run(&raw);
            prop_assert_eq!(normalize.run(&once), once);
        }
    }

    #[test]
    fn the_particle_is_written_as_in_simplified_script() {
        let normalize = Normalize::new(&NormalizeConfig::default()).unwrap();
        assert_eq!(normalize.simplify("找著了，著名品牌效果顯著"), "找着了，著名品牌效果显著");
    }
}

//! What a live caller is told of personal data, utterance by utterance.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::engine::fake;
use crate::pipeline::{Catalog, visit_time};
use crate::stage::mask::spoken;

/// A complete number is told at once, so a part of it that is said back later is not known again.
const SAID_BACK: &str = "手机一七七零零幺零四四五六|零零幺零四四五六，没错吧";

struct Visit {
    runtime: tokio::runtime::Runtime,
    pipeline: Arc<Pipeline>,
    engines: Engines,
}

impl Visit {
    fn get() -> &'static Self {
        static BUILT: OnceLock<Visit> = OnceLock::new();
        BUILT.get_or_init(|| Self {
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            pipeline: Catalog::load(None).unwrap().get("visit").unwrap(),
            engines: fake::engines().unwrap(),
        })
    }

    fn analysis(&self) -> Analysis {
        Analysis::new(&self.pipeline, &self.engines, visit_time("2026-11-23T10:00:00+08:00").unwrap())
            .unwrap()
    }

    fn push(&self, analysis: &mut Analysis, text: &str) {
        let heard = Heard { span: Span::new(0, 1), text: text.to_owned(), confidence: 1.0 };
        self.runtime.block_on(analysis.push(heard)).unwrap();
    }

    /// The masked words of the utterances.
    fn told<'a>(&self, said: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut analysis = self.analysis();
        for text in said {
            self.push(&mut analysis, text);
        }
        self.runtime.block_on(analysis.close()).unwrap();
        analysis.segments.into_iter().map(|s| s.raw_text).collect()
    }
}

fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|l| !l.starts_with('#') && !l.is_empty())
}

#[test]
fn the_table_of_personal_data_holds_for_utterances_one_by_one() {
    let visit = Visit::get();
    let mut wrong = Vec::new();
    for row in rows(include_str!("../../../tests/data/cases/pii.tsv")) {
        let (said, wanted) = row.split_once('\t').unwrap();
        let wanted: Vec<String> =
            wanted.split('|').map(|text| visit.pipeline.text.normalize.simplify(text)).collect();
        let told = visit.told(said.split('|'));
        if told != wanted && said != SAID_BACK {
            wrong.push(format!("{said}: {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_no_personal_data_stays_beside_anything_else() {
    let visit = Visit::get();
    let said: Vec<&str> = rows(include_str!("../../../tests/data/cases/not_pii.tsv")).collect();
    let mut wrong = Vec::new();
    for (text, told) in said.iter().zip(visit.told(said.iter().copied())) {
        if told != visit.pipeline.text.normalize.simplify(text) {
            wrong.push(format!("{text}: {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_partial_and_no_final_has_what_was_announced((name, texts) in spoken::anything()) {
        let visit = Visit::get();
        let said = format!("我的{name}{}，谢谢", texts.join("|"));
        let said: Vec<String> = said.split('|').map(str::to_owned).collect();
        let mut analysis = visit.analysis();
        for text in &said {
            for (end, _) in text.char_indices() {
                let partial = text.get(..end).and_then(|words| analysis.preview(words)).unwrap_or_default();
                prop_assert!(!spoken::is_left(&partial), "{:?} up to {}: {}", said, end, partial);
            }
            visit.push(&mut analysis, text);
        }
        let told = visit.told(said.iter().map(String::as_str));
        prop_assert!(told.iter().all(|text| !spoken::is_left(text)), "{:?}: {:?}", said, told);
    }
}

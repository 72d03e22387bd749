//! Nothing in a summary is invented: its words, figures and days stand in the transcript, whatever the labels.

use proptest::prelude::*;

use super::{heard, summarize};
use crate::domain::moment::ObjectionCategory;
use crate::domain::summary::{Stage, Summary};
use crate::domain::transcript::Segment;
use crate::stage::mandarin::dates::Calendar;
use crate::stage::mandarin::numerals::numbers;
use crate::stage::summarize::card::short_price;
use crate::stage::summarize::card_fields;

/// What a headline says of its own; the rest must have been said.
const OWN_WORDS: [&str; 17] = [
    "同意签约",
    "签约",
    "条件在谈",
    "在谈",
    "有条件可签",
    "可签",
    "待签",
    "已报价",
    "已报",
    "暂搁置",
    "已流失",
    "有需求",
    "顾虑",
    "初步接触",
    "跟进",
    "（",
    "）",
];
const LABELS: [&str; 8] = [
    "quote",
    "objection:price",
    "objection:timing",
    "objection_handling",
    "signing_intent:strong",
    "signing_intent:conditional",
    "next_step",
    "-",
];

/// All lines of the validation visits, with the time of their visit.
fn lines() -> Vec<(jiff::ZonedDateTime, Vec<String>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/validation");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    files.sort();
    let visit = |file: &std::path::PathBuf| {
        let visit: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let at = format!("{}[Asia/Shanghai]", visit["visit_at"].as_str().unwrap()).parse().unwrap();
        let said = visit["utterances"].as_array().unwrap().iter();
        (at, said.map(|u| u["text"].as_str().unwrap().to_owned()).collect())
    };
    files.iter().map(visit).collect()
}

/// What is wrong with a summary of these segments, if anything.
fn invented(summary: &Summary, segments: &[Segment], on: jiff::civil::Date) -> Option<String> {
    let text: String = segments.iter().map(|s| format!("{}\n", s.text)).collect();
    let values = |text: &str| -> Vec<_> {
        numbers(&text.chars().collect::<Vec<_>>()).into_iter().map(|number| number.value).collect()
    };
    let said = values(&text);
    // How a price is written is the business of `card`; that it was said, of the table of quotes.
    let price = summary.latest_quote.as_ref().and_then(short_price).unwrap_or_default();
    let priced = |rest: &&str| !price.is_empty() && rest.starts_with(&price);
    let outcome = summary.headline.strip_prefix("已报").filter(priced).unwrap_or(&summary.headline);
    let mut headline = outcome.strip_prefix(price.as_str()).unwrap_or(outcome).to_owned();
    for own in OWN_WORDS.into_iter().chain(ObjectionCategory::ALL.map(ObjectionCategory::label_zh)) {
        headline = headline.replace(own, "，");
    }
    let terms = summary.latest_quote.iter().filter_map(|quote| quote.payment_terms.clone());
    for words in terms.chain(summary.next_action.clone()).chain([headline]) {
        if let Some(number) = values(&words).iter().find(|number| !said.contains(number)) {
            return Some(format!("{words}: nobody said {number}"));
        }
        if let Some(c) = words.chars().filter(|c| !matches!(c, '，' | ' ')).find(|c| !text.contains(*c)) {
            return Some(format!("{words}: nobody said {c}"));
        }
    }
    let calendar = Calendar::load().unwrap();
    let days = |text: &str| {
        let chars: Vec<char> = text.chars().collect();
        calendar.candidates(&chars, on).into_iter().map(|(_, date)| date).collect::<Vec<_>>()
    };
    let mut dates: Vec<jiff::civil::Date> = segments.iter().flat_map(|s| days(&s.text)).collect();
    // 现在就签, 我下午发您.
    dates.push(on);
    let given = summary.next_date.into_iter().chain(summary.signing_intent.date);
    given.into_iter().find(|date| !dates.contains(date)).map(|date| format!("nobody spoke of {date}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn all_that_a_summary_says_was_said(
        visit in 0usize..14,
        from in 0usize..30,
        labels in prop::collection::vec(prop::sample::select(&LABELS[..]), 1..14),
    ) {
        static LINES: std::sync::OnceLock<Vec<(jiff::ZonedDateTime, Vec<String>)>> = std::sync::OnceLock::new();
        let (at, lines) = &LINES.get_or_init(lines)[visit];
        let label = |label: &&str| [*label].into_iter().filter(|l| *l != "-").map(str::to_owned).collect();
        let said = labels.iter().zip(lines.iter().skip(from));
        let (moments, segments) = heard(said.map(|(l, text)| (label(l), text.as_str())), at);
        let summary = summarize().run(&moments, &segments, 1.0);
        prop_assert!(summary.headline.chars().count() <= 20, "{}", summary.headline);
        prop_assert!(summary.stage != Some(Stage::Quoted) || summary.latest_quote.is_some() || !moments.is_empty());
        let wrong = invented(&summary, &segments, at.date());
        prop_assert!(wrong.is_none(), "{:?}", wrong);
        let (fields, _) = card_fields(&summary, &moments);
        for (name, field) in &fields {
            let proofs = field.evidence.iter().all(|id| moments.iter().any(|m| m.id == *id));
            prop_assert!(proofs, "{} names a moment that is none", name);
        }
    }
}

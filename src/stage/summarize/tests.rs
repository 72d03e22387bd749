//! Small visits from `tests/data/cases/visits.txt`, read by `extract` and summed up.

mod invention;

use proptest::prelude::*;

use super::*;
use crate::domain::ids::SegmentId;
use crate::domain::moment::{ObjectionSlots, SigningSlots};
use crate::domain::time::Millis;
use crate::engine::MomentScores;
use crate::stage::classify::Detected;
use crate::stage::extract::{Extract, ExtractConfig};
use crate::stage::mandarin::numerals::numbers;
use crate::stage::normalize::{Normalize, NormalizeConfig};

fn summarize() -> &'static Summarize {
    static BUILT: std::sync::OnceLock<Summarize> = std::sync::OnceLock::new();
    BUILT.get_or_init(|| Summarize::new(&SummarizeConfig::default()).unwrap())
}

/// A visit of the data file: what is expected of it, its moments and its segments.
struct Visit {
    wanted: BTreeMap<String, String>,
    moments: Vec<Moment>,
    segments: Vec<Segment>,
}

/// `kind:detail` of a line, as the model would say it.
fn detected(label: &str) -> Detected {
    let (kind, detail) = label.split_once(':').unwrap_or((label, ""));
    let kind = *MomentKind::ALL.iter().find(|k| k.as_str() == kind).unwrap();
    let mut scores = MomentScores { levels: [0.9, 0.1], ..Default::default() };
    if detail == "conditional" {
        scores.levels = [0.1, 0.9];
    }
    for (category, score) in ObjectionCategory::ALL.iter().zip(&mut scores.categories) {
        let name = serde_json::to_value(category).unwrap();
        *score = if name == detail { 0.9 } else { 0.01 };
    }
    Detected { kind, score: 0.9, scores }
}

/// Moments and segments of a conversation with these labels, read at this time.
fn heard<'a>(
    lines: impl Iterator<Item = (Vec<String>, &'a str)>,
    at: &jiff::ZonedDateTime,
) -> (Vec<Moment>, Vec<Segment>) {
    static STAGES: std::sync::OnceLock<(Extract, Normalize)> = std::sync::OnceLock::new();
    let (extract, normalize) = STAGES.get_or_init(|| {
        (
            Extract::new(&ExtractConfig::default()).unwrap(),
            Normalize::new(&NormalizeConfig::default()).unwrap(),
        )
    });
    let (mut moments, mut segments): (Vec<Moment>, Vec<Segment>) = (Vec::new(), Vec::new());
    for (n, (labels, text)) in lines.enumerate() {
        let (start_ms, end_ms) = (Millis(n as u64 * 1000), Millis(n as u64 * 1000 + 900));
        let (id, text) = (SegmentId::nth(n + 1), normalize.run(text));
        let before: Vec<String> = segments.iter().map(|s| s.text.clone()).collect();
        for label in labels {
            let detected = detected(&label);
            moments.push(Moment {
                id: MomentId(format!("mom_{:04}", moments.len() + 1)),
                kind: detected.kind,
                start_ms,
                end_ms,
                utterances: None,
                segment_ids: vec![id.clone()],
                score: detected.score,
                evidence: text.clone(),
                slots: extract.run(&detected, &text, &before, at),
            });
        }
        let (raw_text, speaker, confidence) = (text.clone(), None, 0.9);
        segments.push(Segment { id, start_ms, end_ms, text, raw_text, speaker, confidence });
    }
    (moments, segments)
}

fn visits() -> Vec<Visit> {
    let at: jiff::ZonedDateTime = "2026-11-18T12:00:00+08:00[Asia/Shanghai]".parse().unwrap();
    let file = include_str!("../../../tests/data/cases/visits.txt");
    let visit = |part: &str| {
        let wanted = part.lines().filter_map(|line| line.strip_prefix("= ")?.split_once(' '));
        let lines = part.lines().filter(|l| !l.starts_with("= ")).filter_map(|l| l.split_once('\t'));
        let labels = |all: &str| all.split(',').filter(|l| *l != "-").map(str::to_owned).collect();
        let (moments, segments) = heard(lines.map(|(all, text)| (labels(all), text)), &at);
        Visit {
            wanted: wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            moments,
            segments,
        }
    };
    file.split("\n\n").filter(|part| part.contains('\t')).map(visit).collect()
}

#[test]
fn the_visits_are_summed_up_as_expected() {
    let mut wrong = Vec::new();
    for visit in visits() {
        let summary = summarize().run(&visit.moments, &visit.segments, 1.0);
        let got = serde_json::to_value(&summary).unwrap();
        for (name, wanted) in &visit.wanted {
            let got = match name.as_str() {
                "amount" => &got["latest_quote"]["amount_cny"],
                "terms" => &got["latest_quote"]["payment_terms"],
                "level" => &got["signing_intent"]["level"],
                "signing_date" => &got["signing_intent"]["date"],
                "open" => &summary.objections.iter().filter(|o| !o.handled).count().into(),
                name => &got[name],
            };
            let got = got.as_str().map_or_else(|| got.to_string(), str::to_owned);
            if got != *wanted {
                wrong.push(format!("{:?}: {name} is {got}, not {wanted}", visit.wanted));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_figure_was_said() {
    for visit in visits() {
        let summary = summarize().run(&visit.moments, &visit.segments, 1.0);
        let said: Vec<_> = visit
            .segments
            .iter()
            .flat_map(|s| {
                numbers(&s.text.chars().collect::<Vec<_>>()).into_iter().map(|n| n.value).collect::<Vec<_>>()
            })
            .collect();
        let headline: Vec<char> = summary.headline.chars().collect();
        for number in numbers(&headline) {
            assert!(said.contains(&number.value), "{} says {}", summary.headline, number.value);
        }
    }
}

#[test]
fn fields_name_the_moments_that_prove_them() {
    for visit in visits() {
        let summary = summarize().run(&visit.moments, &visit.segments, 1.0);
        let (fields, chips) = card_fields(&summary, &visit.moments);
        let ids: Vec<&MomentId> = visit.moments.iter().map(|m| &m.id).collect();
        for (name, field) in &fields {
            assert!(field.evidence.iter().all(|id| ids.contains(&id)), "{name}");
            assert!((0.0..=1.0).contains(&field.confidence), "{name}");
            let empty = field.value.is_null() || field.value == serde_json::json!([]);
            let stands_alone = matches!(name.as_str(), "stage" | "signing_intent");
            assert!(empty || stands_alone || !field.evidence.is_empty(), "{name} has no evidence");
        }
        assert!(chips.iter().all(|chip| ids.contains(&&chip.moment_id)));
        assert_eq!(fields.len(), 6);
    }
}

#[test]
fn an_empty_visit_is_a_first_contact() {
    let summary = summarize().run(&[], &[], 1.0);
    assert_eq!(summary.stage, Some(crate::domain::summary::Stage::FirstContact));
    assert_eq!(summary.headline, "初步接触");
    assert_eq!(card_fields(&summary, &[]).1, []);
}

#[test]
fn what_the_rep_says_is_no_objection_and_no_intent() {
    let at = "2026-11-18T12:00:00+08:00[Asia/Shanghai]".parse().unwrap();
    let lines =
        [("quote", "一台两万"), ("objection:price", "别人总说贵"), ("signing_intent:strong", "那就签吧")];
    let lines = lines.map(|(label, text)| (vec![label.to_owned()], text));
    let (moments, mut segments) = heard(lines.into_iter(), &at);
    let unknown = summarize().run(&moments, &segments, 1.0);
    assert_eq!((unknown.signing_intent.level, unknown.objections.len()), (IntentLevel::Strong, 1));
    for segment in &mut segments {
        segment.speaker = Some(crate::domain::transcript::Speaker::Rep);
    }
    let reps = summarize().run(&moments, &segments, 1.0);
    assert_eq!((reps.signing_intent.level, reps.objections.len()), (IntentLevel::None, 0));
    assert_eq!(reps.moments.len(), 3);
}

#[test]
fn what_was_not_heard_makes_less_sure() {
    let visit = visits().remove(0);
    let whole = summarize().run(&visit.moments, &visit.segments, 1.0);
    let half = summarize().run(&visit.moments, &visit.segments, 0.5);
    assert!(half.confidence["stage"] < whole.confidence["stage"]);
}

fn any_slots() -> impl Strategy<Value = (MomentKind, Slots)> {
    let text = || prop::option::of(".{0,30}|[一二百万台周三发合同，]{0,30}");
    let date = || prop::option::of((1i8..=12, 1i8..=28).prop_map(|(m, d)| jiff::civil::date(2026, m, d)));
    let fen = prop::option::of(any::<i64>());
    prop_oneof![
        (fen, prop::option::of(0.0..1.0f64), text()).prop_map(|(fen, discount, payment_terms)| {
            let amount_cny = fen.map(|fen| crate::domain::moment::Yuan { fen });
            (
                MomentKind::Quote,
                Slots::Quote(QuoteSlots { amount_cny, discount, payment_terms, ..Default::default() }),
            )
        }),
        (0usize..10).prop_map(|c| {
            let category = ObjectionCategory::ALL[c];
            (MomentKind::Objection, Slots::Objection(ObjectionSlots { category }))
        }),
        Just((MomentKind::ObjectionHandling, Slots::None {})),
        (any::<bool>(), text(), date()).prop_map(|(strong, condition, date)| {
            let level = if strong { IntentLevel::Strong } else { IntentLevel::Conditional };
            (MomentKind::SigningIntent, Slots::Signing(SigningSlots { level, condition, date }))
        }),
        (prop::option::of(any::<bool>()), text(), date()).prop_map(|(rep, action, date)| {
            let owner = rep.map(|rep| if rep { Owner::Rep } else { Owner::Customer });
            (MomentKind::NextStep, Slots::NextStep(NextStepSlots { owner, action, date }))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_moments_are_summed_up(slots in prop::collection::vec((any_slots(), ".{0,20}"), 0..12), coverage in any::<f64>()) {
        let moments: Vec<Moment> = slots
            .into_iter()
            .enumerate()
            .map(|(n, ((kind, slots), evidence))| Moment {
                id: MomentId(format!("mom_{:04}", n + 1)),
                kind,
                start_ms: Millis(n as u64),
                end_ms: Millis(n as u64 + 1),
                utterances: None,
                segment_ids: vec![SegmentId::nth(n + 1)],
                score: 0.7,
                evidence,
                slots,
            })
            .collect();
        let summary = summarize().run(&moments, &[], coverage);
        prop_assert!(summary.headline.chars().count() <= headline::LONGEST, "{}", summary.headline);
        let (fields, _) = card_fields(&summary, &moments);
        prop_assert!(fields.values().all(|f| (0.0..=1.0).contains(&f.confidence)));
    }
}

/// The validation visits, from their own labels: how many of them each field is right for.
#[test]
fn the_validation_visits_are_summed_up_from_their_labels() {
    let mut right: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/validation");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    files.sort();
    for file in &files {
        let visit: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let at = format!("{}[Asia/Shanghai]", visit["visit_at"].as_str().unwrap()).parse().unwrap();
        let lines = visit["utterances"].as_array().unwrap().iter().map(|u| {
            let kinds = u["labels"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap());
            let label = |kind| {
                let slots = &u["slots"][kind];
                let detail = slots["category"].as_str().or(slots["level"].as_str());
                detail.map_or(String::from(kind), |detail| format!("{kind}:{detail}"))
            };
            (kinds.map(label).collect(), u["text"].as_str().unwrap())
        });
        let (moments, segments) = heard(lines, &at);
        let got = serde_json::to_value(summarize().run(&moments, &segments, 1.0)).unwrap();
        for (field, pointer) in [
            ("stage", "/stage"),
            ("next_date", "/next_date"),
            ("amount", "/latest_quote/amount_cny"),
            ("level", "/signing_intent/level"),
        ] {
            let value = |all: &serde_json::Value| all.pointer(pointer).cloned().unwrap_or_default();
            let (got, wanted) = (value(&got), value(&visit["gold"]));
            if got == wanted || got.as_f64().is_some() && got.as_f64() == wanted.as_f64() {
                *right.entry(field).or_default() += 1;
            } else {
                wrong.push(format!("{}: {field} is {got}, not {wanted}", visit["id"]));
            }
        }
    }
    // Not everything can be told from labels; what could once must not be lost.
    let expected = [("amount", 14), ("level", 14), ("next_date", 14), ("stage", 13)];
    assert_eq!(right.into_iter().collect::<Vec<_>>(), expected, "of {}\n{}", files.len(), wrong.join("\n"));
}

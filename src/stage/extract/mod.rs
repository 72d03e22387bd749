//! extract: the slots of a detected moment, read out of its words by plain rules.
//!
//! The model alone decides that there is a moment and of what kind; nothing here can add or drop one. Rules
//! read sums, shares, days and people; the category is the model's and the plain words', and the level is the model's
//! unless the words say 要是 or 只要. What is not said stays empty.
//! Word lists are data: `pipelines/rules/{money,steps,objections,calendar}.toml`.

mod category;
mod discount;
mod money;
mod per;
mod signing;
mod steps;
mod terms;

use serde::{Deserialize, Serialize};

use crate::domain::moment::{
    IntentLevel, MomentKind, NextStepSlots, ObjectionSlots, QuoteSlots, SigningSlots, Slots, Yuan,
};
use crate::engine::MomentScores;
use crate::error::Error;
use crate::stage::classify::Detected;
use crate::stage::mandarin::dates::Calendar;
use crate::stage::rules;

/// Nothing to choose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExtractConfig {}

/// Reads slots.
pub struct Extract {
    calendar: Calendar,
    money: money::Rules,
    objections: category::Rules,
    steps: steps::Rules,
}

impl Extract {
    /// Loads the lexicons.
    pub fn new(_config: &ExtractConfig) -> Result<Self, Error> {
        Ok(Self {
            calendar: Calendar::load()?,
            objections: category::Rules::new(rules::parse(
                "objections.toml",
                include_str!("../../../pipelines/rules/objections.toml"),
            )?)?,
            money: rules::parse("money.toml", include_str!("../../../pipelines/rules/money.toml"))?,
            steps: rules::parse("steps.toml", include_str!("../../../pipelines/rules/steps.toml"))?,
        })
    }

    /// The slots of `detected` in `text`, said after `before` (oldest first) in a visit at `visit_at`, whose
    /// zone decides what day it is. Takes the shown text as well as the recogniser's words.
    pub fn run(
        &self,
        detected: &Detected,
        text: &str,
        before: &[String],
        visit_at: &jiff::ZonedDateTime,
    ) -> Slots {
        let chars: Vec<char> = text.chars().collect();
        let on = visit_at.date();
        match detected.kind {
            MomentKind::Quote => Slots::Quote(self.quote(&chars, before)),
            MomentKind::Objection => Slots::Objection(ObjectionSlots {
                category: self.objections.judge(text, &detected.scores.categories),
            }),
            MomentKind::ObjectionHandling => Slots::None {},
            MomentKind::SigningIntent => {
                let hangs = signing::hangs_on_something(&chars, &self.steps);
                let level = if hangs { IntentLevel::Conditional } else { level(&detected.scores) };
                let conditional = level == IntentLevel::Conditional;
                Slots::Signing(SigningSlots {
                    level,
                    condition: if conditional { signing::condition(&chars, &self.steps) } else { None },
                    date: signing::date(&chars, &self.steps, &self.calendar, on),
                })
            }
            MomentKind::NextStep => {
                let promised = steps::day(&chars, &self.steps, &self.calendar, on);
                let mention = promised.map(|(mention, _)| mention);
                let shared = match promised {
                    Some(_) => None,
                    None => steps::shared(&chars, before, &self.steps, &self.calendar, on),
                };
                Slots::NextStep(NextStepSlots {
                    owner: shared
                        .and_then(|(owner, _)| owner)
                        .or_else(|| steps::owner(&chars, before, mention, &self.steps)),
                    action: steps::action(&chars, mention, &self.steps, &self.calendar),
                    date: promised.map(|(_, date)| date).or(shared.map(|(_, date)| date)),
                })
            }
        }
    }

    fn quote(&self, text: &[char], before: &[String]) -> QuoteSlots {
        let earlier: Vec<(i64, Option<per::Per>)> = before
            .iter()
            .rev()
            .filter_map(|text| {
                let chars: Vec<char> = text.chars().collect();
                let price = money::stated(&chars, &[], &self.money)?;
                Some((price.fen, per::said(&chars, &price, &self.money.per)))
            })
            .collect();
        let sums: Vec<i64> = earlier.iter().map(|(fen, _)| *fen).collect();
        let price = money::stated(text, &sums, &self.money);
        let per = price.and_then(|price| {
            per::said(text, &price, &self.money.per).or_else(|| {
                // 二百六, after 一盒二百八十五: haggling goes on over the same thing while sums are of one size.
                let last = earlier.first().filter(|(fen, _)| fen / 2 <= price.fen && price.fen / 2 <= *fen);
                last?.1
            })
        });
        QuoteSlots {
            amount_cny: price.map(|price| Yuan { fen: price.fen }),
            period: per.map(|per| per.period),
            unit: per.and_then(|per| per.unit),
            discount: discount::stated(text),
            payment_terms: terms::stated(text, &self.money.terms),
        }
    }
}

/// The likelier level.
fn level(scores: &MomentScores) -> IntentLevel {
    let [strong, conditional] = scores.levels;
    if strong >= conditional { IntentLevel::Strong } else { IntentLevel::Conditional }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::ObjectionCategory;
    use crate::stage::normalize::{Normalize, NormalizeConfig};
    use proptest::prelude::*;

    fn extract() -> &'static Extract {
        static BUILT: std::sync::OnceLock<Extract> = std::sync::OnceLock::new();
        BUILT.get_or_init(|| Extract::new(&ExtractConfig::default()).unwrap())
    }

    fn detected(kind: MomentKind) -> Detected {
        let scores = MomentScores { levels: [0.1, 0.9], ..Default::default() };
        Detected { kind, score: 0.9, scores }
    }

    /// A Wednesday noon in Shanghai.
    fn visit_at() -> jiff::ZonedDateTime {
        "2026-11-18T12:00:00+08:00[Asia/Shanghai]".parse().unwrap()
    }

    fn run(kind: MomentKind, before: &[String], text: &str) -> serde_json::Value {
        serde_json::to_value(extract().run(&detected(kind), text, before, &visit_at())).unwrap()
    }

    fn cell(value: &serde_json::Value) -> String {
        match value {
            serde_json::Value::Null => "-".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    }

    /// Runs every line of a table through `got`, as said and as shown, and compares the other cells.
    fn check(table: &str, as_shown: bool, got: impl Fn(&[&str], &str) -> Vec<String>) {
        let normalize = Normalize::new(&NormalizeConfig::default()).unwrap();
        let mut wrong = Vec::new();
        for line in table.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let cells: Vec<&str> = line.split('\t').collect();
            let said = [cells[0].to_owned(), normalize.run(cells[0])];
            for text in said.iter().take(if as_shown { 2 } else { 1 }) {
                let got = got(&cells, text);
                let wanted: Vec<&str> =
                    (1..=got.len()).map(|i| cells.get(i).copied().unwrap_or("-")).collect();
                if got != wanted {
                    wrong.push(format!("{text}: {got:?} instead of {wanted:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_table_of_quotes_holds() {
        let table = include_str!("../../../tests/data/cases/quotes.tsv");
        let per = |slots: &serde_json::Value| match (slots["period"].as_str(), slots["unit"].as_str()) {
            (Some(period), Some(unit)) => format!("{period}/{unit}"),
            (Some(period), None) => period.to_owned(),
            _ => "-".to_owned(),
        };
        check(table, false, |_, text| {
            let slots = run(MomentKind::Quote, &[], text);
            vec![
                cell(&slots["amount_cny"]),
                per(&slots),
                cell(&slots["discount"]),
                cell(&slots["payment_terms"]),
            ]
        });
        // The shown form may end in another unit (二百五十一盒 becomes a count); sums and shares stay.
        check(table, true, |cells, text| {
            let slots = run(MomentKind::Quote, &[], text);
            vec![cell(&slots["amount_cny"]), cells[2].to_owned(), cell(&slots["discount"])]
        });
    }

    #[test]
    fn haggling_goes_on_over_the_same_thing() {
        let before = ["一盒二百八十五".to_owned()];
        let slots = run(MomentKind::Quote, &before, "二百六十八行不行");
        assert_eq!((cell(&slots["amount_cny"]), cell(&slots["unit"])), ("268".to_owned(), "box".to_owned()));
        let before = ["两台一百零六万".to_owned()];
        assert_eq!(cell(&run(MomentKind::Quote, &before, "我给你一百整")["amount_cny"]), "1000000");
        let before = ["按四百二十八一平走".to_owned(), "合下来总价二百五十六万八".to_owned()];
        let slots = run(MomentKind::Quote, &before, "上一版不是四百一十五吗");
        assert_eq!(cell(&slots["amount_cny"]), "415");
    }

    #[test]
    fn the_table_of_steps_holds() {
        let mut wrong = Vec::new();
        let table = include_str!("../../../tests/data/cases/steps.tsv");
        for line in table.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let cells: Vec<&str> = line.split('\t').collect();
            let before: Vec<String> =
                cells.iter().take(1).filter(|b| **b != "-").map(|b| b.to_string()).collect();
            let slots = run(MomentKind::NextStep, &before, cells[1]);
            let got = [cell(&slots["owner"]), cell(&slots["date"]), cell(&slots["action"])];
            if got != cells[2..] {
                wrong.push(format!("{}: {got:?} instead of {:?}", cells[1], &cells[2..]));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_table_of_intents_holds() {
        check(include_str!("../../../tests/data/cases/signing.tsv"), false, |_, text| {
            let slots = run(MomentKind::SigningIntent, &[], text);
            vec![cell(&slots["condition"]), cell(&slots["date"])]
        });
    }

    #[test]
    fn the_table_of_objections_holds() {
        // The model leans to something else, or to nothing at all.
        let mut wrong = Vec::new();
        let table = include_str!("../../../tests/data/cases/objections.tsv");
        for line in table.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let (text, wanted) = line.split_once('\t').unwrap();
            let mut detected = detected(MomentKind::Objection);
            detected.scores.categories = [0.1; 10];
            let got = serde_json::to_value(extract().run(&detected, text, &[], &visit_at())).unwrap();
            if got["category"] != wanted {
                wrong.push(format!("{text}: {} instead of {wanted}", got["category"]));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_the_model_is_sure_of_outweighs_one_word() {
        let mut detected = detected(MomentKind::Objection);
        detected.scores.categories = [0.01; 10];
        detected.scores.categories[6] = 0.91;
        let slots = extract().run(&detected, "这个价格我们听着心里发虚，预算倒是有", &[], &visit_at());
        assert_eq!(slots, Slots::Objection(ObjectionSlots { category: ObjectionCategory::Trust }));
    }

    #[test]
    fn the_model_says_category_and_level() {
        let mut scores = MomentScores { levels: [0.7, 0.3], ..Default::default() };
        scores.categories[4] = 0.8;
        let slots = |kind| {
            extract().run(&Detected { kind, score: 0.9, scores: scores.clone() }, "", &[], &visit_at())
        };
        let objection = Slots::Objection(ObjectionSlots { category: ObjectionCategory::Timing });
        assert_eq!(slots(MomentKind::Objection), objection);
        let Slots::Signing(signing) = slots(MomentKind::SigningIntent) else {
            panic!("not a signing intent")
        };
        assert_eq!(signing.level, IntentLevel::Strong);
        assert_eq!(slots(MomentKind::ObjectionHandling), Slots::None {});
    }

    #[test]
    fn the_zone_decides_the_day() {
        // Seven in the evening of the 18th in London is the 19th in Shanghai.
        let at =
            |zone: &str| format!("2026-11-18T19:00:00+00:00[{zone}]").parse::<jiff::ZonedDateTime>().unwrap();
        let date = |at| match extract().run(&detected(MomentKind::NextStep), "明天发您", &[], &at) {
            Slots::NextStep(slots) => slots.date.unwrap().to_string(),
            _ => String::new(),
        };
        assert_eq!(date(at("Europe/London")), "2026-11-19");
        let shanghai =
            at("Europe/London").timestamp().to_zoned_datetime(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)));
        assert_eq!(date(shanghai), "2026-11-20");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

        #[test]
        fn any_words_are_read_without_panic(
            text in ".{0,30}|[0-9零一二两三五十百千万亿点折成块毛元台盒年月号日付款您你我们发签要是，。多到便宜原价./-]{0,30}",
            before in prop::collection::vec("[一二三十百千万台盒年，您你 ]{0,12}", 0..3),
        ) {
            for kind in MomentKind::ALL {
                let _ = extract().run(&detected(kind), &text, &before, &visit_at());
            }
        }
    }
}

//! mask: personal data out of the words, before anything is stored, shown, logged or sent.
//!
//! Mobile numbers, identity cards, bank cards, e-mail addresses and plates, written or read out digit by digit,
//! with pauses, fillers and restarts inside, and across the border of neighbouring texts. It works on the
//! recogniser's words as well as on the shown text, and on its own output it changes nothing. A number that
//! the recogniser got wrong by a digit or two is masked if the words before it say what it is; the words are
//! data: `pipelines/rules/pii.toml`.

mod digits;
mod email;
mod plate;

use serde::{Deserialize, Serialize};

use crate::domain::transcript::PiiKind;
use crate::error::Error;
use crate::stage::mandarin::words::is_at;
use crate::stage::rules;

/// Nothing to choose: all kinds are always masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskConfig {}

/// One thing that was masked, and in which of the given texts it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masked {
    /// What it was.
    pub kind: PiiKind,
    /// Index of the first text that held a part of it.
    pub first: usize,
    /// Index of the last text that held a part of it.
    pub last: usize,
}

/// `pipelines/rules/pii.toml`; its comments say what each list is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    fillers: Vec<String>,
    near: Near,
    email: email::Rules,
    plate: plate::Rules,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Near {
    mobile: Vec<String>,
    id_card: Vec<String>,
    bank_card: Vec<String>,
    email: Vec<String>,
    plate: Vec<String>,
    none: Vec<String>,
}

/// Stands between two texts; counts as a pause.
const BORDER: char = '\n';

/// More than any texts are known to need.
const ROUNDS: usize = 8;

/// A find: characters `start..end` of the joined texts.
#[derive(Debug, Clone, Copy)]
struct Found {
    kind: PiiKind,
    start: usize,
    end: usize,
}

/// Finds and replaces personal data.
pub struct Mask {
    rules: Rules,
}

impl Mask {
    /// Loads the rules.
    pub fn new(_config: &MaskConfig) -> Result<Self, Error> {
        Ok(Self { rules: rules::parse("pii.toml", include_str!("../../../pipelines/rules/pii.toml"))? })
    }

    /// Masks consecutive texts in place; a number may run across the border of neighbours.
    ///
    /// Every text that held a part of a find shows its label (`[手机号]`) instead.
    pub fn run(&self, texts: &mut [String]) -> Vec<Masked> {
        let mut masked = Vec::new();
        // What is left beside a find may turn out to be one: on until nothing is found.
        for _ in 0..ROUNDS {
            let found = self.round(texts);
            if found.is_empty() {
                break;
            }
            masked.extend(found);
        }
        masked.sort_by_key(|m| (m.first, m.last));
        masked
    }

    fn round(&self, texts: &mut [String]) -> Vec<Masked> {
        let mut joined: Vec<char> = Vec::new();
        let mut owner: Vec<usize> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            joined.extend(text.chars().map(|c| if c == BORDER { ' ' } else { c }).chain([BORDER]));
            owner.resize(joined.len(), i);
        }
        let found = self.find(&joined);
        let owner_of = |at: usize| owner.get(at).copied().unwrap_or_default();
        let masked = found
            .iter()
            .map(|f| Masked { kind: f.kind, first: owner_of(f.start), last: owner_of(f.end - 1) })
            .collect();
        if !found.is_empty() {
            for (text, masked) in texts.iter_mut().zip(replaced(&joined, &found).split(BORDER)) {
                masked.clone_into(text);
            }
        }
        masked
    }

    /// Whether the text ends inside an open run of at least three digits, which the next text may go on with:
    /// a live caller holds it back until then.
    pub fn may_continue(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        digits::open_at_end(&chars, &self.rules)
    }

    /// All finds in order, none overlapping. Addresses first: a number in one is a part of it.
    fn find(&self, text: &[char]) -> Vec<Found> {
        let finds = email::find(text, &self.rules)
            .into_iter()
            .chain(digits::find(text, &self.rules))
            .chain(plate::find(text, &self.rules));
        let mut kept: Vec<Found> = Vec::new();
        for found in finds {
            if !kept.iter().any(|k| found.start < k.end && k.start < found.end) {
                kept.push(found);
            }
        }
        kept.sort_by_key(|f| f.start);
        kept
    }
}

/// What stands in the place of the data.
fn label(kind: PiiKind) -> &'static str {
    match kind {
        PiiKind::Mobile => "[手机号]",
        PiiKind::Email => "[邮箱]",
        PiiKind::IdCard => "[身份证号]",
        PiiKind::BankCard => "[银行卡号]",
        PiiKind::Plate => "[车牌]",
    }
}

/// The joined texts with labels for finds; a find across a border leaves its label on both sides.
fn replaced(text: &[char], found: &[Found]) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    let mut at = 0;
    for f in found {
        out.extend(text.get(at..f.start).unwrap_or_default());
        let inside = text.get(f.start..f.end).unwrap_or_default();
        for (i, part) in inside.split(|&c| c == BORDER).enumerate() {
            if i > 0 {
                out.push(BORDER);
            }
            if part.iter().any(|c| c.is_alphanumeric()) {
                out.push_str(label(f.kind));
            }
        }
        at = f.end;
    }
    out.extend(text.get(at..).unwrap_or_default());
    out
}

/// How far before a number a word can say what it is, in characters.
const REACH: usize = 24;

/// What the words before `at` say that a number is. The nearest word decides.
fn announced(text: &[char], at: usize, near: &Near) -> Option<Announced> {
    let lists = [
        (&near.mobile, Announced::Kind(PiiKind::Mobile)),
        (&near.id_card, Announced::Kind(PiiKind::IdCard)),
        (&near.bank_card, Announced::Kind(PiiKind::BankCard)),
        (&near.none, Announced::Other),
    ];
    // What announced a number that is masked by now says nothing of the next.
    let masked = text.iter().take(at).rposition(|&c| c == ']').map_or(0, |end| end + 1);
    let from = at.saturating_sub(REACH).max(masked);
    (from..at).rev().find_map(|start| {
        let here =
            |words: &[String]| words.iter().any(|w| is_at(text, start, w) && start + w.chars().count() <= at);
        lists.iter().find(|(words, _)| here(words)).map(|(_, what)| *what)
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    Kind(PiiKind),
    /// An order, a contract, a model: no personal data.
    Other,
}

/// Whether one of `words` stands within `reach` characters before or after the stretch.
fn is_near(text: &[char], start: usize, end: usize, reach: usize, words: &[String]) -> bool {
    let places = (start.saturating_sub(reach)..start).chain(end..(end + reach).min(text.len()));
    let label = |at: usize| text.get(at.saturating_sub(5)..at).is_some_and(|before| before.contains(&'['));
    places.into_iter().any(|at| !label(at) && words.iter().any(|w| is_at(text, at, w)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::normalize::{Normalize, NormalizeConfig};
    use proptest::prelude::*;

    fn mask() -> Mask {
        Mask::new(&MaskConfig::default()).unwrap()
    }

    fn masked(input: &str) -> (String, Vec<Masked>) {
        let mut texts: Vec<String> = input.split('|').map(str::to_owned).collect();
        let found = mask().run(&mut texts);
        (texts.join("|"), found)
    }

    fn table(text: &'static str) -> impl Iterator<Item = &'static str> {
        text.lines().filter(|l| !l.starts_with('#') && !l.is_empty())
    }

    #[test]
    fn the_table_of_personal_data_holds() {
        let mut wrong = Vec::new();
        for line in table(include_str!("../../../tests/data/cases/pii.tsv")) {
            let (input, wanted) = line.split_once('\t').unwrap();
            let got = masked(input).0;
            if got != wanted {
                wrong.push(format!("{input}: {got} instead of {wanted}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_shown_text_is_masked_as_well() {
        let normalize = Normalize::new(&NormalizeConfig::default()).unwrap();
        let mut wrong = Vec::new();
        for line in table(include_str!("../../../tests/data/cases/pii.tsv")) {
            let (input, _) = line.split_once('\t').unwrap();
            let shown: Vec<String> = input.split('|').map(|text| normalize.run(text)).collect();
            let kinds = |found: Vec<Masked>| found.into_iter().map(|m| m.kind).collect::<Vec<_>>();
            let (wanted, got) = (kinds(masked(input).1), kinds(masked(&shown.join("|")).1));
            if got != wanted {
                wrong.push(format!("{input}: {got:?} instead of {wanted:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_no_personal_data_stays() {
        let normalize = Normalize::new(&NormalizeConfig::default()).unwrap();
        let mut wrong = Vec::new();
        for line in table(include_str!("../../../tests/data/cases/not_pii.tsv")) {
            for text in [line.to_owned(), normalize.run(line)] {
                let got = masked(&text).0;
                if got != text {
                    wrong.push(format!("{text}: {got}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_number_across_texts_names_both() {
        let (text, found) = masked("好的|我电话幺三八零零|零零幺二三四，您记一下");
        assert_eq!(text, "好的|我电话[手机号]|[手机号]，您记一下");
        assert_eq!(found, [Masked { kind: PiiKind::Mobile, first: 1, last: 2 }]);
    }

    #[test]
    fn open_runs_are_held_back() {
        let open = ["我的电话是幺三八", "号码是138 0000，", "幺三八零零，呃", "卡号六二二二零二幺二零八零"];
        let closed =
            ["我的电话是", "一共二十八万八", "下周三", "", "幺三八零零零零幺二三四", "138是开头，您记一下"];
        for text in open {
            assert!(mask().may_continue(text), "{text}");
        }
        for text in closed {
            assert!(!mask().may_continue(text), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        #[test]
        fn any_texts_are_masked_once_and_for_all(
            mut texts in prop::collection::vec(".{0,12}|[0-9幺零一三五八, 呃点@a艾特comX苏京C手机卡号订单]{0,24}", 0..4)
        ) {
            let mask = mask();
            let count = texts.len();
            for found in mask.run(&mut texts) {
                prop_assert!(found.first <= found.last && found.last < count);
            }
            let once = texts.clone();
            prop_assert_eq!(mask.run(&mut texts), vec![]);
            prop_assert_eq!(texts, once);
        }

        #[test]
        fn no_mobile_number_survives(
            before in "[我的手机号是您记下，。 ]{0,8}", second in 3u8..=9, rest in prop::collection::vec(0u8..=9, 9),
            style in 0usize..4, gap in 0usize..12,
        ) {
            let written = ["0123456789", "零一二三四五六七八九", "洞幺两三四五六拐八九", "零幺二三四五六七八九"];
            let mut number = String::new();
            for (i, digit) in [1, second].into_iter().chain(rest).enumerate() {
                if i == gap {
                    number.push_str("，呃，");
                }
                number.push(written[style].chars().nth(usize::from(digit)).unwrap());
            }
            let (text, found) = masked(&format!("{before}{number}，谢谢"));
            prop_assert_eq!(found.len(), 1, "{}", text);
            prop_assert!(!text.chars().any(|c| c.is_ascii_digit() || "零幺二三四五六七八九洞两拐".contains(c)), "{}", text);
        }
    }
}

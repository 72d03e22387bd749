//! The tables of cases, and what holds for any text.

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
    let open = [
        "我的电话是幺三八",
        "号码是138 0000，",
        "幺三八零零，呃",
        "卡号六二二二零二幺二零八零",
        "手机是一",
        "13",
        "幺三八零零|嗯",
        "身份证130|10219740",
        "13010219740",
        "幺五八|幺五八",
        "13800001234，139",
        "一三八，四个零",
        "我邮箱gaofeng",
        "邮箱是",
        "发zhangwei艾特",
        "zhangwei艾特example",
        "邮箱l，i，呃",
        "邮箱lina艾特qq点。",
        "车牌鄂F",
        "我的车牌是鄂",
        "京A，",
        "沪AD1206",
        "苏E，呃，九P",
        "车牌是户A六B",
        "手机号幺三九|我先把笔拿出来",
        "幺三八零零，您稍等",
        "拼音是liming",
        "l，i，m，i，n，g",
    ];
    let closed = [
        "我的电话是",
        "一共二十八万八",
        "下周三",
        "",
        "幺三八零零零零幺二三四",
        "138是开头，您记一下",
        "幺三八，不对，幺三九零零零零五六七八",
        "身份证110101199003070011",
        "一共13",
        "资料发您邮箱",
        "发zhangwei艾特example点com",
        "微信艾特他",
        "车牌鄂F三五零T八",
        "我们在苏州",
        "13800001234，139开头那个不用了",
        "走API同步，ERP",
        "回头我把那个ppt",
        "先下载个app，这个",
        "幺三八零零，您稍等一下，我去隔壁屋把那个登记的大本子找出来给您看",
    ];
    let texts = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
    for text in open {
        assert!(mask().may_continue(&texts(text)), "{text}");
    }
    for text in closed {
        assert!(!mask().may_continue(&texts(text)), "{text}");
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
    fn nothing_that_is_said_survives(
        before in prop::sample::select(vec!["", "您记下，", "好的|", "我的是"]),
        (name, mut texts) in spoken::anything(),
        named in any::<bool>(),
    ) {
        // A province that ends a text is one if a plate is spoken of.
        let letter = texts.first().is_some_and(|text| text.chars().any(|c| c.is_ascii_alphabetic()));
        let name = if named || (name == "车牌" && !letter) { name } else { "" };
        let said = format!("{before}{name}{}，谢谢", texts.join("|"));
        texts = said.split('|').map(str::to_owned).collect();
        let found = mask().run(&mut texts);
        prop_assert!(texts.iter().all(|text| !spoken::is_left(text)), "{}: {:?}", said, texts);
        prop_assert_eq!(found.len(), 1, "{}: {:?}", said, texts);
    }
}

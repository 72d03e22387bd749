//! Personal data as people say it, for tests: in digits or words, with fillers, over up to three texts.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Ways to say 0 to 9.
const STYLES: [&str; 5] = [
    "0123456789",
    "零一二三四五六七八九",
    "洞幺两三四五六拐八九",
    "零幺二三四五六七八九",
    "０１２３４５６７８９",
];
const FILLERS: [&str; 8] = ["，", " ", "，呃，", "，那个，", "嗯", "-", "，就是，", "，再就是"];

/// Data of any kind, and what it is called.
pub fn anything() -> impl Strategy<Value = (&'static str, Vec<String>)> {
    prop_oneof![
        mobile().prop_map(|said| ("手机号是", said)),
        id_card().prop_map(|said| ("身份证号", said)),
        bank_card().prop_map(|said| ("卡号", said)),
        plate().prop_map(|said| ("车牌", said)),
    ]
}

/// A mobile number.
fn mobile() -> impl Strategy<Value = Vec<String>> {
    let digits = (3u8..=9, digits(9..=9)).prop_map(|(second, rest)| [vec![1, second], rest].concat());
    said(digits)
}

/// An identity card, its last place a digit or an X.
fn id_card() -> impl Strategy<Value = Vec<String>> {
    let region = select(vec![[1, 1], [1, 3], [3, 2], [4, 4], [5, 1], [6, 5]]);
    let check = (0u8..=10, select(vec!["X", "x", "叉", "艾克斯", "大写X"]));
    let digits = (region, digits(4..=4), 1950u16..2012, 1u8..=12, 1u8..=28, digits(3..=3)).prop_map(
        |(region, place, year, month, day, rest)| {
            let birth = format!("{year}{month:02}{day:02}").bytes().map(|b| b - b'0').collect();
            [region.to_vec(), place, birth, rest].concat()
        },
    );
    (digits, check, select(&STYLES[..])).prop_flat_map(|(digits, (check, x), style)| {
        let mut tokens = written(&digits, style);
        tokens.push(if check > 9 { x.to_owned() } else { written(&[check], style).concat() });
        spread(tokens)
    })
}

/// A bank card of 16 to 19 digits with the right last one.
fn bank_card() -> impl Strategy<Value = Vec<String>> {
    said(digits(13..=16).prop_map(|rest| {
        let mut digits = [vec![6, 2], rest].concat();
        let doubled = |(i, &d): (usize, &u8)| u32::from(if i % 2 > 0 { d } else { d * 2 / 10 + d * 2 % 10 });
        let sum: u32 = digits.iter().rev().enumerate().map(doubled).sum();
        digits.push(((10 - sum % 10) % 10) as u8);
        digits
    }))
}

/// A plate, of an electric car or not.
fn plate() -> impl Strategy<Value = Vec<String>> {
    let province = select("京沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤川".chars().collect::<Vec<_>>());
    let letter = || select("ABCDEFGHJK".chars().collect::<Vec<_>>());
    let letters = (0usize..5, letter(), any::<bool>(), any::<bool>());
    (province, letter(), digits(5..=5), letters, select(&STYLES[..])).prop_flat_map(
        |(province, letter, digits, (at, second, lettered, electric), style)| {
            let mut body = written(&digits, style);
            if lettered || electric {
                body[if electric { 0 } else { at }] = second.to_string();
            }
            if electric {
                body.extend(written(&[8], style));
            }
            spread([vec![province.to_string(), letter.to_string()], body].concat())
        },
    )
}

/// Whether a part of the data is still in a masked text.
pub fn is_left(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_alphanumeric() || STYLES.concat().contains(c) || c == '叉')
}

fn digits(count: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0u8..=9, count)
}

fn said(digits: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<String>> {
    (digits, select(&STYLES[..])).prop_flat_map(|(digits, style)| spread(written(&digits, style)))
}

fn written(digits: &[u8], style: &str) -> Vec<String> {
    let word = |&d: &u8| style.chars().nth(usize::from(d)).map(String::from);
    digits.iter().filter_map(word).collect()
}

/// Fillers between some of the tokens, and borders of texts between some.
fn spread(tokens: Vec<String>) -> impl Strategy<Value = Vec<String>> {
    let places: Vec<usize> = (1..tokens.len()).collect();
    let fillers = prop::collection::vec(select(&FILLERS[..]), 2);
    (subsequence(places.clone(), 0..=2), fillers, subsequence(places, 0..=2)).prop_map(
        move |(paused, fillers, borders)| {
            let mut said = String::new();
            for (at, token) in tokens.iter().enumerate() {
                if let Some(which) = paused.iter().position(|&place| place == at) {
                    said.push_str(fillers[which]);
                }
                if borders.contains(&at) {
                    said.push('|');
                }
                said.push_str(token);
            }
            said.split('|').map(str::to_owned).collect()
        },
    )
}

use proptest::prelude::*;

use super::*;
use crate::domain::time::Span;

/// A print of a made-up voice: a room that all share, a direction of its own, and something by chance.
fn print(voice: usize, at_ms: u64, chance: u64) -> Print {
    let mut direction = vec![1.0; 8];
    direction[voice] += 1.0;
    direction[(chance % 8) as usize] += 0.2;
    let length = direction.iter().map(|x| x * x).sum::<f32>().sqrt();
    direction.iter_mut().for_each(|x| *x /= length);
    Print { span: Span::new(at_ms, at_ms + 1_600), direction }
}

/// Turns of 4 s with three prints each.
fn visit(turns: &[usize]) -> Voices {
    let mut voices = Voices::default();
    for (n, voice) in turns.iter().enumerate() {
        let at = n as u64 * 4_000;
        voices.hear((0..3).map(|k| print(*voice, at + 800 * k, n as u64 + k)).collect());
    }
    voices
}

fn turn(n: usize) -> Span {
    Span::new(n as u64 * 4_000, n as u64 * 4_000 + 3_200)
}

const TALK: [usize; 12] = [0, 1, 0, 2, 0, 1, 0, 2, 1, 0, 1, 2];

#[test]
fn voices_are_told_apart_and_words_give_them_roles() {
    let mut voices = visit(&TALK);
    for (n, voice) in TALK.iter().enumerate() {
        for (m, other) in TALK.iter().enumerate() {
            assert_eq!(voices.differ(turn(n), turn(m)), voice != other, "turns {n} and {m}");
        }
    }
    assert_eq!(voices.speakers((0..12).map(turn)), [None; 12], "nothing is known of their roles yet");
    // What the words say is wrong now and then.
    for (n, voice) in TALK.iter().enumerate() {
        let customer = (*voice > 0) != [4, 8].contains(&n);
        voices.read(turn(n), if customer { 0.8 } else { 0.2 });
    }
    let speakers = voices.speakers((0..12).map(turn));
    let right = TALK.map(|voice| Some(if voice == 0 { Speaker::Rep } else { Speaker::Customer }));
    assert_eq!(speakers, right);
}

#[test]
fn who_spoke_is_unknown_rather_than_wrong() {
    let mut voices = visit(&TALK);
    for n in 0..12 {
        voices.read(turn(n), 0.5);
    }
    assert_eq!(voices.speakers((0..12).map(turn)), [None; 12], "the words say nothing");
    for (n, voice) in TALK.iter().enumerate() {
        voices.read(turn(n), if *voice == 0 { 0.01 } else { 0.99 });
    }
    assert_eq!(voices.speakers([turn(0), turn(1)]), [Some(Speaker::Rep), Some(Speaker::Customer)]);
    let both = Span::new(0, 8_000);
    assert_eq!(voices.speakers([both, Span::new(90_000, 91_000)]), [None, None], "two voices, and none");
    assert_eq!(Voices::default().speakers([both]), [None]);
}

#[test]
fn windows_cover_a_stretch_and_short_ones_have_none() {
    let samples = vec![0.1; 40_000];
    let places: Vec<(u64, usize)> = cut(&samples, 12_800).iter().map(|(at, w)| (*at, w.len())).collect();
    assert_eq!(places, [(0, 25_600), (12_800, 25_600), (14_400, 25_600)]);
    assert_eq!(cut(&samples[..8_000], 12_800).len(), 1);
    assert!(cut(&samples[..3_000], 12_800).is_empty());
}

proptest! {
    #[test]
    fn every_print_has_a_voice(
        directions in proptest::collection::vec(proptest::collection::vec(-1.0_f32..1.0, 4), 0..40),
        same in -0.9_f32..0.9,
    ) {
        let (centres, of) = cluster::divide(directions.iter().map(Vec::as_slice).collect(), same);
        prop_assert_eq!(of.len(), directions.len());
        prop_assert!(of.iter().all(|voice| *voice < centres.len()));
        prop_assert!(directions.iter().all(|d| centres.nearest(d) < centres.len()));
    }
}

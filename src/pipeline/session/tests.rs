use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::domain::audio::Encoding;
use crate::domain::transcript::{GapReason, Speaker};
use crate::engine::{EncoderWindow, EngineError, Piece, Pool, RecognizeRequest, Recognizer, fake};
use crate::pipeline::{Catalog, visit_time};

/// Longer than anything takes; only a test that fails waits for it.
const SOON: Duration = Duration::from_secs(30);

const RAW: AudioFormat = AudioFormat { encoding: Encoding::PcmS16le, sample_rate: 16_000, channels: 1 };

/// Bursts of noise that the fake voice detector takes for speech, `(silence_ms, speech_ms)` each.
fn bursts(parts: &[(usize, usize)]) -> Vec<u8> {
    let loud = |n: usize| if n.is_multiple_of(2) { 8_000_i16 } else { -8_000 };
    let samples = parts.iter().flat_map(|(silence, speech)| {
        std::iter::repeat_n(0_i16, silence * 16).chain((0..speech * 16).map(loud))
    });
    samples.flat_map(i16::to_le_bytes).collect()
}

fn setup(pass: Pass) -> SessionSetup {
    let visit_at = visit_time("2026-11-23T10:00:00+08:00").unwrap();
    SessionSetup { format: RAW, visit_at, hotwords: Vec::new(), pass, cuts: Vec::new() }
}

/// Feeds `bytes` in chunks and collects every event.
async fn run(pass: Pass, bytes: Vec<u8>, chunk: usize) -> Vec<SessionEvent> {
    run_with(setup(pass), bytes, chunk).await
}

async fn run_with(setup: SessionSetup, bytes: Vec<u8>, chunk: usize) -> Vec<SessionEvent> {
    let pipeline = Catalog::load(None).unwrap().get("visit").unwrap();
    let SessionHandle { input, mut events } = start(&pipeline, &fake::engines().unwrap(), setup).unwrap();
    let feed = async move {
        for piece in bytes.chunks(chunk) {
            input.send(SessionInput::Audio(piece.to_vec())).await.unwrap();
        }
        input.send(SessionInput::Stop).await.unwrap();
    };
    tokio::join!(feed, all(&mut events)).1
}

/// Every event up to the last.
async fn all(events: &mut mpsc::Receiver<SessionEvent>) -> Vec<SessionEvent> {
    let mut seen = Vec::new();
    while let Some(event) = events.recv().await {
        seen.push(event);
    }
    seen
}

fn result(events: &[SessionEvent]) -> &VisitResult {
    match events.last() {
        Some(SessionEvent::Done(result)) => result,
        other => panic!("ended with {other:?}"),
    }
}

#[tokio::test]
async fn finals_and_gaps_cover_the_visit() {
    for pass in [Pass::Live, Pass::Batch] {
        let events =
            run(pass, bursts(&[(1_000, 2_000), (1_500, 3_000), (2_000, 1_000), (900, 0)]), 3_200).await;
        let result = result(&events);
        assert_eq!(result.duration_ms, Millis(11_400));
        let mut spans: Vec<_> = result.segments.iter().map(|s| (s.start_ms, s.end_ms)).collect();
        spans.extend(result.gaps.iter().map(|g| (g.start_ms, g.end_ms)));
        spans.sort();
        let mut at = Millis(0);
        for (start, end) in spans {
            assert!(start.since(at).0.max(at.since(start).0) <= 20, "{pass:?}: hole or overlap at {at:?}");
            at = end;
        }
        assert_eq!(at, result.duration_ms);
        assert!(result.gaps.iter().all(|g| g.reason == GapReason::NoSpeech));
        assert!((result.coverage - 1.0).abs() < f64::EPSILON);
    }
}

#[tokio::test]
async fn events_agree_with_the_result_and_partials_come_before_finals() {
    let events = run(Pass::Live, bursts(&[(500, 2_500), (1_000, 3_000), (1_000, 0)]), 1_600).await;
    let result = result(&events);
    let finals: Vec<_> = events
        .iter()
        .filter_map(|e| if let SessionEvent::Final(s) = e { Some(s.clone()) } else { None })
        .collect();
    assert_eq!(finals, result.segments);
    assert_eq!(finals.len(), 2);
    let moments = events.iter().filter(|e| matches!(e, SessionEvent::Moment(_))).count();
    assert_eq!(moments, result.moments.len());
    assert!(moments > 0);
}

#[tokio::test]
async fn chunks_do_not_matter() {
    let bytes = bursts(&[(700, 2_200), (800, 1_300), (1_200, 4_000)]);
    let whole = run(Pass::Batch, bytes.clone(), bytes.len()).await;
    let cut = run(Pass::Batch, bytes, 333).await;
    assert_eq!(result(&whole).segments, result(&cut).segments);
    assert_eq!(result(&whole).summary, result(&cut).summary);
}

#[tokio::test]
async fn what_sounds_like_a_hotword_is_written_as_one() {
    // One for each of the fake recogniser's lines: 月底前, 合同发, 方案发.
    let hotwords = ["悦迪钱", "何彤法", "芳庵法"].map(str::to_owned);
    for pass in [Pass::Live, Pass::Batch] {
        for (given, written) in [(hotwords.to_vec(), true), (Vec::new(), false)] {
            let setup = SessionSetup { hotwords: given, ..setup(pass) };
            let events = run_with(setup, bursts(&[(500, 2_500), (1_000, 0)]), 3_200).await;
            let segments = &result(&events).segments;
            assert_eq!(segments.len(), 1);
            let is_written = hotwords.iter().any(|word| segments[0].text.contains(word));
            assert_eq!(is_written, written, "{pass:?}: {:?}", segments[0].text);
        }
    }
}

/// Hears one thing in a stretch alone, and in a window of four another one in each, or fails there.
struct TwoEars {
    fails: bool,
}

impl Recognizer for TwoEars {
    fn recognize(&mut self, request: &RecognizeRequest) -> Result<Vec<Piece>, EngineError> {
        let end_ms = Samples(request.audio.len() as u64).to_millis();
        let text = match request.window {
            EncoderWindow::Trimmed => "合同一共二十万块".to_owned(),
            EncoderWindow::Full if self.fails => return Err(EngineError::Failed("deaf".into())),
            EncoderWindow::Full => ["三", "四", "五", "六"].map(|n| format!("我们一共{n}十万元。")).concat(),
        };
        let tokens = text.chars().count() as u32;
        Ok(vec![Piece { start_ms: Millis(0), end_ms, text, avg_logprob: -0.2, no_speech_prob: 0.0, tokens }])
    }
}

/// A live visit of six stretches, of which a window holds four, beside `others`. It ends once `until` was told.
async fn told_twice(ears: TwoEars, others: usize, until: fn(&SessionEvent) -> bool) -> Vec<SessionEvent> {
    let pipeline = Catalog::load(None).unwrap().get("visit").unwrap();
    let fails = ears.fails;
    let make = move || Ok(Box::new(TwoEars { fails }) as Box<dyn Recognizer>);
    let recognizer = Pool::start("two-ears", 2, 64, make).unwrap();
    let engines = Engines { recognizer, ..fake::engines().unwrap() };
    let _others: Vec<_> = (0..others).map(|_| engines.recognizer.expect_live()).collect();
    let SessionHandle { input, mut events } = start(&pipeline, &engines, setup(Pass::Live)).unwrap();
    let feeder = input.clone();
    let feed = tokio::spawn(async move {
        for piece in bursts(&[[(1_000, 6_000); 6].as_slice(), &[(1_000, 0)]].concat()).chunks(32_000) {
            feeder.send(SessionInput::Audio(piece.to_vec())).await.unwrap();
        }
    });
    let mut told = Vec::new();
    while !told.last().is_some_and(until) {
        told.push(timeout(SOON, events.recv()).await.expect("nothing more is told").unwrap());
    }
    let end = async {
        feed.await.unwrap();
        input.send(SessionInput::Stop).await.unwrap();
    };
    told.extend(tokio::join!(end, all(&mut events)).1);
    told
}

/// Texts and moments as a client has them in the end that does as it is told.
fn held(told: &[SessionEvent]) -> (BTreeMap<SegmentId, String>, BTreeMap<MomentId, Moment>) {
    let (mut texts, mut moments) = (BTreeMap::new(), BTreeMap::new());
    for event in told {
        match event {
            SessionEvent::Final(segment) => {
                assert_eq!(texts.insert(segment.id.clone(), segment.text.clone()), None, "told once");
            }
            SessionEvent::Corrected(segment) => {
                assert!(texts.insert(segment.id.clone(), segment.text.clone()).is_some(), "told before");
            }
            SessionEvent::Moment(moment) => drop(moments.insert(moment.id.clone(), moment.clone())),
            SessionEvent::Retracted(id) => assert!(moments.remove(id).is_some(), "told before"),
            _ => {}
        }
    }
    (texts, moments)
}

#[tokio::test]
async fn a_live_visit_is_heard_a_second_time_while_it_goes_on() {
    let is_last = |e: &SessionEvent| matches!(e, SessionEvent::Moment(m) if m.id.0 == "mom_0003_quote");
    let told = told_twice(TwoEars { fails: false }, 1, is_last).await;
    let result = result(&told);
    let texts: Vec<&str> = result.segments.iter().map(|s| s.text.as_str()).collect();
    assert_eq!(texts.len(), 6);
    assert!(texts[..4].iter().all(|text| text.contains("0万元")), "{texts:?}");
    assert!(texts[4..].iter().all(|text| text.contains("合同一共20万")), "no window of their own: {texts:?}");
    assert!(
        told.iter().any(|e| matches!(e, SessionEvent::Retracted(id) if id.0 == "mom_0001_signing_intent"))
    );
    let (texts, moments) = held(&told);
    assert_eq!(texts, result.segments.iter().map(|s| (s.id.clone(), s.text.clone())).collect());
    assert_eq!(moments, result.moments.iter().map(|m| (m.id.clone(), m.clone())).collect());
}

#[tokio::test]
async fn a_second_pass_that_fails_or_finds_no_time_leaves_the_first_words() {
    let is_last = |e: &SessionEvent| matches!(e, SessionEvent::Final(s) if s.id.0 == "seg_0006");
    for (fails, others) in [(true, 0), (false, 2)] {
        let told = told_twice(TwoEars { fails }, others, is_last).await;
        let result = result(&told);
        assert!(result.segments.iter().all(|s| s.text.contains("合同一共20万")), "{:?}", result.segments);
        assert_eq!((result.segments.len(), result.moments.len(), result.coverage), (6, 6, 1.0));
        assert!(!told.iter().any(|e| matches!(e, SessionEvent::Corrected(_) | SessionEvent::Retracted(_))));
    }
}

#[tokio::test]
async fn nothing_said_is_an_empty_result() {
    let events = run(Pass::Live, bursts(&[(30_000, 0)]), 3_200).await;
    let result = result(&events);
    assert!(result.segments.is_empty() && result.moments.is_empty());
    assert_eq!(result.speech_ms, Millis(0));
    let events = run(Pass::Live, Vec::new(), 1).await;
    assert!(matches!(events.last(), Some(SessionEvent::Done(_))), "no bytes at all");
}

#[tokio::test]
async fn finalize_flushes_what_was_heard() {
    let pipeline = Catalog::load(None).unwrap().get("visit").unwrap();
    let SessionHandle { input, mut events } =
        start(&pipeline, &fake::engines().unwrap(), setup(Pass::Live)).unwrap();
    input.send(SessionInput::Audio(bursts(&[(300, 2_000)]))).await.unwrap();
    input.send(SessionInput::Finalize).await.unwrap();
    // No stop and no silence: the final must come all the same.
    let segment = loop {
        match events.recv().await.unwrap() {
            SessionEvent::Final(segment) => break segment,
            SessionEvent::Failed(e) => panic!("{e}"),
            _ => {}
        }
    };
    assert!(segment.end_ms.0 > 2_200, "{segment:?}");
}

#[tokio::test]
async fn a_session_told_of_a_cut_cuts_there_again() {
    let sound = bursts(&[(300, 4_000), (1_000, 2_000), (900, 0)]);
    let pipeline = Catalog::load(None).unwrap().get("visit").unwrap();
    let engines = fake::engines().unwrap();
    let SessionHandle { input, mut events } = start(&pipeline, &engines, setup(Pass::Live)).unwrap();
    let (before, after) = sound.split_at(2_000 * 32);
    for message in [
        SessionInput::Audio(before.to_vec()),
        SessionInput::Finalize,
        SessionInput::Audio(after.to_vec()),
        SessionInput::Finalize,
        // Nothing was heard since: nothing to cut.
        SessionInput::Finalize,
        SessionInput::Stop,
    ] {
        input.send(message).await.unwrap();
    }
    let told = all(&mut events).await;
    let cuts: Vec<Samples> =
        told.iter().filter_map(|e| if let SessionEvent::Cut(at) = e { Some(*at) } else { None }).collect();
    assert_eq!(cuts.len(), 2, "{cuts:?}");

    let again = SessionSetup { cuts, ..setup(Pass::Live) };
    let SessionHandle { input, mut events } = start(&pipeline, &engines, again).unwrap();
    // In other pieces than before.
    for piece in sound.chunks(50_000) {
        input.send(SessionInput::Audio(piece.to_vec())).await.unwrap();
    }
    input.send(SessionInput::Stop).await.unwrap();
    let heard = all(&mut events).await;
    assert_eq!(result(&told).segments.len(), 3);
    assert_eq!(result(&heard).segments, result(&told).segments);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_tells_whose_voice_it_is_in() {
    // Two voices in turns; what the fake hears in 1 s is what it takes for a customer's words, in 2 s for the
    // salesperson's.
    let turns = (0..12).map(|n| if n % 2 == 0 { (6_000_i16, 1_000) } else { (16_000, 2_000) });
    let samples = turns.flat_map(|(level, speech_ms)| {
        let loud = move |n: usize| if n.is_multiple_of(2) { level } else { -level };
        std::iter::repeat_n(0_i16, 16_000).chain((0..speech_ms * 16).map(loud))
    });
    let bytes: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    for pass in [Pass::Live, Pass::Batch] {
        let events = timeout(SOON, run(pass, bytes.clone(), 32_000)).await.unwrap();
        let told: Vec<Option<Speaker>> = result(&events).segments.iter().map(|s| s.speaker).collect();
        if pass == Pass::Live {
            let each = [Some(Speaker::Customer), Some(Speaker::Rep)];
            assert_eq!(told, each.into_iter().cycle().take(12).collect::<Vec<_>>());
        }
        let first = events.iter().find_map(|e| match e {
            SessionEvent::Final(segment) => Some(segment.speaker),
            _ => None,
        });
        assert_eq!(first, Some(None), "unknown rather than wrong at first");
    }
}

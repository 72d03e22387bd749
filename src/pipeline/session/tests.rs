use super::*;
use crate::domain::audio::Encoding;
use crate::domain::transcript::GapReason;
use crate::engine::fake;
use crate::pipeline::{Catalog, visit_time};

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

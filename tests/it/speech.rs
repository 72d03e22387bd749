//! Real speech through the real pipeline: error rates with a bound, and nothing heard where nobody speaks.
//! Needs the models (`visitscribe models fetch`); without them these tests fail and say so.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::sound::{rooms, wav, whole};

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

/// Runs the binary and reads its JSON; a failure shows what it said.
fn json(args: &[&str]) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_visitscribe")).args(args).output().unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn transcribe(path: &Path) -> Value {
    json(&["transcribe", path.to_str().unwrap(), "--visit-at", "2026-11-23T10:00:00+08:00"])
}

fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            next.push((row[j + 1] + 1).min(next[j] + 1).min(row[j] + usize::from(x != y)));
        }
        row = next;
    }
    row[b.len()]
}

/// Both clips together are 31 characters; Whisper base mishears eight of them, so the bound is a loose one.
#[test]
fn real_clips_are_recognised() {
    let (mut wrong, mut length) = (0, 0);
    for (clip, said) in [
        ("real/aishell.wav", "广州市房地产中介协会分析"),
        ("real/damo.wav", "欢迎大家来体验达摩院推出的语音识别模型"),
    ] {
        let result = transcribe(&data(clip));
        let segments = result["segments"].as_array().unwrap();
        let heard: String = segments.iter().map(|s| s["text"].as_str().unwrap()).collect();
        let heard: String = heard.chars().filter(|c| c.is_alphanumeric()).collect();
        wrong += edits(said, &heard);
        length += said.chars().count();
    }
    let rate = wrong as f64 / length as f64;
    assert!(rate <= 0.30, "character error rate {rate:.2}");
}

/// Beside an outside command that hears two words, and a requirement that only the pipeline reaches.
#[test]
fn the_shipped_visit_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let (page, peer) = (dir.path().join("report.html"), dir.path().join("peer.toml"));
    let script = r#"printf '[{"start": 0, "end": 1, "text": "你好"}]'"#;
    let command = toml::to_string(&serde_json::json!({
        "name": "peer", "command": ["/bin/sh", "-c", script, "{audio}"], "output": "json"
    }));
    std::fs::write(&peer, command.unwrap()).unwrap();
    let reports = json(&[
        "eval",
        data("visit").to_str().unwrap(),
        "--json",
        "--adapter",
        peer.to_str().unwrap(),
        "--require",
        "visit:cer<=0.25",
        "--html",
        page.to_str().unwrap(),
    ]);
    let (report, peer) = (&reports[0], &reports[1]);
    let rate = report["cer"].as_f64().unwrap();
    assert!(rate <= 0.25, "character error rate {rate}");
    assert!(report["realtime"].as_f64().unwrap() > 0.0);
    assert!(report["latency"]["p95_s"].as_f64().unwrap() > 0.0);
    assert_eq!(report["visits"].as_array().unwrap().len(), 1);
    assert_eq!(report["conditions"][0]["visits"], 1);
    assert!(report["summary"]["stage"]["n"] == 1 && report["versus"].is_null());
    assert!(peer["cer"].as_f64().unwrap() > 0.9 && peer["failed"] == 0);
    assert!(peer["core_f1"].is_null() && peer["moments"] == serde_json::json!({}), "it tells of no moments");
    let verdict = peer["versus"]["verdict"].as_str().unwrap();
    assert!(
        verdict.starts_with("no difference shown between peer and visit: 1 visit is too few"),
        "{verdict}"
    );

    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("tests/data/visit/visit.ogg#t=") && page.contains("<audio controls"));
    assert!(!page.contains("src=\"/") && !page.contains("<script"), "it needs nothing but the sound");
}

#[test]
fn pipelines_stand_side_by_side_and_are_held_to_what_is_required() {
    let out = Command::new(env!("CARGO_BIN_EXE_visitscribe"))
        .args([
            "eval",
            data("validation").to_str().unwrap(),
            "--text",
            "--pipeline",
            "visit",
            "--pipeline",
            "visit",
        ])
        .args(["--require", "moments.core>=0.7", "--require", "moments.all>=0.999"])
        .output()
        .unwrap();
    let (table, said) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("error: not reached: visit: moments.all>=0.999 (is 0."), "{last}");
    assert!(!last.contains("moments.core"), "{last}");
    let row = |name: &str| {
        let line =
            table.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {table}"));
        line.strip_prefix(name).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("14 visits"), ["visit", "visit"]);
    let core = row("moments core F1");
    assert!(core.len() == 2 && core[0] == core[1] && core[0].parse::<f64>().unwrap() > 0.7, "{core:?}");
    for name in
        ["CER", "quote precision", "slots.quote.amount_cny", "summary.stage", "real-time factor", "By visit"]
    {
        row(name);
    }
    assert_eq!(row("CER, points"), ["+0.00", "(+0.00", "to", "+0.00)", "not", "shown"]);
    assert_eq!(table.lines().last(), Some("no difference shown between visit and visit"));
}

/// Half an hour: still, hiss, a fan, hum, tones, a keyboard, knocks, music, and a cafe full of voices.
#[test]
fn rooms_in_which_nobody_speaks_say_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rooms.wav");
    wav(&path, whole(&rooms(6)));
    let result = transcribe(&path);
    assert_eq!(result["segments"], Value::Array(Vec::new()));
    assert_eq!(result["moments"], Value::Array(Vec::new()));
    assert_eq!(result["duration_ms"], 30 * 60 * 1000);
}

/// At the speed of speech, so it takes as long as the clip.
#[test]
fn a_clip_heard_live_is_scored_with_its_waits() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(data("real/damo.wav"), dir.path().join("damo.wav")).unwrap();
    let labelled = serde_json::json!({
        "id": "damo", "visit_at": "2026-11-23T10:00:00+08:00",
        "utterances": [{"i": 0, "text": "欢迎大家来体验达摩院推出的语音识别模型"}]
    });
    std::fs::write(dir.path().join("damo.json"), labelled.to_string()).unwrap();
    let reports = json(&["eval", dir.path().to_str().unwrap(), "--live", "--json"]);
    let report = &reports[0];
    assert_eq!(report["failed"], 0, "{report}");
    assert!(report["cer"].as_f64().unwrap() <= 0.5, "{report}");
    assert!(report["latency"]["n"].as_u64().unwrap() >= 1, "each final was waited for: {report}");
    assert!(report["realtime"].is_null(), "a live visit takes as long as it takes");
}

#[test]
fn a_result_has_the_declared_shape() {
    let result = transcribe(&data("real/damo.wav"));
    let mut keys: Vec<&str> = result.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "coverage",
            "duration_ms",
            "gaps",
            "models",
            "moments",
            "pii",
            "pipeline",
            "segments",
            "speech_ms",
            "summary",
            "timings"
        ]
    );
    let segment = &result["segments"][0];
    for key in ["id", "start_ms", "end_ms", "text", "raw_text", "speaker", "confidence"] {
        assert!(segment.get(key).is_some(), "segment lacks {key}");
    }
    for key in [
        "headline",
        "stage",
        "next_action",
        "next_date",
        "latest_quote",
        "objections",
        "signing_intent",
        "moments",
        "coverage",
        "confidence",
        "evidence",
    ] {
        assert!(result["summary"].get(key).is_some(), "summary lacks {key}");
    }
    for stage in ["decode", "vad", "recognize", "normalize", "mask", "classify", "summarize"] {
        assert!(result["timings"][stage].is_u64(), "no timing of {stage}");
    }
    assert_eq!(result["models"]["whisper-base"]["sha256"].as_str().unwrap().len(), 64);
}

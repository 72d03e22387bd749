//! The command line from outside: every bad input ends in one line with the cause and the way out, exit code
//! 1 or 2, and no panic.

use std::path::Path;
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_visitscribe")).args(args).output().unwrap()
}

/// Asserts the exit code and that stderr is one line with `word` in it.
fn refused(args: &[&str], code: i32, word: &str) {
    let out = run(args);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
    assert!(out.stdout.is_empty(), "{args:?} printed a result");
    assert_eq!(said.trim_end().lines().count(), 1, "{args:?}: {said}");
    assert!(said.starts_with("error: ") && said.contains(word), "{args:?}: {said}");
}

fn transcribe_refused(path: &Path, word: &str) {
    refused(&["transcribe", path.to_str().unwrap()], 1, word);
}

fn shipped() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/real/damo.wav")).unwrap()
}

#[test]
fn audio_that_cannot_be_read_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    transcribe_refused(Path::new("/nowhere/visit.wav"), "no file");
    transcribe_refused(dir.path(), "directory");
    transcribe_refused(&file("empty.wav", b""), "empty");
    transcribe_refused(&file("one.wav", b"x"), "not audio");
    transcribe_refused(&file("text.wav", "这是一个文本文件\n".repeat(200).as_bytes()), "not audio");
    transcribe_refused(&file("head.wav", &shipped()[..30]), "audio");
    // 100 samples.
    transcribe_refused(&file("short.wav", &shipped()[..44 + 200]), "at least 100 ms");
    // An MP4 that lost its index.
    let mut mp4 = b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0\0\x01\0\0mdat".to_vec();
    mp4.resize(5_000, 7);
    transcribe_refused(&file("cut.m4a", &mp4), "audio");
}

#[test]
fn wrong_usage_exits_with_2() {
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/real/damo.wav");
    refused(&["transcribe", clip, "--pipeline", "nope"], 2, "there are: visit");
    refused(&["transcribe", clip, "--visit-at", "yesterday"], 2, "RFC 3339");
    refused(&["analyze", clip], 2, "utterances");
    refused(&["eval", "/nowhere"], 2, "nowhere");
    let set = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/visit");
    refused(&["eval", set, "--require", "wer<=0.1"], 2, "there are: cer, moments.core");
    refused(&["eval", set, "--require", "trial:cer<=0.1"], 2, "there are: visit");
    refused(&["eval", set, "--pipeline", "visit", "--pipeline", "nope"], 2, "there are: visit");
    refused(&["eval", set, "--adapter", "Cargo.toml"], 2, "Cargo.toml: line ");
    refused(&["eval", set, "--html", "/nowhere/report.html"], 2, "/nowhere/report.html");
    assert_eq!(run(&["transcribe"]).status.code(), Some(2));
    assert_eq!(run(&["unknown"]).status.code(), Some(2));
}

#[test]
fn models_that_are_missing_or_altered_are_told_with_the_way_out() {
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/real/damo.wav");
    let dir = tempfile::tempdir().unwrap();
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_visitscribe"))
            .args(["transcribe", clip])
            .env("VISITSCRIBE_MODELS__DIR", dir.path())
            .output()
            .unwrap()
    };
    let out = run();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("visitscribe models fetch") && said.lines().count() == 1, "{said}");

    std::fs::write(dir.path().join("libonnxruntime.so.1.32.0"), b"not a library").unwrap();
    let out = run();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("visitscribe models") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_pipeline_file_with_a_mistake_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let good = include_str!("../../pipelines/visit.toml");
    std::fs::write(dir.path().join("mine.toml"), good.replace("pad_ms = 200", "pads_ms = 200")).unwrap();
    let line = 1 + good.lines().position(|l| l.starts_with("pad_ms")).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_visitscribe"))
        .args(["pipeline", "check", "mine"])
        .env("VISITSCRIBE_PIPELINE__DIR", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("mine.toml:{line}: ")), "{said}");
}

#[test]
fn shipped_pipelines_hold_their_cases() {
    let out = run(&["pipeline", "check", "visit"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_classifier_that_cannot_be_switched_to_is_told_and_not_chosen() {
    let data = tempfile::tempdir().unwrap();
    let models = |args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_visitscribe"))
            .arg("models")
            .args(args)
            .env("VISITSCRIBE_DATA__DIR", data.path())
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, said) = models(&["switch", "nope"]);
    assert!(code == Some(1) && said.contains("no model is called nope"), "{said}");
    let (code, said) = models(&["shadow", "silero-vad"]);
    assert!(code == Some(2) && said.contains("of another kind"), "{said}");
    let (code, said) = models(&["rollback"]);
    assert!(code == Some(2) && said.contains("none was switched"), "{said}");
}

#[test]
fn help_teaches() {
    let out = run(&["--help"]);
    let help = String::from_utf8_lossy(&out.stdout);
    for word in [
        "serve",
        "transcribe",
        "analyze",
        "replay",
        "eval",
        "models",
        "pipeline",
        "keys",
        "export",
        "migrate",
    ] {
        assert!(help.contains(word), "--help does not name {word}");
    }
}

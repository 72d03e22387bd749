//! The house has walls: who may use whom (src/lib.rs), and which crate lives where.

use std::fs;
use std::path::{Path, PathBuf};

/// A room and the rooms it may use, besides itself and [`EVERYWHERE`].
const ROOMS: [(&str, &[&str]); 9] = [
    ("domain", &[]),
    ("engine", &["domain"]),
    ("stage", &["domain", "engine"]),
    ("pipeline", &["domain", "engine", "stage"]),
    ("store", &["domain"]),
    ("webhook", &["domain"]),
    ("service", &["domain", "engine", "stage", "pipeline", "store", "webhook"]),
    ("http", &["domain", "engine", "stage", "pipeline", "store", "webhook", "service"]),
    ("cli", &["domain", "engine", "stage", "pipeline", "store", "webhook", "service", "http"]),
];

/// What every room may use.
const EVERYWHERE: [&str; 6] = ["error", "telemetry", "config", "Error", "Code", "Result"];

/// A heavy crate and the places that may name it.
const HOMES: [(&str, &[&str]); 14] = [
    ("symphonia", &["stage/decode"]),
    ("symphonia_adapter_libopus", &["stage/decode"]),
    ("rubato", &["stage/resample"]),
    ("whisper_rs", &["engine/whisper"]),
    ("ort", &["engine/onnx"]),
    ("sqlx", &["store"]),
    ("reqwest", &["webhook", "engine/fetch", "cli/replay"]),
    ("axum", &["http"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("tower_http", &["http"]),
    ("utoipa", &["http"]),
    ("tokio_tungstenite", &["cli/replay"]),
    ("clap", &["cli"]),
];

#[test]
fn a_room_uses_only_the_rooms_to_its_left() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let Some((room, may_use)) = ROOMS.iter().find(|(room, _)| in_room(&path, room)) else { continue };
        for (number, line) in code_lines(&text) {
            for used in line.split("crate::").skip(1).flat_map(named) {
                if used != *room && !may_use.contains(&used.as_str()) && !EVERYWHERE.contains(&used.as_str())
                {
                    broken.push(format!("{path}:{number}: {room} uses {used}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_heavy_crate_has_one_home() {
    let mut broken = Vec::new();
    // Tests may bring a receiver or a client of their own.
    let in_tests = |path: &str| path.ends_with("tests.rs") || path.contains("/tests/");
    for (path, text) in sources().into_iter().filter(|(path, _)| !in_tests(path)) {
        for (number, line) in code_lines(&text) {
            for (name, homes) in HOMES {
                if uses(line, name) && !homes.iter().any(|home| in_room(&path, home)) {
                    broken.push(format!("{path}:{number}: {name} lives in {}", homes.join(", ")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Every source file: its path below `src/` and its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 30, "the sources were found");
    found
}

fn in_room(path: &str, room: &str) -> bool {
    path.strip_prefix(room).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// Numbered lines that are not comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The rooms named right after `crate::`, one or a list in braces.
fn named(rest: &str) -> Vec<String> {
    let first = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    match rest.strip_prefix('{') {
        Some(list) => list.split(',').map(first).filter(|name: &String| !name.is_empty()).collect(),
        None => vec![first(rest)],
    }
}

/// Whether the line uses the crate of this name, not a module or word that is called the same.
fn uses(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    let starts =
        line.match_indices(&path).map(|(at, _)| line.get(..at).unwrap_or_default().chars().next_back());
    let mut starts =
        starts.filter(|before| before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':')));
    starts.next().is_some() || line.trim() == format!("use {name};")
}

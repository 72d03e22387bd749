//! Log set-up, metric names, and the list of what is never logged.
//!
//! Never in a log line, at any level: words that were said (raw or masked), names, hotwords, personal data,
//! API keys, tickets, webhook secrets, request bodies. Ids, states, counts, durations and codes only.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Time spent in a stage, seconds; label `stage`.
pub const STAGE_SECONDS: &str = "visitscribe_stage_seconds";
/// Live visits with an open stream.
pub const LIVE_STREAMS: &str = "visitscribe_live_streams";
/// Audio bytes made durable.
pub const AUDIO_BYTES: &str = "visitscribe_audio_bytes_total";
/// Segments made final.
pub const FINALS: &str = "visitscribe_finals_total";
/// Segments that the second pass corrected.
pub const CORRECTIONS: &str = "visitscribe_corrections_total";
/// Moments found; label `kind`.
pub const MOMENTS: &str = "visitscribe_moments_total";
/// Visits that reached a state; label `state`.
pub const VISITS: &str = "visitscribe_visits_total";
/// Webhook attempts; label `outcome`.
pub const DELIVERIES: &str = "visitscribe_deliveries_total";
/// Jobs waiting for a model; label `pool`.
pub const POOL_WAITING: &str = "visitscribe_pool_waiting";

/// Utterances that a shadow classifier was asked about; labels `candidate` and `outcome`: judged, dropped (too many
/// were waiting) or failed.
pub const SHADOW_UTTERANCES: &str = "visitscribe_shadow_utterances_total";
/// Labels of the active classifier and its shadow; labels `candidate`, `kind` and `outcome`: agreed, only_active or
/// only_candidate. What neither found is not counted.
pub const SHADOW_LABELS: &str = "visitscribe_shadow_labels_total";
/// Time until a shadow has judged an utterance, its queue included, seconds; label `candidate`.
pub const SHADOW_SECONDS: &str = "visitscribe_shadow_seconds";

/// Symphonia tells of every broken byte of hostile input as an error; our own errors say it once.
const SILENT: &str = "symphonia=off";

/// Sends log lines to stderr: readable on a terminal, JSON with `json`. `RUST_LOG` overrides the level.
pub fn init(json: bool, default_level: &str) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{default_level},{SILENT}")));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    // A second call (tests) keeps the first subscriber.
    let _ = if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
}
/// The most memory a process has held, in KiB, from `/proc`; nothing where there is none.
pub fn peak_memory_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

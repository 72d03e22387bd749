//! What the operator asks: is it alive, is it ready, what does it do, what is it.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use std::sync::OnceLock;

use super::problem::Answer;
use super::schema;
use super::{AppState, observe};
use crate::error::Error;
use crate::telemetry;

/// Seconds. From a cache hit to a visit's whole second pass.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The process's one recorder: tests start many servers in one process.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts recording metrics, once for the process.
pub fn record_metrics() -> crate::Result<&'static PrometheusHandle> {
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).map_err(Error::internal)?;
    Ok(RECORDER.get_or_init(|| {
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Fails only if somebody else in the process records already; then ours stays empty.
        let _ = metrics::set_global_recorder(recorder);
        describe();
        handle
    }))
}

fn describe() {
    metrics::describe_histogram!(telemetry::STAGE_SECONDS, "Time spent in a stage");
    metrics::describe_gauge!(telemetry::LIVE_STREAMS, "Live visits with an open stream");
    metrics::describe_counter!(telemetry::AUDIO_BYTES, "Audio bytes made durable");
    metrics::describe_counter!(telemetry::FINALS, "Segments made final");
    metrics::describe_counter!(telemetry::CORRECTIONS, "Segments whose words the second pass corrected");
    metrics::describe_counter!(telemetry::MOMENTS, "Moments found");
    metrics::describe_counter!(telemetry::VISITS, "Visits that reached a state");
    metrics::describe_counter!(telemetry::DELIVERIES, "Webhook attempts");
    metrics::describe_counter!(telemetry::SHADOW_UTTERANCES, "Utterances for a shadow classifier");
    metrics::describe_counter!(telemetry::SHADOW_LABELS, "Labels of the active classifier and its shadow");
    metrics::describe_histogram!(telemetry::SHADOW_SECONDS, "Time until a shadow has judged an utterance");
    metrics::describe_gauge!(telemetry::POOL_WAITING, "Jobs waiting for a model");
    metrics::describe_counter!(observe::REQUESTS, "HTTP requests answered");
    metrics::describe_histogram!(observe::REQUEST_SECONDS, "Time to the head of an HTTP answer");
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/healthz", tag = "operation",
    responses((status = 200, description = "Alive", body = String, content_type = "text/plain")))]
pub async fn healthz() -> &'static str {
    "ok"
}

/// Whether it can do its work: models are loaded and the database answers.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses(
        (status = 200, description = "Ready", body = String, content_type = "text/plain"),
        (status = 503, description = "Not ready; `code` says why", body = schema::Problem,
         content_type = "application/problem+json")
    ))]
pub async fn readyz(State(app): State<AppState>) -> Answer<&'static str> {
    app.ready().await?;
    Ok("ready")
}

/// Counters and histograms in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain")))]
pub async fn metrics_page() -> Answer<impl IntoResponse> {
    let handle = record_metrics()?;
    handle.run_upkeep();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], handle.render()))
}

/// What runs here: version, pipeline, models, limits.
#[utoipa::path(get, path = "/info", tag = "operation",
    responses((status = 200, description = "What runs here", body = Object)))]
pub async fn info(State(app): State<AppState>) -> Json<Value> {
    let (limits, listening) = (&app.config.limits, app.hearing.now());
    Json(json!({
        "name": "visitscribe",
        "version": env!("CARGO_PKG_VERSION"),
        "timezone": app.config.server.timezone,
        "pipeline": app.hearing.pipeline(),
        "models": listening.models,
        "classifier": {"active": listening.classifier, "shadow": listening.shadow_name()},
        "limits": {
            "live_visits": limits.live_visits,
            "max_message_bytes": limits.message_bytes,
            "max_bytes_per_s": limits.live_bytes_per_second,
            "max_body_bytes": limits.body_bytes,
            "max_stream_bytes": limits.stream_bytes,
            "max_audio_minutes": app.hearing.max_minutes(),
            "idle_ms": limits.idle_seconds * 1000,
        },
    }))
}

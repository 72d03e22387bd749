//! Around every request: its id, its log line, its metrics, its time limit, and the net under a panic.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use metrics::{counter, histogram};
use tracing::Instrument as _;

use super::AppState;
use super::problem::Problem;
use crate::error::Error;

/// Answers by route, method and status.
pub const REQUESTS: &str = "visitscribe_http_requests_total";
/// Time to the answer's head, seconds, by route.
pub const REQUEST_SECONDS: &str = "visitscribe_http_request_seconds";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost middleware.
///
/// A request id that the client sent is kept if it is short and plain, so that both sides' logs meet. The log
/// line names the route as declared, never the URL: a ticket can stand in it.
pub async fn request(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let began = Instant::now();
    let limit = Duration::from_secs(app.config.limits.request_seconds);
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());

    // An upload's body may take its time; its chunks are timed where they are read.
    let unhurried = route.ends_with("/uploads/{length}");
    let answer = async {
        if unhurried {
            return next.run(request).await;
        }
        tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
            let detail = format!("no answer within {} s", limit.as_secs());
            Problem::of_http(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail).into_response()
        })
    };
    let mut response = answer.instrument(span.clone()).await;

    let (status, took) = (response.status(), began.elapsed());
    span.in_scope(|| tracing::debug!(%method, route, status = status.as_u16(), ms = took.as_millis() as u64));
    let labels = [("route", route), ("method", method.to_string()), ("status", status.as_u16().to_string())];
    counter!(REQUESTS, &labels).increment(1);
    histogram!(REQUEST_SECONDS, "route" => labels[0].1.clone()).record(took.as_secs_f64());
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.entry("cache-control").or_insert(HeaderValue::from_static("no-store"));
    response
}

fn request_id(request: &Request) -> HeaderValue {
    let given = request.headers().get(&REQUEST_ID).filter(|value| {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        (1..=64).contains(&value.len()) && value.as_bytes().iter().all(plain)
    });
    given.cloned().unwrap_or_else(|| {
        let fresh = uuid::Uuid::now_v7().simple().to_string();
        HeaderValue::from_str(&fresh).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// What a panicking handler is answered with.
pub fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let told = panic.downcast_ref::<String>().map(String::as_str);
    let told = told.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned();
    Problem::from(Error::internal(anyhow::anyhow!("a handler panicked: {told}"))).into_response()
}

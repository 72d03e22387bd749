//! `Idempotency-Key` on writes: the same request sent again gets the first answer and has no second effect.
//!
//! Only successful answers are kept. A refused request had no effect, so its key stays free for a try that
//! may succeed. A second request that comes while the first is being worked on waits for its answer.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::AppState;
use super::problem::{Answer, Problem};
use crate::domain::access::{Principal, TenantId};
use crate::domain::hex::hex;
use crate::error::{Code, Error};
use crate::store::Idempotency;

const HEADER: &str = "idempotency-key";
/// Set on an answer that was given before.
const REPLAYED: &str = "idempotent-replayed";
const LONGEST_KEY: usize = 200;
/// The largest answer kept.
const MOST_BYTES: usize = 1 << 20;
/// How long a second request waits for the first one's answer, and how often it looks.
const WAIT: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The middleware. Runs after the access check.
pub async fn once(State(app): State<AppState>, request: Request, next: Next) -> Answer<Response> {
    let writes = matches!(*request.method(), Method::POST | Method::DELETE);
    let principal = request.extensions().get::<Principal>().cloned();
    let (Some(given), Some(principal), true) = (key(request.headers())?, principal, writes) else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    let what = format!("{} {}", parts.method, parts.uri.path());
    let hash = hex(&Sha256::digest(&body));

    let began = tokio::time::Instant::now();
    loop {
        match app.store.idempotency_begin(&principal.tenant, &given, &what, &hash).await? {
            Idempotency::Fresh => break,
            Idempotency::Replay { status, body } => return Ok(replay(status, body)),
            Idempotency::Conflict => {
                let detail = "this Idempotency-Key came with another request before; use a new key";
                return Err(Error::new(Code::IdempotencyConflict, detail).into());
            }
            Idempotency::InProgress if began.elapsed() < WAIT => tokio::time::sleep(LOOK_EVERY).await,
            Idempotency::InProgress => {
                let detail = "the first request with this Idempotency-Key is still being worked on";
                return Err(Error::new(Code::IdempotencyConflict, detail).into());
            }
        }
    }
    // The work goes on if the client goes away, so that the key is not left without an answer.
    let request = Request::from_parts(parts, Body::from(body));
    let work =
        tokio::spawn(async move { answer(&app, &principal.tenant, &given, next.run(request).await).await });
    work.await.map_err(|e| Problem::from(Error::internal(e)))?
}

/// Keeps a successful answer, frees the key of any other.
async fn answer(app: &AppState, tenant: &TenantId, key: &str, response: Response) -> Answer<Response> {
    if !response.status().is_success() {
        app.store.idempotency_release(tenant, key).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MOST_BYTES).await.map_err(|e| Problem::from(Error::internal(e)))?;
    let text = String::from_utf8_lossy(&body);
    if let Err(error) = app.store.idempotency_finish(tenant, key, parts.status.as_u16(), &text).await {
        // The effect is there and so is the answer; only its replay is lost.
        tracing::error!(code = error.code.as_str(), cause = ?error.source, "an answer was not kept for replay");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replay(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn key(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let fits = |text: &&str| (1..=LONGEST_KEY).contains(&text.len()) && !text.trim().is_empty();
    match value.to_str().ok().filter(fits) {
        Some(text) => Ok(Some(text.to_owned())),
        None => {
            Err(Problem::of_field("Idempotency-Key", "Idempotency-Key: 1 to 200 visible ASCII characters")
                .status(StatusCode::BAD_REQUEST))
        }
    }
}

//! The live stream: everything that can be refused is refused before the upgrade, as a problem document; then
//! [`conversation`] talks `visit.v1`.

mod conversation;
mod pace;
mod protocol;
mod speaker;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::StatusCode;
use axum::response::Response;

use super::AppState;
use super::extract::{Caller, Id};
use super::problem::{Answer, Problem};
use super::schema::{self, Absent, Refusals};
use crate::domain::ids::VisitId;
use protocol::SUBPROTOCOL;
pub use protocol::check_format;

/// Messages beyond the declared limit are read up to this multiple of it, so that they can be refused politely.
const GRACE: usize = 4;

/// Bytes that wait for a client that does not read, before the stream is given up.
const WRITE_BUFFER: usize = 1 << 20;

/// Opens the live stream: a WebSocket that speaks `visit.v1`. Authorised by the bearer header or by a ticket.
#[utoipa::path(
    get, path = "/v1/visits/{id}/stream", tag = "live",
    params(("id" = String, Path, description = "The visit"),
        ("ticket" = Option<String>, Query, description = "A one-time ticket instead of the bearer header"),
        ("Sec-WebSocket-Protocol" = String, Header, description = "Must offer `visit.v1`")),
    responses(
        (status = 101, description = "The stream is open"),
        (status = 400, description = "Not a WebSocket handshake that offers `visit.v1`", body = schema::Problem,
         content_type = "application/problem+json"),
        (status = 409, description = "The visit takes no more audio", body = schema::Problem,
         content_type = "application/problem+json"),
        Refusals, Absent
    ),
    security(("key" = []), ())
)]
pub async fn open(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<VisitId>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer<Response> {
    let refuse = |status, detail: String| Problem::of_http(status, "invalid_request", detail);
    let upgrade =
        upgrade.map_err(|e| refuse(StatusCode::BAD_REQUEST, e.body_text()))?.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        let detail = format!("offer the subprotocol {SUBPROTOCOL} in Sec-WebSocket-Protocol");
        return Err(refuse(StatusCode::BAD_REQUEST, detail));
    }
    let admission = app.live.admit(&caller.tenant, &id).await?;
    let most = app.config.limits.message_bytes * GRACE;
    Ok(upgrade
        .max_message_size(most)
        .max_frame_size(most)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .on_upgrade(move |socket| conversation::hold(app, caller, admission, socket)))
}

//! What came of a visit: its result, its card, and the confirmation.

use axum::Json;
use axum::extract::State;

use super::AppState;
use super::extract::{Body, Caller, Id};
use super::problem::Answer;
use super::schema::{self, Absent, BadBody, Refusals};
use crate::domain::card::Card;
use crate::domain::confirmation::Confirmation;
use crate::domain::ids::{MomentId, VisitId};
use crate::domain::result::VisitResult;

/// The whole result: transcript, moments, summary. 404 `result_not_ready` before it exists.
#[utoipa::path(
    get, path = "/v1/visits/{id}/result", tag = "cards",
    params(("id" = String, Path, description = "The visit")),
    responses((status = 200, description = "The result", body = schema::VisitResult), Refusals, Absent),
    security(("key" = []))
)]
pub async fn result(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<VisitId>,
) -> Answer<Json<VisitResult>> {
    Ok(Json(app.store.result(&caller.tenant, &id).await?))
}

/// The card. 404 `card_not_ready` before it exists.
#[utoipa::path(
    get, path = "/v1/visits/{id}/card", tag = "cards",
    params(("id" = String, Path, description = "The visit")),
    responses((status = 200, description = "The card", body = schema::Card), Refusals, Absent),
    security(("key" = []))
)]
pub async fn card(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<VisitId>,
) -> Answer<Json<Card>> {
    Ok(Json(app.store.card(&caller.tenant, &id).await?))
}

/// Confirms the card as it was seen. Card, labels, audit entry and outgoing events are one transaction; the same
/// confirmation again gets the same answer. 409 `stale_version` if the card changed since it was read.
#[utoipa::path(
    post, path = "/v1/visits/{id}/card/confirm", tag = "cards", request_body = schema::ConfirmBody,
    params(("id" = String, Path, description = "The visit"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 200, description = "The card, `confirmed`", body = schema::Card), Refusals, Absent, BadBody),
    security(("key" = []))
)]
pub async fn confirm(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<VisitId>,
    Body(seen): Body<schema::ConfirmBody>,
) -> Answer<Json<Card>> {
    let said = Confirmation {
        version: seen.version,
        edits: seen.edits,
        dismissed: seen.dismissed.into_iter().map(MomentId).collect(),
    };
    Ok(Json(app.confirm(&caller, &id, &said).await?.card))
}

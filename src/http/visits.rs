//! Visits, their consent, and tickets for their live stream.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::extract::{Body, Caller, Id, Params};
use super::problem::{Answer, Problem};
use super::schema::{self, Absent, BadBody, Refusals};
use super::{AppState, check};
use crate::domain::consent::Consent;
use crate::domain::ids::VisitId;
use crate::domain::visit::{Party, Visit, VisitState};
use crate::service::tickets;
use crate::store::{NewConsent, NewVisit, VisitFilter};

/// Most visits on one page.
const PAGE: u32 = 200;

/// Records a visit.
#[utoipa::path(
    post, path = "/v1/visits", tag = "visits", request_body = schema::NewVisit,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 201, description = "Recorded, `scheduled`", body = schema::Visit), Refusals, BadBody),
    security(("key" = []))
)]
pub async fn create(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Body(new): Body<schema::NewVisit>,
) -> Answer<(StatusCode, Json<Visit>)> {
    check::optional("external_id", new.external_id.as_deref(), check::NAME_CHARS)?;
    check::optional("purpose", new.purpose.as_deref(), check::TEXT_CHARS)?;
    check::hotwords("hotwords", &new.hotwords)?;
    let new = NewVisit {
        external_id: new.external_id,
        customer: party("customer", new.customer)?,
        rep: party("rep", new.rep)?,
        scheduled_at: new.scheduled_at,
        purpose: new.purpose,
        hotwords: new.hotwords,
    };
    Ok((StatusCode::CREATED, Json(app.store.create_visit(&caller.tenant, new).await?)))
}

fn party(field: &str, given: schema::Party) -> Answer<Party> {
    check::text(&format!("{field}.id"), &given.id, check::NAME_CHARS)?;
    check::text(&format!("{field}.name"), &given.name, check::NAME_CHARS)?;
    Ok(Party { id: given.id, name: given.name })
}

/// Which visits to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only those in this state.
    #[param(value_type = Option<schema::VisitState>)]
    state: Option<VisitState>,
    /// At most so many, 1 to 200; 50 if left out.
    limit: Option<u32>,
    /// Only those made before this one: `next` of the page before.
    before: Option<String>,
}

/// Lists the tenant's visits, newest first.
#[utoipa::path(
    get, path = "/v1/visits", tag = "visits", params(ListParams),
    responses(
        (status = 200, description = "A page of visits", body = schema::VisitList),
        (status = 400, description = "A parameter of the wrong shape", body = schema::Problem,
         content_type = "application/problem+json"),
        Refusals
    ),
    security(("key" = []))
)]
pub async fn list(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Params(params): Params<ListParams>,
) -> Answer<Json<Value>> {
    let limit = page_size(params.limit)?;
    let before = params.before.map(VisitId);
    let filter = VisitFilter { state: params.state, limit: limit + 1, before };
    let mut visits = app.store.list_visits(&caller.tenant, filter).await?;
    let more = visits.len() > limit as usize;
    visits.truncate(limit as usize);
    let next = visits.last().filter(|_| more).map(|visit| visit.id.clone());
    Ok(Json(json!({ "visits": visits, "next": next })))
}

/// The size of a page, 1 to [`PAGE`].
pub(super) fn page_size(asked: Option<u32>) -> Answer<u32> {
    match asked.unwrap_or(50) {
        limit @ 1..=PAGE => Ok(limit),
        _ => Err(Problem::of_field("limit", format!("limit: 1 to {PAGE}")).status(StatusCode::BAD_REQUEST)),
    }
}

/// One visit.
#[utoipa::path(
    get, path = "/v1/visits/{id}", tag = "visits", params(("id" = String, Path, description = "The visit")),
    responses((status = 200, description = "The visit", body = schema::Visit), Refusals, Absent),
    security(("key" = []))
)]
pub async fn get(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<VisitId>,
) -> Answer<Json<Visit>> {
    Ok(Json(app.store.visit(&caller.tenant, &id).await?))
}

/// Records the customer's consent. Without `recording` and `transcription` no audio is taken.
#[utoipa::path(
    post, path = "/v1/visits/{id}/consent", tag = "visits", request_body = schema::NewConsent,
    params(("id" = String, Path, description = "The visit"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 201, description = "On record", body = schema::Consent), Refusals, Absent, BadBody),
    security(("key" = []))
)]
pub async fn grant_consent(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<VisitId>,
    Body(new): Body<schema::NewConsent>,
) -> Answer<(StatusCode, Json<Consent>)> {
    if new.purposes.is_empty() {
        return Err(Problem::of_field("purposes", "purposes: name at least one"));
    }
    check::text("notice_version", &new.notice_version, check::NAME_CHARS)?;
    check::text("given_by", &new.given_by, check::NAME_CHARS)?;
    let new = NewConsent {
        purposes: new.purposes,
        notice_version: new.notice_version,
        method: new.method,
        given_by: new.given_by,
        given_at: new.given_at,
    };
    Ok((StatusCode::CREATED, Json(app.store.grant_consent(&caller.tenant, &id, new).await?)))
}

/// Takes consent back: a live stream is cut at once and receivers are told. Doing so again changes nothing.
#[utoipa::path(
    delete, path = "/v1/visits/{id}/consent", tag = "visits",
    params(("id" = String, Path, description = "The visit"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 200, description = "The visit, `withdrawn`", body = schema::Visit), Refusals, Absent),
    security(("key" = []))
)]
pub async fn withdraw_consent(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<VisitId>,
) -> Answer<Json<Visit>> {
    Ok(Json(app.withdraw_consent(&caller.tenant, &id).await?))
}

/// Issues a ticket with which a browser can open the live stream once.
#[utoipa::path(
    post, path = "/v1/visits/{id}/stream-tickets", tag = "live",
    params(("id" = String, Path, description = "The visit")),
    responses((status = 201, description = "A ticket", body = schema::Ticket), Refusals, Absent),
    security(("key" = []))
)]
pub async fn issue_ticket(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<VisitId>,
) -> Answer<(StatusCode, Json<schema::Ticket>)> {
    let visit = app.store.visit(&caller.tenant, &id).await?;
    let ticket = app.tickets.issue(caller, visit.id)?;
    Ok((StatusCode::CREATED, Json(schema::Ticket { ticket, expires_in_s: tickets::LIFETIME_S })))
}

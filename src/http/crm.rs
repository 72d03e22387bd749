//! The CRM engineer's side: webhook endpoints, and what was sent to them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::AppState;
use super::extract::{Body, Caller, Id, Params};
use super::problem::Answer;
use super::schema::{self, Absent, BadBody, Refusals};
use super::visits::page_size;
use crate::domain::ids::{DeliveryId, EndpointId};
use crate::store::{Delivery, DeliveryFilter, DeliveryState, Endpoint};

/// Registers a receiver. The secret is in this answer and in no other.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints", tag = "webhooks", request_body = schema::NewEndpoint,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 201, description = "Registered", body = schema::Endpoint), Refusals, BadBody),
    security(("key" = []))
)]
pub async fn create_endpoint(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Body(new): Body<schema::NewEndpoint>,
) -> Answer<(StatusCode, Json<schema::Endpoint>)> {
    let (endpoint, secret) = app.register_endpoint(&caller.tenant, &new.url, &new.events).await?;
    let mut shown = told(endpoint);
    shown.secret = Some(secret.expose_secret().to_owned());
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Lists the tenant's receivers, oldest first.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints", tag = "webhooks",
    responses((status = 200, description = "All receivers", body = schema::EndpointList), Refusals),
    security(("key" = []))
)]
pub async fn list_endpoints(
    State(app): State<AppState>,
    Caller(caller): Caller,
) -> Answer<Json<schema::EndpointList>> {
    let endpoints = app.store.list_endpoints(&caller.tenant).await?;
    Ok(Json(schema::EndpointList { endpoints: endpoints.into_iter().map(told).collect() }))
}

/// One receiver.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint")),
    responses((status = 200, description = "The receiver", body = schema::Endpoint), Refusals, Absent),
    security(("key" = []))
)]
pub async fn get_endpoint(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<EndpointId>,
) -> Answer<Json<schema::Endpoint>> {
    Ok(Json(told(app.store.endpoint(&caller.tenant, &id).await?)))
}

/// Takes a receiver out of use: what was still to be sent to it becomes a dead letter.
#[utoipa::path(
    delete, path = "/v1/webhook-endpoints/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint")),
    responses((status = 204, description = "Out of use"), Refusals, Absent),
    security(("key" = []))
)]
pub async fn delete_endpoint(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<EndpointId>,
) -> Answer<StatusCode> {
    app.store.disable_endpoint(&caller.tenant, &id, "deleted").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which deliveries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveryParams {
    /// Only to this endpoint.
    endpoint_id: Option<String>,
    /// Only in this state: `waiting`, `due`, `sending`, `delivered` or `dead`.
    #[param(value_type = Option<String>)]
    state: Option<DeliveryState>,
    /// At most so many, 1 to 200; 50 if left out.
    limit: Option<u32>,
    /// Only those made before this one: `next` of the page before.
    before: Option<String>,
}

/// Lists what was and is to be sent, newest first.
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "webhooks", params(DeliveryParams),
    responses(
        (status = 200, description = "A page of deliveries", body = schema::DeliveryList),
        (status = 400, description = "A parameter of the wrong shape", body = schema::Problem,
         content_type = "application/problem+json"),
        Refusals
    ),
    security(("key" = []))
)]
pub async fn list_deliveries(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Params(params): Params<DeliveryParams>,
) -> Answer<Json<schema::DeliveryList>> {
    let limit = page_size(params.limit)?;
    let filter = DeliveryFilter {
        endpoint: params.endpoint_id.map(EndpointId),
        state: params.state,
        limit: limit + 1,
        before: params.before.map(DeliveryId),
    };
    let mut deliveries = app.store.list_deliveries(&caller.tenant, filter).await?;
    let more = deliveries.len() > limit as usize;
    deliveries.truncate(limit as usize);
    let next = deliveries.last().filter(|_| more).map(|delivery| delivery.id.0.clone());
    Ok(Json(schema::DeliveryList { deliveries: deliveries.into_iter().map(sent).collect(), next }))
}

/// Sends a delivered or dead one again: same id, same body, fresh timestamp and signature.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/replay", tag = "webhooks",
    params(("id" = String, Path, description = "The delivery"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses(
        (status = 202, description = "On its way again", body = schema::Delivery),
        (status = 409, description = "Still open, or its endpoint is out of use", body = schema::Problem,
         content_type = "application/problem+json"),
        Refusals, Absent
    ),
    security(("key" = []))
)]
pub async fn replay_delivery(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<DeliveryId>,
) -> Answer<(StatusCode, Json<schema::Delivery>)> {
    let delivery = app.store.replay_delivery(&caller.tenant, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(sent(delivery))))
}

fn told(endpoint: Endpoint) -> schema::Endpoint {
    schema::Endpoint {
        id: endpoint.id.0,
        url: endpoint.url,
        events: endpoint.events.iter().map(|kind| schema::EventKindName(kind.as_str().to_owned())).collect(),
        created_at: endpoint.created_at.to_string(),
        disabled_at: endpoint.disabled_at.as_ref().map(Timestamp::to_string),
        secret: None,
    }
}

fn sent(delivery: Delivery) -> schema::Delivery {
    schema::Delivery {
        id: delivery.id.0,
        endpoint_id: delivery.endpoint_id.0,
        event_id: delivery.event_id.0,
        event: schema::EventKindName(delivery.kind.as_str().to_owned()),
        visit_id: delivery.visit_id.0,
        seq: delivery.seq,
        state: delivery.state.as_str().to_owned(),
        attempts: delivery.attempts,
        due_at: delivery.due_at.as_ref().map(Timestamp::to_string),
        last_error: delivery.last_error,
        created_at: delivery.created_at.to_string(),
        settled_at: delivery.settled_at.as_ref().map(Timestamp::to_string),
    }
}

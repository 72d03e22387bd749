//! The only home of axum: routes, problem documents, the live stream, the page.
//!
//! [`run`] serves an [`App`] on a bound listener; `cli serve` and the tests call it alike. Handlers translate
//! and nothing more: rules live in `service`, SQL in `store`.

pub mod access;
mod cards;
mod check;
mod crm;
mod events;
mod extract;
mod idempotency;
mod linger;
mod observe;
pub mod openapi;
mod ops;
mod page;
pub mod problem;
pub mod schema;
mod serve;
mod stream;
mod uploads;
mod visits;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::Result;
use crate::service::App;
use problem::Problem;

/// What every handler gets.
pub type AppState = Arc<App>;

/// Serves `app` on `listener` until `shutdown`, then drains: no new connection, open streams are told 1001
/// with their audio durable, requests end. Returns when everything has.
pub async fn run(app: AppState, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<()> {
    ops::record_metrics()?;
    let drain = Duration::from_secs(app.config.server.drain_seconds);
    let head_timeout = Duration::from_secs(app.config.limits.request_seconds);
    let serving = serve::serve(listener, router(app.clone()), head_timeout, app.closing.clone(), drain);
    let stopping = async {
        shutdown.await;
        app.closing.cancel();
    };
    tokio::join!(serving, stopping);
    app.close().await;
    Ok(())
}

/// All routes with everything around them.
pub fn router(app: AppState) -> Router {
    let (router, document) = routes().split_for_parts();
    let document = openapi::finished(document);
    router
        .route("/openapi.json", get(move || std::future::ready(axum::Json(document.clone()))))
        .route("/", get(page::index))
        .route("/assets/{*file}", get(page::asset))
        .route_layer(from_fn_with_state(app.clone(), idempotency::once))
        .route_layer(from_fn_with_state(app.clone(), access::check))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(app.config.limits.body_bytes))
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(from_fn(linger::read_the_rest))
        .layer(from_fn_with_state(app.clone(), observe::request))
        .with_state(app)
}

/// The documented routes: one list for router and document.
fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::start())
        .routes(routes!(ops::healthz))
        .routes(routes!(ops::readyz))
        .routes(routes!(ops::metrics_page))
        .routes(routes!(ops::info))
        .routes(routes!(visits::create, visits::list))
        .routes(routes!(visits::get))
        .routes(routes!(visits::grant_consent, visits::withdraw_consent))
        .routes(routes!(visits::issue_ticket))
        .routes(routes!(stream::open))
        .routes(routes!(uploads::options, uploads::create))
        .routes(routes!(uploads::offset, uploads::append))
        .routes(routes!(cards::result))
        .routes(routes!(cards::card))
        .routes(routes!(cards::confirm))
        .routes(routes!(events::stream))
        .routes(routes!(crm::create_endpoint, crm::list_endpoints))
        .routes(routes!(crm::get_endpoint, crm::delete_endpoint))
        .routes(routes!(crm::list_deliveries))
        .routes(routes!(crm::replay_delivery))
}

async fn no_route(uri: Uri) -> Problem {
    Problem::of_http(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at {}", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::of_http(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

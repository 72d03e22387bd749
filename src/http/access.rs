//! Who may use which route: the matrix, as data, and the one check that reads it.
//!
//! A route without a row is refused to everybody, and `tests/it/access.rs` fails for it.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::AppState;
use super::extract::PathId as _;
use super::problem::{Answer, Problem};
use crate::domain::access::Role;
use crate::domain::ids::VisitId;
use crate::error::{Code, Error};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anyone: no tenant's data is behind it.
    Anyone,
    /// Keys of these roles.
    Roles(&'static [Role]),
    /// Keys of these roles, or a one-time ticket for the visit in the path.
    TicketOr(&'static [Role]),
}

const ALL: &[Role] = &Role::ALL;
/// Whoever holds visits, and the CRM that makes them.
const HOLDERS: &[Role] = &[Role::Admin, Role::Manager, Role::Rep, Role::Integration];
/// People: a machine must not confirm what a person has not seen.
const PEOPLE: &[Role] = &[Role::Admin, Role::Manager, Role::Rep];
/// Who looks after the connection to the CRM.
const OPERATORS: &[Role] = &[Role::Admin, Role::Integration];
/// The same, and supervisors, who may look.
const OBSERVERS: &[Role] = &[Role::Admin, Role::Manager, Role::Integration];

/// Method, path as routed, who.
pub const MATRIX: &[(&str, &str, Who)] = &[
    ("GET", "/", Who::Anyone),
    ("GET", "/assets/{*file}", Who::Anyone),
    ("GET", "/healthz", Who::Anyone),
    ("GET", "/readyz", Who::Anyone),
    ("GET", "/metrics", Who::Anyone),
    ("GET", "/info", Who::Anyone),
    ("GET", "/openapi.json", Who::Anyone),
    ("POST", "/v1/visits", Who::Roles(HOLDERS)),
    ("GET", "/v1/visits", Who::Roles(ALL)),
    ("GET", "/v1/visits/{id}", Who::Roles(ALL)),
    ("POST", "/v1/visits/{id}/consent", Who::Roles(HOLDERS)),
    ("DELETE", "/v1/visits/{id}/consent", Who::Roles(HOLDERS)),
    ("POST", "/v1/visits/{id}/stream-tickets", Who::Roles(HOLDERS)),
    ("GET", "/v1/visits/{id}/stream", Who::TicketOr(HOLDERS)),
    ("OPTIONS", "/v1/visits/{id}/uploads", Who::Anyone),
    ("POST", "/v1/visits/{id}/uploads", Who::Roles(HOLDERS)),
    ("HEAD", "/v1/visits/{id}/uploads/{length}", Who::Roles(HOLDERS)),
    ("PATCH", "/v1/visits/{id}/uploads/{length}", Who::Roles(HOLDERS)),
    ("GET", "/v1/visits/{id}/result", Who::Roles(ALL)),
    ("GET", "/v1/visits/{id}/card", Who::Roles(ALL)),
    ("POST", "/v1/visits/{id}/card/confirm", Who::Roles(PEOPLE)),
    ("GET", "/v1/visits/{id}/events", Who::Roles(ALL)),
    ("POST", "/v1/webhook-endpoints", Who::Roles(OPERATORS)),
    ("GET", "/v1/webhook-endpoints", Who::Roles(OBSERVERS)),
    ("GET", "/v1/webhook-endpoints/{id}", Who::Roles(OBSERVERS)),
    ("DELETE", "/v1/webhook-endpoints/{id}", Who::Roles(OPERATORS)),
    ("GET", "/v1/deliveries", Who::Roles(OBSERVERS)),
    ("POST", "/v1/deliveries/{id}/replay", Who::Roles(OPERATORS)),
];

/// Who may use a route; none if it has no row. `HEAD` is `GET` without its body where it has no row of its own.
pub fn who(method: &Method, path: &str) -> Option<Who> {
    let row =
        |method: &str| MATRIX.iter().find(|(m, p, _)| *m == method && *p == path).map(|(_, _, who)| *who);
    row(method.as_str()).or_else(|| (*method == Method::HEAD).then(|| row("GET")).flatten())
}

/// The middleware: lets a request through with its [`Principal`], or refuses it.
pub async fn check(
    State(app): State<AppState>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Answer<Response> {
    let Some(who) = who(request.method(), path.as_str()) else {
        return Err(Error::new(Code::Forbidden, "this route is not open to anybody").into());
    };
    let roles = match who {
        Who::Anyone => return Ok(next.run(request).await),
        Who::Roles(roles) | Who::TicketOr(roles) => roles,
    };
    let ticket = matches!(who, Who::TicketOr(_)).then(|| ticket_in(&request)).flatten();
    let principal = match ticket {
        Some((ticket, visit)) => app.tickets.redeem(&ticket, &visit).ok_or_else(|| {
            unauthenticated("the ticket is used, too old, or for another visit; ask for a new one")
        })?,
        None => {
            let secret = bearer(&request)?;
            let found = app.store.principal(&secret).await?;
            found.ok_or_else(|| unauthenticated("the API key is not valid or was revoked"))?
        }
    };
    if !roles.contains(&principal.role) {
        let detail = format!("a key of role {} may not do this", principal.role.as_str());
        return Err(Error::new(Code::Forbidden, detail).into());
    }
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

/// The key in the `Authorization` header.
fn bearer(request: &Request) -> Answer<String> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let secret = given.and_then(|value| {
        let (scheme, secret) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim().to_owned())
    });
    secret.ok_or_else(|| {
        unauthenticated("send `Authorization: Bearer KEY`; `visitscribe keys create` makes one")
    })
}

/// The ticket in the query and the visit in the path, if both are there.
fn ticket_in(request: &Request) -> Option<(String, VisitId)> {
    let query = request.uri().query()?;
    let ticket =
        url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ticket")?.1.into_owned();
    let visit = request.uri().path().strip_prefix("/v1/visits/")?.split('/').next()?.to_owned();
    Some((ticket, VisitId::from_path(visit)?))
}

fn unauthenticated(detail: &str) -> Problem {
    Error::new(Code::Unauthenticated, detail).into()
}

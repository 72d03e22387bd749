//! A visit's events as they happen, over server-sent events: what its webhooks say, for a screen.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream;

use super::AppState;
use super::extract::{Caller, Id};
use super::problem::{Answer, Problem};
use super::schema::{self, Absent, Refusals};
use crate::domain::access::Principal;
use crate::domain::event::Event as Recorded;
use crate::domain::ids::VisitId;

/// The longest a stream goes without asking the database: events of another process, and a revoked key, show
/// at the latest then.
const ASK_EVERY: Duration = Duration::from_secs(3);

/// Streams the visit's events: `id` is the event's `seq`, `event` its type, `data` the body that webhooks
/// carry. Starts after `Last-Event-ID`, else at the first.
#[utoipa::path(
    get, path = "/v1/visits/{id}/events", tag = "visits",
    params(("id" = String, Path, description = "The visit"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The last `seq` seen")),
    responses(
        (status = 200, description = "Events, without end", body = String, content_type = "text/event-stream"),
        (status = 400, description = "`Last-Event-ID` is no number", body = schema::Problem,
         content_type = "application/problem+json"),
        Refusals, Absent
    ),
    security(("key" = []))
)]
pub async fn stream(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<VisitId>,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let after = match headers.get("last-event-id") {
        None => 0,
        Some(value) => value.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
            Problem::of_field("Last-Event-ID", "Last-Event-ID: the number of the last event seen")
                .status(StatusCode::BAD_REQUEST)
        })?,
    };
    app.store.visit(&caller.tenant, &id).await?;
    let commits = app.store.commits();
    let follow = Follow { app, caller, id, after, commits, ready: Vec::new().into_iter() };
    Ok(Sse::new(stream::unfold(follow, next)).keep_alive(KeepAlive::default()))
}

/// Where one listener stands.
struct Follow {
    app: AppState,
    caller: Principal,
    id: VisitId,
    after: i64,
    commits: tokio::sync::watch::Receiver<u64>,
    ready: std::vec::IntoIter<Recorded>,
}

/// The next event, or the end: the service goes down, the key was revoked, the database failed. A client
/// comes back with the last `seq` it saw.
async fn next(mut at: Follow) -> Option<(Result<Event, Infallible>, Follow)> {
    loop {
        if let Some(event) = at.ready.next() {
            at.after = event.seq;
            let told = Event::default().id(event.seq.to_string()).event(event.kind.as_str()).data(event.body);
            return Some((Ok(told), at));
        }
        if !at.app.store.still_valid(&at.caller).await.ok()? {
            return None;
        }
        at.commits.mark_unchanged();
        let events = at.app.store.visit_events(&at.caller.tenant, &at.id, at.after).await.ok()?;
        if !events.is_empty() {
            at.ready = events.into_iter();
            continue;
        }
        tokio::select! {
            () = at.app.closing.cancelled() => return None,
            changed = at.commits.changed() => changed.ok()?,
            () = tokio::time::sleep(ASK_EVERY) => {}
        }
    }
}

//! Reading what is left of a refused request's body, within bounds.
//!
//! A connection closed with unread bytes is reset, and the reset can overtake the refusal: the client would see
//! a broken connection instead of the reason. So the rest is read and thrown away, if it is not too much.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// The most that is thrown away.
const MOST_BYTES: usize = 8 << 20;

/// And the longest that takes.
const PATIENCE: Duration = Duration::from_secs(2);

type Rest = Arc<Mutex<Option<Body>>>;

/// The middleware.
pub async fn read_the_rest(request: Request, next: Next) -> Response {
    // A client that asks first sends nothing if it is refused.
    if request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let rest = Rest::default();
    let left_in = rest.clone();
    let request = request.map(|body| Body::new(Lent { body: Some(body), left_in }));
    let response = next.run(request).await;
    let left = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(body) = left.filter(|_| response.status().is_client_error()) {
        // Too much or too slow: then the connection breaks.
        let _ = tokio::time::timeout(PATIENCE, throw_away(body)).await;
    }
    response
}

async fn throw_away(body: Body) {
    let mut chunks = body.into_data_stream();
    let mut read = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        read += chunk.len();
        if read > MOST_BYTES {
            return;
        }
    }
}

/// A body that comes back when whoever had it drops it unread.
struct Lent {
    body: Option<Body>,
    left_in: Rest,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !body.is_end_stream());
        *self.left_in.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }
}

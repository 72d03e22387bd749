//! The accept loop: connections bounded in number, in header time and in header size, and a graceful end.
//!
//! `axum::serve` is not used: it gives no way to set hyper's header timeout, which is inert without a timer.
//! HTTP/1.1 only; a proxy in front may speak HTTP/2 to the world.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections open at once; one more waits in the kernel's queue.
const CONNECTIONS: usize = 4_096;

/// Bytes of request line and headers.
const HEAD_BYTES: usize = 64 * 1024;

/// Pause after `accept` failed: most likely no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `closing`, then lets open requests end for `drain`. Upgraded sockets are not waited for here:
/// they watch `closing` themselves.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    head_timeout: Duration,
    closing: CancellationToken,
    drain: Duration,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(HEAD_BYTES);
    loop {
        let arrival = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = closing.cancelled() => break,
            arrival = arrival => arrival,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Acks and partials are small and wanted now.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let closing = closing.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            // A client that breaks off is no failure of ours.
            tokio::select! {
                _ = connection.as_mut() => {}
                () = closing.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!("requests were still open at the end of the drain time");
    }
}

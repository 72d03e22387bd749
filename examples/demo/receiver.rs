//! A CRM's webhook receiver: takes what comes and believes only what verifies.

use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::draw;

type Posted = (HeaderMap, Bytes);

/// Listens on a free port until dropped.
pub struct Receiver {
    url: String,
    posted: mpsc::Receiver<Posted>,
    server: tokio::task::JoinHandle<()>,
    secret: Option<Webhook>,
}

impl Receiver {
    /// Starts listening.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let (sender, posted) = mpsc::channel(64);
        let app = Router::new().route("/hook", post(take)).with_state(sender);
        let server = tokio::spawn(async move {
            // Ends with the process; a receiver that fails is noticed by the event that does not come.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, posted, server, secret: None })
    }

    /// Where events are to be posted.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The secret that signatures are checked with.
    pub fn trust(&mut self, secret: &str) -> anyhow::Result<()> {
        self.secret = Some(Webhook::new(secret).map_err(|e| anyhow!("the webhook secret: {e}"))?);
        Ok(())
    }

    /// Waits for an event of that kind; every event on the way must verify too.
    pub async fn wait_for(&mut self, kind: &str, within: Duration) -> anyhow::Result<Value> {
        tokio::time::timeout(within, self.next_of(kind))
            .await
            .map_err(|_| anyhow!("no {kind} event within {} s", within.as_secs()))?
    }

    async fn next_of(&mut self, kind: &str) -> anyhow::Result<Value> {
        let mut last_seq = 0;
        loop {
            let (headers, body) = self.posted.recv().await.context("the receiver ended")?;
            let secret = self.secret.as_ref().context("no secret to check with")?;
            secret.verify(&body, &headers).map_err(|e| anyhow!("a webhook did not verify: {e}"))?;
            let event: Value = serde_json::from_slice(&body)?;
            let seq = event["data"]["seq"].as_i64().context("an event without seq")?;
            ensure!(seq > last_seq, "event {seq} came after event {last_seq}");
            last_seq = seq;
            let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
            let name = event["type"].as_str().unwrap_or_default();
            draw::note(&format!("{name}  seq {seq}  {id}  signature verified"));
            if name == kind {
                return Ok(event);
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(posted): State<mpsc::Sender<Posted>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    match posted.try_send((headers, body)) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

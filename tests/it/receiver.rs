//! A webhook receiver that keeps what it gets.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::world::soon;

/// One request as it came.
pub struct Received {
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Received {
    /// Checks the signature as the Standard Webhooks library does, and reads the body.
    pub fn verified(&self, secret: &str) -> Value {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: axum::http::HeaderName = name.parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        standardwebhooks::Webhook::new(secret)
            .unwrap()
            .verify(&self.body, &headers)
            .expect("a good signature");
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub struct Receiver {
    pub url: String,
    received: mpsc::Receiver<Received>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (keep, received) = mpsc::channel(64);
        let router = Router::new().route("/hook", post(take)).with_state(keep);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, received }
    }

    pub async fn next(&mut self) -> Received {
        soon(self.received.recv()).await.unwrap()
    }
}

async fn take(State(keep): State<mpsc::Sender<Received>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let headers =
        headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap_or_default().to_owned())).collect();
    let _ = keep.send(Received { headers, body: body.to_vec() }).await;
    StatusCode::OK
}

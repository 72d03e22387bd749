//! The REST API as a CRM engineer calls it; every call is shown with its answer.

use anyhow::{Context as _, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::draw;

/// A service and a key.
pub struct Api {
    http: Client,
    url: String,
    key: String,
}

impl Api {
    /// Calls go to `url` with `key`, past any proxy.
    pub fn new(url: String, key: &str) -> anyhow::Result<Self> {
        Ok(Self { http: Client::builder().no_proxy().build()?, url, key: key.to_owned() })
    }

    /// GET; the answer must have this status.
    pub async fn get(&self, path: &str, expected: u16) -> anyhow::Result<Value> {
        self.call(Method::GET, path, expected, |request| request).await
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: &str, body: &Value, expected: u16) -> anyhow::Result<Value> {
        self.call(Method::POST, path, expected, |request| request.json(body)).await
    }

    /// Asks for a WebSocket, to see what is answered before the upgrade.
    pub async fn upgrade(&self, path: &str, expected: u16) -> anyhow::Result<Value> {
        let headers = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            // The example key of RFC 6455.
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "visit.v1"),
        ];
        self.call(Method::GET, path, expected, |request| {
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
        })
        .await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        expected: u16,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<Value> {
        let request = self.http.request(method.clone(), format!("{}{path}", self.url)).bearer_auth(&self.key);
        let answer = fill(request).send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        ensure!(status == expected, "{method} {path} answered {status} instead of {expected}: {text}");
        let body: Value = serde_json::from_str(&text).with_context(|| format!("{method} {path}: no JSON"))?;
        let what = body["code"].as_str().or_else(|| body["id"].as_str()).unwrap_or_default();
        draw::call(method.as_str(), path, status, what);
        Ok(body)
    }
}

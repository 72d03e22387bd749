//! The salesperson's page, built into the binary: `/` and `/assets/<file>`.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::problem::Problem;

/// Nothing from elsewhere, nothing inline: what was said in a visit can never run.
const POLICY: &str = "default-src 'self'; connect-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "src/http/assets"]
struct Assets;

/// `GET /`
pub async fn index() -> Response {
    file("index.html")
}

/// `GET /assets/{file}`
pub async fn asset(Path(name): Path<String>) -> Response {
    file(&name)
}

fn file(name: &str) -> Response {
    let Some(asset) = Assets::get(name) else {
        return Problem::of_http(StatusCode::NOT_FOUND, "not_found", "there is no such file").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, mime(name)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        // Short, so that a new release is on every phone within minutes.
        (header::CACHE_CONTROL, "max-age=60"),
    ];
    (headers, asset.data).into_response()
}

fn mime(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

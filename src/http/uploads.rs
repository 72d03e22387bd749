//! Resumable uploads, tus 1.0 with creation: a recording made without a network, or the rest of a live stream
//! whose connection broke. One offset space with the live stream, and one writer: whoever comes last.
//!
//! An upload is named by its length, so that nothing about it need be stored: the offset is the audio log's.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::AppState;
use super::extract::{Caller, Id};
use super::problem::{Answer, Problem};
use super::schema::{self, Absent, Refusals};
use crate::domain::audio::{AudioFormat, Encoding};
use crate::domain::ids::VisitId;
use crate::error::{Code, Error};
use crate::pipeline::session::Pass;
use crate::service::live::Connection;
use crate::store::audio::Appended;

const VERSION: &str = "1.0.0";
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");

/// Received bytes are made durable at least this often, so that a broken upload loses little.
const SYNC_BYTES: usize = 1 << 20;

/// What the server speaks.
#[utoipa::path(
    options, path = "/v1/visits/{id}/uploads", tag = "live",
    params(("id" = String, Path, description = "The visit")),
    responses((status = 204, description = "`Tus-Version`, `Tus-Extension`, `Tus-Max-Size`"))
)]
pub async fn options(State(app): State<AppState>) -> Response {
    let most = HeaderValue::from(app.config.limits.stream_bytes);
    let mut response = answer(StatusCode::NO_CONTENT, [(HeaderName::from_static("tus-max-size"), most)]);
    response.headers_mut().insert("tus-version", HeaderValue::from_static(VERSION));
    response.headers_mut().insert("tus-extension", HeaderValue::from_static("creation"));
    response
}

/// Begins an upload (tus `creation`). `Upload-Metadata` may declare raw audio: `encoding` `pcm_s16le`, with
/// `sample_rate` and `channels`; otherwise the bytes are a file that tells its own format.
#[utoipa::path(
    post, path = "/v1/visits/{id}/uploads", tag = "live",
    params(("id" = String, Path, description = "The visit"),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`"),
        ("Upload-Length" = u64, Header, description = "Bytes of the whole audio"),
        ("Upload-Metadata" = Option<String>, Header, description = "Pairs of a key and a base64 value")),
    responses(
        (status = 201, description = "Begun; `Location` is where its bytes go"),
        (status = 409, description = "The visit takes no audio, or not in this format", body = schema::Problem,
         content_type = "application/problem+json"),
        (status = 412, description = "Another tus version", body = schema::Problem,
         content_type = "application/problem+json"),
        (status = 413, description = "Longer than allowed", body = schema::Problem,
         content_type = "application/problem+json"),
        (status = 422, description = "A header of the wrong shape", body = schema::Problem,
         content_type = "application/problem+json"),
        Refusals, Absent
    ),
    security(("key" = []))
)]
pub async fn create(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Id(id): Id<VisitId>,
    headers: HeaderMap,
) -> Answer<Response> {
    check_version(&headers)?;
    let length = number(&headers, &LENGTH)?;
    if length == 0 {
        return Err(Problem::of_field("Upload-Length", "Upload-Length: an empty upload"));
    }
    if length > app.config.limits.stream_bytes {
        let detail = format!("a visit holds at most {} bytes of audio", app.config.limits.stream_bytes);
        return Err(Error::new(Code::TooLarge, detail).into());
    }
    let (_, received) = app.live.join(&caller.tenant, &id, format(&headers)?, &[], Pass::Batch).await?;
    let place =
        HeaderValue::from_str(&format!("/v1/visits/{id}/uploads/{length}")).map_err(Error::internal)?;
    Ok(answer(StatusCode::CREATED, [(header::LOCATION, place), (OFFSET, received.into())]))
}

/// Where to go on (tus). Everything below `Upload-Offset` survives a crash.
#[utoipa::path(
    head, path = "/v1/visits/{id}/uploads/{length}", tag = "live",
    params(("id" = String, Path, description = "The visit"),
        ("length" = u64, Path, description = "Bytes of the whole audio"),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`")),
    responses(
        (status = 200, description = "`Upload-Offset` and `Upload-Length`"),
        (status = 412, description = "Another tus version", body = schema::Problem,
         content_type = "application/problem+json"),
        Refusals, Absent
    ),
    security(("key" = []))
)]
pub async fn offset(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Upload { visit, length }: Upload,
    headers: HeaderMap,
) -> Answer<Response> {
    check_version(&headers)?;
    let durable = app.live.durable_length(&caller.tenant, &visit).await?;
    Ok(answer(StatusCode::OK, [(OFFSET, durable.into()), (LENGTH, length.into())]))
}

/// Takes bytes at `Upload-Offset` (tus). The answer's `Upload-Offset` is durable; with the last byte the visit
/// has ended and its card is made.
#[utoipa::path(
    patch, path = "/v1/visits/{id}/uploads/{length}", tag = "live",
    request_body(content = String, content_type = "application/offset+octet-stream", description = "Audio"),
    params(("id" = String, Path, description = "The visit"),
        ("length" = u64, Path, description = "Bytes of the whole audio"),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`"),
        ("Upload-Offset" = u64, Header, description = "Where these bytes belong")),
    responses(
        (status = 204, description = "Durable up to `Upload-Offset`"),
        (status = 409, description = "Not the offset wanted (`next_offset`), or other bytes were held",
         body = schema::Problem, content_type = "application/problem+json"),
        (status = 412, description = "Another tus version", body = schema::Problem,
         content_type = "application/problem+json"),
        (status = 413, description = "More bytes than declared", body = schema::Problem,
         content_type = "application/problem+json"),
        (status = 415, description = "Not `application/offset+octet-stream`", body = schema::Problem,
         content_type = "application/problem+json"),
        (status = 422, description = "A header of the wrong shape", body = schema::Problem,
         content_type = "application/problem+json"),
        Refusals, Absent
    ),
    security(("key" = []))
)]
pub async fn append(
    State(app): State<AppState>,
    Caller(caller): Caller,
    Upload { visit, length }: Upload,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    check_version(&headers)?;
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/offset+octet-stream") {
        return Err(Problem::of_http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send the bytes as `Content-Type: application/offset+octet-stream`",
        ));
    }
    let offset = number(&headers, &OFFSET)?;
    let format = app.live.declared_format(&caller.tenant, &visit).await?;
    let (connection, received) = app.live.join(&caller.tenant, &visit, format, &[], Pass::Batch).await?;
    if offset != received {
        let detail = format!("bytes at {offset} were sent, those at {received} are wanted");
        return Err(
            Problem::from(Error::new(Code::OffsetMismatch, detail)).with("next_offset", received.into())
        );
    }
    let idle = Duration::from_secs(app.config.limits.idle_seconds);
    let taken = take(&connection, body, offset, length, idle).await;
    // Also after a broken body: what arrived need not be sent again.
    let durable = connection.sync().await?;
    taken?;
    if durable == length {
        connection.stop(length).await?;
    }
    Ok(answer(StatusCode::NO_CONTENT, [(OFFSET, durable.into())]))
}

/// Takes a body's bytes from `offset` on, never beyond `length`.
async fn take(
    connection: &Connection,
    body: Body,
    mut offset: u64,
    length: u64,
    idle: Duration,
) -> Answer<()> {
    let mut chunks = body.into_data_stream();
    let mut unsynced = 0;
    loop {
        let chunk = match timeout(idle, chunks.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => return Ok(()),
            Ok(Some(Err(_))) | Err(_) => {
                let detail = "the body broke off; ask for the offset and go on from there";
                return Err(Problem::of_http(StatusCode::REQUEST_TIMEOUT, "timeout", detail));
            }
        };
        if offset + chunk.len() as u64 > length {
            let detail = format!("more bytes than the {length} that were declared");
            return Err(Error::new(Code::TooLarge, detail).into());
        }
        if let Appended::Hole { wanted } = connection.append(offset, &chunk).await? {
            let error = Error::new(Code::OffsetMismatch, format!("bytes are missing; send from {wanted}"));
            return Err(Problem::from(error).with("next_offset", wanted.into()));
        }
        offset += chunk.len() as u64;
        unsynced += chunk.len();
        if unsynced >= SYNC_BYTES {
            connection.sync().await?;
            unsynced = 0;
        }
    }
}

/// The upload that a path names.
pub struct Upload {
    visit: VisitId,
    length: u64,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Upload {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Answer<Self> {
        use super::extract::PathId as _;
        let named = Path::<(String, u64)>::from_request_parts(parts, state).await.ok();
        let upload = named.and_then(|Path((visit, length))| Some((VisitId::from_path(visit)?, length)));
        let (visit, length) =
            upload.ok_or_else(|| Error::new(Code::NotFound, "there is nothing under this id"))?;
        Ok(Self { visit, length })
    }
}

fn check_version(headers: &HeaderMap) -> Answer<()> {
    if headers.get(&RESUMABLE).is_some_and(|version| version == VERSION) {
        return Ok(());
    }
    let detail = format!("send `Tus-Resumable: {VERSION}`");
    Err(Problem::of_http(StatusCode::PRECONDITION_FAILED, "unsupported_version", detail))
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Answer<u64> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    value.ok_or_else(|| Problem::of_field(name.as_str(), format!("{name}: a whole number of bytes")))
}

/// The format that `Upload-Metadata` declares; without one, a container.
fn format(headers: &HeaderMap) -> Answer<AudioFormat> {
    let wrong = |what: &str| Problem::of_field("Upload-Metadata", format!("Upload-Metadata: {what}"));
    let mut format = AudioFormat { encoding: Encoding::Container, sample_rate: 16_000, channels: 1 };
    let Some(given) = headers.get(&METADATA) else { return Ok(format) };
    for pair in given.to_str().map_err(|_| wrong("ASCII only"))?.split(',') {
        let (key, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        let value = BASE64_STANDARD.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let value = value.ok_or_else(|| wrong("values are base64 of UTF-8"))?;
        match (key, value.as_str()) {
            ("encoding", "pcm_s16le") => format.encoding = Encoding::PcmS16le,
            ("encoding", "container") => format.encoding = Encoding::Container,
            ("encoding", _) => return Err(wrong("encoding is pcm_s16le or container")),
            ("sample_rate", hz) => format.sample_rate = hz.parse().map_err(|_| wrong("sample_rate in Hz"))?,
            ("channels", n) => format.channels = n.parse().map_err(|_| wrong("channels is a number"))?,
            // `filename`, `filetype` and whatever else a client likes to tell: the bytes say it better.
            _ => {}
        }
    }
    super::stream::check_format(format)?;
    Ok(format)
}

fn answer<const N: usize>(status: StatusCode, headers: [(HeaderName, HeaderValue); N]) -> Response {
    let mut response = (status, headers).into_response();
    response.headers_mut().insert(RESUMABLE, HeaderValue::from_static(VERSION));
    response
}

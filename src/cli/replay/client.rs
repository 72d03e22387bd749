//! The connection and what keeps it alive: pacing, taking up again after a loss, obeying the server.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::stream::SplitStream;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, protocol::frame::coding::CloseCode};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::ReplayArgs;
use super::message::{FromServer, Limits};
use super::report::Report;
use super::send::{Pace, send_audio};
use super::show::Show;
use super::source::Audio;

/// Pauses between attempts double from the first to the last of these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// A server that was not there for this long is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// The connection.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One replay.
pub struct Client<'a> {
    args: &'a ReplayArgs,
    audio: &'a Audio,
    show: Show,
    report: RefCell<Report>,
    /// When the recording began. It does not pause while the network is away: what was missed is sent as
    /// fast as allowed, as a phone would.
    began: Option<Instant>,
    /// Bytes the server has promised to keep.
    durable: u64,
    /// When the server was last ready for us.
    ready_at: Instant,
}

/// How a connection ended.
enum End {
    Done,
    /// Come back, after this long if the server said so.
    Lost {
        why: String,
        retry_after: Option<Duration>,
    },
}

impl<'a> Client<'a> {
    /// A client that has not connected yet.
    pub fn new(args: &'a ReplayArgs, audio: &'a Audio) -> Self {
        let report = RefCell::new(Report::of(audio.duration_ms));
        Self {
            args,
            audio,
            show: Show::new(args.json),
            report,
            began: None,
            durable: 0,
            ready_at: Instant::now(),
        }
    }

    /// Streams until `done`. Fails when the server refuses for good or stays away.
    pub async fn run(mut self) -> anyhow::Result<Report> {
        let mut pause = BACKOFF.0;
        loop {
            let durable = self.durable;
            let (why, retry_after) = match self.connection().await? {
                End::Done => return Ok(self.report.into_inner()),
                End::Lost { why, retry_after } => (why, retry_after),
            };
            // A connection that got something done was good: begin with short pauses again.
            if self.durable > durable {
                pause = BACKOFF.0;
            }
            if self.ready_at.elapsed() > GIVE_UP_AFTER {
                bail!("{why}; gave up after {} s", GIVE_UP_AFTER.as_secs());
            }
            let wait = retry_after.unwrap_or(pause);
            self.show.note(&format!("{why}; again in {} ms", wait.as_millis()));
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(BACKOFF.1);
            self.report.get_mut().reconnects += 1;
        }
    }

    async fn connection(&mut self) -> anyhow::Result<End> {
        let socket = match connect_async(self.request()?).await {
            Ok((socket, _)) => socket,
            Err(WsError::Http(response)) => return refused(&response),
            Err(WsError::Io(error)) => {
                let why = format!("cannot reach {}: {error}", self.args.url);
                // Before anything was recorded there is nothing to lose, and most likely no service.
                return if self.began.is_some() { Ok(lost(why)) } else { Err(anyhow::anyhow!(why)) };
            }
            Err(error) => bail!("{}: {error}", self.args.url),
        };
        let (mut sink, mut source) = socket.split();
        let start = serde_json::json!({"type": "start", "audio": self.audio.format, "hotwords": []});
        if sink.send(Message::text(start.to_string())).await.is_err() {
            return Ok(lost("the connection broke"));
        }
        let (from, limits) = match self.ready(&mut source).await? {
            Ok(ready) => ready,
            Err(end) => return Ok(end),
        };
        if from < self.durable {
            bail!("the server lost audio: it promised to keep {} bytes and asks from {from}", self.durable);
        }
        self.ready_at = Instant::now();
        let began = *self.began.get_or_insert_with(Instant::now);
        let pace = Pace { began, connected: self.ready_at, from, speed: self.args.speed, limits };
        // Both in one task: a server that does not read must not keep us from hearing why.
        let sending = send_audio(&mut sink, self.audio, pace, &self.report);
        let hearing = hear(&mut source, &self.show, &self.report, &mut self.durable);
        tokio::select! {
            end = hearing => end,
            Err(error) = sending => Ok(lost(format!("sending failed: {error}"))),
        }
    }

    fn request(&self) -> anyhow::Result<Request<()>> {
        let mut url = self.args.url.clone();
        if url.scheme() != "http" || url.set_scheme("ws").is_err() {
            bail!("{url}: give a http:// address; replay has no TLS");
        }
        url.set_path(&format!("/v1/visits/{}/stream", self.args.visit));
        let mut request =
            url.as_str().into_client_request().with_context(|| format!("{url} is no address"))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.args.key))
            .context("the key has characters that no key has")?;
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("visit.v1"));
        Ok(request)
    }

    /// Waits for `ready`: the offset to go on from, and the limits.
    async fn ready(&self, source: &mut SplitStream<Socket>) -> anyhow::Result<Result<(u64, Limits), End>> {
        while let Some(message) = source.next().await {
            let Ok(message) = message else { break };
            if let Message::Text(raw) = &message {
                let said = read(raw)?;
                self.show.message(raw, &said);
                if let FromServer::Ready { next_offset, limits } = said {
                    return Ok(Ok((next_offset, limits)));
                }
                if let Some(end) = ended(&said)? {
                    return Ok(Err(end));
                }
            } else if let Some(end) = closed(&message)? {
                return Ok(Err(end));
            }
        }
        Ok(Err(lost("the connection broke")))
    }
}

/// Prints and measures what comes back, until the end of the visit or of the connection.
async fn hear(
    source: &mut SplitStream<Socket>,
    show: &Show,
    report: &RefCell<Report>,
    durable: &mut u64,
) -> anyhow::Result<End> {
    while let Some(message) = source.next().await {
        let raw = match message {
            Ok(Message::Text(raw)) => raw,
            Ok(other) => match closed(&other)? {
                Some(end) => return Ok(end),
                None => continue,
            },
            Err(error) => return Ok(lost(format!("the connection broke: {error}"))),
        };
        let said = read(&raw)?;
        let mut report = report.borrow_mut();
        let new = match &said {
            FromServer::Partial { segment_id, start_ms, .. } => {
                report.on_partial(segment_id, start_ms.0);
                true
            }
            FromServer::Final { segment_id, end_ms, .. } => report.on_final(segment_id, end_ms.0),
            FromServer::Moment { moment } => {
                report.moments.insert(moment["id"].as_str().unwrap_or_default().to_owned());
                true
            }
            FromServer::Retracted { moment_id } => report.moments.remove(moment_id),
            FromServer::Gap { .. } => {
                report.gaps += 1;
                true
            }
            FromServer::Ack { durable: bytes } => {
                *durable = (*durable).max(*bytes);
                true
            }
            _ => true,
        };
        if new {
            show.message(&raw, &said);
        }
        if let FromServer::Done { coverage, card } = said {
            report.on_done(coverage, card);
            return Ok(End::Done);
        }
        if let Some(end) = ended(&said)? {
            return Ok(end);
        }
    }
    Ok(lost("the connection broke"))
}

fn read(raw: &str) -> anyhow::Result<FromServer> {
    serde_json::from_str(raw).context("the server sent a message that is not of visit.v1")
}

fn lost(why: impl Into<String>) -> End {
    End::Lost { why: why.into(), retry_after: None }
}

/// What an `error` message means for us.
fn ended(said: &FromServer) -> anyhow::Result<Option<End>> {
    let FromServer::Error { code, message, retryable, retry_after_ms } = said else { return Ok(None) };
    let why = format!("{message} ({code})");
    if !retryable {
        bail!("the server ended the stream: {why}");
    }
    Ok(Some(End::Lost { why, retry_after: retry_after_ms.map(Duration::from_millis) }))
}

/// What a close without an `error` before it means for us.
fn closed(message: &Message) -> anyhow::Result<Option<End>> {
    let Message::Close(frame) = message else { return Ok(None) };
    let code = frame.as_ref().map_or(CloseCode::Abnormal, |frame| frame.code);
    match u16::from(code) {
        code @ (1009 | 4400 | 4401 | 4403 | 4404 | 4409) => {
            bail!("the server closed the stream: code {code}")
        }
        code => Ok(Some(lost(format!("the server closed the connection: code {code}")))),
    }
}

/// The server answered the request for an upgrade with something else.
fn refused(response: &Response<Option<Vec<u8>>>) -> anyhow::Result<End> {
    let status = response.status();
    let problem: serde_json::Value =
        response.body().as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let why = match (problem["code"].as_str(), problem["detail"].as_str()) {
        (Some(code), Some(detail)) => format!("refused: {detail} ({code})"),
        _ => format!("refused: {status}"),
    };
    if status != StatusCode::SERVICE_UNAVAILABLE && status != StatusCode::TOO_MANY_REQUESTS {
        bail!(why);
    }
    let seconds =
        response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(End::Lost { why, retry_after: seconds.map(Duration::from_secs) })
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;

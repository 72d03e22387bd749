//! One live connection from its first message to its close.
//!
//! Five things go on at once and the first to end decides how it closes: listening to the client, speaking to
//! it, making bytes durable, watching for a newer connection, and checking that the caller may still be here.
//! None waits for another: a client that does not read stops nothing but its own speaker.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use metrics::gauge;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::pace::Pace;
use super::protocol::{self, FromClient, FromServer, Incoming};
use super::speaker::Speaker;
use crate::domain::access::Principal;
use crate::domain::audio::AudioFormat;
use crate::error::{Code, Error, Result};
use crate::http::{AppState, check};
use crate::pipeline::session::Pass;
use crate::service::live::{Admission, Connection};
use crate::store::audio::Appended;
use crate::telemetry;

/// How often an open stream's key is looked at: a revoked one closes it within this time.
const KEY_CHECK_EVERY: Duration = Duration::from_secs(3);

/// The longest a client may take to read one message before it is given up.
const SEND_PATIENCE: Duration = Duration::from_secs(30);

/// The longest wait for the other side's close. Until then everything it still sends is read and dropped: a
/// socket closed with unread bytes would take our last words with it.
const GOODBYE: Duration = Duration::from_secs(2);

/// A hole is told again after this time if the client goes on beside it.
const HOLE_AGAIN: Duration = Duration::from_secs(1);

pub(super) type Sink = SplitSink<WebSocket, Message>;
type Stream = SplitStream<WebSocket>;

/// How a connection ends.
pub(super) enum Ending {
    /// `done` was said.
    Done,
    /// The client went away; the visit waits for it.
    Gone,
    /// With this error, told before the close.
    Refused(Error),
}

/// Holds one connection; returns when it is closed. The admission is its place among the live streams.
pub async fn hold(app: AppState, caller: Principal, admission: Admission, socket: WebSocket) {
    let _tracked = app.track();
    let open = gauge!(telemetry::LIVE_STREAMS);
    open.increment(1.0);
    let (mut sink, mut stream) = socket.split();
    let (ending, next_offset) = converse(&app, &caller, &admission, &mut sink, &mut stream).await;
    let visit = &admission.visit.id;
    match &ending {
        Ending::Done => tracing::info!(%visit, "a live stream is done"),
        Ending::Gone => tracing::info!(%visit, "a live stream's client went away"),
        Ending::Refused(error) => {
            tracing::info!(%visit, code = error.code.as_str(), cause = ?error.source, "a live stream is closed");
        }
    }
    say_goodbye(ending, next_offset, sink, stream).await;
    open.decrement(1.0);
}

/// The conversation, and the offset a client would go on from.
async fn converse(
    app: &AppState,
    caller: &Principal,
    admission: &Admission,
    sink: &mut Sink,
    stream: &mut Stream,
) -> (Ending, Option<u64>) {
    let idle = Duration::from_secs(app.config.limits.idle_seconds);
    let first = tokio::select! {
        first = start_message(app, stream, idle) => first,
        () = app.closing.cancelled() => Err(Ending::Refused(shutting_down())),
    };
    let (format, hotwords) = match first {
        Ok(first) => first,
        Err(ending) => return (ending, None),
    };
    let joined = app.live.join(&caller.tenant, &admission.visit.id, format, &hotwords, Pass::Live).await;
    let (connection, next_offset) = match joined {
        Ok(joined) => joined,
        Err(error) => return (Ending::Refused(error), None),
    };
    let ready = FromServer::Ready {
        next_offset,
        epoch: connection.epoch(),
        limits: (&app.config.limits).into(),
        pipeline: app.hearing.pipeline(),
        models: connection.models(),
    };
    if send(sink, ready.to_message()).await.is_err() {
        return (Ending::Gone, None);
    }
    let (answers, to_say) = mpsc::channel(4);
    let ending = tokio::select! {
        // A take-over and a shutdown are told even if the client's own words would end it at the same time.
        biased;
        error = connection.taken_over() => Ending::Refused(error),
        () = app.closing.cancelled() => Ending::Refused(shutting_down()),
        ending = Speaker::new(sink, &connection).speak(to_say) => ending,
        ending = listen(app, &connection, stream, idle, answers) => ending,
        error = connection.keep_durable() => Ending::Refused(error),
        error = key_revoked(app, caller) => Ending::Refused(error),
    };
    // However it ended, what arrived is kept. If this fails, nothing was promised of those bytes.
    if let Err(error) = connection.sync().await {
        tracing::warn!(visit = %admission.visit.id, code = error.code.as_str(), "the last bytes were not kept");
    }
    (ending, Some(connection.received()))
}

/// The first message, which must be `start`.
async fn start_message(
    app: &AppState,
    stream: &mut Stream,
    idle: Duration,
) -> std::result::Result<(AudioFormat, Vec<String>), Ending> {
    loop {
        let message = next(stream, idle).await?;
        return match protocol::read(&message, &app.config.limits).map_err(Ending::Refused)? {
            Incoming::Nothing | Incoming::Said(FromClient::Keepalive) => continue,
            Incoming::Goodbye => Err(Ending::Gone),
            Incoming::Said(FromClient::Start { audio, hotwords }) => {
                protocol::check_format(audio).map_err(Ending::Refused)?;
                check::hotwords("hotwords", &hotwords)
                    .map_err(|e| Ending::Refused(protocol::malformed(e.detail())))?;
                Ok((audio, hotwords))
            }
            Incoming::Said(_) | Incoming::Audio(..) => {
                Err(Ending::Refused(protocol::malformed("the first message is `start`")))
            }
        };
    }
}

/// Takes what the client sends until it errs, goes, or falls silent.
async fn listen(
    app: &AppState,
    connection: &Connection,
    stream: &mut Stream,
    idle: Duration,
    answers: mpsc::Sender<Message>,
) -> Ending {
    let mut pace = Pace::new(app.config.limits.live_bytes_per_second, Instant::now());
    let mut hole: Option<(u64, Instant)> = None;
    loop {
        let message = match next(stream, idle).await {
            Ok(message) => message,
            Err(ending) => return ending,
        };
        let incoming = match protocol::read(&message, &app.config.limits) {
            Ok(incoming) => incoming,
            Err(error) => return Ending::Refused(error),
        };
        let size = if let Incoming::Audio(_, audio) = incoming { audio.len() } else { 0 };
        if !pace.allows(size, Instant::now()) {
            let detail = "faster than ready.limits.max_bytes_per_s allows; slow down and connect again";
            return Ending::Refused(Error::new(Code::TooFast, detail));
        }
        let wanted = match incoming {
            Incoming::Goodbye => return Ending::Gone,
            Incoming::Nothing | Incoming::Said(FromClient::Keepalive) => Ok(None),
            Incoming::Said(FromClient::Start { .. }) => Err(protocol::malformed("`start` comes once")),
            Incoming::Said(FromClient::Finalize) => {
                connection.finalize();
                Ok(None)
            }
            Incoming::Said(FromClient::Stop { total_bytes }) => connection.stop(total_bytes).await,
            Incoming::Audio(offset, audio) => match connection.append(offset, audio).await {
                Ok(Appended::Held { .. }) => Ok(None),
                Ok(Appended::Hole { wanted }) => Ok(Some(wanted)),
                Err(error) => Err(error),
            },
        };
        match wanted {
            Err(error) => return Ending::Refused(error),
            Ok(None) => {}
            Ok(Some(wanted)) => {
                if hole.is_some_and(|(told, at)| told == wanted && at.elapsed() < HOLE_AGAIN) {
                    continue;
                }
                hole = Some((wanted, Instant::now()));
                let error =
                    Error::new(Code::OffsetMismatch, format!("bytes are missing; send from {wanted}"));
                // A full queue means that the client does not read; it will be told the next time.
                let _ = answers.try_send(FromServer::error(&error, Some(wanted)).to_message());
            }
        }
    }
}

/// The next message, or how the connection ends for want of one.
async fn next(stream: &mut Stream, idle: Duration) -> std::result::Result<Message, Ending> {
    let Ok(next) = timeout(idle, stream.next()).await else {
        let detail = format!("no message for {} s; send keepalive while there is no audio", idle.as_secs());
        return Err(Ending::Refused(Error::new(Code::Idle, detail)));
    };
    match next {
        Some(Ok(message)) => Ok(message),
        None => Err(Ending::Gone),
        // axum hides the cause's type; its words are those of tungstenite's `Error`.
        Some(Err(error)) => Err(match error.to_string() {
            told if told.starts_with("Space limit exceeded") => {
                Ending::Refused(Error::new(Code::TooLarge, "the message is larger than ready.limits allows"))
            }
            told if told.starts_with("WebSocket protocol error: Connection reset") => Ending::Gone,
            told if told.starts_with("WebSocket protocol error") || told.starts_with("UTF-8") => {
                Ending::Refused(protocol::malformed("not a valid WebSocket frame"))
            }
            _ => Ending::Gone,
        }),
    }
}

/// Returns when the caller's key no longer stands. A database that is away proves nothing.
async fn key_revoked(app: &AppState, caller: &Principal) -> Error {
    loop {
        tokio::time::sleep(KEY_CHECK_EVERY).await;
        if let Ok(false) = app.store.still_valid(caller).await {
            return Error::new(Code::Unauthenticated, "the API key was revoked");
        }
    }
}

fn shutting_down() -> Error {
    Error::new(Code::ShuttingDown, "the service is restarting; connect again in a moment")
}

/// Sends one message, to a client that reads.
pub(super) async fn send(sink: &mut Sink, message: Message) -> Result<(), ()> {
    timeout(SEND_PATIENCE, sink.send(message)).await.map_err(drop)?.map_err(drop)
}

/// Error, close, and the wait for the other side's close.
async fn say_goodbye(ending: Ending, next_offset: Option<u64>, mut sink: Sink, mut stream: Stream) {
    let (error, code) = match ending {
        Ending::Gone => return,
        Ending::Done => (None, 1000),
        Ending::Refused(error) => {
            let code = protocol::close_code(error.code);
            (Some(FromServer::error(&error, next_offset).to_message()), code)
        }
    };
    let close = Message::Close(Some(CloseFrame { code, reason: Default::default() }));
    let until = Instant::now() + GOODBYE;
    let last_words = async {
        for message in error.into_iter().chain([close]) {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        while let Some(Ok(_)) = stream.next().await {}
        // A peer that broke the framing cannot be read to its close; it gets the time to read ours.
        tokio::time::sleep(GOODBYE / 10).await;
    };
    // Whoever has not closed by now is dropped.
    let _ = tokio::time::timeout_at(until, last_words).await;
}

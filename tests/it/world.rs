//! The server under test and its clients.
//!
//! A server lives on a runtime of its own, so that it can be stopped as a crash stops it: at once, with
//! nothing flushed and nothing told.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;
use visitscribe::config::Config;
use visitscribe::domain::access::{Role, TenantId};
use visitscribe::domain::ids::KeyId;
use visitscribe::domain::time::SystemClock;
use visitscribe::engine::candidate::Classifier;
use visitscribe::engine::fake::FakeSteps;
use visitscribe::pipeline::Catalog;
use visitscribe::service::hearing::LoadClassifier;
use visitscribe::service::{App, Hearing};
use visitscribe::{Code, Error, engine, http};

/// Nothing here takes this long; it only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fails instead of hanging.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("within 30 s")
}

/// A running server on its own data folder.
pub struct World {
    pub app: Arc<App>,
    pub url: String,
    runtime: Option<Runtime>,
    stop: CancellationToken,
    stopped: Option<tokio::sync::oneshot::Receiver<()>>,
    folder: Arc<tempfile::TempDir>,
    settings: Vec<(String, String)>,
}

impl World {
    /// A fresh one with the defaults.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A fresh one with settings such as `("LIMITS__IDLE_SECONDS", "1")`.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(k, v)| (format!("VISITSCRIBE_{k}"), (*v).to_owned())).collect();
        Self::start(Arc::new(tempfile::tempdir().unwrap()), settings).await
    }

    async fn start(folder: Arc<tempfile::TempDir>, settings: Vec<(String, String)>) -> Self {
        // RUST_LOG=visitscribe=debug shows what the servers log.
        visitscribe::telemetry::init(false, "off");
        let mut env = settings.clone();
        env.push(("VISITSCRIBE_DATA__DIR".to_owned(), folder.path().display().to_string()));
        env.push(("VISITSCRIBE_WEBHOOK__ALLOW_NETWORKS".to_owned(), "127.0.0.0/8".to_owned()));
        let config = Config::from_parts(None, env).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let (told, stopped) = tokio::sync::oneshot::channel();
        let stopping = stop.clone();
        let opening = runtime.spawn(async move {
            let app = App::open(config, Arc::new(SystemClock), hearing()).await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let serving = app.clone();
            tokio::spawn(async move {
                http::run(serving, listener, stopping.cancelled_owned()).await.unwrap();
                let _ = told.send(());
            });
            (app, url)
        });
        let (app, url) = opening.await.unwrap();
        Self { app, url, runtime: Some(runtime), stop, stopped: Some(stopped), folder, settings }
    }

    /// Ends the server as a crash would, and starts another on the same data.
    pub async fn crash(mut self) -> Self {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        Self::start(self.folder.clone(), self.settings.clone()).await
    }

    /// Tells the server to go down and waits until it has.
    pub async fn drain(&mut self) {
        self.stop.cancel();
        if let Some(stopped) = self.stopped.take() {
            soon(stopped).await.unwrap();
        }
    }

    /// A client with a new key.
    pub async fn client(&self, tenant: &str, role: Role) -> Client {
        let tenant = TenantId::parse(tenant).unwrap();
        let (key_id, secret) = self.app.store.create_key(&tenant, role).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Client { url: self.url.clone(), key: secret.expose_secret().to_owned(), key_id, tenant, http }
    }

    /// The one most tests need: an admin of tenant `acme`.
    pub async fn admin(&self) -> Client {
        self.client("acme", Role::Admin).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The real pipeline on fake engines. Of other classifiers there is `steps`, which finds steps and nothing else.
fn hearing() -> Hearing {
    let catalog = Catalog::load(None).unwrap();
    let name = Config::from_parts(None, []).unwrap().pipeline.name;
    let load: LoadClassifier = Arc::new(|name| match name {
        "steps" => Classifier::fake(name, || FakeSteps),
        name => Err(Error::new(Code::ModelAltered, format!("{name} is not as its manifest describes it"))),
    });
    Hearing::of(catalog.get(&name).unwrap(), engine::fake::engines().unwrap(), load)
}

/// An HTTP client with a key.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    pub key: String,
    pub key_id: KeyId,
    pub tenant: TenantId,
    pub http: reqwest::Client,
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The body of an answer with this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// That it is a problem document with this status and code.
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        for member in ["type", "title", "detail", "detail_zh"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
        }
        problem
    }
}

impl Client {
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    pub async fn send(request: reqwest::RequestBuilder) -> Answer {
        let response = soon(request.send()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: soon(response.text()).await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Self::send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Self::send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Self::send(self.request(Method::DELETE, path)).await
    }

    /// A scheduled visit's id.
    pub async fn visit(&self) -> String {
        let body = json!({
            "customer": {"id": "c-1", "name": "华东精密"}, "rep": {"id": "r-1", "name": "李娜"},
            "scheduled_at": "2026-11-23T14:00:00+08:00",
        });
        self.post("/v1/visits", &body).await.expect(201)["id"].as_str().unwrap().to_owned()
    }

    pub async fn consent(&self, visit: &str) -> Answer {
        let body = json!({
            "purposes": ["recording", "transcription", "crm_delivery"], "notice_version": "2026-10",
            "method": "verbal", "given_by": "王总", "given_at": "2026-11-23T14:01:00+08:00",
        });
        self.post(&format!("/v1/visits/{visit}/consent"), &body).await
    }

    /// A visit whose customer agreed.
    pub async fn consented(&self) -> String {
        let visit = self.visit().await;
        self.consent(&visit).await.expect(201);
        visit
    }

    /// The visit's state.
    pub async fn state(&self, visit: &str) -> String {
        self.get(&format!("/v1/visits/{visit}")).await.expect(200)["state"].as_str().unwrap().to_owned()
    }

    /// Opens the visit's live stream and says `start`.
    pub async fn live(&self, visit: &str) -> Live {
        let mut live = self.dial(visit, "visit.v1").await.expect("upgraded");
        live.say(&start()).await;
        live
    }

    /// Streams the first half of a visit and waits until it is durable; and how many bytes that is.
    pub async fn half_streamed(&self, visit: &str, audio: &[u8]) -> (Live, usize) {
        let half = audio.len() / 2;
        let mut live = self.live(visit).await;
        live.stream(&audio[..half], 0).await;
        live.durable(half).await;
        (live, half)
    }

    /// Streams a whole visit and waits for its card.
    pub async fn streamed(&self, visit: &str, audio: &[u8]) -> Vec<Value> {
        let mut live = self.live(visit).await;
        live.stream(audio, 0).await;
        live.stop(audio.len()).await;
        live.until_done().await
    }

    /// Waits for the visit's card, told by its event stream.
    pub async fn card_ready(&self, visit: &str) {
        let mut events =
            soon(self.request(Method::GET, &format!("/v1/visits/{visit}/events")).send()).await.unwrap();
        let mut told = String::new();
        while !told.contains("event: card.ready") {
            told += std::str::from_utf8(&soon(events.chunk()).await.unwrap().expect("no end")).unwrap();
        }
        assert_eq!(self.state(visit).await, "card_ready");
    }

    /// The handshake alone; a refusal's status and body.
    pub async fn dial(&self, visit: &str, protocol: &str) -> Result<Live, (u16, Value)> {
        let url = format!("{}/v1/visits/{visit}/stream", self.url.replace("http", "ws"));
        dial(&url, Some(&self.key), protocol).await
    }
}

/// The handshake with what is given.
pub async fn dial(url: &str, key: Option<&str>, protocol: &str) -> Result<Live, (u16, Value)> {
    let mut request = url.into_client_request().unwrap();
    if let Some(key) = key {
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    match soon(tokio_tungstenite::connect_async(request)).await {
        Ok((socket, response)) => {
            assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
            Ok(Live { socket })
        }
        Err(WsError::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            Err((response.status().as_u16(), serde_json::from_slice(body).unwrap_or(Value::Null)))
        }
        Err(other) => panic!("{other}"),
    }
}

/// The first message of a stream of 16 kHz mono PCM.
pub fn start() -> Value {
    json!({"type": "start", "audio": {"encoding": "pcm_s16le", "sample_rate": 16000, "channels": 1}})
}

/// A live stream, seen from the client.
pub struct Live {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What a stream brings.
#[derive(Debug)]
pub enum Heard {
    Said(Value),
    Closed(u16),
}

impl Live {
    pub async fn say(&mut self, message: &Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub async fn send(&mut self, message: Message) {
        soon(self.socket.send(message)).await.unwrap();
    }

    /// Sends audio at an offset.
    pub async fn audio(&mut self, offset: usize, bytes: &[u8]) {
        self.send(Message::binary([&(offset as u64).to_le_bytes(), bytes].concat())).await;
    }

    /// Sends audio from `from` on, in frames of 200 ms.
    pub async fn stream(&mut self, audio: &[u8], from: usize) {
        for (i, frame) in audio[from..].chunks(6400).enumerate() {
            self.audio(from + i * 6400, frame).await;
        }
    }

    pub async fn stop(&mut self, total_bytes: usize) {
        self.say(&json!({"type": "stop", "total_bytes": total_bytes})).await;
    }

    pub async fn hear(&mut self) -> Heard {
        loop {
            match soon(self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Heard::Said(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map_or(1005, |f| f.code.into()));
                }
                Some(Ok(_)) => {}
                other => panic!("the stream ended without a close: {other:?}"),
            }
        }
    }

    /// The next message of this type; those before it are dropped.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            match self.hear().await {
                Heard::Said(message) if message["type"] == kind => return message,
                Heard::Said(_) => {}
                Heard::Closed(code) => panic!("closed with {code} before {kind}"),
            }
        }
    }

    /// The first ack that says that so many bytes are durable.
    pub async fn durable(&mut self, bytes: usize) -> Value {
        loop {
            let ack = self.until("ack").await;
            if ack["durable"].as_u64().unwrap() >= bytes as u64 {
                return ack;
            }
        }
    }

    /// The error that comes before the close, and the close code.
    pub async fn refused(&mut self) -> (Value, u16) {
        let mut last = Value::Null;
        loop {
            match self.hear().await {
                Heard::Said(message) => last = message,
                Heard::Closed(code) => {
                    assert_eq!(last["type"], "error", "an error comes before the close: {last}");
                    return (last, code);
                }
            }
        }
    }

    /// Everything up to and including `done`, then the close, which must be 1000.
    pub async fn until_done(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            match self.hear().await {
                Heard::Said(message) => all.push(message),
                Heard::Closed(code) => {
                    assert_eq!((code, &all.last().unwrap()["type"]), (1000, &json!("done")), "{all:?}");
                    return all;
                }
            }
        }
    }

    /// Breaks off without a word.
    pub fn vanish(self) {
        drop(self.socket);
    }
}

/// `seconds` of sound that the fake voice detector takes for speech.
pub fn tone(seconds: f64) -> Vec<u8> {
    let samples = (seconds * 16_000.0) as usize;
    (0..samples).flat_map(|i| (if i / 20 % 2 == 0 { 6_000i16 } else { -6_000 }).to_le_bytes()).collect()
}

/// `seconds` of silence.
pub fn silence(seconds: f64) -> Vec<u8> {
    vec![0; (seconds * 16_000.0) as usize * 2]
}

/// Three utterances with pauses: by the fake recogniser a quote, an intent and a next step.
pub fn talk() -> Vec<u8> {
    [silence(0.3), tone(3.2), silence(1.2), tone(4.2), silence(1.2), tone(5.2), silence(1.2)].concat()
}

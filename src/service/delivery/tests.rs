//! The dispatcher against a receiver on this machine that answers as it is told and keeps what it gets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use standardwebhooks::Webhook;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::*;
use crate::domain::access::TenantId;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::ids::{EndpointId, VisitId};
use crate::domain::time::Clock;
use crate::domain::visit::VisitState;
use crate::store::testing::{Desk, tenant};
use crate::store::{Change, Delivery, DeliveryFilter, DeliveryState};

/// What a receiver got.
struct Got {
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn seq(&self) -> i64 {
        serde_json::from_str::<serde_json::Value>(&self.body).unwrap()["data"]["seq"].as_i64().unwrap()
    }
}

type Reply = (StatusCode, Vec<(&'static str, String)>);

#[derive(Clone)]
struct Script {
    /// Answers to come; 204 after the last one.
    replies: Arc<Mutex<VecDeque<Reply>>>,
    got: mpsc::UnboundedSender<Got>,
    hangs: bool,
}

struct Receiver {
    url: String,
    got: mpsc::UnboundedReceiver<Got>,
}

impl Receiver {
    async fn answering(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start(replies.into_iter().collect(), false).await
    }

    async fn hanging() -> Self {
        Self::start(VecDeque::new(), true).await
    }

    async fn start(replies: VecDeque<Reply>, hangs: bool) -> Self {
        let (sender, got) = mpsc::unbounded_channel();
        let script = Script { replies: Arc::new(Mutex::new(replies)), got: sender, hangs };
        let app = Router::new().fallback(post(receive)).with_state(script);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, got }
    }

    fn taken(&mut self) -> Vec<Got> {
        std::iter::from_fn(|| self.got.try_recv().ok()).collect()
    }
}

async fn receive(State(script): State<Script>, headers: HeaderMap, body: String) -> (StatusCode, HeaderMap) {
    script.got.send(Got { headers, body }).unwrap();
    if script.hangs {
        std::future::pending::<()>().await;
    }
    let reply = script.replies.lock().unwrap().pop_front().unwrap_or((StatusCode::NO_CONTENT, vec![]));
    (
        reply.0,
        reply.1.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
    )
}

fn status(code: u16) -> Reply {
    (StatusCode::from_u16(code).unwrap(), vec![])
}

struct Post {
    desk: Desk,
    acme: TenantId,
    dispatcher: Dispatcher,
}

impl Post {
    async fn new() -> Self {
        let desk = Desk::new().await;
        let client = Client::new(&["127.0.0.0/8".parse().unwrap()]).unwrap();
        let dispatcher = Dispatcher::new(desk.store.clone(), client, desk.clock.clone());
        Self { desk, acme: tenant("acme"), dispatcher }
    }

    async fn endpoint(&self, receiver: &Receiver) -> (EndpointId, SecretString) {
        let (endpoint, secret) =
            self.desk.store.create_endpoint(&self.acme, &receiver.url, &[]).await.unwrap();
        (endpoint.id, secret)
    }

    async fn visit(&self) -> VisitId {
        self.desk.visit(&self.acme).await.id
    }

    async fn happen(&self, visit: &VisitId) {
        let event = NewEvent::new(EventKind::VisitStarted, json!({}));
        let state = VisitState::Scheduled;
        let change = Change::default();
        self.desk.store.transition(&self.acme, visit, &[state], state, change, &[event]).await.unwrap();
    }

    /// Delivers everything that is due now; when the next one is.
    async fn work(&mut self) -> Option<Timestamp> {
        loop {
            let next = self.dispatcher.start_due().await.unwrap();
            if self.dispatcher.under_way.is_empty() {
                return next;
            }
            while self.dispatcher.under_way.join_next().await.is_some() {}
        }
    }

    /// In the order they happened.
    async fn deliveries(&self) -> Vec<Delivery> {
        let filter = DeliveryFilter { limit: 99, ..DeliveryFilter::default() };
        let mut all = self.desk.store.list_deliveries(&self.acme, filter).await.unwrap();
        all.reverse();
        all
    }
}

#[tokio::test]
async fn an_event_arrives_signed() {
    let mut post = Post::new().await;
    let mut receiver = Receiver::answering([]).await;
    let (_, secret) = post.endpoint(&receiver).await;
    post.happen(&post.visit().await).await;
    assert_eq!(post.work().await, None);
    let got = receiver.taken().remove(0);
    let at = post.desk.clock.now().as_second();
    assert_eq!(got.header("webhook-timestamp"), at.to_string());
    assert_eq!(got.header("content-type"), "application/json");
    let signed = Webhook::new(secret.expose_secret())
        .unwrap()
        .sign(got.header("webhook-id"), at, got.body.as_bytes())
        .unwrap();
    assert_eq!(got.header("webhook-signature"), signed);
    let delivery = post.deliveries().await.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 1));
    assert_eq!(delivery.event_id.as_str(), got.header("webhook-id"));
}

#[tokio::test]
async fn a_receiver_that_is_down_is_tried_for_days_with_the_same_bytes() {
    let mut post = Post::new().await;
    let mut receiver = Receiver::answering((0..10).map(|_| status(500))).await;
    post.endpoint(&receiver).await;
    post.happen(&post.visit().await).await;
    let mut pauses_s = Vec::new();
    while let Some(next) = post.work().await {
        let pause = next.as_millisecond() - post.desk.clock.now().as_millisecond();
        pauses_s.push(pause / 1000);
        post.desk.clock.advance_ms(pause);
    }
    for (pause, expected) in pauses_s.iter().zip(PAUSES_S) {
        assert!((expected..=expected + expected / 10).contains(pause), "{pauses_s:?}");
    }
    let got = receiver.taken();
    assert_eq!((got.len(), pauses_s.len()), (10, 9));
    for (one, next) in got.iter().zip(&got[1..]) {
        assert_eq!((&one.body, one.header("webhook-id")), (&next.body, next.header("webhook-id")));
        assert_ne!(one.header("webhook-timestamp"), next.header("webhook-timestamp"));
        assert_ne!(one.header("webhook-signature"), next.header("webhook-signature"));
    }
    let delivery = post.deliveries().await.remove(0);
    assert_eq!((delivery.state, delivery.last_error.as_deref()), (DeliveryState::Dead, Some("http_500")));

    post.desk.store.replay_delivery(&post.acme, &delivery.id).await.unwrap();
    post.work().await;
    assert_eq!(receiver.taken()[0].body, got[0].body);
    assert_eq!(post.deliveries().await[0].state, DeliveryState::Delivered);
}

#[tokio::test]
async fn events_of_a_visit_arrive_in_order_and_others_pass() {
    let mut post = Post::new().await;
    let mut receiver = Receiver::answering([status(500)]).await;
    post.endpoint(&receiver).await;
    let (stuck, free) = (post.visit().await, post.visit().await);
    for _ in 0..3 {
        post.happen(&stuck).await;
    }
    post.work().await;
    post.happen(&free).await;
    let next = post.work().await.unwrap();
    let seen: Vec<_> =
        receiver.taken().into_iter().map(|got| (got.body.contains(free.as_str()), got.seq())).collect();
    assert_eq!(seen, [(false, 1), (true, 1)]);
    post.desk.clock.advance_ms(next.as_millisecond() - post.desk.clock.now().as_millisecond());
    assert_eq!(post.work().await, None);
    assert_eq!(receiver.taken().iter().map(Got::seq).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_receiver_may_ask_for_time_or_to_be_left_alone() {
    let mut post = Post::new().await;
    let wait =
        |code, seconds: &str| (StatusCode::from_u16(code).unwrap(), vec![("retry-after", seconds.into())]);
    let mut receiver = Receiver::answering([wait(429, "3600"), wait(503, "999999"), status(410)]).await;
    let (endpoint, _) = post.endpoint(&receiver).await;
    let visit = post.visit().await;
    post.happen(&visit).await;
    post.happen(&visit).await;
    for expected_s in [3600, LONGEST_PAUSE_S] {
        let pause = post.work().await.unwrap().as_millisecond() - post.desk.clock.now().as_millisecond();
        assert_eq!(pause, expected_s * 1000);
        post.desk.clock.advance_ms(pause);
    }
    assert_eq!(post.work().await, None);
    assert_eq!(receiver.taken().len(), 3, "the second event is not sent any more");
    let last: Vec<_> =
        post.deliveries().await.into_iter().map(|d| (d.state, d.last_error.unwrap())).collect();
    let dead = |reason: &str| (DeliveryState::Dead, reason.to_owned());
    assert_eq!(last, [dead("http_410"), dead("endpoint_gone")]);
    assert!(post.desk.store.endpoint(&post.acme, &endpoint).await.unwrap().disabled_at.is_some());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut post = Post::new().await;
    let mut inside = Receiver::answering([]).await;
    let away = (StatusCode::TEMPORARY_REDIRECT, vec![("location", inside.url.clone())]);
    let receiver = Receiver::answering([away]).await;
    post.endpoint(&receiver).await;
    post.happen(&post.visit().await).await;
    assert!(post.work().await.is_some());
    assert!(inside.taken().is_empty());
    assert_eq!(post.deliveries().await[0].last_error.as_deref(), Some("http_307"));
}

#[tokio::test]
async fn nobody_home_and_places_that_are_off_limits() {
    let mut post = Post::new().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [format!("http://{nobody}/"), "http://10.0.0.1/".into(), "https://[::1]:9/".into()] {
        post.desk.store.create_endpoint(&post.acme, &url, &[]).await.unwrap();
    }
    post.happen(&post.visit().await).await;
    assert!(post.work().await.is_some());
    let mut reasons: Vec<_> = post.deliveries().await.into_iter().filter_map(|d| d.last_error).collect();
    reasons.sort();
    assert_eq!(reasons, ["connect", "invalid_url", "invalid_url"]);
}

#[tokio::test]
async fn an_endless_answer_is_cut_short() {
    let mut post = Post::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let talking = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        // Ends when the client hangs up.
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    post.desk.store.create_endpoint(&post.acme, &url, &[]).await.unwrap();
    post.happen(&post.visit().await).await;
    assert_eq!(post.work().await, None);
    assert_eq!(post.deliveries().await[0].state, DeliveryState::Delivered);
    talking.await.unwrap();
}

/// The running loop: woken by commits, with a receiver beside it that never answers.
#[tokio::test]
async fn a_slow_endpoint_delays_no_other() {
    let post = Post::new().await;
    let mut slow = Receiver::hanging().await;
    let mut quick = Receiver::answering([]).await;
    post.endpoint(&slow).await;
    post.endpoint(&quick).await;
    let shutdown = CancellationToken::new();
    let client = Client::new(&["127.0.0.0/8".parse().unwrap()]).unwrap();
    let running = Dispatcher::new(post.desk.store.clone(), client, post.desk.clock.clone());
    let running = tokio::spawn(running.run(shutdown.clone()));
    for _ in 0..20 {
        post.happen(&post.visit().await).await;
        quick.got.recv().await.unwrap();
    }
    assert!(slow.got.recv().await.is_some());
    assert!(slow.taken().len() < usize::try_from(PER_ENDPOINT).unwrap());
    running.abort();
}

#[tokio::test]
async fn it_stops_when_told() {
    let post = Post::new().await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(post.dispatcher.run(shutdown.clone()));
    shutdown.cancel();
    running.await.unwrap();
}

#[test]
fn an_answer_decides_what_follows() {
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    let judged = |code, attempt| judge(&Answer::Status { code, retry_at: None }, attempt, now, 0.0);
    let retry = |seconds, reason: &str| Outcome::Retry {
        at: now + SignedDuration::from_secs(seconds),
        reason: reason.into(),
    };
    assert_eq!((judged(200, 1), judged(299, 10)), (Outcome::Delivered, Outcome::Delivered));
    assert_eq!((judged(199, 1), judged(302, 2)), (retry(5, "http_199"), retry(300, "http_302")));
    assert_eq!(judged(404, 9), retry(86_400, "http_404"));
    assert_eq!(judged(500, 10), Outcome::Dead { reason: "http_500".into() });
    assert_eq!(
        judge(&Answer::None("timeout"), 1, now, 1.0),
        Outcome::Retry { at: now + SignedDuration::from_millis(5_500), reason: "timeout".into() }
    );
    let later = Answer::Status { code: 500, retry_at: Some(now + SignedDuration::from_secs(99)) };
    assert_eq!(judge(&later, 1, now, 0.0), retry(5, "http_500"), "only 429 and 503 may ask");
}

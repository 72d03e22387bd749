use std::collections::BTreeSet;

use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::domain::event::NewEvent;
use crate::domain::time::Clock;
use crate::domain::visit::VisitState;
use crate::store::Change;
use crate::store::testing::{Desk, tenant};

const LEASE_MS: i64 = 60_000;

struct Post {
    desk: Desk,
    acme: TenantId,
}

impl Post {
    async fn new() -> Self {
        Self { desk: Desk::new().await, acme: tenant("acme") }
    }

    async fn endpoint(&self) -> EndpointId {
        self.desk.store.create_endpoint(&self.acme, "https://crm.example/", &[]).await.unwrap().0.id
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

    async fn claim(&self) -> Vec<Due> {
        self.desk.store.claim_due(self.desk.clock.now(), 99, 99, LEASE_MS).await.unwrap()
    }

    async fn settle(&self, due: &Due, outcome: Outcome) -> bool {
        self.desk.store.settle(&due.id, due.fence, outcome).await.unwrap()
    }

    /// Sequence numbers with their states, in order.
    async fn states(&self) -> Vec<(i64, DeliveryState)> {
        let filter = DeliveryFilter { limit: 99, ..DeliveryFilter::default() };
        let listed = self.desk.store.list_deliveries(&self.acme, filter).await.unwrap();
        let mut states: Vec<_> = listed.iter().map(|delivery| (delivery.seq, delivery.state)).collect();
        states.sort_by_key(|(seq, _)| *seq);
        states
    }
}

fn seq(due: &Due) -> i64 {
    serde_json::from_str::<serde_json::Value>(&due.body).unwrap()["data"]["seq"].as_i64().unwrap()
}

fn dead() -> Outcome {
    Outcome::Dead { reason: "http_500".into() }
}

#[tokio::test]
async fn the_next_event_of_a_visit_waits_for_the_one_before() {
    let post = Post::new().await;
    post.endpoint().await;
    let (one, other) = (post.visit().await, post.visit().await);
    for visit in [&one, &one, &one, &other] {
        post.happen(visit).await;
    }
    let first = post.claim().await;
    assert_eq!(first.iter().map(seq).collect::<Vec<_>>(), [1, 1], "one of each visit");
    assert!(post.claim().await.is_empty());

    let head = first.iter().find(|due| due.body.contains(one.as_str())).unwrap();
    let at = post.desk.clock.now() + jiff::SignedDuration::from_secs(5);
    assert!(post.settle(head, Outcome::Retry { at, reason: "timeout".into() }).await);
    assert!(post.claim().await.is_empty(), "the second still waits");
    assert_eq!(post.desk.store.next_due_at(post.desk.clock.now()).await.unwrap(), Some(at));
    post.desk.clock.advance_ms(5_000);
    let again = post.claim().await.remove(0);
    assert_eq!(
        (seq(&again), again.attempt, &again.event_id, &again.body),
        (1, 2, &head.event_id, &head.body)
    );

    assert!(post.settle(&again, Outcome::Delivered).await);
    let second = post.claim().await.remove(0);
    assert_eq!(seq(&second), 2);
    assert!(post.settle(&second, dead()).await);
    assert_eq!(seq(&post.claim().await[0]), 3, "a dead letter holds nobody up");
}

#[tokio::test]
async fn a_claim_that_ran_out_is_taken_over_and_settles_no_more() {
    let post = Post::new().await;
    post.endpoint().await;
    post.happen(&post.visit().await).await;
    let lost = post.claim().await.remove(0);
    let now = post.desk.clock.now();
    let end = now + jiff::SignedDuration::from_millis(LEASE_MS);
    assert_eq!(post.desk.store.next_due_at(now).await.unwrap(), Some(end));
    post.desk.clock.advance_ms(LEASE_MS);
    let taken = post.claim().await.remove(0);
    assert!(taken.id == lost.id && taken.fence > lost.fence);
    assert!(!post.settle(&lost, dead()).await);
    assert!(post.settle(&taken, Outcome::Delivered).await);
    assert!(!post.settle(&taken, Outcome::Delivered).await);
    assert_eq!(post.states().await, [(1, DeliveryState::Delivered)]);
}

#[tokio::test]
async fn a_full_endpoint_leaves_room_for_others() {
    let post = Post::new().await;
    let (slow, quick) = (post.endpoint().await, post.endpoint().await);
    for _ in 0..4 {
        post.happen(&post.visit().await).await;
    }
    let claim = async |limit| {
        let now = post.desk.clock.now();
        post.desk.store.claim_due(now, limit, 2, LEASE_MS).await.unwrap()
    };
    let first = claim(99).await;
    let to = |due: &[Due], endpoint: &EndpointId| due.iter().filter(|d| d.endpoint_id == *endpoint).count();
    assert_eq!((to(&first, &slow), to(&first, &quick)), (2, 2));
    for due in first.iter().filter(|due| due.endpoint_id == quick) {
        post.settle(due, Outcome::Delivered).await;
    }
    let second = claim(1).await;
    assert_eq!((to(&second, &slow), to(&second, &quick)), (0, 1));
    assert_eq!(to(&claim(99).await, &quick), 1);
}

#[tokio::test]
async fn a_replay_sends_the_same_again_in_its_turn() {
    let post = Post::new().await;
    post.endpoint().await;
    let visit = post.visit().await;
    post.happen(&visit).await;
    post.happen(&visit).await;
    let first = post.claim().await.remove(0);
    let replay = async || post.desk.store.replay_delivery(&post.acme, &first.id).await;
    assert_eq!(replay().await.unwrap_err().code, Code::WrongState, "still under way");
    post.settle(&first, dead()).await;
    let second = post.claim().await.remove(0);

    assert_eq!(replay().await.unwrap().state, DeliveryState::Waiting, "the second is being sent");
    assert!(post.claim().await.is_empty());
    post.settle(&second, Outcome::Delivered).await;
    let again = post.claim().await.remove(0);
    assert_eq!((&again.event_id, &again.body, again.attempt), (&first.event_id, &first.body, 1));
    post.settle(&again, Outcome::Delivered).await;
    let replayed = replay().await.unwrap();
    assert_eq!((replayed.state, replayed.last_error, replayed.settled_at), (DeliveryState::Due, None, None));
}

#[tokio::test]
async fn a_disabled_endpoint_gets_nothing_more() {
    let post = Post::new().await;
    let endpoint = post.endpoint().await;
    let visit = post.visit().await;
    post.happen(&visit).await;
    post.happen(&visit).await;
    let under_way = post.claim().await.remove(0);
    for _ in 0..2 {
        post.desk.store.disable_endpoint(&post.acme, &endpoint, "gone").await.unwrap();
    }
    post.happen(&visit).await;
    assert!(!post.settle(&under_way, Outcome::Delivered).await);
    assert_eq!(post.states().await, [(1, DeliveryState::Dead), (2, DeliveryState::Dead)]);
    assert!(post.claim().await.is_empty());
    let replay = post.desk.store.replay_delivery(&post.acme, &under_way.id).await;
    assert_eq!(replay.unwrap_err().code, Code::WrongState);
    let deleted = post.desk.store.endpoint(&post.acme, &endpoint).await.unwrap();
    assert!(deleted.disabled_at.is_some());
}

#[tokio::test]
async fn a_rotated_secret_signs_along_for_a_while() {
    let post = Post::new().await;
    let (endpoint, first) =
        post.desk.store.create_endpoint(&post.acme, "https://crm.example/", &[]).await.unwrap();
    let key = first.expose_secret().strip_prefix("whsec_").unwrap();
    assert_eq!(key.len(), 44, "32 bytes in base64");
    post.desk.clock.advance_ms(1);
    let second = post.desk.store.rotate_secret(&post.acme, &endpoint.id, 1_000).await.unwrap();
    let secrets = async || {
        post.happen(&post.visit().await).await;
        let due = post.claim().await.remove(0);
        due.secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(secrets().await, [second.expose_secret(), first.expose_secret()]);
    post.desk.clock.advance_ms(1_000);
    assert_eq!(secrets().await, [second.expose_secret()]);
}

/// Many dispatchers at once: each delivery is claimed once. On PostgreSQL some come back with less than there
/// was, as another was quicker; what is left is there for the next claim.
#[tokio::test]
async fn claims_never_overlap() {
    let post = Post::new().await;
    post.endpoint().await;
    for _ in 0..20 {
        post.happen(&post.visit().await).await;
    }
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, now) = (post.desk.store.clone(), post.desk.clock.now());
            tokio::spawn(async move { store.claim_due(now, 5, 99, LEASE_MS).await.unwrap() })
        })
        .collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.extend(task.await.unwrap().into_iter().map(|due| due.id));
    }
    ids.extend(post.claim().await.into_iter().map(|due| due.id));
    assert_eq!(ids.len(), 20);
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 20);
}

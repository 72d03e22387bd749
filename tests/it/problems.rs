//! Every refusal is a problem document with a stable code, and names the field it is about.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Client, World};

fn new_visit() -> Value {
    json!({"customer": {"id": "c", "name": "n"}, "rep": {"id": "r", "name": "n"}})
}

/// A new visit with one member replaced.
fn but(pointer: &str, value: Value) -> Value {
    let mut body = new_visit();
    match pointer.rsplit_once('/') {
        Some((parent, name)) => body.pointer_mut(parent).unwrap()[name] = value,
        None => unreachable!(),
    }
    body
}

#[tokio::test]
async fn a_bad_field_is_named() {
    let world = World::new().await;
    let client = world.admin().await;
    for (body, field) in [
        (but("/customer/name", json!("")), "customer.name"),
        (but("/customer/name", json!("a\0b")), "customer.name"),
        (but("/rep/id", json!("x".repeat(201))), "rep.id"),
        (but("/rep", json!({"id": "r"})), "rep.name"),
        (but("/customer", json!(7)), "customer"),
        (but("/scheduled_at", json!("tomorrow")), "scheduled_at"),
        (but("/purpose", json!("x".repeat(2_001))), "purpose"),
        (but("/external_id", json!("a\r\nb")), "external_id"),
        (but("/hotwords", json!(["好", ""])), "hotwords[1]"),
        (but("/hotwords", json!("好")), "hotwords"),
        (json!({"rep": {"id": "r", "name": "n"}}), "customer"),
        (json!([]), "customer"),
    ] {
        let problem = client.post("/v1/visits", &body).await.refused(422, "invalid_request");
        if body.is_object() {
            assert_eq!(problem["field"], field, "{problem}");
        }
    }
    let visit = client.visit().await;
    for (body, field) in
        [(json!({"purposes": []}), "notice_version"), (json!({"purposes": ["spying"]}), "purposes[0]")]
    {
        let problem =
            client.post(&format!("/v1/visits/{visit}/consent"), &body).await.refused(422, "invalid_request");
        assert_eq!(problem["field"], field, "{problem}");
    }
    let problem =
        client.post("/v1/webhook-endpoints", &json!({"url": "http://x", "events": ["card.gone"]})).await;
    assert_eq!(problem.refused(422, "invalid_request")["field"], "events[0]");
    for url in
        ["ftp://example.com/", "http://169.254.169.254/latest", "nonsense", "http://user:pw@127.0.0.1/"]
    {
        client.post("/v1/webhook-endpoints", &json!({"url": url})).await.refused(422, "invalid_request");
    }
}

#[tokio::test]
async fn what_is_no_request_of_ours_is_told_so() {
    let world = World::with(&[("LIMITS__BODY_BYTES", "4096")]).await;
    let client = world.admin().await;
    let post = |body: &'static str, kind: &'static str| {
        client.request(Method::POST, "/v1/visits").header("content-type", kind).body(body)
    };
    Client::send(post("{", "application/json")).await.refused(400, "invalid_request");
    Client::send(post("{}", "text/plain")).await.refused(415, "unsupported_media_type");
    let large = but("/purpose", json!("x".repeat(5_000)));
    client.post("/v1/visits", &large).await.refused(413, "too_large");
    client.get("/v1/nothing").await.refused(404, "not_found");
    client.get("/v1/visits/vis_none").await.refused(404, "not_found");
    client.get("/v1/visits/..%2f..%2fetc").await.refused(404, "not_found");
    client.get("/v1/visits/vis_%00").await.refused(404, "not_found");
    Client::send(client.request(Method::PUT, "/v1/visits")).await.refused(405, "method_not_allowed");
    for query in ["limit=0", "limit=201", "limit=x", "state=asleep"] {
        client.get(&format!("/v1/visits?{query}")).await.refused(400, "invalid_request");
    }
    let visit = client.visit().await;
    let bad_id =
        client.request(Method::GET, &format!("/v1/visits/{visit}/events")).header("last-event-id", "x");
    Client::send(bad_id).await.refused(400, "invalid_request");
    client.get(&format!("/v1/visits/{visit}/stream")).await.refused(400, "invalid_request");

    let answer = client.get("/healthz").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "ok"));
    assert!(answer.headers.contains_key("x-request-id"));
    client.get("/readyz").await;
    assert_eq!(client.get("/info").await.expect(200)["pipeline"]["name"], "visit");
    assert!(client.get("/metrics").await.text.contains("visitscribe_http_requests_total"));
}

#[tokio::test]
async fn the_same_key_has_one_effect_and_one_answer() {
    let world = World::new().await;
    let client = world.admin().await;
    let make = |body: Value| {
        Client::send(client.request(Method::POST, "/v1/visits").header("idempotency-key", "k-1").json(&body))
    };
    let answers = futures_util::future::join_all((0..20).map(|_| make(new_visit()))).await;
    let first = answers[0].expect(201);
    assert!(answers.iter().all(|answer| answer.expect(201) == first), "one answer");
    assert_eq!(
        client.get("/v1/visits").await.expect(200)["visits"].as_array().unwrap().len(),
        1,
        "one effect"
    );
    make(but("/purpose", json!("other"))).await.refused(409, "idempotency_conflict");

    // A refused request leaves its key free.
    let retry = |body: Value| {
        Client::send(client.request(Method::POST, "/v1/visits").header("idempotency-key", "k-2").json(&body))
    };
    retry(but("/customer/name", json!(""))).await.refused(422, "invalid_request");
    retry(new_visit()).await.expect(201);
    let empty = client.request(Method::POST, "/v1/visits").header("idempotency-key", "").json(&new_visit());
    Client::send(empty).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn the_page_is_served_with_a_strict_policy() {
    let world = World::new().await;
    let client = world.admin().await;
    let page = client.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("<html"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self'; connect-src 'self'"), "{policy}");
    let script = client.get("/assets/app.js").await;
    assert!(script.headers["content-type"].to_str().unwrap().starts_with("text/javascript"));
    client.get("/assets/none.js").await.refused(404, "not_found");
    client.get("/assets/..%2fmod.rs").await.refused(404, "not_found");
}

//! A key of tenant A never learns that tenant B exists: foreign and absent look the same.

use reqwest::Method;
use serde_json::json;
use visitscribe::domain::access::Role;

use crate::world::{Client, World, talk};

#[tokio::test]
async fn foreign_and_absent_look_the_same() {
    let world = World::new().await;
    let (ours, theirs) = (world.client("acme", Role::Admin).await, world.client("rival", Role::Admin).await);
    let visit = ours.consented().await;
    ours.streamed(&visit, &talk()).await;
    let endpoint =
        ours.post("/v1/webhook-endpoints", &json!({"url": "http://127.0.0.1:9/x"})).await.expect(201);
    let endpoint = endpoint["id"].as_str().unwrap();

    let consent = json!({"purposes": ["recording"], "notice_version": "1", "method": "tap", "given_by": "x",
        "given_at": "2026-11-23T14:01:00+08:00"});
    for (method, path, body) in [
        (Method::GET, "/v1/visits/{}", None),
        (Method::GET, "/v1/visits/{}/result", None),
        (Method::GET, "/v1/visits/{}/card", None),
        (Method::GET, "/v1/visits/{}/events", None),
        (Method::POST, "/v1/visits/{}/consent", Some(consent)),
        (Method::DELETE, "/v1/visits/{}/consent", None),
        (Method::POST, "/v1/visits/{}/card/confirm", Some(json!({"version": 1}))),
        (Method::POST, "/v1/visits/{}/stream-tickets", Some(json!({}))),
        (Method::GET, "/v1/webhook-endpoints/{}", None),
        (Method::DELETE, "/v1/webhook-endpoints/{}", None),
    ] {
        let (foreign, absent) =
            if path.contains("visits") { (visit.as_str(), "vis_0") } else { (endpoint, "ep_0") };
        let ask = async |id: &str| {
            let request = theirs.request(method.clone(), &path.replace("{}", id));
            Client::send(if let Some(body) = &body { request.json(body) } else { request }).await
        };
        let (foreign, absent) = (ask(foreign).await, ask(absent).await);
        assert_eq!(foreign.status, 404, "{method} {path}: {}", foreign.text);
        assert_eq!(foreign.text, absent.text, "{method} {path}");
    }
    assert_eq!(theirs.dial(&visit, "visit.v1").await.err().unwrap().0, 404);
    for (list, member) in
        [("/v1/visits", "visits"), ("/v1/webhook-endpoints", "endpoints"), ("/v1/deliveries", "deliveries")]
    {
        assert_eq!(theirs.get(list).await.expect(200)[member], json!([]), "{list}");
    }
    assert_eq!(ours.state(&visit).await, "card_ready");
}

#[tokio::test]
async fn a_page_of_visits_ends_where_the_next_begins() {
    let world = World::new().await;
    let client = world.admin().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(client.visit().await);
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/visits?limit=2".to_owned();
    loop {
        let page = client.get(&path).await.expect(200);
        seen.extend(page["visits"].as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/visits?limit=2&before={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made, "newest first, each once");
    assert_eq!(client.get("/v1/visits?state=live").await.expect(200)["visits"], json!([]));
}

//! Without consent not one byte; after it was taken back not one more.

use serde_json::json;

use crate::world::{World, tone};

#[tokio::test]
async fn no_stream_without_consent_to_recording_and_transcription() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.visit().await;
    let (status, problem) = client.dial(&visit, "visit.v1").await.err().unwrap();
    assert_eq!((status, &problem["code"]), (403, &json!("consent_required")));

    let partly = json!({
        "purposes": ["recording"], "notice_version": "1", "method": "tap", "given_by": "王总",
        "given_at": "2026-11-23T14:01:00+08:00",
    });
    client.post(&format!("/v1/visits/{visit}/consent"), &partly).await.expect(201);
    let (status, problem) = client.dial(&visit, "visit.v1").await.err().unwrap();
    assert_eq!((status, &problem["code"]), (403, &json!("consent_required")));
    assert!(problem["detail"].as_str().unwrap().contains("transcription"));

    let consent = client.consent(&visit).await.expect(201);
    assert!(consent["id"].as_str().unwrap().starts_with("con_"));
    client.live(&visit).await.until("ready").await;
}

#[tokio::test]
async fn withdrawing_cuts_a_live_stream_and_lets_no_other_begin() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let mut live = client.live(&visit).await;
    live.audio(0, &tone(0.2)).await;
    live.durable(6400).await;

    let path = format!("/v1/visits/{visit}/consent");
    let withdrawn = client.delete(&path).await.expect(200);
    assert_eq!(withdrawn["state"], "withdrawn");
    let (error, code) = live.refused().await;
    assert_eq!(
        (&error["code"], code, &error["retryable"]),
        (&json!("consent_withdrawn"), 4403, &json!(false))
    );

    let (status, problem) = client.dial(&visit, "visit.v1").await.err().unwrap();
    assert_eq!((status, &problem["code"]), (403, &json!("consent_withdrawn")));
    assert_eq!(client.delete(&path).await.expect(200)["state"], "withdrawn", "again changes nothing");
}

#[tokio::test]
async fn a_withdrawal_between_handshake_and_start_is_seen() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let mut live = client.dial(&visit, "visit.v1").await.unwrap();
    client.delete(&format!("/v1/visits/{visit}/consent")).await.expect(200);
    live.say(&crate::world::start()).await;
    let (error, code) = live.refused().await;
    assert_eq!((&error["code"], code), (&json!("consent_withdrawn"), 4403));
}

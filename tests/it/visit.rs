//! A visit from its first record to the webhook that the CRM verifies.

use serde_json::json;
use visitscribe::http::schema;

use crate::receiver::Receiver;
use crate::world::{World, talk};

#[tokio::test]
async fn a_visit_goes_from_consent_to_a_confirmed_card_and_a_verified_webhook() {
    let world = World::new().await;
    let client = world.admin().await;
    let mut receiver = Receiver::start().await;
    let endpoint =
        client.post("/v1/webhook-endpoints", &json!({"url": receiver.url, "events": []})).await.expect(201);
    let secret = endpoint["secret"].as_str().unwrap().to_owned();

    let visit = client.consented().await;
    let mut live = client.live(&visit).await;
    let ready = live.until("ready").await;
    assert_eq!((ready["next_offset"].as_u64(), ready["epoch"].as_i64()), (Some(0), Some(1)));
    assert_eq!(ready["pipeline"]["name"], "visit");
    let audio = talk();
    live.stream(&audio, 0).await;
    live.stop(audio.len()).await;
    let told = live.until_done().await;
    assert_eq!(client.state(&visit).await, "card_ready");

    let of = |kind: &str| told.iter().filter(|m| m["type"] == kind).count();
    assert_eq!(of("final"), 3, "{told:?}");
    assert!(of("ack") > 0 && of("moment") >= 3, "{told:?}");
    let last_ack = told.iter().rev().find(|m| m["type"] == "ack").unwrap();
    assert_eq!(last_ack["durable"], audio.len());
    let done = told.last().unwrap();
    assert_eq!(done["coverage"], 1.0);

    let card = client.get(&format!("/v1/visits/{visit}/card")).await.expect(200);
    assert_eq!(card, done["card"]);
    assert_eq!((card["version"].as_i64(), &card["state"]), (Some(1), &json!("pending")));
    as_documented::<schema::Card>(&card);

    let confirm = format!("/v1/visits/{visit}/card/confirm");
    client.post(&confirm, &json!({"version": 7})).await.refused(409, "stale_version");
    let edits = json!({"version": 1, "edits": {"next_action": "周五发方案"}});
    let confirmed = client.post(&confirm, &edits).await.expect(200);
    assert_eq!(
        (&confirmed["state"], &confirmed["fields"]["next_action"]["value"]),
        (&json!("confirmed"), &json!("周五发方案"))
    );
    assert_eq!(
        client.post(&confirm, &edits).await.expect(200),
        confirmed,
        "the same again, no second effect"
    );
    let shown = client.get(&format!("/v1/visits/{visit}")).await.expect(200);
    assert_eq!(shown["state"], "confirmed");
    as_documented::<schema::Visit>(&shown);

    let mut kinds = Vec::new();
    for seq in 1.. {
        let received = receiver.next().await;
        let event = received.verified(&secret);
        assert_eq!((event["data"]["seq"].as_i64(), &event["data"]["visit_id"]), (Some(seq), &json!(visit)));
        assert!(received.headers["webhook-id"].starts_with("evt_"));
        kinds.push(event["type"].as_str().unwrap().to_owned());
        if kinds.last().unwrap() == "visit.confirmed" {
            break;
        }
    }
    assert_eq!(kinds, ["visit.started", "visit.transcribed", "card.ready", "visit.confirmed"]);
}

#[tokio::test]
async fn a_result_is_as_documented() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    client.get(&format!("/v1/visits/{visit}/result")).await.refused(404, "result_not_ready");
    client.get(&format!("/v1/visits/{visit}/card")).await.refused(404, "card_not_ready");
    client.streamed(&visit, &talk()).await;
    let result = client.get(&format!("/v1/visits/{visit}/result")).await.expect(200);
    assert_eq!(result["segments"].as_array().unwrap().len(), 3);
    as_documented::<schema::VisitResult>(&result);
}

/// What the document tells of an answer is all there is to tell: nothing is lost on the way through.
fn as_documented<T: serde::de::DeserializeOwned + serde::Serialize>(answer: &serde_json::Value) {
    let read: T = serde_json::from_value(answer.clone()).unwrap();
    assert_eq!(without_nulls(serde_json::to_value(read).unwrap()), without_nulls(answer.clone()));
}

fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        // f32 and f64 write the same number differently.
        Value::Number(n) if n.is_f64() => ((n.as_f64().unwrap() * 1e4).round()).into(),
        Value::Number(n) => (n.as_f64().unwrap() * 1e4).into(),
        other => other,
    }
}

//! The live protocol, message by message.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::world::{World, dial, silence, start, talk, tone};

#[tokio::test]
async fn a_newer_connection_takes_over_and_goes_on() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let audio = talk();
    let half = audio.len() / 2;

    let mut old = client.live(&visit).await;
    old.until("ready").await;
    old.stream(&audio[..half], 0).await;
    old.durable(half).await;

    let mut new = client.live(&visit).await;
    let ready = new.until("ready").await;
    assert_eq!((ready["next_offset"].as_u64(), ready["epoch"].as_i64()), (Some(half as u64), Some(2)));
    let (error, code) = old.refused().await;
    assert_eq!((&error["code"], code), (&json!("taken_over"), 4409));

    new.stream(&audio, half).await;
    new.stop(audio.len()).await;
    let told = new.until_done().await;
    assert_eq!(told.iter().filter(|m| m["type"] == "final").count(), 3, "those of the first half too");
}

#[tokio::test]
async fn a_client_that_comes_back_finds_what_it_sent_and_what_was_said() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let audio = talk();
    let mut live = client.live(&visit).await;
    live.stream(&audio, 0).await;
    let first = live.until("final").await;
    live.durable(audio.len()).await;
    live.vanish();

    let mut back = client.live(&visit).await;
    assert_eq!(back.until("ready").await["next_offset"], audio.len());
    assert_eq!(back.until("final").await, first, "finals so far come again");
    back.stop(audio.len()).await;
    back.until_done().await;
    assert_eq!(client.state(&visit).await, "card_ready");
}

#[tokio::test]
async fn a_hole_is_answered_with_the_offset_wanted_and_bytes_held_are_ignored() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let audio = tone(1.0);
    let mut live = client.live(&visit).await;
    live.audio(0, &audio[..6400]).await;
    live.audio(12_800, &audio[12_800..19_200]).await;
    let error = live.until("error").await;
    assert_eq!((&error["code"], &error["next_offset"]), (&json!("offset_mismatch"), &json!(6400)));
    assert_eq!(error["retryable"], true);

    // The stream is still open: fill the hole with an overlap, send some of it twice.
    live.audio(3_200, &audio[3_200..12_800]).await;
    live.audio(0, &audio[..12_800]).await;
    live.stop(audio.len()).await;
    let error = live.until("error").await;
    assert_eq!(
        (&error["code"], &error["next_offset"]),
        (&json!("offset_mismatch"), &json!(12_800)),
        "not all is here"
    );
    live.stream(&audio, 12_800).await;
    live.stop(audio.len()).await;
    let told = live.until_done().await;
    assert_eq!(told.last().unwrap()["type"], "done");
}

#[tokio::test]
async fn other_bytes_where_some_are_held_are_a_conflict_and_change_nothing() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let mut live = client.live(&visit).await;
    live.audio(0, &tone(0.2)).await;
    live.durable(6400).await;
    live.audio(0, &silence(0.2)).await;
    let (error, code) = live.refused().await;
    assert_eq!((&error["code"], code, &error["next_offset"]), (&json!("audio_conflict"), 4400, &json!(6400)));

    let mut live = client.live(&visit).await;
    live.stop(3_200).await;
    let (error, code) = live.refused().await;
    assert_eq!((&error["code"], code), (&json!("audio_conflict"), 4400), "fewer bytes than were sent");

    let mut live = client.dial(&visit, "visit.v1").await.unwrap();
    live.say(&json!({"type": "start", "audio": {"encoding": "container"}})).await;
    let (error, code) = live.refused().await;
    assert_eq!(
        (&error["code"], code),
        (&json!("audio_conflict"), 4400),
        "another format than declared before"
    );
}

#[tokio::test]
async fn finalize_makes_final_what_was_sent() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let mut live = client.live(&visit).await;
    // Speech without an end: no pause would make it final.
    live.stream(&tone(2.5), 0).await;
    live.say(&json!({"type": "finalize"})).await;
    let segment = live.until("final").await;
    assert_eq!(segment["segment_id"], "seg_0001");
}

#[tokio::test]
async fn what_is_not_of_the_protocol_is_refused_with_its_code() {
    let world =
        World::with(&[("LIMITS__MESSAGE_BYTES", "20000"), ("LIMITS__LIVE_BYTES_PER_SECOND", "32000")]).await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let bad_format =
        json!({"type": "start", "audio": {"encoding": "pcm_s16le", "sample_rate": 1, "channels": 255}});
    for (first, then, code, word) in [
        (Message::text("{"), None, 4400, "invalid_request"),
        (Message::text(bad_format.to_string()), None, 4400, "invalid_request"),
        (Message::binary(vec![0; 100]), None, 4400, "invalid_request"),
        (
            Message::text(start().to_string()),
            Some(Message::text(start().to_string())),
            4400,
            "invalid_request",
        ),
        (Message::text(start().to_string()), Some(Message::binary(vec![0; 7])), 4400, "invalid_request"),
        (Message::text(start().to_string()), Some(Message::binary(vec![0; 20_001])), 1009, "too_large"),
        (Message::text(start().to_string()), Some(Message::binary(vec![0; 90_000])), 1009, "too_large"),
        (Message::text(" ".repeat(20_001)), None, 1009, "too_large"),
    ] {
        let mut live = client.dial(&visit, "visit.v1").await.unwrap();
        live.send(first).await;
        if let Some(then) = then {
            live.send(then).await;
        }
        let (error, closed) = live.refused().await;
        assert_eq!((closed, &error["code"]), (code, &json!(word)), "{error}");
    }

    let mut live = client.live(&visit).await;
    live.stream(&tone(9.0), 0).await;
    let (error, closed) = live.refused().await;
    assert_eq!((closed, &error["code"], &error["retryable"]), (4429, &json!("too_fast"), &json!(true)));
}

#[tokio::test]
async fn silence_of_the_client_closes_with_4408_and_keeps_the_audio() {
    let world = World::with(&[("LIMITS__IDLE_SECONDS", "1")]).await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let mut live = client.live(&visit).await;
    live.audio(0, &tone(0.2)).await;
    let (error, code) = live.refused().await;
    assert_eq!((&error["code"], code, &error["next_offset"]), (&json!("idle"), 4408, &json!(6400)));
    assert_eq!(client.state(&visit).await, "live");
}

#[tokio::test]
async fn refusals_come_before_the_upgrade() {
    let world = World::with(&[("LIMITS__LIVE_VISITS", "1")]).await;
    let client = world.admin().await;
    let (first, second) = (client.consented().await, client.consented().await);
    let (status, problem) = client.dial(&first, "chat").await.err().unwrap();
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_request")));
    let (status, problem) = client.dial("vis_none", "visit.v1").await.err().unwrap();
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));

    let mut live = client.live(&first).await;
    live.until("ready").await;
    let (status, problem) = client.dial(&second, "visit.v1").await.err().unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("at_capacity")));
    live.stop(0).await;
    live.until_done().await;
    // The place is free when the first connection is closed on both sides.
    let (status, problem) = client.dial(&first, "visit.v1").await.err().unwrap();
    assert_eq!((status, &problem["code"]), (409, &json!("wrong_state")));
}

#[tokio::test]
async fn a_ticket_opens_one_stream_once() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let issued = client.post(&format!("/v1/visits/{visit}/stream-tickets"), &json!({})).await.expect(201);
    assert_eq!(issued["expires_in_s"], 30);
    let ticket = issued["ticket"].as_str().unwrap();
    let url = format!("{}/v1/visits/{visit}/stream?ticket={ticket}", world.url.replace("http", "ws"));
    let mut live = dial(&url, None, "visit.v1").await.unwrap();
    live.say(&start()).await;
    live.until("ready").await;
    let (status, problem) = dial(&url, None, "visit.v1").await.err().unwrap();
    assert_eq!((status, &problem["code"]), (401, &json!("unauthenticated")));
    let bare = format!("{}/v1/visits/{visit}/stream", world.url.replace("http", "ws"));
    assert_eq!(dial(&bare, None, "visit.v1").await.err().unwrap().0, 401);
}

#[tokio::test]
async fn a_revoked_key_closes_its_stream() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let mut live = client.live(&visit).await;
    live.until("ready").await;
    world.app.store.revoke_key(&client.tenant, &client.key_id).await.unwrap();
    let (error, code) = live.refused().await;
    assert_eq!((&error["code"], code), (&json!("unauthenticated"), 4401));
}

#[tokio::test]
async fn draining_says_1001_and_keeps_every_byte() {
    let mut world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let mut live = client.live(&visit).await;
    live.until("ready").await;
    live.audio(0, &tone(0.2)).await;
    live.durable(6400).await;
    world.drain().await;
    let (error, code) = live.refused().await;
    assert_eq!((&error["code"], code), (&json!("shutting_down"), 1001));
}

#[tokio::test]
async fn what_the_second_pass_hears_is_told_and_is_the_result() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let mut live = client.live(&visit).await;
    // Six seconds each, in which the fake recogniser hears a quote; in the window of four it hears an intent.
    let audio = [silence(1.0), tone(6.0)].concat().repeat(6);
    let audio = [audio, silence(1.0)].concat();
    live.stream(&audio, 0).await;
    let corrected = live.until("corrected").await;
    // A client that comes later is told the same story.
    let mut late = client.live(&visit).await;
    late.until("ready").await;
    late.stop(audio.len()).await;
    let told = late.until_done().await;

    let result = client.get(&format!("/v1/visits/{visit}/result")).await.expect(200);
    let of = |id: &serde_json::Value| {
        result["segments"].as_array().unwrap().iter().find(|segment| segment["id"] == *id).unwrap().clone()
    };
    let segment = of(&corrected["segment_id"]);
    for field in ["text", "start_ms", "end_ms", "speaker"] {
        assert_eq!(segment[field], corrected[field], "{field}");
    }
    assert!(segment["text"].as_str().unwrap().contains("合同"), "{segment}");

    let finals: Vec<_> = told.iter().filter(|m| m["type"] == "final").map(|m| &m["segment_id"]).collect();
    assert_eq!(finals.len(), 6, "{told:?}");
    let retracted = told.iter().find(|m| m["type"] == "retracted").expect("the quote is none");
    let gone = &retracted["moment_id"];
    assert!(result["moments"].as_array().unwrap().iter().all(|moment| moment["id"] != *gone), "{gone}");
}

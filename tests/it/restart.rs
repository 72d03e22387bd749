//! What a crash leaves: everything acknowledged, nothing half done.

use serde_json::json;

use crate::world::{Client, World, talk, tone};

#[tokio::test]
async fn acknowledged_audio_survives_a_crash_and_the_stream_goes_on() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let audio = talk();
    let (_live, half) = client.half_streamed(&visit, &audio).await;

    let world = world.crash().await;
    let client = Client { url: world.url.clone(), ..client };
    let mut live = client.live(&visit).await;
    assert!(live.until("ready").await["next_offset"].as_u64().unwrap() >= half as u64);
    live.stream(&audio, half).await;
    live.stop(audio.len()).await;
    let told = live.until_done().await;
    assert_eq!(told.last().unwrap()["coverage"], 1.0);
    let mut ids: Vec<_> =
        told.iter().filter(|m| m["type"] == "final").map(|m| m["segment_id"].clone()).collect();
    ids.dedup();
    assert_eq!(ids, ["seg_0001", "seg_0002", "seg_0003"], "each told once");
}

#[tokio::test]
async fn what_finalize_cut_stays_cut_after_a_crash() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    // Speech without an end: only `finalize` cuts it.
    let audio = tone(5.0);
    let (mut live, half) = client.half_streamed(&visit, &audio).await;
    live.say(&json!({"type": "finalize"})).await;
    let first = live.until("final").await;

    let world = world.crash().await;
    let client = Client { url: world.url.clone(), ..client };
    let mut live = client.live(&visit).await;
    live.until("ready").await;
    live.stream(&audio, half).await;
    live.stop(audio.len()).await;
    let told = live.until_done().await;
    let finals: Vec<_> = told.iter().filter(|m| m["type"] == "final").collect();
    assert_eq!(finals.len(), 2, "{told:?}");
    assert_eq!(*finals[0], first);
    assert_eq!(finals[1]["start_ms"], first["end_ms"]);
}

#[tokio::test]
async fn a_visit_that_had_ended_gets_its_card_after_a_crash() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let audio = talk();
    let mut live = client.live(&visit).await;
    live.stream(&audio, 0).await;
    live.stop(audio.len()).await;
    live.durable(audio.len()).await;

    let world = world.crash().await;
    let client = Client { url: world.url.clone(), ..client };
    // Either run may have ended the visit; if the crash came before, the sender says `stop` again.
    if client.state(&visit).await == "live" {
        let mut live = client.live(&visit).await;
        live.stop(audio.len()).await;
        live.until_done().await;
    }
    client.card_ready(&visit).await;
}

//! Another classifier judges, or judges in the shadow, without a restart.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use visitscribe::Result;
use visitscribe::service::classifier::{Wish, next, taken};

use crate::world::{Client, World, soon, talk};

/// What the commands do once they have checked the candidate; waits for the service.
async fn wish(world: &World, wish: Wish) -> Result<bool> {
    let store = &world.app.store;
    let own = &world.app.hearing.declared.models.moments;
    let chosen = store.choose_classifier(&next(store, own, &wish).await?).await?;
    taken(store, &chosen, Duration::from_secs(30)).await
}

async fn classifier(client: &Client) -> Value {
    client.get("/info").await.expect(200)["classifier"].clone()
}

fn kinds(told: &[Value]) -> BTreeSet<&str> {
    let moments = told.iter().filter(|message| message["type"] == "moment");
    moments.map(|message| message["moment"]["kind"].as_str().unwrap()).collect()
}

/// Streams a new visit: the models that `ready` told, and the kinds of its moments.
async fn visited(client: &Client) -> (Value, BTreeSet<String>) {
    let visit = client.consented().await;
    let mut live = client.live(&visit).await;
    let models = live.until("ready").await["models"].clone();
    let audio = talk();
    live.stream(&audio, 0).await;
    live.stop(audio.len()).await;
    let told = live.until_done().await;
    let result = client.get(&format!("/v1/visits/{visit}/result")).await.expect(200);
    assert_eq!(result["models"], models, "who judged is who was told");
    (models, kinds(&told).into_iter().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_switch_is_for_new_visits_and_a_rollback_takes_it_back() {
    let world = World::new().await;
    let client = world.admin().await;
    assert_eq!(classifier(&client).await, json!({"active": "moments", "shadow": null}));

    let visit = client.consented().await;
    let audio = talk();
    let (live, half) = client.half_streamed(&visit, &audio).await;
    assert!(wish(&world, Wish::Switch("steps".into())).await.unwrap());
    assert_eq!(classifier(&client).await, json!({"active": "steps", "shadow": null}));
    live.vanish();
    // Taken up again after the switch, the visit goes on with what it began with.
    let mut live = client.live(&visit).await;
    assert!(live.until("ready").await["models"].get("steps").is_none());
    live.stream(&audio, half).await;
    live.stop(audio.len()).await;
    let told = live.until_done().await;
    assert!(kinds(&told).contains("quote"), "{told:?}");

    let (models, found) = visited(&client).await;
    assert_eq!(models["steps"]["version"], "fake");
    assert_eq!(found, ["next_step".to_owned()].into());

    let refused = wish(&world, Wish::Switch("broken".into())).await.unwrap_err();
    assert!(refused.detail.contains("broken is not as its manifest describes it"), "{}", refused.detail);
    assert_eq!(classifier(&client).await["active"], "steps");

    let world = world.crash().await;
    let client = Client { url: world.url.clone(), ..client };
    assert_eq!(classifier(&client).await["active"], "steps", "the choice lasts");
    assert!(wish(&world, Wish::Rollback).await.unwrap());
    assert_eq!(classifier(&client).await["active"], "moments");
    let (models, found) = visited(&client).await;
    assert!(models.get("steps").is_none() && found.contains("quote"), "{models} {found:?}");
}

#[tokio::test]
async fn a_shadow_is_counted_and_changes_nothing() {
    let world = World::new().await;
    let client = world.admin().await;
    let (models, found) = visited(&client).await;
    assert!(wish(&world, Wish::Shadow(Some("steps".into()))).await.unwrap());
    assert_eq!(classifier(&client).await, json!({"active": "moments", "shadow": "steps"}));
    assert_eq!(visited(&client).await, (models, found));

    // A shadow is behind the visit: the loop waits for its counts.
    let told = async || {
        loop {
            let metrics = client.get("/metrics").await.text;
            let value = |name: &str, labels: &[&str]| {
                let is_it = |line: &&str| {
                    line.starts_with(&format!("{name}{{"))
                        && ["candidate=\"steps\""].iter().chain(labels).all(|label| line.contains(label))
                };
                let line = metrics.lines().find(is_it);
                line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
            };
            let labels = |kind: &str, outcome: &str| {
                let labels = [format!("\"{kind}\""), format!("\"{outcome}\"")];
                value("visitscribe_shadow_labels_total", &[&labels[0], &labels[1]])
            };
            let judged = value("visitscribe_shadow_utterances_total", &["\"judged\""]);
            let timed = value("visitscribe_shadow_seconds_count", &[]);
            let (agreed, missed) = (labels("next_step", "agreed"), labels("quote", "only_active"));
            if judged >= 3 && timed >= 3 && agreed >= 1 && missed >= 1 {
                return labels("quote", "agreed");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!(soon(told()).await, 0, "steps finds no quote");

    assert!(wish(&world, Wish::Shadow(None)).await.unwrap());
    assert_eq!(classifier(&client).await["shadow"], Value::Null);
}

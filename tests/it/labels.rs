//! What a salesperson corrects comes out as training data, and the trainer reads it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::world::{World, talk};

fn export(data: &Path, out: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_visitscribe"))
        .args(["export", "labels", "--tenant", "acme", "--since", "2026-01-01", "--out"])
        .arg(out)
        .env("VISITSCRIBE_DATA__DIR", data)
        .output()
        .unwrap()
}

/// What `models/moments/dialogues.py` reads of a folder: for each file its speakers and the kinds of its lines.
fn read_as_the_trainer_does(folder: &Path) -> Value {
    let script = "import json, sys; from dialogues import load_dialogues; \
        print(json.dumps([[[t.speaker, sorted(t.labels)] for t in d.turns] for d in load_dialogues(sys.argv[1])]))";
    let moments = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/moments");
    let out =
        Command::new("python3").args(["-B", "-c", script]).arg(folder).current_dir(moments).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[tokio::test]
async fn a_dismissed_moment_leaves_the_card_and_the_training_data() {
    let world = World::new().await;
    let client = world.admin().await;
    let (visit, withdrawn) = (client.consented().await, client.consented().await);
    for visit in [&visit, &withdrawn] {
        client.streamed(visit, &talk()).await;
    }
    let card = client.get(&format!("/v1/visits/{visit}/card")).await.expect(200);
    let quote = card["chips"].as_array().unwrap().iter().find(|chip| chip["kind"] == "quote").unwrap();
    let quote = quote["moment_id"].clone();
    assert!(!card["fields"]["latest_quote"]["value"].is_null());

    let confirm = format!("/v1/visits/{visit}/card/confirm");
    let unknown = json!({"version": 1, "dismissed": ["mom_9999"]});
    let problem = client.post(&confirm, &unknown).await.refused(422, "invalid_request");
    assert!(problem["detail"].as_str().unwrap().contains("mom_9999"), "{problem}");
    let said = json!({"version": 1, "dismissed": [quote]});
    let confirmed = client.post(&confirm, &said).await.expect(200);
    let shown = confirmed["chips"].as_array().unwrap();
    assert!(shown.len() + 1 == card["chips"].as_array().unwrap().len(), "{shown:?}");
    assert!(shown.iter().all(|chip| chip["moment_id"] != quote));
    assert!(confirmed["fields"]["latest_quote"]["value"].is_null(), "{confirmed}");
    assert_eq!(client.post(&confirm, &said).await.expect(200), confirmed, "the same again");
    client.post(&confirm, &json!({"version": 1})).await.refused(409, "wrong_state");
    let result = client.get(&format!("/v1/visits/{visit}/result")).await.expect(200);
    assert!(
        result["moments"].as_array().unwrap().iter().any(|moment| moment["id"] == quote),
        "kept as heard"
    );

    client.post(&format!("/v1/visits/{withdrawn}/card/confirm"), &json!({"version": 1})).await.expect(200);
    client.delete(&format!("/v1/visits/{withdrawn}/consent")).await.expect(200);

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("labels");
    let told = export(&world.app.config.data.dir, &out);
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&told.stdout), format!("{visit}.tsv\n"), "{said}");
    assert!(said.contains("1 visits written: 3 labels, 1 of them by hand"), "{said}");
    let read = read_as_the_trainer_does(&out);
    assert_eq!(read, json!([[["", []], ["", ["signing_intent"]], ["", ["next_step"]]]]));

    let again = export(&world.app.config.data.dir, &out);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("--overwrite"));
    world.app.store.verify_audit().await.unwrap();
}

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::domain::confirmation::{Confirmation, Redrawn};
use crate::domain::consent::Purpose;
use crate::domain::edit::Label;
use crate::domain::ids::MomentId;
use crate::domain::result::VisitResult;
use crate::domain::visit::Visit;
use crate::store::testing::{Desk, card, principal, result, tenant};

const ALL: [Purpose; 2] = [Purpose::Recording, Purpose::Transcription];

/// Two utterances with a moment each, the second said by the rep.
fn heard() -> VisitResult {
    let segment = |n: usize, words: &str, speaker: Value| {
        json!({"id": format!("seg_{n:04}"), "start_ms": 0, "end_ms": 1, "text": "", "raw_text": words,
            "speaker": speaker, "confidence": 1.0})
    };
    let moment = |n: usize, kind: &str, slots: Value| {
        json!({"id": format!("mom_{n:04}"), "kind": kind, "start_ms": 0, "end_ms": 1,
            "segment_ids": [format!("seg_{n:04}")], "score": 0.9, "evidence": "", "slots": slots})
    };
    let segments = [
        segment(1, "太贵了\t真的\n太贵了", Value::Null),
        segment(2, "一共两万我手机13800138000", json!("rep")),
        segment(3, "", Value::Null),
    ];
    let moments = [moment(1, "objection", json!({"category": "price"})), moment(2, "quote", json!({}))];
    VisitResult {
        segments: serde_json::from_value(json!(segments)).unwrap(),
        moments: serde_json::from_value(json!(moments)).unwrap(),
        ..result()
    }
}

/// A visit confirmed with its quote dismissed and its next action edited.
async fn confirmed(desk: &Desk, tenant: &TenantId) -> Visit {
    let visit = desk.ended(tenant, &ALL).await;
    desk.store.put_result(tenant, &visit.id, &heard(), &card(&visit.id)).await.unwrap();
    let said = Confirmation {
        version: 1,
        edits: BTreeMap::from([("next_action".to_owned(), json!("打13800138000"))]),
        dismissed: [MomentId("mom_0002".into())].into(),
    };
    let label = Label { field: "moments.mom_0002".into(), predicted: json!("quote"), chosen: Value::Null };
    let redrawn = Redrawn { labels: vec![label], ..Redrawn::default() };
    let by = principal(tenant);
    desk.store.confirm(tenant, &visit.id, &by, &said, Some(redrawn)).await.unwrap().visit
}

fn wanted<'a>(tenant: &'a TenantId, out: &'a Path) -> Export<'a> {
    let timezone = TimeZone::UTC;
    Export { tenant, since: Timestamp::UNIX_EPOCH, out, overwrite: false, dry_run: false, timezone }
}

#[tokio::test]
async fn a_confirmed_visit_is_written_as_a_dialogue() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = confirmed(&desk, &acme).await.id;
    let out = desk.dir.path().join("labels");
    let rows = desk.store.verify_audit().await.unwrap();
    let taken = export(&desk.store, &wanted(&acme, &out)).await.unwrap();
    assert_eq!(taken, Taken { files: vec![format!("{id}.tsv")], labels: 2, by_hand: 1 });
    let text = std::fs::read_to_string(out.join(&taken.files[0])).unwrap();
    let expected = format!(
        "# industry: tenant acme\n# visit_at: 2026-09-21T14:13:20+00:00\n# visit: {id}\n# models: \n\
         # labels: the model's, as the person who confirmed the card saw them; by_hand are that person's\n\
         # by_hand: 1 of 2; line 2 quote dismissed\n# not_placed: next_action\n\
         \tobjection:price\t太贵了 真的 太贵了\nrep\t-\t一共两万我手机[手机号]\n"
    );
    assert_eq!(text, expected);
    assert_eq!(desk.store.verify_audit().await.unwrap(), rows + 1);

    let refused = export(&desk.store, &wanted(&acme, &out)).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidRequest);
    let again = Export { overwrite: true, ..wanted(&acme, &out) };
    assert_eq!(export(&desk.store, &again).await.unwrap(), taken);
    assert_eq!(std::fs::read_to_string(out.join(&taken.files[0])).unwrap(), text, "the same bytes");
    assert_eq!(desk.store.verify_audit().await.unwrap(), rows + 2);
}

#[tokio::test]
async fn nothing_is_taken_of_a_visit_whose_consent_does_not_stand() {
    let (desk, acme, rival) = (Desk::new().await, tenant("acme"), tenant("rival"));
    let (stays, goes) = (confirmed(&desk, &acme).await.id, confirmed(&desk, &acme).await.id);
    desk.ready(&acme, &ALL).await;
    let foreign = confirmed(&desk, &rival).await.id;
    let out = desk.dir.path().join("labels");
    let taken = export(&desk.store, &wanted(&acme, &out)).await.unwrap();
    assert_eq!(taken.files, [file_name(&stays), file_name(&goes)], "confirmed ones of the tenant");
    export(&desk.store, &wanted(&rival, &out)).await.unwrap();

    desk.store.withdraw_consent(&acme, &goes).await.unwrap();
    let again = Export { overwrite: true, ..wanted(&acme, &out) };
    assert_eq!(export(&desk.store, &again).await.unwrap().files, [file_name(&stays)]);
    let left = [&stays, &goes, &foreign].map(|id| out.join(file_name(id)).exists());
    assert_eq!(left, [true, false, true], "the withdrawn one is removed, another tenant's is not ours");
    let late = desk.store.record_export(&acme, &goes, "{}").await.unwrap_err();
    assert_eq!(late.code, Code::ConsentWithdrawn);
}

#[tokio::test]
async fn a_dry_run_and_a_later_day_take_nothing() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let at = confirmed(&desk, &acme).await.created_at;
    let out = desk.dir.path().join("labels");
    let rows = desk.store.verify_audit().await.unwrap();
    let dry = Export { dry_run: true, ..wanted(&acme, &out) };
    assert_eq!(export(&desk.store, &dry).await.unwrap().files.len(), 1);
    assert!(!out.exists());
    let later = Export { since: at + jiff::SignedDuration::from_secs(1), ..wanted(&acme, &out) };
    assert_eq!(export(&desk.store, &later).await.unwrap(), Taken::default());
    assert_eq!(desk.store.verify_audit().await.unwrap(), rows);
}

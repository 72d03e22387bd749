use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::card::CardState;
use crate::domain::consent::Purpose;
use crate::domain::event::EventKind;
use crate::domain::visit::VisitState;
use crate::error::Code;
use crate::store::testing::{Desk, principal, tenant};

const ALL: [Purpose; 3] = [Purpose::Recording, Purpose::Transcription, Purpose::CrmDelivery];

fn edits() -> BTreeMap<String, Value> {
    BTreeMap::from([("stage".into(), json!("签约")), ("next_action".into(), json!("寄合同"))])
}

#[tokio::test]
async fn confirming_writes_card_visit_labels_audit_and_event_together() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.ready(&acme, &ALL).await.id;
    let rows = desk.store.verify_audit().await.unwrap();
    let done = desk.store.confirm(&acme, &id, &principal(&acme), 1, edits()).await.unwrap();
    assert!(!done.already);
    assert_eq!((done.card.state, done.card.version), (CardState::Confirmed, 2));
    assert_eq!(done.card.fields["stage"].value, "签约");
    assert_eq!(done.visit.state, VisitState::Confirmed);
    assert_eq!(desk.store.card(&acme, &id).await.unwrap(), done.card);
    assert_eq!(desk.store.verify_audit().await.unwrap(), rows + 1);
    let labels: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM labels").fetch_one(&desk.store.reader).await.unwrap();
    assert_eq!(labels, 2);
    let events = desk.store.visit_events(&acme, &id, 2).await.unwrap();
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::VisitConfirmed]);
    let body: Value = serde_json::from_str(&events[0].body).unwrap();
    assert_eq!(body["data"]["card"]["fields"]["next_action"]["value"], "寄合同");
    assert_eq!(body["data"]["seq"], 3);
}

#[tokio::test]
async fn fifty_confirms_at_once_have_one_effect_and_one_answer() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.ready(&acme, &ALL).await.id;
    let rows = desk.store.verify_audit().await.unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (store, acme, id) = (desk.store.clone(), acme.clone(), id.clone());
            tokio::spawn(async move { store.confirm(&acme, &id, &principal(&acme), 1, edits()).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap().unwrap());
    }
    assert_eq!(answers.iter().filter(|answer| !answer.already).count(), 1);
    assert!(answers.iter().all(|answer| answer.card == answers[0].card && answer.visit == answers[0].visit));
    assert_eq!(desk.store.visit_events(&acme, &id, 0).await.unwrap().len(), 3);
    assert_eq!(desk.store.verify_audit().await.unwrap(), rows + 1);
}

#[tokio::test]
async fn another_version_or_other_edits_are_refused() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.ready(&acme, &ALL).await.id;
    let by = principal(&acme);
    let confirm = async |version, edits| desk.store.confirm(&acme, &id, &by, version, edits).await;
    assert_eq!(confirm(2, edits()).await.unwrap_err().code, Code::StaleVersion);
    let wrong = BTreeMap::from([("stage".into(), json!("签了"))]);
    assert_eq!(confirm(1, wrong).await.unwrap_err().code, Code::InvalidRequest);
    assert_eq!(desk.store.card(&acme, &id).await.unwrap().state, CardState::Pending);
    confirm(1, edits()).await.unwrap();
    assert!(confirm(1, edits()).await.unwrap().already);
    assert_eq!(confirm(1, BTreeMap::new()).await.unwrap_err().code, Code::WrongState);
    assert_eq!(confirm(2, edits()).await.unwrap_err().code, Code::StaleVersion);
}

#[tokio::test]
async fn nothing_is_confirmed_without_a_card_or_after_withdrawal() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let by = principal(&acme);
    let early = desk.ended(&acme, &ALL).await.id;
    let refused = desk.store.confirm(&acme, &early, &by, 1, edits()).await.unwrap_err();
    assert_eq!(refused.code, Code::CardNotReady);
    let id = desk.ready(&acme, &ALL).await.id;
    desk.store.withdraw_consent(&acme, &id).await.unwrap();
    let refused = desk.store.confirm(&acme, &id, &by, 1, edits()).await.unwrap_err();
    assert_eq!(refused.code, Code::ConsentWithdrawn);
}

#[tokio::test]
async fn without_consent_to_delivery_the_event_has_no_content() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.ready(&acme, &[Purpose::Recording, Purpose::Transcription]).await.id;
    desk.store.confirm(&acme, &id, &principal(&acme), 1, edits()).await.unwrap();
    let events = desk.store.visit_events(&acme, &id, 2).await.unwrap();
    let body: Value = serde_json::from_str(&events[0].body).unwrap();
    assert_eq!((&body["type"], &body["data"]["card"]), (&json!("visit.confirmed"), &Value::Null));
    assert!(!events[0].body.contains("签约"));
}

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::card::{CardState, Chip};
use crate::domain::confirmation::{Confirmation, Redrawn};
use crate::domain::consent::Purpose;
use crate::domain::edit::Label;
use crate::domain::event::EventKind;
use crate::domain::ids::MomentId;
use crate::domain::moment::MomentKind;
use crate::domain::visit::VisitState;
use crate::error::Code;
use crate::store::testing::{Desk, principal, tenant};

const ALL: [Purpose; 3] = [Purpose::Recording, Purpose::Transcription, Purpose::CrmDelivery];

fn edits() -> BTreeMap<String, Value> {
    BTreeMap::from([("stage".into(), json!("签约")), ("next_action".into(), json!("寄合同"))])
}

fn said(version: i64, edits: BTreeMap<String, Value>) -> Confirmation {
    Confirmation { version, edits, ..Confirmation::default() }
}

#[tokio::test]
async fn confirming_writes_card_visit_labels_audit_and_event_together() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.ready(&acme, &ALL).await.id;
    let rows = desk.store.verify_audit().await.unwrap();
    let done = desk.store.confirm(&acme, &id, &principal(&acme), &said(1, edits()), None).await.unwrap();
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
            tokio::spawn(async move {
                store.confirm(&acme, &id, &principal(&acme), &said(1, edits()), None).await
            })
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
    let confirm =
        async |version, edits| desk.store.confirm(&acme, &id, &by, &said(version, edits), None).await;
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
async fn a_dismissed_moment_is_a_label_of_the_same_confirmation() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.ready(&acme, &ALL).await.id;
    let by = principal(&acme);
    let gone = Confirmation { dismissed: [MomentId("mom_0001".into())].into(), ..said(1, BTreeMap::new()) };
    let left =
        Chip { kind: MomentKind::Quote, label: "2万元".into(), moment_id: MomentId("mom_0002".into()) };
    let label = Label { field: "moments.mom_0001".into(), predicted: json!("quote"), chosen: Value::Null };
    let redrawn = Redrawn { labels: vec![label.clone()], chips: vec![left.clone()], ..Redrawn::default() };
    let confirm =
        async |said: &Confirmation| desk.store.confirm(&acme, &id, &by, said, Some(redrawn.clone())).await;
    let done = confirm(&gone).await.unwrap();
    assert_eq!(done.card.chips, [left]);
    assert!(done.card.fields["stage"].evidence.is_empty(), "what was dismissed proves nothing");
    let again = confirm(&gone).await.unwrap();
    assert_eq!((again.card, again.already), (done.card, true));
    assert_eq!(confirm(&said(1, BTreeMap::new())).await.unwrap_err().code, Code::WrongState);
    let kept = desk.store.labelled(&acme, &id).await.unwrap().unwrap().labels;
    assert_eq!(kept, [label]);
}

#[tokio::test]
async fn nothing_is_confirmed_without_a_card_or_after_withdrawal() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let by = principal(&acme);
    let early = desk.ended(&acme, &ALL).await.id;
    let refused = desk.store.confirm(&acme, &early, &by, &said(1, edits()), None).await.unwrap_err();
    assert_eq!(refused.code, Code::CardNotReady);
    let id = desk.ready(&acme, &ALL).await.id;
    desk.store.withdraw_consent(&acme, &id).await.unwrap();
    let refused = desk.store.confirm(&acme, &id, &by, &said(1, edits()), None).await.unwrap_err();
    assert_eq!(refused.code, Code::ConsentWithdrawn);
}

#[tokio::test]
async fn without_consent_to_delivery_the_event_has_no_content() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.ready(&acme, &[Purpose::Recording, Purpose::Transcription]).await.id;
    desk.store.confirm(&acme, &id, &principal(&acme), &said(1, edits()), None).await.unwrap();
    let events = desk.store.visit_events(&acme, &id, 2).await.unwrap();
    let body: Value = serde_json::from_str(&events[0].body).unwrap();
    assert_eq!((&body["type"], &body["data"]["card"]), (&json!("visit.confirmed"), &Value::Null));
    assert!(!events[0].body.contains("签约"));
}

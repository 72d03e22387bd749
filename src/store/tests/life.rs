use serde_json::{Value, json};

use crate::domain::audio::{AudioFormat, Encoding};
use crate::domain::consent::Purpose;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::ids::SegmentId;
use crate::domain::time::Millis;
use crate::domain::transcript::Segment;
use crate::domain::visit::VisitState;
use crate::error::Code;
use crate::store::testing::{Desk, card, new_consent, new_visit, result, tenant};
use crate::store::{Change, VisitFilter};

const RAW: AudioFormat = AudioFormat { encoding: Encoding::PcmS16le, sample_rate: 16_000, channels: 1 };

#[tokio::test]
async fn a_visit_is_read_back_as_it_was_made() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let new = new_visit();
    let made = desk.visit(&acme).await;
    assert_eq!(desk.store.visit(&acme, &made.id).await.unwrap(), made);
    assert_eq!((made.external_id, made.customer, made.rep), (new.external_id, new.customer, new.rep));
    assert_eq!((made.hotwords, made.state), (new.hotwords, VisitState::Scheduled));
    assert_eq!(made.created_at.as_millisecond(), 1_790_000_000_000);
}

#[tokio::test]
async fn visits_are_listed_newest_first_in_pages() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, desk.visit(&acme).await);
    }
    let consented = made[3].id.clone();
    desk.store.grant_consent(&acme, &consented, new_consent(&[Purpose::Recording])).await.unwrap();
    let page = async |state, limit, before| {
        let visits = desk.store.list_visits(&acme, VisitFilter { state, limit, before }).await.unwrap();
        visits.into_iter().map(|visit| visit.id).collect::<Vec<_>>()
    };
    let ids: Vec<_> = made.into_iter().map(|visit| visit.id).collect();
    assert_eq!(page(None, 2, None).await, ids[..2]);
    assert_eq!(page(None, 9, Some(ids[1].clone())).await, ids[2..]);
    assert_eq!(page(Some(VisitState::Consented), 9, None).await, [consented]);
    assert!(page(Some(VisitState::Live), 9, None).await.is_empty());
}

#[tokio::test]
async fn a_transition_happens_with_its_events_or_not_at_all() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.visit(&acme).await.id;
    let mut commits = desk.store.commits();
    let started = NewEvent::new(EventKind::VisitStarted, json!({"x": 1}));
    let change = Change { started_at: Some(jiff::Timestamp::UNIX_EPOCH), ..Change::default() };
    let go = async |from: &[VisitState]| {
        let events = std::slice::from_ref(&started);
        desk.store.transition(&acme, &id, from, VisitState::Live, change.clone(), events).await
    };
    let refused = go(&[VisitState::Consented]).await.unwrap_err();
    assert_eq!(refused.code, Code::WrongState);
    assert!(desk.store.visit_events(&acme, &id, 0).await.unwrap().is_empty());
    assert!(!commits.has_changed().unwrap());

    let live = go(&[VisitState::Consented, VisitState::Scheduled]).await.unwrap();
    assert_eq!((live.state, live.started_at), (VisitState::Live, change.started_at));
    assert!(commits.has_changed().unwrap());
    commits.mark_unchanged();
    let events = desk.store.visit_events(&acme, &id, 0).await.unwrap();
    assert_eq!(events.len(), 1);
    let body: Value = serde_json::from_str(&events[0].body).unwrap();
    assert_eq!(body["type"], "visit.started");
    assert_eq!(body["data"], json!({"x": 1, "visit_id": id, "external_id": "crm-7", "seq": 1}));
    assert!(desk.store.visit_events(&acme, &id, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn consents_follow_each_other_until_withdrawn() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.visit(&acme).await.id;
    let store = &desk.store;
    assert_eq!(store.active_consent(&acme, &id).await.unwrap(), None);
    assert_eq!(store.withdraw_consent(&acme, &id).await.unwrap_err().code, Code::WrongState);

    let given = new_consent(&[Purpose::Recording]);
    let first = store.grant_consent(&acme, &id, given.clone()).await.unwrap();
    assert_eq!((first.given_by, first.given_at), (given.given_by, given.given_at));
    assert_eq!(first.recorded_at.as_millisecond(), 1_790_000_000_000);
    assert_eq!(store.visit(&acme, &id).await.unwrap().state, VisitState::Consented);
    let wider = new_consent(&[Purpose::Recording, Purpose::CrmDelivery]);
    let second = store.grant_consent(&acme, &id, wider).await.unwrap();
    assert_eq!(store.active_consent(&acme, &id).await.unwrap(), Some(second));

    for _ in 0..2 {
        let withdrawn = store.withdraw_consent(&acme, &id).await.unwrap();
        assert_eq!(withdrawn.state, VisitState::Withdrawn);
    }
    assert_eq!(store.active_consent(&acme, &id).await.unwrap(), None);
    let events = store.visit_events(&acme, &id, 0).await.unwrap();
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::ConsentWithdrawn]);
    let refused = store.grant_consent(&acme, &id, new_consent(&[])).await.unwrap_err();
    assert_eq!(refused.code, Code::ConsentWithdrawn);
    assert_eq!(store.verify_audit().await.unwrap(), 4, "two granted, two withdrawn");
}

#[tokio::test]
async fn a_stream_has_one_format_and_one_writer() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.visit(&acme).await.id;
    let store = &desk.store;
    let claim = async |format| store.claim_stream(&acme, &id, format).await;
    assert_eq!(claim(RAW).await.unwrap_err().code, Code::ConsentRequired);
    store.grant_consent(&acme, &id, new_consent(&[Purpose::Transcription])).await.unwrap();
    assert_eq!(claim(RAW).await.unwrap_err().code, Code::ConsentRequired);
    store.grant_consent(&acme, &id, new_consent(&[Purpose::Recording])).await.unwrap();
    assert_eq!(store.stream(&acme, &id).await.unwrap(), None);

    let first = claim(RAW).await.unwrap();
    assert_eq!((first.format, first.epoch, first.total_bytes), (RAW, 1, None));
    let other = AudioFormat { encoding: Encoding::Container, ..RAW };
    assert_eq!(claim(other).await.unwrap_err().code, Code::AudioConflict);
    assert_eq!(claim(RAW).await.unwrap().epoch, 2);
    let finish = async |epoch, total| store.finish_stream(&acme, &id, epoch, total).await;
    assert_eq!(finish(1, 640).await.unwrap_err().code, Code::WrongState);
    assert_eq!(store.stream(&acme, &id).await.unwrap().unwrap().total_bytes, None);
    assert_eq!(finish(2, 640).await.unwrap().total_bytes, Some(640));
    assert_eq!(finish(2, 640).await.unwrap().total_bytes, Some(640));
    assert_eq!(finish(2, 641).await.unwrap_err().code, Code::AudioConflict);

    store.withdraw_consent(&acme, &id).await.unwrap();
    assert_eq!(claim(RAW).await.unwrap_err().code, Code::ConsentWithdrawn);
    assert_eq!(finish(2, 640).await.unwrap_err().code, Code::ConsentWithdrawn);
}

#[tokio::test]
async fn finals_come_back_in_time_order_and_once() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.ended(&acme, &[Purpose::Recording]).await.id;
    let segment = |n, start, text: &str| Segment {
        id: SegmentId::nth(n),
        start_ms: Millis(start),
        end_ms: Millis(start + 500),
        text: text.into(),
        raw_text: text.into(),
        speaker: None,
        confidence: 0.9,
    };
    for final_segment in [segment(2, 900, "二"), segment(1, 0, "一"), segment(2, 900, "两")] {
        desk.store.put_final(&acme, &id, &final_segment).await.unwrap();
    }
    let finals = desk.store.finals(&acme, &id).await.unwrap();
    assert_eq!(finals, [segment(1, 0, "一"), segment(2, 900, "两")]);
    desk.store.withdraw_consent(&acme, &id).await.unwrap();
    let refused = desk.store.put_final(&acme, &id, &segment(3, 2000, "三")).await.unwrap_err();
    assert_eq!(refused.code, Code::ConsentWithdrawn);
}

#[tokio::test]
async fn result_card_state_and_events_come_together() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let id = desk.ended(&acme, &[Purpose::Recording]).await.id;
    let store = &desk.store;
    assert_eq!(store.result(&acme, &id).await.unwrap_err().code, Code::ResultNotReady);
    assert_eq!(store.card(&acme, &id).await.unwrap_err().code, Code::CardNotReady);
    let card = card(&id);
    let ready = store.put_result(&acme, &id, &result(), &card).await.unwrap();
    assert_eq!(ready.state, VisitState::CardReady);
    assert_eq!(store.result(&acme, &id).await.unwrap(), result());
    assert_eq!(store.card(&acme, &id).await.unwrap(), card);
    let kinds: Vec<_> = store
        .visit_events(&acme, &id, 0)
        .await
        .unwrap()
        .iter()
        .map(|event| (event.seq, event.kind))
        .collect();
    assert_eq!(kinds, [(1, EventKind::VisitTranscribed), (2, EventKind::CardReady)]);
    assert_eq!(store.put_result(&acme, &id, &result(), &card).await.unwrap_err().code, Code::WrongState);
}

#[tokio::test]
async fn a_restart_finds_what_was_left() {
    let (desk, acme, rival) = (Desk::new().await, tenant("acme"), tenant("rival"));
    let store = &desk.store;
    let mut live = Vec::new();
    for _ in 0..2 {
        let id = desk.visit(&acme).await.id;
        store.grant_consent(&acme, &id, new_consent(&[Purpose::Recording])).await.unwrap();
        store.claim_stream(&acme, &id, RAW).await.unwrap();
        let from = [VisitState::Consented];
        store.transition(&acme, &id, &from, VisitState::Live, Change::default(), &[]).await.unwrap();
        live.push(id);
    }
    store.finish_stream(&acme, &live[1], 1, 640).await.unwrap();
    let ended = desk.ended(&rival, &[Purpose::Recording]).await.id;
    desk.ready(&acme, &[Purpose::Recording]).await;
    let expected = [(acme, live[1].clone(), VisitState::Live), (rival, ended, VisitState::Ended)];
    assert_eq!(store.unfinished().await.unwrap(), expected);
}

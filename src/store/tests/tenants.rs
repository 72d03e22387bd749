use crate::domain::audio::{AudioFormat, Encoding};
use crate::domain::confirmation::Confirmation;
use crate::domain::consent::Purpose;
use crate::domain::event::EventKind;
use crate::domain::ids::{DeliveryId, EndpointId, VisitId};
use crate::domain::visit::VisitState;
use crate::error::{Code, Error};
use crate::store::testing::{Desk, card, new_consent, principal, result, tenant};
use crate::store::{Change, DeliveryFilter, VisitFilter};

/// Every call with another tenant's ids and with made-up ones: the same error, word for word.
#[tokio::test]
async fn foreign_and_absent_look_the_same() {
    let (desk, acme, rival) = (Desk::new().await, tenant("acme"), tenant("rival"));
    let endpoint = desk.store.create_endpoint(&acme, "https://crm.example/hook", &[]).await.unwrap().0;
    let visit = desk.ready(&acme, &[Purpose::Recording]).await.id;
    let listed = DeliveryFilter { limit: 9, ..DeliveryFilter::default() };
    let delivery = desk.store.list_deliveries(&acme, listed.clone()).await.unwrap()[0].id.clone();

    let foreign = refusals(&desk, &visit, &endpoint.id, &delivery).await;
    let absent = refusals(
        &desk,
        &VisitId("vis_none".into()),
        &EndpointId("ep_none".into()),
        &DeliveryId("dlv_none".into()),
    )
    .await;
    for (foreign, absent) in foreign.iter().zip(&absent) {
        assert_eq!((foreign.code, &foreign.detail), (Code::NotFound, &absent.detail));
    }
    let all = VisitFilter { state: None, limit: 9, before: None };
    assert!(desk.store.list_visits(&rival, all).await.unwrap().is_empty());
    assert!(desk.store.list_endpoints(&rival).await.unwrap().is_empty());
    assert!(desk.store.list_deliveries(&rival, listed).await.unwrap().is_empty());
    assert_eq!(desk.store.visit(&acme, &visit).await.unwrap().state, VisitState::CardReady);
    assert_eq!(desk.store.endpoint(&acme, &endpoint.id).await.unwrap(), endpoint);
}

async fn refusals(desk: &Desk, visit: &VisitId, endpoint: &EndpointId, delivery: &DeliveryId) -> Vec<Error> {
    let (store, rival) = (&desk.store, tenant("rival"));
    let raw = AudioFormat { encoding: Encoding::PcmS16le, sample_rate: 16_000, channels: 1 };
    let ready = [VisitState::CardReady];
    vec![
        store.visit(&rival, visit).await.unwrap_err(),
        store
            .transition(&rival, visit, &ready, VisitState::Failed, Change::default(), &[])
            .await
            .unwrap_err(),
        store.grant_consent(&rival, visit, new_consent(&[])).await.unwrap_err(),
        store.withdraw_consent(&rival, visit).await.unwrap_err(),
        store.active_consent(&rival, visit).await.unwrap_err(),
        store.claim_stream(&rival, visit, raw).await.unwrap_err(),
        store.stream(&rival, visit).await.unwrap_err(),
        store.finish_stream(&rival, visit, 1, 0).await.unwrap_err(),
        store.finals(&rival, visit).await.unwrap_err(),
        store.put_result(&rival, visit, &result(), &card(visit)).await.unwrap_err(),
        store.result(&rival, visit).await.unwrap_err(),
        store.card(&rival, visit).await.unwrap_err(),
        store.confirm(&rival, visit, &principal(&rival), &Confirmation::default(), None).await.unwrap_err(),
        store.visit_events(&rival, visit, 0).await.unwrap_err(),
        store.endpoint(&rival, endpoint).await.unwrap_err(),
        store.disable_endpoint(&rival, endpoint, "test").await.unwrap_err(),
        store.rotate_secret(&rival, endpoint, 0).await.unwrap_err(),
        store.delivery(&rival, delivery).await.unwrap_err(),
        store.replay_delivery(&rival, delivery).await.unwrap_err(),
    ]
}

/// Events go to the tenant's own endpoints and no other.
#[tokio::test]
async fn events_stay_with_their_tenant() {
    let (desk, acme, rival) = (Desk::new().await, tenant("acme"), tenant("rival"));
    desk.store.create_endpoint(&rival, "https://rival.example/", &[]).await.unwrap();
    let wanted = [EventKind::CardReady];
    desk.store.create_endpoint(&acme, "https://acme.example/", &wanted).await.unwrap();
    desk.ready(&acme, &[Purpose::Recording]).await;
    let listed = DeliveryFilter { limit: 9, ..DeliveryFilter::default() };
    assert!(desk.store.list_deliveries(&rival, listed.clone()).await.unwrap().is_empty());
    let own = desk.store.list_deliveries(&acme, listed).await.unwrap();
    assert_eq!(own.iter().map(|delivery| delivery.kind).collect::<Vec<_>>(), wanted);
}

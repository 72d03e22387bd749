use super::*;
use crate::engine::candidate::Classifier;
use crate::engine::fake::{self, FakeMoments};
use crate::pipeline::Catalog;
use crate::service::hearing::LoadClassifier;
use crate::store::testing::Desk;

fn hearing() -> Arc<Hearing> {
    let load: LoadClassifier = Arc::new(|name| match name {
        "broken" => Err(Error::new(Code::ModelAltered, "broken is not as described")),
        name => Classifier::fake(name, || FakeMoments),
    });
    let pipeline = Catalog::load(None).unwrap().get("visit").unwrap();
    Arc::new(Hearing::of(pipeline, fake::engines().unwrap(), load))
}

fn names(hearing: &Hearing) -> (String, Option<String>) {
    let now = hearing.now();
    (now.classifier.clone(), now.shadow_name().map(str::to_owned))
}

async fn wish(store: &Store, wish: Wish) -> Result<Choice> {
    store.choose_classifier(&next(store, "moments", &wish).await?).await
}

fn switch(name: &str) -> Wish {
    Wish::Switch(name.to_owned())
}

fn shadow(name: &str) -> Wish {
    Wish::Shadow(Some(name.to_owned()))
}

#[tokio::test]
async fn wishes_follow_one_another() {
    let desk = Desk::new().await;
    let store = &desk.store;
    let refused = async |w: Wish| wish(store, w).await.unwrap_err().detail;
    assert!(refused(Wish::Rollback).await.contains("none was switched"));
    assert!(refused(switch("moments")).await.contains("active already"));
    assert!(refused(shadow("moments")).await.contains("another classifier"));
    assert!(refused(Wish::Shadow(None)).await.contains("so already"));
    let choice = wish(store, shadow("a")).await.unwrap();
    assert_eq!((choice.active, choice.shadow.as_deref()), (None, Some("a")));
    let choice = wish(store, switch("a")).await.unwrap();
    assert_eq!((choice.active.as_deref(), choice.shadow), (Some("a"), None), "no shadow of itself");
    wish(store, shadow("moments")).await.unwrap();
    let choice = wish(store, Wish::Rollback).await.unwrap();
    assert_eq!((choice.active, choice.shadow), (None, None));
    let choice = wish(store, Wish::Rollback).await.unwrap();
    assert_eq!(choice.active.as_deref(), Some("a"), "a rollback can be rolled back");
    assert_eq!(wish(store, switch("moments")).await.unwrap().active, None, "the pipeline's own");
}

#[tokio::test]
async fn a_service_follows_and_what_it_cannot_load_changes_nothing() {
    let (desk, hearing) = (Desk::new().await, hearing());
    let (store, closing) = (&desk.store, CancellationToken::new());
    let seen = take_first(store, &hearing).await.unwrap();
    assert_eq!(names(&hearing), ("moments".to_owned(), None));
    let before = hearing.now();
    tokio::spawn(follow(store.clone(), hearing.clone(), seen, closing.clone()));

    let patience = Duration::from_secs(20);
    wish(store, switch("a")).await.unwrap();
    let choice = wish(store, shadow("b")).await.unwrap();
    assert!(taken(store, &choice, patience).await.unwrap());
    assert_eq!(names(&hearing), ("a".to_owned(), Some("b".to_owned())));
    assert!(hearing.now().models.contains_key("a") && !before.models.contains_key("a"), "who holds on keeps");

    let broken = wish(store, switch("broken")).await.unwrap();
    let refused = taken(store, &broken, patience).await.unwrap_err();
    assert!(refused.detail.contains("broken is not as described"), "{}", refused.detail);
    assert_eq!(names(&hearing), ("a".to_owned(), Some("b".to_owned())));
    assert_eq!(store.classifier_choice().await.unwrap(), choice);
    closing.cancel();
}

#[tokio::test]
async fn a_choice_lasts_over_a_restart_and_a_lost_one_stops_nobody() {
    let desk = Desk::new().await;
    wish(&desk.store, switch("a")).await.unwrap();
    let restarted = hearing();
    take_first(&desk.store, &restarted).await.unwrap();
    assert_eq!(names(&restarted).0, "a");
    wish(&desk.store, switch("broken")).await.unwrap();
    let restarted = hearing();
    take_first(&desk.store, &restarted).await.unwrap();
    assert_eq!(names(&restarted).0, "moments");
}

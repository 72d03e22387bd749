//! A caller may go away at any moment: a closed connection drops the request's future wherever it stands.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use crate::domain::card::CardState;
use crate::domain::confirmation::Confirmation;
use crate::domain::consent::Purpose;
use crate::store::testing::{Desk, principal, tenant};

#[tokio::test]
async fn a_confirm_that_is_cut_off_happened_whole_or_not_at_all() {
    let (desk, acme) = (Desk::new().await, tenant("acme"));
    let (store, by) = (&desk.store, principal(&acme));
    let said = Confirmation { version: 1, ..Confirmation::default() };
    let mut done = 0;
    for polls in 0..60 {
        let id = desk.ready(&acme, &[Purpose::Recording]).await.id;
        let rows = store.verify_audit().await.unwrap();
        {
            let mut confirm = pin!(store.confirm(&acme, &id, &by, &said, None));
            let mut left = polls;
            // Polled `polls` times, then dropped where it stands.
            poll_fn(|context| {
                if left == 0 || confirm.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                left -= 1;
                Poll::Pending
            })
            .await;
        }
        // The next write finds the connection clean.
        store.withdraw_consent(&acme, &desk.ready(&acme, &[Purpose::Recording]).await.id).await.unwrap();
        let confirmed = store.card(&acme, &id).await.unwrap().state == CardState::Confirmed;
        let events = store.visit_events(&acme, &id, 2).await.unwrap().len();
        assert_eq!(events, usize::from(confirmed), "after {polls} polls");
        // The other visit's consent was granted and withdrawn.
        let expected = rows + 2 + u64::from(confirmed);
        assert_eq!(store.verify_audit().await.unwrap(), expected, "after {polls} polls");
        done += usize::from(confirmed);
    }
    assert!((1..60).contains(&done), "some were cut off and some were not: {done}");
}

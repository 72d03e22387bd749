//! One-time tickets: how a browser opens a live stream without its API key in a URL.
//!
//! Kept in memory: a restart ends all of them and clients ask anew. Bounded: the oldest make room.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};

use crate::domain::access::Principal;
use crate::domain::ids::VisitId;
use crate::domain::time::SharedClock;
use crate::error::{Error, Result};

/// How long a ticket can be used.
pub const LIFETIME_S: i64 = 30;

/// Tickets waiting at once, all tenants together.
const MOST: usize = 10_000;

struct Ticket {
    holder: Principal,
    visit: VisitId,
    until: Timestamp,
}

/// The tickets that were issued and not used.
pub struct Tickets {
    clock: SharedClock,
    open: Mutex<HashMap<String, Ticket>>,
}

impl Tickets {
    /// None yet.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, open: Mutex::default() }
    }

    /// A ticket for one connection to one visit's stream, in the name of `holder`.
    pub fn issue(&self, holder: Principal, visit: VisitId) -> Result<String> {
        let mut secret = [0u8; 32];
        getrandom::fill(&mut secret).map_err(|e| Error::internal(anyhow::anyhow!("no random bytes: {e}")))?;
        let ticket = BASE64_URL_SAFE_NO_PAD.encode(secret);
        let now = self.clock.now();
        let until = now + SignedDuration::from_secs(LIFETIME_S);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST {
            open.retain(|_, ticket| ticket.until > now);
        }
        if open.len() >= MOST {
            let oldest = open.iter().min_by_key(|(_, ticket)| ticket.until).map(|(name, _)| name.clone());
            oldest.map(|name| open.remove(&name));
        }
        open.insert(ticket.clone(), Ticket { holder, visit, until });
        Ok(ticket)
    }

    /// Uses a ticket up: who it stands for, if it is good and for this visit.
    pub fn redeem(&self, ticket: &str, visit: &VisitId) -> Option<Principal> {
        let found = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(ticket)?;
        (found.until > self.clock.now() && found.visit == *visit).then_some(found.holder)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::access::{Role, TenantId};
    use crate::domain::ids::KeyId;
    use crate::domain::time::Clock;

    struct Hand(Mutex<Timestamp>);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn a_ticket_is_good_once_for_one_visit_and_thirty_seconds() {
        let clock = Arc::new(Hand(Mutex::new(Timestamp::UNIX_EPOCH)));
        let tickets = Tickets::new(clock.clone());
        let holder = Principal {
            tenant: TenantId::parse("acme").unwrap(),
            role: Role::Rep,
            key_id: KeyId("key_1".to_owned()),
        };
        let visit = VisitId("vis_1".to_owned());
        let issue = || tickets.issue(holder.clone(), visit.clone()).unwrap();

        let first = issue();
        assert_eq!(tickets.redeem(&first, &visit), Some(holder.clone()));
        assert_eq!(tickets.redeem(&first, &visit), None, "used");
        assert_eq!(tickets.redeem(&issue(), &VisitId("vis_2".to_owned())), None, "another visit's");
        let late = issue();
        *clock.0.lock().unwrap() += SignedDuration::from_secs(LIFETIME_S);
        assert_eq!(tickets.redeem(&late, &visit), None, "too late");
    }
}

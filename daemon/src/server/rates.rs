//! How often somebody may fail to get in, and how many new guests one network may bring: counted by
//! name and by network. Only failures are counted, after the fact, so nobody is ever kept out by what
//! others do.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use imgrepo_proto::PersonName;

use super::registry::Network;

/// Failed logins a minute under one name: a credential is never typed, so one that fails is a
/// forgotten device or somebody who guesses.
pub const FAILED_BY_NAME: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// Failed logins a minute from one address: several forgotten devices behind one router.
pub const FAILED_BY_ADDRESS: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// New guests' names a minute from one address: a class that comes all at once.
pub const GUESTS_BY_ADDRESS: NonZeroU32 = NonZeroU32::new(30).unwrap();

/// Keys that are counted at once, at some 100 bytes each. Where more came within a minute, new ones
/// count as having failed too often.
const MAX_KEYS: usize = 10_000;

/// What is counted.
pub(super) struct Rates {
    by_name: Rate<[u8; 32]>,
    by_address: Rate<Network>,
    guests: Rate<Network>,
}

impl Default for Rates {
    fn default() -> Self {
        let clock = DefaultClock::default();
        Rates {
            by_name: Rate::new(FAILED_BY_NAME, clock.clone()),
            by_address: Rate::new(FAILED_BY_ADDRESS, clock.clone()),
            guests: Rate::new(GUESTS_BY_ADDRESS, clock),
        }
    }
}

impl Rates {
    /// Counts a failure to get in; false where there were too many. Known and unknown names are the
    /// same here.
    pub(super) fn failed(&self, user: Option<&str>, address: Option<IpAddr>) -> bool {
        let name = user.map(|user| {
            let parsed = PersonName::parse(user);
            let spelled = parsed.as_ref().map_or(user, PersonName::as_str);
            // One length, whatever was said.
            *blake3::hash(spelled.as_bytes()).as_bytes()
        });
        // Both, so that each has seen all.
        let is_name_fine = name.is_none_or(|name| self.by_name.takes(&name));
        let address = address.map(Network::of);
        is_name_fine & address.is_none_or(|address| self.by_address.takes(&address))
    }

    /// Counts a guest's new name; false where there were too many.
    pub(super) fn new_guest(&self, address: IpAddr) -> bool {
        self.guests.takes(&Network::of(address))
    }
}

/// So many a minute of each key.
struct Rate<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    limiter: RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<C::Instant>>,
}

impl<K: Hash + Eq + Clone, C: Clock> Rate<K, C> {
    fn new(a_minute: NonZeroU32, clock: C) -> Self {
        let store = HashMapStateStore::default();
        Rate { limiter: RateLimiter::new(Quota::per_minute(a_minute), store, clock) }
    }

    /// Counts one more; false where it is one too many.
    fn takes(&self, key: &K) -> bool {
        if self.limiter.len() >= MAX_KEYS {
            self.limiter.retain_recent();
            if self.limiter.len() >= MAX_KEYS {
                return false;
            }
        }
        self.limiter.check_key(key).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn so_many_a_minute_and_of_so_many_keys() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::<u32, _>::new(FAILED_BY_NAME, clock.clone());
        let takes = |key, times| (0..times).filter(|_| rate.takes(&key)).count();
        assert_eq!((takes(1, 30), takes(2, 5)), (10, 5));
        clock.advance(Duration::from_secs(6));
        assert_eq!(takes(1, 30), 1);
        clock.advance(Duration::from_secs(60));
        assert_eq!(takes(1, 30), 10);
        for key in 0..MAX_KEYS as u32 + 9 {
            rate.takes(&key);
        }
        assert_eq!(rate.limiter.len(), MAX_KEYS);
        assert!(!rate.takes(&u32::MAX), "no room for more of them");
        // Governor keeps a key for one more interval.
        clock.advance(Duration::from_secs(67));
        assert!(rate.takes(&u32::MAX), "who failed long ago is forgotten");
        assert_eq!(rate.limiter.len(), 1);
    }

    #[test]
    fn a_name_is_one_however_it_is_written() {
        let rates = Rates::default();
        for at in 0..10_u8 {
            let spelled = if at % 2 == 0 { " jose\u{301}" } else { "jos\u{e9} " };
            assert!(rates.failed(Some(spelled), Some([10, 0, 0, at].into())));
        }
        assert!(!rates.failed(Some("jos\u{e9}"), Some([10, 0, 1, 0].into())));
        assert!(rates.failed(Some("ana"), Some([10, 0, 1, 0].into())));
    }
}

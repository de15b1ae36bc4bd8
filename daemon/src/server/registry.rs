//! Which connections and sessions there are, how many of one network and of one person, and the word
//! that ends them all. Whoever enters leaves by dropping what it was given; nothing is looked up here
//! by session.
//!
//! Who has not said who it is yet is a newcomer: where all places are taken, the one that has been
//! silent longest is sent away, so that who holds places without a word keeps nobody out.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::repository::catalog::PersonId;

/// The open sessions of a server.
#[derive(Debug, Default)]
pub(super) struct Registry {
    open: Arc<[AtomicU32; Stand::ALL.len()]>,
    stopping: CancellationToken,
    /// Sessions of each network.
    pub(super) networks: Counts<Network>,
    /// Sessions of each account.
    pub(super) people: Counts<PersonId>,
    /// Connections that are no session of somebody yet.
    pub(super) newcomers: Newcomers,
}

/// A session's place in the registry.
#[derive(Debug)]
pub(super) struct Entry {
    open: Arc<[AtomicU32; Stand::ALL.len()]>,
    stand: Stand,
}

/// How a session stands, for who counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// Of the old system's programs.
    V1,
    /// Of v2, and has not said who it is.
    Greeting,
    /// Of v2.
    V2,
    /// A browser that listens.
    Browser,
}

impl Stand {
    const ALL: [Stand; 4] = [Stand::V1, Stand::Greeting, Stand::V2, Stand::Browser];
}

impl Registry {
    pub(super) fn enter(&self, stand: Stand) -> Entry {
        self.open[stand as usize].fetch_add(1, Ordering::Relaxed);
        Entry { open: self.open.clone(), stand }
    }

    pub(super) fn open(&self) -> u32 {
        self.open.iter().map(|open| open.load(Ordering::Relaxed)).sum()
    }

    /// How many there are: by dialect, and whether they have said who they are.
    pub(super) fn sessions(&self) -> [(&'static str, &'static str, u32); Stand::ALL.len()] {
        Stand::ALL.map(|stand| {
            let (dialect, state) = match stand {
                Stand::V1 => ("v1", "open"),
                Stand::Greeting => ("v2", "greeting"),
                Stand::V2 => ("v2", "open"),
                Stand::Browser => ("browser", "open"),
            };
            (dialect, state, self.open[stand as usize].load(Ordering::Relaxed))
        })
    }

    /// Tells every session to end, now and from now on.
    pub(super) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits for the word to end. Cancel-safe.
    pub(super) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }
}

impl Entry {
    /// It has said who it is.
    pub(super) fn is_open(&mut self) {
        // Counted before it is uncounted: it is one of them all the time.
        self.open[Stand::V2 as usize].fetch_add(1, Ordering::Relaxed);
        self.open[self.stand as usize].fetch_sub(1, Ordering::Relaxed);
        self.stand = Stand::V2;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.open[self.stand as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

/// What counts as one address: who has one of IPv6 has its whole /64 (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    pub(super) fn of(address: IpAddr) -> Network {
        Network(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                let prefix = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(prefix).into()
            }
        })
    }
}

/// How many there are of each key.
#[derive(Debug)]
pub(super) struct Counts<K>(Arc<Mutex<HashMap<K, u32>>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Counts(Arc::default())
    }
}

/// One of a key's places.
#[derive(Debug)]
pub(super) struct Seat<K: Eq + Hash> {
    counts: Arc<Mutex<HashMap<K, u32>>>,
    key: K,
}

impl<K: Eq + Hash + Copy> Counts<K> {
    /// One more of this key; None where there are `most` already.
    pub(super) fn take(&self, key: K, most: u32) -> Option<Seat<K>> {
        let mut counts = lock(&self.0);
        let count = counts.entry(key).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { counts: self.0.clone(), key })
    }
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// The connections that have not said who they are, by age.
#[derive(Debug, Clone, Default)]
pub(super) struct Newcomers(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// The last number that was given.
    last: u64,
    silent: BTreeMap<u64, CancellationToken>,
}

/// A connection that has not said who it is. All clones are the same one, which leaves with the last.
#[derive(Debug, Clone)]
pub(super) struct Newcomer(Arc<Silence>);

#[derive(Debug)]
struct Silence {
    all: Newcomers,
    /// The last number under which it was silent.
    number: AtomicU64,
    away: CancellationToken,
}

impl Newcomers {
    pub(super) fn enter(&self) -> Newcomer {
        let silence = Silence {
            all: self.clone(),
            number: AtomicU64::new(0),
            away: CancellationToken::new(),
        };
        let newcomer = Newcomer(Arc::new(silence));
        newcomer.unsettle();
        newcomer
    }

    /// Sends away who came first and is still silent; false where nobody is.
    pub(super) fn send_away_oldest(&self) -> bool {
        let oldest = lock(&self.0).silent.pop_first();
        oldest.map(|(_, away)| away.cancel()).is_some()
    }
}

impl Newcomer {
    /// Waits until it is sent away. Cancel-safe.
    pub(super) fn sent_away(&self) -> impl Future<Output = ()> + use<> {
        self.0.away.clone().cancelled_owned()
    }

    /// It is somebody's from now on, and stays.
    pub(super) fn settle(&self) {
        self.0.settle();
    }

    /// It is silent again, as one that has come just now: a browser's connection between two requests.
    pub(super) fn unsettle(&self) {
        self.0.settle();
        let mut waiting = lock(&self.0.all.0);
        // From 1: 0 is that of one that was not silent yet.
        waiting.last += 1;
        let number = waiting.last;
        waiting.silent.insert(number, self.0.away.clone());
        self.0.number.store(number, Ordering::Relaxed);
    }
}

impl Silence {
    fn settle(&self) {
        lock(&self.all.0).silent.remove(&self.number.load(Ordering::Relaxed));
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        self.settle();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_so_many_places_and_no_more() {
        let counts = Counts::<Network>::default();
        let of = |text: &str| Network::of(text.parse().unwrap());
        let first = counts.take(of("2001:db8::1"), 2).unwrap();
        let _second = counts.take(of("2001:db8::ffff:1"), 2).unwrap();
        assert!(counts.take(of("2001:db8::2"), 2).is_none(), "it is one /64");
        assert!(counts.take(of("2001:db8:0:1::1"), 2).is_some());
        let _v4 =
            (counts.take(of("192.0.2.1"), 1).unwrap(), counts.take(of("192.0.2.2"), 1).unwrap());
        assert!(counts.take(of("192.0.2.1"), 1).is_none());
        drop(first);
        assert!(counts.take(of("2001:db8::2"), 2).is_some());
        assert_eq!(lock(&counts.0).len(), 3, "what is empty is forgotten");
    }

    #[test]
    fn every_session_counts_once_however_it_stands() {
        let registry = Registry::default();
        let counts = || registry.sessions().map(|(.., count)| count);
        let old = registry.enter(Stand::V1);
        let mut new = registry.enter(Stand::Greeting);
        assert_eq!((counts(), registry.open()), ([1, 1, 0, 0], 2));
        new.is_open();
        assert_eq!((counts(), registry.open()), ([1, 0, 1, 0], 2));
        drop((old, new));
        assert_eq!((counts(), registry.open()), ([0; 4], 0));
    }

    #[test]
    fn who_is_silent_longest_goes_first() {
        let newcomers = Newcomers::default();
        let [first, second, third] = std::array::from_fn(|_| newcomers.enter());
        first.settle();
        assert!(newcomers.send_away_oldest());
        assert!(second.0.away.is_cancelled() && !first.0.away.is_cancelled());
        first.unsettle();
        first.unsettle();
        drop(third);
        assert!(newcomers.send_away_oldest() && first.0.away.is_cancelled(), "silent again");
        assert!(!newcomers.send_away_oldest(), "nobody is silent any more");
    }
}

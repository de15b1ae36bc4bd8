//! The latest events of the session, for every follower: a bounded ring, and a wake-up.
//!
//! The dispatcher pushes, followers look. What is no longer here a follower reads from the server;
//! an old server cannot be asked again, so there a follower that is too slow is told of the gap.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use imgrepo_proto::session::event::Event;
use imgrepo_proto::{RepositoryId, Seq};
use tokio::sync::watch;

/// Events kept: a follower that is a moment behind needs no round trip.
const EVENTS: usize = 1000;

/// Bytes of their messages, at most: events of long names or of a server that means ill.
const BYTES: usize = 1024 * 1024;

/// Whose events these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A repository's: each has its place in the history.
    Repository(RepositoryId),
    /// An old server's at this address: notices without a place.
    Old(String),
}

/// The latest events.
#[derive(Debug)]
pub(crate) struct Feed {
    ring: Mutex<Ring>,
    moved: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Ring {
    whose: Option<Whose>,
    /// The newest place that the server told of.
    newest: Seq,
    /// The last place whose event came, or that was the newest when listening began.
    received: Seq,
    events: VecDeque<(Event, usize)>,
    bytes: usize,
    /// How many went out of the ring at its old end, ever.
    dropped: u64,
}

/// Where a follower stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    /// Whose events it follows, once known.
    pub(crate) whose: Option<Whose>,
    /// The last event that it has, in a repository's history. None: whatever is the newest once a
    /// repository is known.
    pub(crate) seq: Option<Seq>,
    /// How many of an old server's notices it has, or passed over.
    pub(crate) notices: u64,
}

/// What there is for a follower.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Look {
    /// The next event; the cursor is past it.
    Event(Box<Event>),
    /// More has happened than is here: ask the server for what is after this.
    Fetch(Seq),
    /// Nothing yet.
    Nothing,
    /// So many notices are gone; the cursor is past them.
    Gap(u64),
    /// The session leads to another repository now.
    Elsewhere,
    /// The server does not have the event that the follower has: this is its newest.
    Ahead(Seq),
}

impl Feed {
    pub(crate) fn new() -> Self {
        Feed { ring: Mutex::default(), moved: watch::Sender::new(()) }
    }

    /// Wakes whenever a look may give something else.
    pub(crate) fn moved(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// A session is up: events after `received` will come, `newest` is the newest of all.
    pub(crate) fn begin(&self, whose: Whose, received: Seq, newest: Seq) {
        {
            let mut ring = self.ring();
            let same = ring.whose.as_ref() == Some(&whose);
            if !same || ring.received != received {
                ring.clear();
            }
            ring.whose = Some(whose);
            ring.received = received;
            ring.newest = newest;
        }
        self.moved.send_replace(());
    }

    /// An event came, in a message of so many bytes.
    pub(crate) fn push(&self, event: Event, bytes: usize) {
        {
            let mut ring = self.ring();
            if let Some(seq) = event.seq {
                if seq <= ring.received {
                    tracing::warn!(%seq, "an event came twice");
                    return;
                }
                if seq != ring.received.next() {
                    tracing::warn!(%seq, after = %ring.received, "events are missing; they are read again");
                    ring.clear();
                }
                ring.received = seq;
                ring.newest = ring.newest.max(seq);
            } else if matches!(ring.whose, Some(Whose::Repository(_))) {
                // Here the place of each event follows from the first one's.
                tracing::warn!("an event without a place in the history was passed over");
                return;
            }
            ring.events.push_back((event, bytes));
            ring.bytes += bytes;
            while ring.events.len() > EVENTS || ring.bytes > BYTES {
                let Some((_, bytes)) = ring.events.pop_front() else { break };
                ring.bytes -= bytes;
                ring.dropped += 1;
            }
        }
        self.moved.send_replace(());
    }

    /// A page told of this event. It may be ahead of what the session was told: the event itself is
    /// still on its way.
    pub(crate) fn heard_of(&self, seq: Seq) {
        let mut ring = self.ring();
        ring.newest = ring.newest.max(seq);
    }

    /// All to here was received.
    pub(crate) fn received(&self) -> Seq {
        self.ring().received
    }

    /// A cursor behind everything that is known now.
    pub(crate) fn end(&self) -> Cursor {
        let ring = self.ring();
        let seq = matches!(ring.whose, Some(Whose::Repository(_))).then_some(ring.newest);
        Cursor { whose: ring.whose.clone(), seq, notices: ring.pushed() }
    }

    /// The latest notices of an old server that are still here, at most so many.
    pub(crate) fn notices(&self, limit: usize) -> Vec<Event> {
        let ring = self.ring();
        let passed = ring.events.len().saturating_sub(limit);
        ring.events.iter().skip(passed).map(|(event, _)| event.clone()).collect()
    }

    /// Whether these are still the events that a cursor stands in.
    pub(crate) fn has(&self, cursor: &Cursor) -> bool {
        self.ring().whose == cursor.whose
    }

    /// The next event after a cursor.
    pub(crate) fn look(&self, cursor: &mut Cursor) -> Look {
        let ring = self.ring();
        let Some(whose) = &ring.whose else { return Look::Nothing };
        match &cursor.whose {
            None => cursor.whose = Some(whose.clone()),
            Some(followed) if followed != whose => return Look::Elsewhere,
            Some(_) => {}
        }
        match whose {
            Whose::Repository(_) => {
                let seq = *cursor.seq.get_or_insert(ring.newest);
                if ring.newest < seq {
                    return Look::Ahead(ring.newest);
                }
                if ring.newest == seq {
                    return Look::Nothing;
                }
                // The ring has no gaps: the place of an event follows from the first one's.
                let first = ring.events.front().and_then(|(event, _)| event.seq);
                let held = first
                    .and_then(|first| seq.next().0.checked_sub(first.0))
                    .and_then(|at| ring.events.get(usize::try_from(at).ok()?));
                match held {
                    Some((event, _)) => {
                        cursor.seq = Some(seq.next());
                        Look::Event(Box::new(event.clone()))
                    }
                    None => Look::Fetch(seq),
                }
            }
            Whose::Old(_) => {
                if cursor.notices < ring.dropped {
                    let gone = ring.dropped - cursor.notices;
                    cursor.notices = ring.dropped;
                    return Look::Gap(gone);
                }
                let at = usize::try_from(cursor.notices - ring.dropped).unwrap_or(usize::MAX);
                match ring.events.get(at) {
                    Some((event, _)) => {
                        cursor.notices += 1;
                        Look::Event(Box::new(event.clone()))
                    }
                    None => Look::Nothing,
                }
            }
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn clear(&mut self) {
        self.dropped = self.pushed();
        self.events.clear();
        self.bytes = 0;
    }

    /// How many ever came.
    fn pushed(&self) -> u64 {
        self.dropped + self.events.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::session::event::EventKind;

    use super::*;

    fn event(seq: Option<u64>) -> Event {
        let seq = seq.map(Seq);
        let event = EventKind::NewUpload;
        Event { event, seq, at: None, by: None, image: None, message: None }
    }

    fn seen(look: Look) -> Option<u64> {
        match look {
            Look::Event(event) => event.seq.map(|seq| seq.0),
            _ => None,
        }
    }

    #[test]
    fn a_follower_misses_nothing_of_a_repository() {
        let feed = Feed::new();
        let whose = Whose::Repository(RepositoryId("r".to_owned()));
        let mut late = feed.end();
        assert_eq!(feed.look(&mut late), Look::Nothing);
        feed.begin(whose.clone(), Seq(10), Seq(12));
        let mut old = Cursor { seq: Some(Seq(3)), ..feed.end() };
        assert_eq!(feed.look(&mut old), Look::Fetch(Seq(3)));
        let mut missed = Cursor { seq: Some(Seq(10)), ..feed.end() };
        assert_eq!(feed.look(&mut missed), Look::Fetch(Seq(10)), "not here yet");
        assert_eq!(feed.look(&mut late), Look::Nothing);
        for seq in 11..=13 {
            feed.push(event(Some(seq)), 100);
        }
        feed.push(event(Some(13)), 100);
        assert_eq!([11, 12, 13].map(|_| seen(feed.look(&mut missed))), [11, 12, 13].map(Some));
        assert_eq!(feed.look(&mut missed), Look::Nothing);
        assert_eq!(seen(feed.look(&mut late)), Some(13), "only what is new since it began");

        // A cut: the session comes back with what was missed.
        feed.begin(whose.clone(), Seq(13), Seq(14));
        feed.push(event(Some(14)), 100);
        assert_eq!(seen(feed.look(&mut late)), Some(14));
        // A page that was asked for overtakes the events of the session.
        let mut ahead = Cursor { seq: Some(Seq(15)), ..feed.end() };
        assert_eq!(feed.look(&mut ahead), Look::Ahead(Seq(14)));
        feed.heard_of(Seq(15));
        assert_eq!(feed.look(&mut ahead), Look::Nothing);
        feed.push(event(Some(15)), 100);
        assert_eq!(feed.look(&mut ahead), Look::Nothing, "it has that one");
        feed.push(event(Some(16)), 100);
        assert_eq!(seen(feed.look(&mut ahead)), Some(16));
        assert_eq!(seen(feed.look(&mut late)), Some(15));
        // Back without what was missed: it is to be read from the server.
        feed.begin(whose.clone(), Seq(20), Seq(20));
        assert_eq!(feed.look(&mut late), Look::Fetch(Seq(15)));
        feed.begin(whose, Seq(5), Seq(5));
        assert_eq!(feed.look(&mut late), Look::Ahead(Seq(5)));
        feed.begin(Whose::Repository(RepositoryId("other".to_owned())), Seq(5), Seq(5));
        assert_eq!(feed.look(&mut late), Look::Elsewhere);
    }

    #[test]
    fn the_ring_is_bounded_and_an_old_servers_gap_is_told() {
        let feed = Feed::new();
        feed.begin(Whose::Old("ws://a/".to_owned()), Seq(0), Seq(0));
        let mut cursor = feed.end();
        for _ in 0..EVENTS + 5 {
            feed.push(event(None), 10);
        }
        assert_eq!(feed.look(&mut cursor), Look::Gap(5));
        assert!(matches!(feed.look(&mut cursor), Look::Event(_)));
        feed.push(event(None), BYTES);
        assert_eq!(feed.look(&mut cursor), Look::Gap(EVENTS as u64 - 1));
        assert!(matches!(feed.look(&mut cursor), Look::Event(_)));
        assert_eq!(feed.look(&mut cursor), Look::Nothing);
    }
}

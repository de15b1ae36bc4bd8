//! The latest events, read from the catalog once for all who listen: ten thousand sessions would else
//! each read the same rows, for every upload. Filled by the committer before it announces; asked by
//! whoever follows the history, who reads the catalog itself where this does not go back far enough.
//! The history never changes, so neither does what was read of it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use imgrepo_proto::Seq;
use imgrepo_proto::session::Event;

use super::catalog::Catalog;

/// Events that are kept: four pages of the slowest listener, and of the largest group of commits; some
/// 150 KB.
const KEPT: u32 = 256;

/// With fewer listeners each reads for itself: nobody listens to most imports.
const LISTENERS: usize = 8;

/// The latest events, without a gap.
#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<VecDeque<Event>>);

impl Latest {
    /// Reads what was committed after `since`, up to `newest`, for so many listeners. Blocks. Where it
    /// cannot be read, nothing is kept: who listens finds out by themselves.
    pub(crate) fn read(&self, catalog: &dyn Catalog, since: Seq, newest: Seq, listeners: usize) {
        let count = newest.0.saturating_sub(since.0);
        let page = match u32::try_from(count) {
            Ok(count) if listeners >= LISTENERS && count <= KEPT => catalog.changes(since, count),
            _ => return self.lock().clear(),
        };
        match page {
            Ok(page) => self.add(page.events),
            Err(_) => self.lock().clear(),
        }
    }

    fn add(&self, events: Vec<Event>) {
        let mut kept = self.lock();
        for event in events {
            let last = kept.back().and_then(|event| event.seq);
            if last.is_some_and(|last| event.seq != Some(Seq(last.0 + 1))) {
                kept.clear();
            }
            if event.seq.is_none() {
                continue;
            }
            kept.push_back(event);
            if kept.len() > KEPT as usize {
                kept.pop_front();
            }
        }
    }

    /// The events after `since`, up to `newest`, at most so many; None where not all of them from the
    /// first on are here.
    pub(crate) fn after(&self, since: Seq, newest: Seq, limit: u32) -> Option<Vec<Event>> {
        let kept = self.lock();
        let first = kept.front().and_then(|event| event.seq)?;
        let from = usize::try_from(since.0.checked_add(1)?.checked_sub(first.0)?).ok()?;
        let is_told = |event: &&Event| event.seq.is_some_and(|seq| seq <= newest);
        let events: Vec<Event> =
            kept.iter().skip(from).take(limit as usize).take_while(is_told).cloned().collect();
        (!events.is_empty()).then_some(events)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        // A panic in the middle would leave fewer events, or a gap, which `add` looks for.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::session::EventKind;

    use super::*;

    fn events(seqs: impl IntoIterator<Item = u64>) -> Vec<Event> {
        let event = |seq| Event {
            event: EventKind::NewUpload,
            seq: Some(Seq(seq)),
            at: None,
            by: None,
            image: None,
            message: None,
        };
        seqs.into_iter().map(event).collect()
    }

    #[test]
    fn what_is_given_has_no_gap_and_is_announced() {
        let latest = Latest::default();
        let after = |since, newest, limit| latest.after(Seq(since), Seq(newest), limit);
        assert_eq!(after(0, 9, 64), None);
        latest.add(events(5..=9));
        assert_eq!(after(3, 9, 64), None, "4 is not here");
        assert_eq!(after(4, 9, 64), Some(events(5..=9)));
        assert_eq!(after(4, 9, 2), Some(events(5..=6)));
        assert_eq!(after(6, 8, 64), Some(events(7..=8)), "9 is not announced");
        assert_eq!(after(9, 9, 64), None);
        assert_eq!(after(9, 12, 64), None, "the catalog knows of 10");
        assert_eq!(after(u64::MAX, u64::MAX, 64), None);
        latest.add(events(10..=10));
        assert_eq!(after(8, 10, 64), Some(events(9..=10)));
        latest.add(events(12..=13));
        assert_eq!(after(9, 13, 64), None, "11 was never read");
        assert_eq!(after(11, 13, 64), Some(events(12..=13)));
        let many = u64::from(KEPT) + 20;
        latest.add(events(14..=13 + many));
        let since = 13 + many - u64::from(KEPT);
        assert_eq!(after(since - 1, u64::MAX, 64), None);
        assert_eq!(
            after(since, u64::MAX, KEPT + 1).map(|events| events.len()),
            Some(KEPT as usize)
        );
    }
}

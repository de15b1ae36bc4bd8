//! The ordered feed that every listener reads: pages from the catalog, and a signal that wakes who
//! waits for the next one. The signal carries no change: the catalog is the truth.

use std::collections::VecDeque;

use imgrepo_proto::session::reply::EventsReply;
use imgrepo_proto::session::{Event, EventKind};
use imgrepo_proto::{ErrorCode, Refusal, Seq};
use tokio::sync::watch;

use super::{Repository, faults};

/// Events that the search for the last uploads reads at a time, and pages that it reads at most:
/// behind 10,000 other changes an upload is history to nobody.
const UPLOADS_PAGE: u64 = 500;
const UPLOADS_PAGES: u32 = 20;

impl Repository {
    /// Wakes when there is something new; the newest change that may be read.
    #[must_use]
    pub fn announced(&self) -> watch::Receiver<Seq> {
        self.inner.announced.clone()
    }

    /// A page of events after this one, oldest first.
    ///
    /// # Errors
    /// `ahead` where that one has not happened here.
    pub async fn events(&self, since: Seq, limit: u32) -> Result<EventsReply, Refusal> {
        self.hop(move |inner| {
            let failed = |error| faults::catalog(&error);
            let newest = inner.catalog.newest_seq().map_err(failed)?;
            if since > newest {
                let message = format!("there is no event {since} here, the newest is {newest}");
                return Err(Refusal::new(ErrorCode::Ahead, message)
                    .hint("was the server restored from a backup? read the events from 0"));
            }
            inner.catalog.changes(since, limit).map_err(failed)
        })
        .await
    }

    /// The events after `since`, up to `newest`, at most so many, where they are at hand: read once for
    /// all who listen. None says nothing of what there is.
    #[must_use]
    pub fn latest(&self, since: Seq, newest: Seq, limit: u32) -> Option<Vec<Event>> {
        self.inner.latest.after(since, newest, limit)
    }

    /// The newest uploads, at most this many, oldest first: what a v1 client is greeted with.
    ///
    /// # Errors
    /// The disk's.
    pub async fn last_uploads(&self, limit: u32) -> Result<Vec<Event>, Refusal> {
        let limit = limit as usize;
        self.hop(move |inner| {
            let failed = |error| faults::catalog(&error);
            let mut end = inner.catalog.newest_seq().map_err(failed)?.0;
            let mut found = VecDeque::new();
            for _ in 0..UPLOADS_PAGES {
                let start = end.saturating_sub(UPLOADS_PAGE);
                // At most UPLOADS_PAGE, which fits.
                let count = (end - start) as u32;
                let page = inner.catalog.changes(Seq(start), count).map_err(failed)?;
                for event in page.events.into_iter().rev() {
                    if event.event == EventKind::NewUpload && found.len() < limit {
                        found.push_front(event);
                    }
                }
                if start == 0 || found.len() >= limit {
                    break;
                }
                end = start;
            }
            Ok(found.into())
        })
        .await
    }
}

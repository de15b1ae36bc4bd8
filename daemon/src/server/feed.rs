//! What a session or a browser hears: every event after one that it knows, from the catalog or what was
//! read of it for all, as fast as it takes them. A signal only wakes whoever waits, so nothing is skipped and nothing comes twice,
//! however slow somebody is. Called by `v2::events` and `http::live`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use imgrepo_proto::session::Event;
use imgrepo_proto::{ErrorCode, Refusal, Seq};

use super::Context;

/// Events that are read at once: each has well below 4 KiB.
const PAGE: u32 = 64;

/// One listener's place in the history.
pub(super) struct Feed {
    context: Arc<Context>,
    announced: watch::Receiver<Seq>,
    since: Seq,
    /// What came later was waited for, and counts how long it took.
    begun: Seq,
}

impl Feed {
    /// The events after `since`, or after the newest that was announced.
    ///
    /// # Errors
    /// `ahead` where that one has not happened here.
    pub(super) async fn after(context: &Arc<Context>, since: Option<Seq>) -> Result<Feed, Refusal> {
        let repository = &context.repository;
        let announced = repository.announced();
        let newest = *announced.borrow();
        let since = since.unwrap_or(newest);
        // EVENTS may have told of what is committed and not announced yet: the catalog decides.
        if since > newest {
            repository.events(since, 1).await?;
        }
        Ok(Feed { context: context.clone(), announced, since, begun: newest })
    }

    /// The last event that was taken.
    pub(super) fn since(&self) -> Seq {
        self.since
    }

    /// The newest event that may be told of, or the last that was taken.
    pub(super) fn newest(&self) -> Seq {
        (*self.announced.borrow()).max(self.since)
    }

    /// The next events, oldest first, at least one; waits until there is one. None: there will be no
    /// more. Cancel-safe.
    ///
    /// # Errors
    /// The disk's: `internal`.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Event>>, Refusal> {
        loop {
            // What is committed and not announced yet waits: its own reply has to go first.
            let newest = *self.announced.borrow_and_update();
            if self.since < newest {
                let events = match self.context.repository.latest(self.since, newest, PAGE) {
                    Some(events) => events,
                    // Boxed: who waits has no room for it.
                    None => Box::pin(self.read(newest)).await?,
                };
                let Some(last) = events.last().and_then(|event| event.seq) else {
                    let message = format!("the history has a gap after {}", self.since);
                    return Err(Refusal::new(ErrorCode::Internal, message));
                };
                if self.since >= self.begun {
                    self.count_delay(&events);
                }
                self.since = last;
                return Ok(Some(events));
            }
            if self.announced.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    async fn read(&self, newest: Seq) -> Result<Vec<Event>, Refusal> {
        let mut events = self.context.repository.events(self.since, PAGE).await?.events;
        events.retain(|event| event.seq.is_some_and(|seq| seq <= newest));
        Ok(events)
    }

    /// Counts how long the oldest of these, which has waited longest, took from its commit to here.
    fn count_delay(&self, events: &[Event]) {
        let Some(at) = events.first().and_then(|event| event.at) else { return };
        // Where the clock was set back meanwhile it took no time.
        let delay = Timestamp::now().duration_since(at);
        self.context.figures.feed.took(Duration::try_from(delay).unwrap_or_default());
    }
}

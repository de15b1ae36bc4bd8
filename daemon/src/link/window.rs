//! The arithmetic of flow control: how far a sender may go, and what a receiver takes.
//!
//! Offsets are absolute places in a content. A sender may go up to acknowledged + window for each
//! request and up to the session's window over all of them ([`SendFlow`]); the receiver holds it to
//! that ([`ReceiveWindow`]). Neither knows what is sent, nor where.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

/// Bytes that may be under way over all requests of a session. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SharedWindow(Arc<Semaphore>);

impl SharedWindow {
    /// A session's window of this many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        SharedWindow(Arc::new(Semaphore::new(bytes)))
    }

    async fn take(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Ok(permit) = self.0.acquire_many(bytes).await {
            permit.forget();
        }
    }

    fn give(&self, bytes: u64) {
        self.0.add_permits(usize::try_from(bytes).unwrap_or(0));
    }
}

/// An acknowledgement of bytes that were never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer acknowledges {acked} bytes, only {sent} were sent")]
pub struct BadAck {
    /// What it says.
    pub acked: u64,
    /// What is true.
    pub sent: u64,
}

/// The sending of one request's content: who sends reserves, who hears acknowledgements tells.
/// One task reserves; any may tell. What is under way is given back to the session when the last
/// clone is dropped.
#[derive(Debug, Clone)]
pub struct SendFlow(Arc<Flow>);

#[derive(Debug)]
struct Flow {
    place: Mutex<Place>,
    window: u64,
    moved: Notify,
    shared: SharedWindow,
}

#[derive(Debug)]
struct Place {
    sent: u64,
    acked: u64,
    /// Bytes taken from the session's window: `sent - acked`, but for a jump of [`SendFlow::restart`].
    taken: u64,
}

impl SendFlow {
    /// A content that is sent from `start` on.
    #[must_use]
    pub fn new(start: u64, window: u64, shared: SharedWindow) -> Self {
        let place = Mutex::new(Place { sent: start, acked: start, taken: 0 });
        SendFlow(Arc::new(Flow { place, window, moved: Notify::new(), shared }))
    }

    /// Waits until `want` bytes may be sent and counts them as sent: the offset of the first one.
    /// `want` is cut to the window; the second value says how many it is. Cancel-safe up to the
    /// moment when it returns.
    pub async fn reserve(&self, want: usize) -> (u64, usize) {
        let want = want.min(usize::try_from(self.0.window).unwrap_or(usize::MAX));
        loop {
            // Registered before looking, so that an acknowledgement in between is not missed.
            let moved = self.0.moved.notified();
            let room = {
                let place = self.place();
                place.acked.saturating_add(self.0.window).saturating_sub(place.sent)
            };
            if room >= want as u64 {
                break;
            }
            moved.await;
        }
        self.0.shared.take(want).await;
        let mut place = self.place();
        let offset = place.sent;
        place.sent += want as u64;
        place.taken += want as u64;
        (offset, want)
    }

    /// The receiver has taken all before `offset`. Older news is ignored.
    ///
    /// # Errors
    /// Bytes that were never sent.
    pub fn acked(&self, offset: u64) -> Result<(), BadAck> {
        let freed = {
            let mut place = self.place();
            if offset > place.sent {
                return Err(BadAck { acked: offset, sent: place.sent });
            }
            place.acked = place.acked.max(offset);
            let under_way = place.sent - place.acked;
            let freed = place.taken.saturating_sub(under_way);
            place.taken -= freed;
            freed
        };
        self.0.shared.give(freed);
        self.0.moved.notify_one();
        Ok(())
    }

    /// The receiver begins at `offset`: what it has already need not be sent.
    pub fn restart(&self, offset: u64) {
        {
            let mut place = self.place();
            place.sent = place.sent.max(offset);
        }
        // Never beyond `sent`, which is at least `offset` now.
        let _ = self.acked(offset);
    }

    /// The next byte to send.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.place().sent
    }

    /// The first byte that was not acknowledged.
    #[must_use]
    pub fn acked_to(&self) -> u64 {
        self.place().acked
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let taken = self.place.get_mut().map_or(0, |place| place.taken);
        self.shared.give(taken);
    }
}

/// Why a data message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowFault {
    /// Bytes between what is held and what came are missing.
    #[error("the data begins at {offset}, the bytes from {expected} on are missing")]
    Gap {
        /// Where it begins.
        offset: u64,
        /// Where it should.
        expected: u64,
    },
    /// More than was acknowledged plus the window.
    #[error("the data ends at {end}, the window at {limit}")]
    BeyondWindow {
        /// Where it ends.
        end: u64,
        /// Where it may.
        limit: u64,
    },
    /// More than the whole content.
    #[error("the data ends at {end}, the content was announced with {total} bytes")]
    BeyondSize {
        /// Where it ends.
        end: u64,
        /// Where the content does.
        total: u64,
    },
}

/// The receiving of one request's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiveWindow {
    expected: u64,
    acked: u64,
    total: u64,
    window: u64,
}

impl ReceiveWindow {
    /// A content of `total` bytes of which the first `start` are held.
    #[must_use]
    pub fn new(start: u64, total: u64, window: u64) -> Self {
        ReceiveWindow { expected: start, acked: start, total, window }
    }

    /// Takes a data message: how many of its first bytes are held already and to be dropped.
    ///
    /// # Errors
    /// What the sender should not have sent.
    pub fn accept(&mut self, offset: u64, len: usize) -> Result<usize, WindowFault> {
        let end = offset.saturating_add(len as u64);
        if end > self.total {
            return Err(WindowFault::BeyondSize { end, total: self.total });
        }
        if offset > self.expected {
            return Err(WindowFault::Gap { offset, expected: self.expected });
        }
        let limit = self.acked.saturating_add(self.window);
        if end > limit {
            return Err(WindowFault::BeyondWindow { end, limit });
        }
        let held = (self.expected - offset).min(len as u64);
        self.expected = self.expected.max(end);
        Ok(usize::try_from(held).unwrap_or(len))
    }

    /// All before `offset` is dealt with; the sender is told.
    pub fn acked(&mut self, offset: u64) {
        self.acked = self.acked.max(offset.min(self.expected));
    }

    /// The first byte that did not come.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// Whether all of it came.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.expected == self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_takes_what_is_due_and_nothing_else() {
        let mut window = ReceiveWindow::new(10, 100, 40);
        assert_eq!(window.accept(0, 20), Ok(10), "the ten held bytes are dropped");
        assert_eq!(window.accept(0, 5), Ok(5), "all of it is held");
        assert_eq!(window.expected(), 20);
        assert_eq!(window.accept(21, 1), Err(WindowFault::Gap { offset: 21, expected: 20 }));
        assert_eq!(window.accept(20, 31), Err(WindowFault::BeyondWindow { end: 51, limit: 50 }));
        assert_eq!(window.accept(20, 30), Ok(0));
        window.acked(50);
        assert_eq!(window.accept(50, 51), Err(WindowFault::BeyondSize { end: 101, total: 100 }));
        assert_eq!(
            window.accept(u64::MAX, 9),
            Err(WindowFault::BeyondSize { end: u64::MAX, total: 100 })
        );
        assert_eq!(window.accept(50, 40), Ok(0));
        window.acked(90);
        assert_eq!(window.accept(90, 10), Ok(0));
        assert!(window.is_complete());
    }

    #[tokio::test]
    async fn a_sender_waits_for_its_windows_and_gives_them_back() {
        let shared = SharedWindow::new(100);
        let one = SendFlow::new(0, 60, shared.clone());
        let two = SendFlow::new(0, 60, shared.clone());
        assert_eq!(one.reserve(1000).await, (0, 60), "cut to the window");
        assert_eq!(two.reserve(40).await, (0, 40));
        let waiting = tokio::spawn({
            let two = two.clone();
            async move { two.reserve(20).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "the session's window is used up");
        assert_eq!(one.acked(61), Err(BadAck { acked: 61, sent: 60 }));
        one.acked(20).unwrap();
        assert_eq!(waiting.await.unwrap(), (40, 20));
        drop((one, two));
        assert_eq!(shared.0.available_permits(), 100);
    }

    #[tokio::test]
    async fn a_restart_skips_what_the_receiver_holds() {
        let shared = SharedWindow::new(100);
        let flow = SendFlow::new(0, 60, shared.clone());
        assert_eq!(flow.reserve(50).await, (0, 50));
        flow.restart(500);
        assert_eq!(shared.0.available_permits(), 100);
        assert_eq!(flow.reserve(60).await, (500, 60));
        flow.restart(400);
        assert_eq!(flow.sent(), 560, "an older place changes nothing");
    }
}

//! What waits to be written on a link: text first, then contents and what must not overtake them,
//! then the close.
//!
//! Anyone of a session may hold an [`Outbox`]; the link's writer alone takes from it. Text that
//! answers a request of the peer is pushed without waiting, since the requests in flight bound it;
//! all else waits for room, so a peer that reads slowly slows down only its own session.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use super::{End, EndKind, Ending};

/// Text that may wait for the writer before [`Outbox::send`] waits: a page or two.
const TEXT_ROOM_BYTES: usize = 512 * 1024;

/// Text that may wait at all. Final replies of all requests in flight stay far below; only a peer
/// that sends without reading gets here.
const TEXT_LIMIT_BYTES: usize = 1024 * 1024;

/// Data messages that may wait for the writer: enough that it never waits for the next one.
const DATA_ROOM: usize = 4;

/// The link is over: nothing can be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link is over")]
pub struct Closed;

/// The way out of a link. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the writer.
    filled: Notify,
    text_room: Semaphore,
    data_room: Semaphore,
    ending: Arc<Ending>,
}

#[derive(Debug, Default)]
struct Queue {
    text: VecDeque<(String, usize)>,
    text_bytes: usize,
    data: VecDeque<Outgoing>,
    /// The last part that the writer took was not its message's last: only the next part may follow
    /// (RFC 6455, 5.4).
    within_message: bool,
    close: Option<(u16, String)>,
}

/// The next thing to write.
#[derive(Debug)]
pub(super) enum Outgoing {
    Text(String),
    Data(Bytes),
    /// A part of a data message, with whether it is the first and whether it is the last.
    Part(Bytes, bool, bool),
    Close(u16, String),
}

impl Outbox {
    pub(super) fn new(ending: Arc<Ending>) -> Self {
        Outbox(Arc::new(Shared {
            queue: Mutex::default(),
            filled: Notify::new(),
            text_room: Semaphore::new(TEXT_ROOM_BYTES),
            data_room: Semaphore::new(DATA_ROOM),
            ending,
        }))
    }

    /// Queues a control message without waiting: final replies and acknowledgements, whose number
    /// the requests in flight bound. A peer that lets 1 MiB of them pile up loses the link.
    pub fn push(&self, text: String) {
        self.queue_text(text, 0);
    }

    /// Queues a control message when there is room: pages and events.
    ///
    /// # Errors
    /// The link is over.
    pub async fn send(&self, text: String) -> Result<(), Closed> {
        let room = text.len().min(TEXT_ROOM_BYTES);
        // Dropping either branch is safe: a permit not yet got takes nothing, and `over` stays so.
        let permit = tokio::select! {
            biased;
            () = self.0.ending.over.cancelled() => return Err(Closed),
            permit = self.0.text_room.acquire_many(u32::try_from(room).unwrap_or(u32::MAX)) => {
                permit.map_err(|_| Closed)?
            }
        };
        permit.forget();
        self.queue_text(text, room);
        Ok(())
    }

    /// Queues a data message when there is room for one.
    ///
    /// # Errors
    /// The link is over.
    pub async fn data(&self, message: Bytes) -> Result<(), Closed> {
        self.in_line(|| Some(Outgoing::Data(message))).await
    }

    /// Queues a part of a data message when there is room for one: one message whose size no buffer
    /// bounds. Until its last part is written no other message is. Parts of two messages must not
    /// be mixed.
    ///
    /// # Errors
    /// The link is over.
    pub async fn part(&self, part: Bytes, first: bool, last: bool) -> Result<(), Closed> {
        self.in_line(|| Some(Outgoing::Part(part, first, last))).await
    }

    /// Queues a control message behind the data messages that are queued by now, which all other
    /// text overtakes. The text is made when there is room for it; none is sent if none is made.
    ///
    /// # Errors
    /// The link is over.
    pub async fn in_order(&self, make: impl FnOnce() -> Option<String>) -> Result<(), Closed> {
        self.in_line(|| make().map(Outgoing::Text)).await
    }

    async fn in_line(&self, make: impl FnOnce() -> Option<Outgoing>) -> Result<(), Closed> {
        // As in `send`.
        let permit = tokio::select! {
            biased;
            () = self.0.ending.over.cancelled() => return Err(Closed),
            permit = self.0.data_room.acquire() => permit.map_err(|_| Closed)?,
        };
        let Some(message) = make() else { return Ok(()) };
        permit.forget();
        self.lock().data.push_back(message);
        self.0.filled.notify_one();
        Ok(())
    }

    /// Closes the link, with a code of RFC 6455, behind what is queued by now.
    pub fn close(&self, code: u16, reason: &str) {
        // A close frame's reason is at most 123 bytes (RFC 6455, 5.5).
        let mut end = reason.len().min(123);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        self.lock().close.get_or_insert((code, reason[..end].to_owned()));
        self.0.filled.notify_one();
    }

    /// Ends the link at once, whatever is queued.
    pub fn abort(&self, message: &str) {
        self.0.ending.end(End::new(EndKind::Dropped, message));
    }

    /// Whether the link is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.ending.over.is_cancelled()
    }

    /// Waits until the link is over.
    pub async fn closed(&self) {
        self.0.ending.over.cancelled().await;
    }

    fn queue_text(&self, text: String, room: usize) {
        let overflow = {
            let mut queue = self.lock();
            queue.text_bytes += text.len();
            queue.text.push_back((text, room));
            queue.text_bytes > TEXT_LIMIT_BYTES
        };
        if overflow {
            self.0.ending.end(End::new(EndKind::Stalled, "the peer does not read its replies"));
        }
        self.0.filled.notify_one();
    }

    /// The next thing to write, if there is one. For the writer alone.
    pub(super) fn take(&self) -> Option<Outgoing> {
        let mut queue = self.lock();
        if !queue.within_message
            && let Some((text, room)) = queue.text.pop_front()
        {
            queue.text_bytes -= text.len();
            self.0.text_room.add_permits(room);
            return Some(Outgoing::Text(text));
        }
        if let Some(data) = queue.data.pop_front() {
            self.0.data_room.add_permits(1);
            queue.within_message = matches!(data, Outgoing::Part(_, _, false));
            return Some(data);
        }
        // Within a message too, where it is the end of one that nobody goes on with.
        queue.close.take().map(|(code, reason)| Outgoing::Close(code, reason))
    }

    /// Waits until something may have been queued. For the writer alone.
    pub(super) async fn filled(&self) {
        self.0.filled.notified().await;
    }

    pub(super) fn ending(&self) -> &Arc<Ending> {
        &self.0.ending
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

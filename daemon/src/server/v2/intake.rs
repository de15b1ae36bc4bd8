//! What waits between the reader of a session and the task of one upload: the bytes that have come
//! and are not written yet. The reader puts them in and never waits; the window bounds them. Small
//! messages are joined, since one byte of content can keep the whole buffer alive that it was read
//! into.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::sync::Notify;

use imgrepo_proto::{ErrorCode, Refusal};

use crate::link::window::{ReceiveWindow, WindowFault};
use crate::repository::blobs::APPENDED_BYTES;

/// Pieces below this are copied together. A piece kept as it came keeps the whole buffer that the
/// WebSocket read it into: as large as the largest message, so with other messages between them
/// pieces of 16 KiB would hold sixteen times their size, and these hold five times at worst.
const JOIN_BELOW_BYTES: usize = 64 * 1024;

/// Joined pieces grow to this at most: what is written at once costs least from about here on.
const JOINED_BYTES: usize = 64 * 1024;

/// The bytes that came over all uploads of a session and are not acknowledged.
#[derive(Debug, Clone)]
pub(super) struct SessionIntake {
    held: Arc<AtomicU64>,
    window: u64,
}

impl SessionIntake {
    pub(super) fn new(window: u64) -> Self {
        SessionIntake { held: Arc::default(), window }
    }
}

/// The intake of one upload.
#[derive(Debug)]
pub(super) struct Intake {
    size: u64,
    window: u64,
    session: SessionIntake,
    came: Mutex<Came>,
    filled: Notify,
}

#[derive(Debug)]
struct Came {
    window: ReceiveWindow,
    acked: u64,
    /// Nobody needs to know before so many bytes have come.
    awaited: u64,
    pieces: Vec<Bytes>,
    joined: BytesMut,
}

impl Intake {
    /// Of a content of this size, of which at first the sender knows nothing to be held.
    pub(super) fn new(size: u64, window: u64, session: SessionIntake) -> Self {
        let came = Came {
            window: ReceiveWindow::new(0, size, window),
            acked: 0,
            awaited: 0,
            pieces: Vec::new(),
            joined: BytesMut::new(),
        };
        Intake { size, window, session, came: Mutex::new(came), filled: Notify::new() }
    }

    /// Takes what came. What is held already is dropped.
    ///
    /// # Errors
    /// What the sender should not have sent; the upload is over then.
    pub(super) fn put(&self, offset: u64, mut bytes: Bytes) -> Result<(), Refusal> {
        let mut came = self.lock();
        let held = came.window.accept(offset, bytes.len()).map_err(|fault| {
            let code = match fault {
                WindowFault::BeyondSize { .. } => ErrorCode::WrongSize,
                WindowFault::Gap { .. } | WindowFault::BeyondWindow { .. } => ErrorCode::BadRequest,
            };
            Refusal::new(code, format!("cannot take the upload's data: {fault}"))
        })?;
        bytes.advance(held);
        if bytes.is_empty() {
            return Ok(());
        }
        let len = bytes.len() as u64;
        if self.size <= APPENDED_BYTES {
            came.store_small(bytes, self.size);
        } else {
            came.store(bytes);
        }
        let is_enough = came.window.expected() >= came.awaited;
        // One reader adds, so the sum cannot pass the window between two of its looks.
        let all = self.session.held.fetch_add(len, Ordering::Relaxed) + len;
        drop(came);
        if all > self.session.window {
            let message = format!(
                "cannot take the upload's data: {all} bytes of this session's uploads are not \
                 acknowledged, the session's window has {}",
                self.session.window
            );
            return Err(Refusal::new(ErrorCode::BadRequest, message));
        }
        if is_enough {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The sender is about to hear that the first `start` bytes are held.
    pub(super) fn begin(&self, start: u64) {
        let mut came = self.lock();
        let had = came.window.expected();
        if start >= had {
            came.pieces.clear();
            came.joined.clear();
            came.window = ReceiveWindow::new(start, self.size, self.window);
        } else {
            came.drop_front(start);
            came.window.acked(start);
        }
        came.acked = start;
        self.session.held.fetch_sub(had.min(start), Ordering::Relaxed);
    }

    /// All that came since the last time; waits until there is something. Cancel-safe.
    pub(super) async fn take(&self) -> Vec<Bytes> {
        loop {
            let pieces = self.lock().take();
            if !pieces.is_empty() {
                return pieces;
            }
            // A notification that comes before this wait is kept for it.
            self.filled.notified().await;
        }
    }

    /// Waits until all of the content has come, nothing of it taken. Cancel-safe.
    pub(super) async fn whole(&self) {
        while !self.awaits(self.size) {
            self.filled.notified().await;
        }
    }

    /// Whether so many bytes have come; if not, there is no waking before.
    fn awaits(&self, bytes: u64) -> bool {
        let mut came = self.lock();
        came.awaited = bytes;
        came.window.expected() >= bytes
    }

    /// Whether there is nothing to take: the sender may be waiting.
    pub(super) fn is_empty(&self) -> bool {
        let came = self.lock();
        came.pieces.is_empty() && came.joined.is_empty()
    }

    /// The sender is about to hear that all before `offset` is written.
    pub(super) fn acked(&self, offset: u64) {
        let mut came = self.lock();
        came.window.acked(offset);
        let freed = offset.saturating_sub(came.acked);
        came.acked += freed;
        self.session.held.fetch_sub(freed, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Came> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Came {
    fn store(&mut self, bytes: Bytes) {
        if bytes.len() < JOIN_BELOW_BYTES {
            self.joined.extend_from_slice(&bytes);
            if self.joined.len() >= JOINED_BYTES {
                self.seal();
            }
        } else {
            self.seal();
            self.pieces.push(bytes);
        }
    }

    /// One piece of a content that is taken whole: hashed and written as it is, while the WebSocket
    /// reads into the same buffer again.
    fn store_small(&mut self, bytes: Bytes, size: u64) {
        if self.joined.is_empty() {
            if bytes.len() as u64 == size && bytes.len() >= JOIN_BELOW_BYTES {
                return self.pieces.push(bytes);
            }
            // These bytes are counted as expected already.
            let rest = size.saturating_sub(self.window.expected());
            self.joined.reserve(bytes.len() + usize::try_from(rest).unwrap_or_default());
        }
        self.joined.extend_from_slice(&bytes);
    }

    fn seal(&mut self) {
        if !self.joined.is_empty() {
            self.pieces.push(std::mem::take(&mut self.joined).freeze());
        }
    }

    fn take(&mut self) -> Vec<Bytes> {
        self.seal();
        self.awaited = 0;
        std::mem::take(&mut self.pieces)
    }

    fn drop_front(&mut self, mut bytes: u64) {
        self.seal();
        self.pieces.retain_mut(|piece| {
            let cut = usize::try_from(bytes).unwrap_or(usize::MAX).min(piece.len());
            piece.advance(cut);
            bytes -= cut as u64;
            !piece.is_empty()
        });
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let came = self.came.get_mut().unwrap_or_else(PoisonError::into_inner);
        let held = came.window.expected().saturating_sub(came.acked);
        self.session.held.fetch_sub(held, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(range: std::ops::Range<u64>) -> Bytes {
        range.map(|at| at as u8).collect()
    }

    fn held(session: &SessionIntake) -> u64 {
        session.held.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn small_messages_are_joined_and_keep_their_order() {
        let session = SessionIntake::new(1 << 20);
        let intake = Intake::new(1 << 20, 1 << 20, session.clone());
        let whole = bytes(0..200_000);
        let mut at = 0;
        for len in [1, 2, 70_000, 1, 80_000, 3] {
            intake.put(at as u64, whole.slice(at..at + len)).unwrap();
            at += len;
        }
        assert_eq!(held(&session), at as u64);
        let pieces = intake.take().await;
        assert_eq!(pieces.len(), 5);
        assert_eq!(pieces.concat(), whole[..at]);
        assert!(intake.is_empty());
        intake.acked(at as u64);
        assert_eq!(held(&session), 0);
    }

    #[tokio::test]
    async fn a_small_content_is_one_piece() {
        let whole = bytes(0..111_000);
        for cuts in [vec![0, 111_000], vec![0, 65_536, 111_000], vec![0, 1, 70_000, 111_000]] {
            let intake = Intake::new(111_000, 1 << 20, SessionIntake::new(1 << 20));
            for cut in cuts.windows(2) {
                intake.put(cut[0] as u64, whole.slice(cut[0]..cut[1])).unwrap();
            }
            let taken = intake.take().await;
            assert_eq!(taken, std::slice::from_ref(&whole), "{cuts:?}");
        }
        // Taken in between, it goes on.
        let intake = Intake::new(111_000, 1 << 20, SessionIntake::new(1 << 20));
        intake.put(0, whole.slice(..50_000)).unwrap();
        let mut taken = intake.take().await;
        intake.put(50_000, whole.slice(50_000..)).unwrap();
        taken.append(&mut intake.take().await);
        assert_eq!(taken.concat(), whole);
    }

    #[tokio::test]
    async fn what_was_sent_before_ready_is_kept_from_the_start_on() {
        for (sent, start) in [(0u64, 0u64), (60, 0), (60, 40), (60, 60), (60, 150), (0, 50)] {
            let session = SessionIntake::new(200);
            let intake = Intake::new(200, 100, session.clone());
            for at in 0..sent {
                intake.put(at, bytes(at..at + 1)).unwrap();
            }
            intake.begin(start);
            assert_eq!(held(&session), sent.saturating_sub(start), "{sent} {start}");
            // What was on its way before READY came is held already; then it goes on in order.
            let next = sent.max(start);
            intake.put(0, bytes(0..next.min(60))).unwrap();
            intake.put(next, bytes(next..next + 10)).unwrap();
            let taken = intake.take().await.concat();
            assert_eq!(taken, bytes(start..next + 10), "{sent} {start}");
            drop(intake);
            assert_eq!(held(&session), 0);
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let session = SessionIntake::new(60);
        let intake = Intake::new(100, 50, session.clone());
        let code = |result: Result<(), Refusal>| result.unwrap_err().code;
        assert_eq!(code(intake.put(1, bytes(1..2))), ErrorCode::BadRequest, "a gap");
        assert_eq!(code(intake.put(0, bytes(0..51))), ErrorCode::BadRequest, "beyond the window");
        assert_eq!(code(intake.put(0, bytes(0..101))), ErrorCode::WrongSize);
        assert_eq!(code(intake.put(u64::MAX, bytes(0..9))), ErrorCode::WrongSize);
        intake.put(0, bytes(0..50)).unwrap();
        let other = Intake::new(100, 50, session);
        other.put(0, bytes(0..10)).unwrap();
        assert_eq!(
            code(other.put(10, bytes(10..11))),
            ErrorCode::BadRequest,
            "the session's window"
        );
    }
}

//! How long a connection may take for what it is at: to say a request's head, to ask for something
//! more, to take what it is given. Who is slower is cut, so that nobody holds a place by silence.
//!
//! [`Pace`] decides; [`Paced`] is the stream that tells it of bytes, and `serve` waits for
//! [`Pace::overdue`]. It knows nothing of HTTP, and cuts nobody itself.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// What is waited for, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The head of a request, or its small body, from its first byte on; the end of a connection that
    /// was closed from here.
    pub(super) head: Duration,
    /// The next request.
    pub(super) idle: Duration,
    /// Leave to write the next byte.
    pub(super) write: Duration,
}

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It says something short that is due by then, or closes.
    Due(Instant),
    /// It has been answered, and may ask again until then.
    Idle(Instant),
    /// It is being answered.
    Busy,
    /// It is no connection of HTTP any more.
    Handed,
}

/// One connection's.
#[derive(Debug)]
pub(super) struct Pace {
    patience: Patience,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Since when it takes nothing of what is to be written.
    stuck: Option<Instant>,
    /// It may be sending still what nobody reads.
    is_unread: bool,
}

impl Pace {
    /// Of a connection whose first request's head is due by then.
    pub(super) fn new(first: Instant, patience: Patience) -> Pace {
        Pace {
            patience,
            state: Mutex::new(State { stage: Stage::Due(first), stuck: None, is_unread: false }),
        }
    }

    /// It has said something, and is being answered.
    pub(super) fn busy(&self) {
        self.lock().stage = Stage::Busy;
    }

    /// It is to say something short, or to close.
    pub(super) fn expect(&self) {
        self.lock().stage = Stage::Due(Instant::now() + self.patience.head);
    }

    /// It has been answered.
    pub(super) fn idle(&self) {
        self.lock().stage = Stage::Idle(Instant::now() + self.patience.idle);
    }

    /// It is somebody else's.
    pub(super) fn hand_over(&self) {
        *self.lock() = State { stage: Stage::Handed, stuck: None, is_unread: false };
    }

    /// It is answered for the last time, with a part of what it says not read.
    pub(super) fn leave_unread(&self) {
        self.lock().is_unread = true;
    }

    /// Whether what it says still is to be taken until it closes as well.
    fn close(&self) -> bool {
        let mut state = self.lock();
        if state.is_unread {
            state.stage = Stage::Due(Instant::now() + self.patience.head);
        }
        state.is_unread
    }

    pub(super) fn is_busy(&self) -> bool {
        self.lock().stage == Stage::Busy
    }

    /// Bytes came.
    fn came(&self) {
        let mut state = self.lock();
        if matches!(state.stage, Stage::Idle(_)) {
            state.stage = Stage::Due(Instant::now() + self.patience.head);
        }
    }

    fn stuck(&self, is_stuck: bool) {
        let mut state = self.lock();
        state.stuck = match is_stuck {
            true => Some(state.stuck.unwrap_or_else(Instant::now)),
            false => None,
        };
    }

    /// When it is too late for what it is at, if that ends at all.
    fn due(&self) -> Option<Instant> {
        let state = self.lock();
        let stage = match state.stage {
            Stage::Due(due) | Stage::Idle(due) => Some(due),
            Stage::Busy | Stage::Handed => None,
        };
        let stuck = state.stuck.map(|since| since + self.patience.write);
        [stage, stuck].into_iter().flatten().min()
    }

    /// Resolves once the connection is too late; looks as often as a head may take. Cancel-safe.
    pub(super) async fn overdue(&self) {
        loop {
            let now = Instant::now();
            let due = self.due();
            if due.is_some_and(|due| due <= now) {
                return;
            }
            let look = now + self.patience.head;
            sleep_until(due.map_or(look, |due| due.min(look))).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream whose pace is kept.
pub(super) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
    /// What was to be written last was not taken.
    is_stuck: bool,
    /// No more is written.
    is_shut: bool,
    /// What comes is dropped until the peer closes.
    lingers: bool,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>) -> Paced<S> {
        Paced { stream, pace, is_stuck: false, is_shut: false, lingers: false }
    }

    /// The stream alone.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn wrote(&mut self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if poll.is_pending() != self.is_stuck {
            self.is_stuck = poll.is_pending();
            self.pace.stuck(self.is_stuck);
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pace.came();
        }
        poll
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.wrote(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Closes so that the last answer arrives: a peer that is still sending what nobody reads, such as
    /// an image that was refused, would have its answer taken away by the reset that ends it (RFC 9112,
    /// 9.6). So what still comes is dropped until the peer closes as well, or is overdue.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.is_shut = true;
            self.lingers = self.pace.close();
        }
        while self.lingers {
            let mut dropped = [MaybeUninit::uninit(); 8 * 1024];
            let mut buffer = ReadBuf::uninit(&mut dropped);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

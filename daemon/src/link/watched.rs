//! A byte stream that remembers when it last moved. It lies below the WebSocket, so that a peer in
//! the middle of a long message counts as alive, and one that answers pings only as alive too.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// A stream whose [`Activity`] can be asked for.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    activity: Activity,
}

/// When bytes last came and went. Cheap to clone; all clones see the same.
#[derive(Debug, Clone)]
pub struct Activity(Arc<Moments>);

#[derive(Debug)]
struct Moments {
    start: Instant,
    /// Milliseconds after the start: a reader's glance does not need to be finer.
    read: AtomicU64,
    written: AtomicU64,
    /// How often bytes came.
    reads: AtomicU64,
}

impl<S> Watched<S> {
    /// Watches a stream from now on.
    pub fn new(stream: S) -> (Self, Activity) {
        let activity = Activity(Arc::new(Moments {
            start: Instant::now(),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            reads: AtomicU64::new(0),
        }));
        (Watched { stream, activity: activity.clone() }, activity)
    }
}

impl Activity {
    /// How long ago a byte came.
    #[must_use]
    pub fn since_read(&self) -> Duration {
        self.since(&self.0.read)
    }

    /// How often bytes have come: another number means that the peer is there.
    pub(super) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// How long ago a byte went, or a wait for one began (`expect_write`).
    #[must_use]
    pub fn since_written(&self) -> Duration {
        self.since(&self.0.written)
    }

    /// Something is about to be written after a pause: the peer has from now on to take it.
    pub(super) fn expect_write(&self) {
        self.mark(&self.0.written);
    }

    fn since(&self, moment: &AtomicU64) -> Duration {
        let moment = Duration::from_millis(moment.load(Ordering::Relaxed));
        self.0.start.elapsed().saturating_sub(moment)
    }

    fn mark(&self, moment: &AtomicU64) {
        let elapsed = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        moment.store(elapsed, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.mark(&self.activity.0.read);
            self.activity.0.reads.fetch_add(1, Ordering::Relaxed);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(poll, Poll::Ready(Ok(1..))) {
            self.activity.mark(&self.activity.0.written);
        }
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        if matches!(poll, Poll::Ready(Ok(1..))) {
            self.activity.mark(&self.activity.0.written);
        }
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

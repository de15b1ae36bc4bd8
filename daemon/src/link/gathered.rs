//! A byte stream that is read in small pieces while little comes and in large ones while much does. It
//! lies right below the WebSocket, which reads no more at once than the buffer it keeps for as long as
//! the session lasts: a large one would be most of what an idle session takes, a small one would make
//! a system call of every few bytes of an image. Both ends of a link may use it; the server does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Read at once while much comes. Twice as much costs the processor no less.
const GATHERED_BYTES: usize = 64 * 1024;

/// Who says no more than this at once says little: requests, acknowledgements, pongs.
pub const SPARSE_BYTES: usize = 2 * 1024;

/// A stream that is read so. What it holds is at most `GATHERED_BYTES`, and nothing once the peer has
/// said little, which is its answer to a ping at the latest.
#[derive(Debug)]
pub struct Gathered<S> {
    stream: S,
    /// Read, and from `at` to `end` not given yet.
    held: Box<[u8]>,
    at: usize,
    end: usize,
    /// The last read came back full: more may be there.
    is_flowing: bool,
}

impl<S> Gathered<S> {
    /// What of this stream was read before comes first.
    pub fn new(stream: S, early: Bytes) -> Self {
        let held: Box<[u8]> = early.as_ref().into();
        let end = held.len();
        Gathered { stream, held, at: 0, end, is_flowing: false }
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let end = self.end.min(self.at + buffer.remaining());
        buffer.put_slice(&self.held[self.at..end]);
        self.at = end;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at < this.end {
            this.give(buffer);
            return Poll::Ready(Ok(()));
        }
        if !this.is_flowing || buffer.remaining() >= GATHERED_BYTES {
            this.held = Box::default();
            (this.at, this.end) = (0, 0);
            let (before, room) = (buffer.filled().len(), buffer.remaining());
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            this.is_flowing = room > 0 && buffer.filled().len() - before == room;
            return Poll::Ready(Ok(()));
        }
        if this.held.len() != GATHERED_BYTES {
            this.held = vec![0; GATHERED_BYTES].into();
            (this.at, this.end) = (0, 0);
        }
        let mut gathered = ReadBuf::new(&mut this.held);
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut gathered))?;
        (this.at, this.end) = (0, gathered.filled().len());
        this.is_flowing = this.end > SPARSE_BYTES;
        this.give(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    #[tokio::test]
    async fn all_comes_in_order_whatever_is_asked_for_at_once() {
        for asked in [1, 100, SPARSE_BYTES, GATHERED_BYTES - 1, GATHERED_BYTES, 3 * GATHERED_BYTES]
        {
            for len in [0, 1, SPARSE_BYTES, SPARSE_BYTES + 1, GATHERED_BYTES, 300_000] {
                let (mut peer, stream) = tokio::io::duplex(100_000);
                let sent = content(len);
                let early = Bytes::copy_from_slice(&sent[..len.min(10)]);
                let rest = sent[early.len()..].to_vec();
                let mut stream = Gathered::new(stream, early);
                let sending = tokio::spawn(async move { peer.write_all(&rest).await });
                let (mut came, mut piece) = (Vec::new(), vec![0; asked]);
                loop {
                    match stream.read(&mut piece).await.unwrap() {
                        0 => break,
                        read => came.extend_from_slice(&piece[..read]),
                    }
                }
                sending.await.unwrap().unwrap();
                assert!(came == sent, "{len} bytes, {asked} at once");
            }
        }
    }

    #[tokio::test]
    async fn much_is_held_only_while_much_comes() {
        let (mut peer, stream) = tokio::io::duplex(1_000_000);
        let mut stream = Gathered::new(stream, Bytes::new());
        let mut piece = [0; SPARSE_BYTES];
        peer.write_all(b"a request").await.unwrap();
        assert_eq!(stream.read(&mut piece).await.unwrap(), 9);
        assert!(stream.held.is_empty(), "it says little");
        peer.write_all(&content(200_000)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(stream.read(&mut piece).await.unwrap(), SPARSE_BYTES);
        }
        assert_eq!(stream.held.len(), GATHERED_BYTES, "it says much");
        let mut rest = vec![0; 200_000 - 2 * SPARSE_BYTES];
        stream.read_exact(&mut rest).await.unwrap();
        for said in [b"one".as_slice(), b"two"] {
            peer.write_all(said).await.unwrap();
            assert_eq!(stream.read(&mut piece).await.unwrap(), said.len());
        }
        assert!(stream.held.is_empty(), "it says little again");
    }
}

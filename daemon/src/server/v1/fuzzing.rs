//! For the fuzz targets alone: the gate of a v1 session, read to the end of a stream that is all there.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead as _, ReadBuf};

use super::gate::Gate;

/// What came through.
#[derive(Debug, PartialEq, Eq)]
pub struct Through {
    /// The bytes that the WebSocket sees.
    pub bytes: Vec<u8>,
    /// How long the last whole binary message was.
    pub claimed: u64,
    /// How many bytes of content were let through.
    pub came: u64,
}

/// Reads a peer's bytes through the gate, `step` at a time, where binary messages of up to `allowed` bytes
/// are due. None where it waits for more than there is, which it never should.
#[must_use]
pub fn through(bytes: &[u8], allowed: u64, step: usize) -> Option<Through> {
    let (mut gate, keeper) = Gate::new(bytes);
    keeper.allow(allowed);
    let mut out = Vec::new();
    let mut piece = vec![0; step.max(1)];
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let mut buffer = ReadBuf::new(&mut piece);
        match Pin::new(&mut gate).poll_read(&mut context, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => break,
            Poll::Ready(Ok(())) => out.extend_from_slice(buffer.filled()),
            Poll::Ready(Err(_)) | Poll::Pending => return None,
        }
    }
    Some(Through { bytes: out, claimed: keeper.claimed(), came: keeper.came() })
}

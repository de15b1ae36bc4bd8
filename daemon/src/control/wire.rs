//! Frames over one connection of the local socket: requests in, replies out. The frames themselves
//! are `imgrepo_proto::control::frame`'s.

use std::io;

use imgrepo_proto::control::Reply;
use imgrepo_proto::control::frame::{self, Decoder, FrameError};
use imgrepo_proto::{ErrorCode, Refusal};
use interprocess::local_socket::tokio::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What a program says.
pub(super) struct Requests<'a> {
    stream: &'a Stream,
    decoder: Decoder,
}

/// Why nothing more is read from a connection.
pub(super) enum Closed {
    /// The program closed it.
    Gone,
    /// What came cannot be trusted.
    Bad(FrameError),
}

impl<'a> Requests<'a> {
    pub(super) fn new(stream: &'a Stream) -> Self {
        Requests { stream, decoder: Decoder::new() }
    }

    /// The next frame; the inner error is one that this version does not know. Cancel-safe: what
    /// was read stays in the decoder.
    pub(super) async fn next<T: DeserializeOwned>(
        &mut self,
    ) -> Result<Result<T, FrameError>, Closed> {
        loop {
            match self.decoder.next() {
                Ok(Some(frame)) => return Ok(Ok(frame)),
                Ok(None) => {}
                Err(error @ FrameError::Unknown(_)) => return Ok(Err(error)),
                Err(error) => return Err(Closed::Bad(error)),
            }
            self.read().await?;
        }
    }

    /// Waits until the program closes, while a request is under way; one that speaks then breaks
    /// the protocol, and the request is given up as well. Cancel-safe.
    pub(super) async fn closed(&mut self) -> Closed {
        if !self.decoder.is_between_frames() {
            return Closed::Bad(FrameError::Garbage("a frame before its turn".to_owned()));
        }
        match self.read().await {
            Ok(()) => Closed::Bad(FrameError::Garbage("a frame before its turn".to_owned())),
            Err(closed) => closed,
        }
    }

    async fn read(&mut self) -> Result<(), Closed> {
        let mut stream = self.stream;
        match stream.read(self.decoder.space()).await {
            // A reset is how some systems tell that it closed before it read everything.
            Ok(0) | Err(_) => Err(Closed::Gone),
            Ok(read) => {
                self.decoder.filled(read);
                Ok(())
            }
        }
    }
}

/// What is said to a program.
pub(super) struct Replies<'a> {
    stream: &'a Stream,
    /// `frame[sent..]` was not written yet. It outlives a send that is dropped half-way (a progress
    /// report whose upload has just ended), so that the next frame never comes into its middle.
    frame: Vec<u8>,
    sent: usize,
}

/// The program reads no more; its request is given up when the reader sees that too.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotHeard;

impl From<NotHeard> for Closed {
    fn from(NotHeard: NotHeard) -> Self {
        Closed::Gone
    }
}

impl From<NotHeard> for Refusal {
    fn from(NotHeard: NotHeard) -> Self {
        Refusal::new(ErrorCode::Cancelled, "the program that asked is gone")
    }
}

impl<'a> Replies<'a> {
    pub(super) fn new(stream: &'a Stream) -> Self {
        Replies { stream, frame: Vec::new(), sent: 0 }
    }

    /// Sends an item, or the end, of the request under way. Waits until the program reads: an item
    /// is made when the one before it has left, so that nothing is queued here. Cancel-safe: what
    /// was begun is completed by the next call.
    pub(super) async fn send(&mut self, reply: &Reply) -> Result<(), NotHeard> {
        let frame = encode(reply).map_err(|_| NotHeard)?;
        self.write_frame(frame).await.map_err(|_| NotHeard)
    }

    /// As [`Replies::send`], for what is no reply (the greeting).
    pub(super) async fn write<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        self.write_frame(frame::encode(value).map_err(io::Error::other)?).await
    }

    async fn write_frame(&mut self, frame: Vec<u8>) -> io::Result<()> {
        self.flush().await?;
        (self.frame, self.sent) = (frame, 0);
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut stream = self.stream;
        while self.sent < self.frame.len() {
            match stream.write(&self.frame[self.sent..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => self.sent += sent,
            }
        }
        Ok(())
    }
}

/// The frame of a reply; of an outcome that no frame holds (names without end, of a server that
/// means ill) the refusal that says so. An item has no such stand-in: more would follow it.
fn encode(reply: &Reply) -> Result<Vec<u8>, FrameError> {
    match frame::encode(reply) {
        Err(error) if matches!(reply, Reply::Done(_)) => {
            let message = format!("the server's answer cannot be handed on: {error}");
            frame::encode(&Reply::Refused(Refusal::new(ErrorCode::Internal, message)))
        }
        Err(error) => {
            tracing::warn!(%error, "a reply to a program cannot be sent, and its request is given up");
            Err(error)
        }
        frame => frame,
    }
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::control::{MAX_FRAME_BYTES, Outcome};
    use imgrepo_proto::{ImageId, ImageRecord};

    use super::*;

    #[test]
    fn an_answer_that_is_too_long_is_a_refusal() {
        let endless = "x".repeat(MAX_FRAME_BYTES as usize);
        let record = ImageRecord::bare(ImageId(1), endless, "ana");
        let reply = Reply::Done(Box::new(Outcome::Image(record)));
        let mut decoder = Decoder::new();
        let frame = encode(&reply).unwrap();
        let space = decoder.space();
        space[..frame.len()].copy_from_slice(&frame);
        decoder.filled(frame.len());
        match decoder.next::<Reply>().unwrap() {
            Some(Reply::Refused(refusal)) => assert_eq!(refusal.code, ErrorCode::Internal),
            other => panic!("{other:?}"),
        }
    }
}

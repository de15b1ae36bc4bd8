//! What comes in on a link. One reader owns it and asks for the next message; pings, pongs and the
//! close handshake are dealt with on the way.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{CLOSE_PATIENCE, End, EndKind, Ending};

/// A message of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A command or metadata.
    Text(Utf8Bytes),
    /// Content.
    Data(Bytes),
}

/// Messages, with the state of the socket they come from.
type Messages = Pin<Box<dyn Stream<Item = Result<Message, Error>> + Send>>;

/// The way in of a link. Dropping it ends the link.
pub struct Inbox {
    messages: Messages,
    ending: Arc<Ending>,
    writer: JoinHandle<()>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("ending", &self.ending).finish_non_exhaustive()
    }
}

impl Inbox {
    pub(super) fn new(messages: Messages, ending: Arc<Ending>, writer: JoinHandle<()>) -> Self {
        Inbox { messages, ending, writer }
    }

    /// The next message. Cancel-safe: a message is either given or still to come.
    ///
    /// # Errors
    /// The link is over; it stays so.
    pub async fn next(&mut self) -> Result<Incoming, End> {
        loop {
            // Dropping a wait for the next message loses nothing: it stays in the socket's buffer.
            let message = tokio::select! {
                biased;
                () = self.ending.over.cancelled() => return Err(self.ending.reason()),
                message = self.messages.next() => message,
            };
            let end = match message {
                Some(Ok(Message::Text(text))) => return Ok(Incoming::Text(text)),
                Some(Ok(Message::Binary(data))) => return Ok(Incoming::Data(data)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(frame))) => {
                    // Reading on sends the answer to the close; what comes of it does not matter, nor
                    // does a peer that goes on holding the connection.
                    let _ = tokio::time::timeout(CLOSE_PATIENCE, self.messages.next()).await;
                    let (code, reason) = frame
                        .map(|frame| (u16::from(frame.code), frame.reason.to_string()))
                        .unwrap_or((1005, String::new()));
                    let reason = imgrepo_proto::name::shown(&reason);
                    let message = format!("the peer closed the session ({code}) {reason}");
                    End::new(EndKind::Closed(code), message.trim_end())
                }
                Some(Err(error)) => read_end(&error),
                None => End::new(EndKind::Lost, "the connection broke"),
            };
            self.ending.end(end);
        }
    }

    /// Ends the link and waits until nothing of it is left.
    pub async fn finish(mut self) {
        self.ending.end(End::new(EndKind::Dropped, "the link was given up"));
        // The writer sees the end and returns; it cannot panic, and if it did there is nothing left
        // to do for it.
        let _ = (&mut self.writer).await;
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.ending.end(End::new(EndKind::Dropped, "the link was given up"));
        self.writer.abort();
    }
}

fn read_end(error: &Error) -> End {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => {
            End::new(EndKind::Closed(1000), "the session was closed")
        }
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => End::new(
            EndKind::TooBig,
            format!("a message of {size} bytes came, at most {max_size} are taken"),
        ),
        Error::Io(error) => End::new(EndKind::Lost, format!("the connection broke: {error}")),
        Error::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => End::new(EndKind::Lost, "the connection broke"),
        error => End::new(EndKind::Protocol, format!("the peer broke the protocol: {error}")),
    }
}

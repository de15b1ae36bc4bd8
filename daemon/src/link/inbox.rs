//! What comes in on a link. One reader owns it and asks for the next message; pings, pongs and the
//! close handshake are dealt with on the way.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{CLOSE_PATIENCE, End, EndKind, Ending, Outbox};

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
    state: State,
    outbox: Outbox,
    ending: Arc<Ending>,
    writer: JoinHandle<()>,
}

/// What is still to be had from the socket.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Messages.
    Open,
    /// The peer closed: reading on sends the answer, for which it is waited until then.
    Answering(Instant),
    /// Nothing: the peer broke the protocol, and the writer tells it so.
    Refused,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("ending", &self.ending).finish_non_exhaustive()
    }
}

impl Inbox {
    pub(super) fn new(messages: Messages, outbox: Outbox, writer: JoinHandle<()>) -> Self {
        let ending = outbox.ending().clone();
        Inbox { messages, state: State::Open, outbox, ending, writer }
    }

    /// The next message. Cancel-safe: a message is either given or still to come.
    ///
    /// # Errors
    /// The link is over; it stays so.
    pub async fn next(&mut self) -> Result<Incoming, End> {
        loop {
            // Thousands of small messages may be in the buffer: others have their turn in between.
            // Before one is taken, so that none is lost.
            tokio::task::consume_budget().await;
            // Dropping a wait for the next message loses nothing: it stays in the socket's buffer.
            // The end and a point in time stay as well.
            let message = tokio::select! {
                biased;
                () = self.ending.over.cancelled() => return Err(self.ending.reason()),
                message = self.messages.next(), if !matches!(self.state, State::Refused) => message,
                () = answered_by(self.state) => None,
            };
            let end = match message {
                Some(Ok(Message::Text(text))) => return Ok(Incoming::Text(text)),
                Some(Ok(Message::Binary(data))) => return Ok(Incoming::Data(data)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame
                        .map(|frame| (u16::from(frame.code), frame.reason.to_string()))
                        .unwrap_or((1005, String::new()));
                    let reason = imgrepo_proto::name::shown(&reason);
                    // Whoever was sent away reads the reason; the number is for what has none.
                    let message = match reason.is_empty() {
                        true => format!("the peer closed the session ({code})"),
                        false => format!("the peer closed the session: {reason}"),
                    };
                    self.ending.note(End::new(EndKind::Closed(code), message));
                    self.state = State::Answering(Instant::now() + CLOSE_PATIENCE);
                    continue;
                }
                Some(Err(error)) => {
                    let end = read_end(&error);
                    if let Some(code) = close_code(&error) {
                        self.outbox.close(code, &end.message);
                        self.ending.note(end);
                        self.state = State::Refused;
                        continue;
                    }
                    end
                }
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

/// Returns when an answer is not waited for any longer; never, where there is none to come.
async fn answered_by(state: State) {
    match state {
        State::Answering(due) => sleep_until(due).await,
        State::Open | State::Refused => std::future::pending().await,
    }
}

/// What a peer that broke the protocol is told (RFC 6455, 7.4.1).
fn close_code(error: &Error) -> Option<u16> {
    match error {
        Error::Capacity(_) => Some(1009),
        Error::Utf8(_) => Some(1007),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(1002),
        _ => None,
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
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            End::new(EndKind::Lost, "the connection broke")
        }
        error => End::new(EndKind::Protocol, format!("the peer broke the protocol: {error}")),
    }
}

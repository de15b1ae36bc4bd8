//! The task that writes a link: it takes from the outbox, flushes when that is empty, pings a peer
//! that has gone quiet, and ends the link of one that is silent or does not read.

use std::time::Duration;

use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{self, Instant};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::outbox::{Outbox, Outgoing};
use super::watched::Activity;
use super::{CLOSE_PATIENCE, End, EndKind, LinkSettings};

/// A text longer than this goes in parts of as much: the socket's buffer keeps the size of the
/// largest frame that it ever held for as long as the session lasts. What a data message has.
pub(super) const PART_BYTES: usize = imgrepo_proto::limits::DATA_MESSAGE_BYTES;

pub(super) struct Writer<S> {
    pub(super) sink: SplitSink<WebSocketStream<S>, Message>,
    pub(super) outbox: Outbox,
    pub(super) activity: Activity,
    pub(super) settings: LinkSettings,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Writer<S> {
    /// Writes until the link is over, and tells why it is.
    pub(super) async fn run(mut self) {
        let outbox = self.outbox.clone();
        let ending = outbox.ending();
        // Dropping a write half done is safe: the link is over, and the stream goes with it.
        let end = tokio::select! {
            biased;
            () = ending.over.cancelled() => return,
            end = self.write() => end,
        };
        ending.end(end);
    }

    async fn write(&mut self) -> End {
        let mut pinged = None;
        loop {
            // Before each message too: while a long content goes out, a peer that takes it says
            // nothing unless it is asked.
            match self.glance(&mut pinged) {
                Ok(None) => {}
                Ok(Some(ping)) => match self.progress(Step::Feed(ping)).await {
                    Ok(()) => {}
                    Err(end) => return end,
                },
                Err(end) => return end,
            }
            let message = match self.outbox.take() {
                Some(Outgoing::Text(text)) if text.len() > PART_BYTES => {
                    // Boxed, as the close is: an idle link has no room for either.
                    match Box::pin(self.in_parts(text.into())).await {
                        Ok(()) => continue,
                        Err(end) => return end,
                    }
                }
                Some(Outgoing::Text(text)) => Message::text(text),
                Some(Outgoing::Data(data)) => Message::Binary(data),
                Some(Outgoing::Part(part, first, last)) => {
                    let kind = if first { Data::Binary } else { Data::Continue };
                    Message::Frame(Frame::message(part, OpCode::Data(kind), last))
                }
                Some(Outgoing::Close(code, reason)) => {
                    return Box::pin(self.close(code, reason)).await;
                }
                None => {
                    if let Err(end) = self.progress(Step::Flush).await {
                        return end;
                    }
                    // Dropping either is safe: a notification that came before is kept (`Notify`
                    // stores one), and how long to wait is worked out anew each time.
                    tokio::select! {
                        biased;
                        () = self.outbox.filled() => {}
                        () = time::sleep(self.next_glance(pinged)) => {}
                    }
                    continue;
                }
            };
            if let Err(end) = self.progress(Step::Feed(message)).await {
                return end;
            }
        }
    }

    /// Writes a text as one message of several frames (RFC 6455, 5.4).
    async fn in_parts(&mut self, mut text: Bytes) -> Result<(), End> {
        let mut kind = Data::Text;
        while !text.is_empty() {
            let part = text.split_to(text.len().min(PART_BYTES));
            let frame = Frame::message(part, OpCode::Data(kind), text.is_empty());
            self.progress(Step::Feed(Message::Frame(frame))).await?;
            kind = Data::Continue;
        }
        Ok(())
    }

    /// How long until the next glance: when the peer has been quiet for an interval, and an
    /// interval after it was pinged.
    fn next_glance(&self, pinged: Option<Pinged>) -> Duration {
        let waited = match pinged.filter(|pinged| pinged.came == self.activity.reads()) {
            Some(pinged) => pinged.at.elapsed(),
            None => self.activity.since_read(),
        };
        // Moments are whole milliseconds: one more, so that the glance is never a hair too early.
        self.settings.ping_every.saturating_sub(waited) + Duration::from_millis(1)
    }

    /// Looks at how long the peer has been quiet: nothing to do, a ping, or the end. One ping for
    /// each silence, and an interval to answer it, however long there was none to answer.
    fn glance(&self, pinged: &mut Option<Pinged>) -> Result<Option<Message>, End> {
        let (quiet, came) = (self.activity.since_read(), self.activity.reads());
        if quiet < self.settings.ping_every {
            return Ok(None);
        }
        match pinged.filter(|pinged| pinged.came == came) {
            Some(pinged) if pinged.at.elapsed() >= self.settings.ping_every => {
                let message = format!("no byte came from the peer for {} s", quiet.as_secs());
                Err(End::new(EndKind::Silent, message))
            }
            Some(_) => Ok(None),
            None => {
                *pinged = Some(Pinged { came, at: Instant::now() });
                Ok(Some(Message::Ping(Bytes::new())))
            }
        }
    }

    /// Hands a message to the socket, or all of its buffer to the system, for as long as the peer
    /// takes bytes at all.
    async fn progress(&mut self, step: Step) -> Result<(), End> {
        self.activity.expect_write();
        let (stall, ping_every) = (self.settings.write_stall, self.settings.ping_every);
        let activity = self.activity.clone();
        let sink = &mut self.sink;
        let work = async {
            match step {
                Step::Feed(message) => sink.feed(message).await,
                Step::Flush => sink.flush().await,
            }
        };
        tokio::pin!(work);
        loop {
            let wait = time::sleep(stall.saturating_sub(activity.since_written()));
            // Dropping the pause is safe; `work` is pinned outside and goes on in the next round.
            tokio::select! {
                biased;
                done = &mut work => return done.map_err(|error| write_end(&error)),
                () = wait => {}
            }
            if activity.since_written() >= stall {
                let message = format!("the peer took no byte for {} s", stall.as_secs());
                return Err(End::new(EndKind::Stalled, message));
            }
            if activity.since_read() >= 2 * ping_every + stall {
                return Err(End::new(EndKind::Silent, "no byte came from the peer"));
            }
        }
    }

    /// Sends the close and gives the peer a moment to answer it; the inbox sees the answer.
    async fn close(&mut self, code: u16, reason: String) -> End {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        for step in [Step::Feed(Message::Close(Some(frame))), Step::Flush] {
            if let Err(end) = self.progress(step).await {
                return end;
            }
        }
        time::sleep(CLOSE_PATIENCE).await;
        End::new(EndKind::Lost, "the peer did not answer the close")
    }
}

/// The last ping: when it was sent, and how often bytes had come by then.
#[derive(Clone, Copy)]
struct Pinged {
    came: u64,
    at: Instant,
}

enum Step {
    Feed(Message),
    Flush,
}

fn write_end(error: &Error) -> End {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => {
            End::new(EndKind::Closed(1005), "the peer closed the session")
        }
        Error::WriteBufferFull(_) | Error::Capacity(_) => {
            End::new(EndKind::TooBig, format!("cannot send so large a message: {error}"))
        }
        error => End::new(EndKind::Lost, format!("the connection broke: {error}")),
    }
}

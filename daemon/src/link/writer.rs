//! The task that writes a link: it takes from the outbox, flushes when that is empty, pings a peer
//! that has gone quiet, and ends the link of one that is silent or does not read.

use std::time::Duration;

use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::outbox::{Outbox, Outgoing};
use super::watched::Activity;
use super::{CLOSE_PATIENCE, End, EndKind, LinkSettings};

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
            let message = match self.outbox.take() {
                Some(Outgoing::Text(text)) => Message::text(text),
                Some(Outgoing::Data(data)) => Message::Binary(data),
                Some(Outgoing::Part(part, first, last)) => {
                    let kind = if first { Data::Binary } else { Data::Continue };
                    Message::Frame(Frame::message(part, OpCode::Data(kind), last))
                }
                Some(Outgoing::Close(code, reason)) => return self.close(code, reason).await,
                None => {
                    if let Err(end) = self.progress(Step::Flush).await {
                        return end;
                    }
                    // Dropping either is safe: a notification that came before is kept (`Notify`
                    // stores one), and how long to wait is worked out anew each time.
                    tokio::select! {
                        biased;
                        () = self.outbox.filled() => continue,
                        () = time::sleep(self.next_glance()) => {}
                    }
                    match self.glance(&mut pinged) {
                        Ok(Some(ping)) => ping,
                        Ok(None) => continue,
                        Err(end) => return end,
                    }
                }
            };
            if let Err(end) = self.progress(Step::Feed(message)).await {
                return end;
            }
        }
    }

    /// How long until the peer has been quiet for an interval, or for two.
    fn next_glance(&self) -> Duration {
        let (quiet, every) = (self.activity.since_read(), self.settings.ping_every);
        let due = if quiet < every { every } else { 2 * every };
        // Moments are whole milliseconds: one more, so that the glance is never a hair too early.
        due.saturating_sub(quiet) + Duration::from_millis(1)
    }

    /// Looks at how long the peer has been quiet: nothing to do, a ping, or the end. One ping for
    /// each silence: `pinged` is what had come when the last one was sent.
    fn glance(&self, pinged: &mut Option<u64>) -> Result<Option<Message>, End> {
        let (quiet, came) = (self.activity.since_read(), self.activity.reads());
        if quiet >= 2 * self.settings.ping_every {
            let message = format!("no byte came from the peer for {} s", quiet.as_secs());
            return Err(End::new(EndKind::Silent, message));
        }
        if quiet < self.settings.ping_every || *pinged == Some(came) {
            return Ok(None);
        }
        *pinged = Some(came);
        Ok(Some(Message::Ping(Bytes::new())))
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

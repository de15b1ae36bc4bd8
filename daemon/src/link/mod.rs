//! Messages over one WebSocket: what both ends of a session stand on.
//!
//! [`open`] splits a socket into an [`Outbox`], which anyone may hold and which sends text before
//! contents, and an [`Inbox`], which one reader owns. The link keeps the peer honest: a silent, a
//! stalled and a too talkative one are dropped, and every buffer has a bound. It knows nothing of
//! commands, and [`window`] holds the arithmetic of flow control, pure, for whoever sends contents.

mod gathered;
mod inbox;
mod outbox;
mod tune;
mod watched;
pub mod window;
mod writer;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;

use imgrepo_proto::limits;

pub use gathered::{Gathered, SPARSE_BYTES};
pub use inbox::{Inbox, Incoming};
pub use outbox::{Closed, Outbox};
pub use tune::tune;
pub use watched::{Activity, Watched};

/// Where a session comes from. Addresses are canonical: one of IPv4 is never written as one of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From within this process.
    Local,
    /// From this address, for everybody on the way to read.
    Tcp(SocketAddr),
    /// From this address, encrypted: by this process, or by a proxy that it trusts.
    Tls(SocketAddr),
}

impl Origin {
    /// Whether nobody on the way can read or change what is said.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self {
            Origin::Local | Origin::Tls(_) => true,
            Origin::Tcp(peer) => peer.ip().is_loopback(),
        }
    }

    /// The other computer's address; None within this process.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Origin::Local => None,
            Origin::Tcp(peer) | Origin::Tls(peer) => Some(peer.ip()),
        }
    }
}

/// What a link allows its peer.
#[derive(Debug, Clone, Copy)]
pub struct LinkSettings {
    /// After this long without a byte from the peer it is pinged; after twice this long it is gone.
    pub ping_every: Duration,
    /// After this long without taking a byte of what is written the peer has stalled.
    pub write_stall: Duration,
    /// The largest message that is taken or sent.
    pub max_message_bytes: usize,
    /// What the WebSocket reads at once, and keeps for as long as the session lasts. It may be little
    /// above a [`Gathered`] stream.
    pub read_buffer_bytes: usize,
}

impl Default for LinkSettings {
    /// What v2 needs.
    fn default() -> Self {
        LinkSettings {
            ping_every: Duration::from_secs(20),
            write_stall: Duration::from_secs(40),
            max_message_bytes: limits::CHUNK_BYTES as usize
                + imgrepo_proto::session::data::HEADER_BYTES,
            read_buffer_bytes: 64 * 1024,
        }
    }
}

/// Small texts are gathered up to this many bytes before they are written: one system call for many
/// replies. It is allocated only while something is written.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// How long a peer has for its part of the close handshake (RFC 6455, 7.1.1) before the connection
/// is dropped without it.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

impl LinkSettings {
    /// The same limits in tungstenite's words, for accepting or dialing.
    #[must_use]
    pub fn websocket(&self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(self.read_buffer_bytes)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            // One message waits there at most: the writer hands over the next when it is gone. The
            // rest is room for a pong and a close.
            .max_write_buffer_size(2 * WRITE_BUFFER_BYTES + self.max_message_bytes)
            .max_message_size(Some(self.max_message_bytes))
            .max_frame_size(Some(self.max_message_bytes))
    }
}

/// How a link came to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct End {
    /// In one word.
    pub kind: EndKind,
    /// In words.
    pub message: String,
}

/// How a link came to its end, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    /// The peer closed it, with this code of RFC 6455 (1005 where it gave none).
    Closed(u16),
    /// The connection broke.
    Lost,
    /// No byte came from the peer for too long.
    Silent,
    /// The peer does not read what is sent to it.
    Stalled,
    /// A message was larger than is taken here.
    TooBig,
    /// The peer does not speak WebSocket.
    Protocol,
    /// This side gave the link up.
    Dropped,
}

impl End {
    fn new(kind: EndKind, message: impl Into<String>) -> Self {
        End { kind, message: message.into() }
    }
}

/// The end of a link, told once and seen by both halves.
#[derive(Debug, Default)]
struct Ending {
    end: Mutex<Option<End>>,
    over: CancellationToken,
}

impl Ending {
    /// Ends the link. Only the first end counts: what follows are its consequences.
    fn end(&self, end: End) {
        self.note(end);
        self.over.cancel();
    }

    /// As [`Ending::end`], of a link that still has its last word to say.
    fn note(&self, end: End) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end);
    }

    fn reason(&self) -> End {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.clone().unwrap_or_else(|| End::new(EndKind::Dropped, "the link was given up"))
    }
}

/// Takes over a socket whose handshake is done. The writer's task is owned by the [`Inbox`]: it
/// ends with it.
///
/// `activity` is that of the [`Watched`] stream below the socket.
pub fn open<S>(
    socket: WebSocketStream<S>,
    activity: Activity,
    settings: LinkSettings,
) -> (Outbox, Inbox)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ending = Arc::new(Ending::default());
    let outbox = Outbox::new(ending);
    let (sink, stream) = socket.split();
    let writer = writer::Writer { sink, outbox: outbox.clone(), activity, settings };
    let task = tokio::spawn(writer.run());
    (outbox.clone(), Inbox::new(Box::pin(stream), outbox, task))
}

#[cfg(test)]
mod tests;

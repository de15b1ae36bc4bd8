//! A stream below a v1 WebSocket that reads the heads of the frames that come in, and lets through
//! only what is due. A v1 content is one message of any size, and the WebSocket would make room for
//! all of it as soon as its head is read: so the content of a binary message that was not announced,
//! or is larger than announced, is dropped here as it comes, and the WebSocket sees an empty one in
//! its place. Likewise a text that is too long for a command.
//!
//! A content that is due is handed on in small frames of the same message: the WebSocket's buffer
//! keeps the size of the largest frame that it ever saw for as long as the session lasts.
//!
//! What it hands on ends with each frame, so that a session always has dealt with one message before
//! the next is let in. It never waits for anything but the stream, and never changes what goes out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest command: the name of an image in it has at most 255 bytes, six times that when each
/// is escaped.
const MAX_COMMAND_BYTES: u64 = 16 * 1024;

/// The longest head of a frame (RFC 6455, 5.2): two bytes, eight of length, four of mask.
const MAX_HEAD_BYTES: usize = 14;

/// The largest frame of a content that is handed on: what the WebSocket reads at once anyway. A
/// multiple of four, so that the mask (RFC 6455, 5.3) begins anew with each.
const PIECE_BYTES: u64 = 16 * 1024;

/// What is dropped is read in pieces of this size.
const SCRAP_BYTES: usize = 8 * 1024;

/// The stream.
#[derive(Debug)]
pub(in crate::server) struct Gate<S> {
    stream: S,
    keeper: Keeper,
    state: State,
    message: Message,
}

/// The session's hand on the gate.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Keeper(Arc<Due>);

#[derive(Debug, Default)]
struct Due {
    allowed: AtomicU64,
    claimed: AtomicU64,
    came: AtomicU64,
}

impl Keeper {
    /// Lets binary messages of up to this many bytes through from now on.
    pub(super) fn allow(&self, bytes: u64) {
        self.0.allowed.store(bytes, Ordering::Relaxed);
    }

    /// How long the last binary message was, whether or not it was let through.
    pub(super) fn claimed(&self) -> u64 {
        self.0.claimed.load(Ordering::Relaxed)
    }

    /// How many bytes were let through so far, of all messages.
    pub(super) fn came(&self) -> u64 {
        self.0.came.load(Ordering::Relaxed)
    }
}

/// The message that the frames which come in belong to.
#[derive(Debug, Default)]
struct Message {
    binary: bool,
    bytes: u64,
    /// Too long: the rest of it is dropped.
    over: bool,
}

#[derive(Debug)]
enum State {
    /// Reading a frame's head.
    Head { head: [u8; MAX_HEAD_BYTES], have: usize },
    /// Dropping the content of a frame, whose emptied head comes after it.
    Drop { left: u64, head: [u8; MAX_HEAD_BYTES], len: usize },
    /// Handing on a head, then this many bytes of content, then the rest of the frame that came.
    Hand { head: [u8; MAX_HEAD_BYTES], len: usize, at: usize, left: u64, rest: Rest },
    /// Handing on content.
    Body { left: u64, rest: Rest },
}

/// What of a frame is to follow in frames of its own.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    bytes: u64,
    /// The frame that came was its message's last.
    last: bool,
    mask: Option<[u8; 4]>,
}

impl State {
    fn start() -> State {
        State::Head { head: [0; MAX_HEAD_BYTES], have: 0 }
    }

    /// A frame of a content, or as much of it as one that is handed on may have. `first` is its
    /// head's first byte.
    fn hand(first: u8, mut rest: Rest) -> State {
        let left = rest.bytes.min(PIECE_BYTES);
        rest.bytes -= left;
        let last = if rest.bytes == 0 && rest.last { 0x80 } else { 0 };
        let mut head = [0; MAX_HEAD_BYTES];
        head[0] = first & 0x7f | last;
        let mut len = 2;
        // At most PIECE_BYTES, which two bytes hold.
        match u8::try_from(left) {
            Ok(short @ 0..126) => head[1] = short,
            _ => {
                head[1] = 126;
                head[2..4].copy_from_slice(&(left as u16).to_be_bytes());
                len = 4;
            }
        }
        if let Some(mask) = rest.mask {
            head[1] |= 0x80;
            head[len..len + 4].copy_from_slice(&mask);
            len += 4;
        }
        State::Hand { head, len, at: 0, left, rest }
    }

    /// After a frame that was handed on: what is left of the one that came, or the next one.
    fn after(rest: Rest) -> State {
        match rest.bytes {
            0 => State::start(),
            _ => State::hand(0, rest),
        }
    }
}

/// How many bytes a head has, going by those that are there: two at least.
fn head_len(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else { return 2 };
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    2 + length + mask
}

/// How many bytes of content a whole head claims.
fn claim(head: &[u8]) -> u64 {
    let field = |len: usize| {
        head.iter().skip(2).take(len).fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    match head.get(1).map_or(0, |second| second & 0x7f) {
        126 => field(2),
        127 => field(8),
        short => u64::from(short),
    }
}

impl<S> Gate<S> {
    pub(in crate::server) fn new(stream: S) -> (Self, Keeper) {
        let keeper = Keeper::default();
        let gate = Gate {
            stream,
            keeper: keeper.clone(),
            state: State::start(),
            message: Message::default(),
        };
        (gate, keeper)
    }

    /// Decides on a frame whose whole head is here.
    fn decide(&mut self, mut head: [u8; MAX_HEAD_BYTES], len: usize) -> State {
        let bytes = claim(&head[..len]);
        let (last, opcode) = (head[0] & 0x80 != 0, head[0] & 0x0f);
        // Control frames have 125 bytes at most, which the WebSocket sees to itself.
        let control = opcode >= 8;
        if !control {
            if opcode != 0 {
                self.message = Message { binary: opcode == 2, bytes: 0, over: false };
            }
            let message = &mut self.message;
            message.bytes = message.bytes.saturating_add(bytes);
            let limit = match message.binary {
                true => self.keeper.0.allowed.load(Ordering::Relaxed),
                false => MAX_COMMAND_BYTES,
            };
            message.over |= message.bytes > limit;
            if message.binary && last {
                self.keeper.0.claimed.store(message.bytes, Ordering::Relaxed);
            }
        }
        if control || !self.message.over {
            if control || !self.message.binary || bytes <= PIECE_BYTES {
                return State::Hand { head, len, at: 0, left: bytes, rest: Rest::default() };
            }
            let mask = head[..len].last_chunk().copied().filter(|_| head[1] & 0x80 != 0);
            return State::hand(head[0], Rest { bytes, last, mask });
        }
        // The same head with a length of none: the mask stays, it applies to nothing.
        let masked = head[1] & 0x80;
        head[1] = masked;
        let mut empty = 2;
        if masked != 0 {
            head.copy_within(len - 4..len, 2);
            empty = 6;
        }
        State::Drop { left: bytes, head, len: empty }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // Ends at the end of the stream, when something was handed on, or when the stream is dry
        // (tokio's streams are, now and then, even where more is there: so this cannot go on for
        // ever at the cost of other tasks).
        loop {
            match &mut gate.state {
                State::Head { head, have } => {
                    let want = head_len(&head[..*have]);
                    if *have >= 2 && *have == want {
                        let (head, have) = (*head, *have);
                        gate.state = gate.decide(head, have);
                        continue;
                    }
                    let mut piece = ReadBuf::new(&mut head[*have..want]);
                    ready!(Pin::new(&mut gate.stream).poll_read(context, &mut piece))?;
                    match piece.filled().len() {
                        0 => return Poll::Ready(Ok(())),
                        read => *have += read,
                    }
                }
                State::Drop { left: 0, head, len } => {
                    let rest = Rest::default();
                    gate.state = State::Hand { head: *head, len: *len, at: 0, left: 0, rest };
                }
                State::Drop { left, .. } => {
                    let mut scrap = [0; SCRAP_BYTES];
                    let most = usize::try_from(*left).unwrap_or(SCRAP_BYTES).min(SCRAP_BYTES);
                    let mut piece = ReadBuf::new(&mut scrap[..most]);
                    ready!(Pin::new(&mut gate.stream).poll_read(context, &mut piece))?;
                    match piece.filled().len() {
                        0 => return Poll::Ready(Ok(())),
                        read => *left -= read as u64,
                    }
                }
                State::Hand { head, len, at, left, rest } => {
                    let piece = (*len - *at).min(buffer.remaining());
                    buffer.put_slice(&head[*at..*at + piece]);
                    *at += piece;
                    if *at == *len {
                        gate.state = match *left {
                            0 => State::after(*rest),
                            left => State::Body { left, rest: *rest },
                        };
                    }
                    return Poll::Ready(Ok(()));
                }
                State::Body { left, rest } => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let most = most.min(buffer.remaining());
                    let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(most));
                    ready!(Pin::new(&mut gate.stream).poll_read(context, &mut piece))?;
                    let read = piece.filled().len();
                    buffer.advance(read);
                    *left -= read as u64;
                    gate.keeper.0.came.fetch_add(read as u64, Ordering::Relaxed);
                    if *left == 0 {
                        gate.state = State::after(*rest);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;

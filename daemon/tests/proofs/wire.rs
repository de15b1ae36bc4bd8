//! What of a session's bytes is content: reads WebSocket frames (RFC 6455, 5.2) as they pass by and
//! counts which bytes of a content went over the line, and how many of them again.
//!
//! The cutter feeds it every byte that a sender gave to the line, whether or not it arrived. One
//! transfer at a time is counted: all content of a direction belongs to it.

/// Bytes of a data message before its content: the request's number and the offset.
const DATA_HEADER_BYTES: usize = 12;

/// One direction of one connection.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// What is not understood yet: the HTTP head, or a frame's.
    head: Vec<u8>,
    upgraded: bool,
    /// Bytes of the frame under way that are still to come, and where in the content they lie.
    left: u64,
    offset: Option<u64>,
}

impl Frames {
    /// Reads on, and tells of each stretch of content: where it begins and how long it is.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut tell: impl FnMut(u64, u64)) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let len = self.left.min(bytes.len() as u64);
                if let Some(offset) = &mut self.offset {
                    tell(*offset, len);
                    *offset += len;
                }
                self.left -= len;
                bytes = &bytes[len as usize..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if !self.upgraded {
                if self.head.ends_with(b"\r\n\r\n") {
                    self.upgraded = true;
                    self.head.clear();
                }
            } else if let Some((left, offset)) = frame(&self.head) {
                (self.left, self.offset) = (left, offset);
                self.head.clear();
            }
        }
    }
}

/// A frame's head that is whole: bytes of its payload that follow, and for a data message the place
/// of the first of them in the content, which is read from the payload.
fn frame(head: &[u8]) -> Option<(u64, Option<u64>)> {
    let (opcode, masked) = (head.first()? & 0x0f, head.get(1)? & 0x80 != 0);
    let (len, at) = match head[1] & 0x7f {
        126 => (u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(head.get(2..10)?.try_into().ok()?), 10),
        len => (u64::from(len), 2),
    };
    let (key, at) = match masked {
        true => (<[u8; 4]>::try_from(head.get(at..at + 4)?).ok()?, at + 4),
        false => ([0; 4], at),
    };
    const BINARY: u8 = 2;
    if opcode != BINARY || len < DATA_HEADER_BYTES as u64 {
        return Some((len, None));
    }
    let mut inner: [u8; DATA_HEADER_BYTES] =
        head.get(at..at + DATA_HEADER_BYTES)?.try_into().ok()?;
    for (place, byte) in inner.iter_mut().enumerate() {
        *byte ^= key[place % 4];
    }
    let offset = u64::from_be_bytes(inner[4..].try_into().ok()?);
    Some((len - DATA_HEADER_BYTES as u64, Some(offset)))
}

/// One way of one transfer, over all its connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The content's end.
    pub(crate) size: u64,
    /// Bytes of content that were sent, however often.
    pub(crate) sent: u64,
    /// All before this was sent at least once.
    pub(crate) reached: u64,
    /// Bytes that were sent again over the connection that is open, and the most over any one.
    again: u64,
    pub(crate) most_again: u64,
}

impl Tally {
    /// Of a content of so many bytes.
    pub(crate) fn of(size: u64) -> Tally {
        Tally { size, ..Tally::default() }
    }

    /// A new connection.
    pub(crate) fn reconnected(&mut self) {
        self.again = 0;
    }

    /// Content was sent.
    pub(crate) fn add(&mut self, offset: u64, len: u64) {
        let end = offset + len;
        assert!(offset <= self.reached, "bytes before {offset} were never sent");
        self.sent += len;
        self.again += self.reached.min(end) - offset.min(self.reached.min(end));
        self.most_again = self.most_again.max(self.again);
        self.reached = self.reached.max(end);
    }

    /// Bytes that were sent more than once.
    pub(crate) fn resent(&self) -> u64 {
        self.sent - self.reached
    }
}

#[test]
fn frames_are_read_however_they_are_cut() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let message = |offset: u64, len: usize, mask| {
        let mut inner = 7_u32.to_be_bytes().to_vec();
        inner.extend(offset.to_be_bytes());
        inner.extend(vec![9; len]);
        let mut frame = Frame::message(inner, OpCode::Data(Data::Binary), true);
        frame.header_mut().mask = mask;
        let mut bytes = Vec::new();
        frame.format(&mut bytes).expect("it is written");
        bytes
    };
    let mut line = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n\x81\x02{}\x89\x00".to_vec();
    line.extend(message(0, 5, Some([1, 2, 3, 4])));
    line.extend(message(5, 200, None));
    line.extend(message(205, 70_000, Some([9, 8, 7, 6])));
    line.extend(message(100, 0, None));
    for piece in [1, 3, 17, line.len()] {
        let (mut frames, mut tally) = (Frames::default(), Tally::of(70_205));
        for bytes in line.chunks(piece) {
            frames.feed(bytes, |offset, len| tally.add(offset, len));
        }
        assert_eq!((tally.sent, tally.reached, tally.most_again), (70_205, 70_205, 0));
        tally.add(70_000, 100);
        tally.add(70_100, 205);
        assert_eq!((tally.reached, tally.most_again, tally.resent()), (70_305, 205, 205));
        tally.reconnected();
        tally.add(70_300, 5);
        assert_eq!((tally.most_again, tally.resent()), (205, 210));
    }
}

//! WebSocket frames (RFC 6455, 5.2) out of the bytes of one direction: no more than it takes to read
//! what two honest ends say to each other.

use imgrepo_proto::session::data::HEADER_BYTES as DATA_HEAD_BYTES;

/// What came so far and is not a whole message.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    message: Vec<u8>,
    is_text: bool,
}

/// A message of a session.
#[derive(Debug)]
pub(crate) enum Message {
    Text(String),
    /// The head of a data message, and the bytes of content behind it.
    Data(Vec<u8>, u64),
    /// The end, with its code.
    Close(u16),
}

impl Frames {
    /// Takes the next bytes: the messages that are whole now.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.bytes.extend_from_slice(bytes);
        let mut messages = Vec::new();
        let mut at = 0;
        while let Some((opcode, is_last, payload, len, end)) = frame(&self.bytes[at..]) {
            at += end;
            match opcode {
                0..=2 => {
                    if opcode != 0 {
                        self.is_text = opcode == 1;
                    }
                    self.message.extend(payload);
                    if is_last {
                        let message = std::mem::take(&mut self.message);
                        messages.push(match self.is_text {
                            true => Message::Text(String::from_utf8(message).unwrap()),
                            false => {
                                Message::Data(message, len.saturating_sub(DATA_HEAD_BYTES as u64))
                            }
                        });
                    }
                }
                8 => {
                    let code = payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                    messages.push(Message::Close(code.unwrap_or(1005)));
                }
                // Pings and pongs come between.
                _ => {}
            }
        }
        self.bytes.drain(..at);
        messages
    }
}

/// The first frame: its opcode, whether it is the message's last, as much of its payload as is of use, how
/// long that is, and where it ends.
fn frame(bytes: &[u8]) -> Option<(u8, bool, Vec<u8>, u64, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (len, mut at) = match second & 0x7f {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        len => (len.into(), 2),
    };
    let mask: Option<[u8; 4]> = match second & 0x80 {
        0 => None,
        _ => {
            at += 4;
            Some(bytes.get(at - 4..at)?.try_into().ok()?)
        }
    };
    let end = at + len as usize;
    let payload = bytes.get(at..end)?;
    // Of a content its head tells enough, and the rest is much.
    let shown = if first & 0x0f == 1 { payload.len() } else { payload.len().min(DATA_HEAD_BYTES) };
    let mut shown = payload[..shown].to_vec();
    if let Some(mask) = mask {
        shown.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    Some((first & 0x0f, first & 0x80 != 0, shown, len, end))
}

//! A data message of v2: u32 request id and u64 absolute offset, big endian, then bytes.

use bytes::{Buf as _, Bytes, BytesMut};

use super::command::RequestId;

/// Bytes of a data message before its content.
pub const HEADER_BYTES: usize = 12;

/// The head of a data message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataHeader {
    /// The request whose content this is.
    pub id: RequestId,
    /// Where in the whole content the bytes begin.
    pub offset: u64,
}

/// A binary message that is too short to be a data message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a data message has at least 12 bytes")]
pub struct TooShort;

impl DataHeader {
    /// Splits a binary message into its head and its content, which is not copied.
    ///
    /// # Errors
    /// Messages of less than 12 bytes.
    pub fn decode(mut message: Bytes) -> Result<(DataHeader, Bytes), TooShort> {
        if message.len() < HEADER_BYTES {
            return Err(TooShort);
        }
        let header = DataHeader { id: message.get_u32(), offset: message.get_u64() };
        Ok((header, message))
    }

    /// The head as bytes.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.id.to_be_bytes());
        bytes[4..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    /// A whole data message. Content that was read right behind room for the head
    /// (`encode` into the first 12 bytes) needs no such copy.
    #[must_use]
    pub fn message(self, content: &[u8]) -> Bytes {
        let mut message = BytesMut::with_capacity(HEADER_BYTES + content.len());
        message.extend_from_slice(&self.encode());
        message.extend_from_slice(content);
        message.freeze()
    }
}

//! The frames of the control protocol: a u32 length (big endian), then that many bytes of
//! MessagePack with named members.
//!
//! Pure, and the only copy: the blocking client ([`super::client`]) and the daemon's connections
//! read into a [`Decoder`] and write what [`encode`] gives. A length is checked before anything is
//! reserved for it. What is well-formed but has no meaning here (a newer program's request) is told
//! apart from garbage, because a connection outlives the one and not the other.

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::MAX_FRAME_BYTES;

/// Bytes of the length before each frame.
const HEADER_BYTES: usize = 4;

/// Room for a read while no longer frame is under way: several small requests, cheap when idle.
const READ_BYTES: usize = 8 * 1024;

/// Values within values: several times what any frame of ours has, and a small part of the stack that
/// a thread has for reading them. The library's own 1024 are more than that in a build for tests.
const MAX_DEPTH: usize = 64;

/// Why bytes are no frame of this protocol.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The frame is longer than any may be; this many bytes.
    #[error("a frame of {0} bytes is longer than the {MAX_FRAME_BYTES} that one may have")]
    TooLong(u64),
    /// Not MessagePack. Nothing after it can be trusted.
    #[error("a frame cannot be read: {0}")]
    Garbage(String),
    /// MessagePack, but nothing that this version knows. The next frame may be.
    #[error("a frame is not known: {0}")]
    Unknown(String),
    /// A value that MessagePack cannot carry.
    #[error("a frame cannot be written: {0}")]
    Unwritable(String),
}

/// The frame that carries this value.
///
/// # Errors
/// A value longer than [`MAX_FRAME_BYTES`], or one that cannot be written.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; HEADER_BYTES];
    let mut to = rmp_serde::Serializer::new(&mut frame).with_struct_map();
    value.serialize(&mut to).map_err(|error| FrameError::Unwritable(error.to_string()))?;
    let length = frame.len() - HEADER_BYTES;
    let header = u32::try_from(length).ok().filter(|length| *length <= MAX_FRAME_BYTES);
    let header = header.ok_or(FrameError::TooLong(length as u64))?;
    frame[..HEADER_BYTES].copy_from_slice(&header.to_be_bytes());
    Ok(frame)
}

/// The value of one frame's bytes, without the length before them.
///
/// # Errors
/// [`FrameError::Garbage`] or [`FrameError::Unknown`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    read(bytes).map_err(|error| match read::<IgnoredAny>(bytes) {
        Ok(_) => FrameError::Unknown(error.to_string()),
        Err(_) => FrameError::Garbage(error.to_string()),
    })
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    let mut from = rmp_serde::Deserializer::from_read_ref(bytes);
    from.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut from)
}

/// Cuts a stream of bytes into frames. Read into [`Decoder::space`], tell [`Decoder::filled`], take
/// frames with [`Decoder::next`] until there is none.
#[derive(Debug, Default)]
pub struct Decoder {
    /// `buffer[start..end]` is what was read and not taken.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the last frame was long: more such will come, so its room is kept.
    long: bool,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Decoder::default()
    }

    /// Room for the next read: never empty, and no more than the frame under way needs. Call it
    /// after [`Decoder::next`] gave None.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let frame = match self.length() {
            // `next` refuses a longer one before it is asked for space.
            Some(length) => HEADER_BYTES + length.min(MAX_FRAME_BYTES) as usize,
            None => 0,
        };
        let wanted = frame.max(READ_BYTES).max(self.end + 1);
        if self.buffer.len() < wanted || (self.buffer.len() > wanted && !self.long) {
            self.buffer.resize(wanted, 0);
            self.buffer.shrink_to(2 * wanted);
        }
        &mut self.buffer[self.end..]
    }

    /// This many bytes of [`Decoder::space`] were read.
    pub fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    /// The next whole frame; None until more is read.
    ///
    /// # Errors
    /// See [`FrameError`]. After [`FrameError::Unknown`] the frame is taken and the next may be
    /// asked for; after any other the stream is of no use.
    #[allow(clippy::should_implement_trait)] // It is asked for a type, and may be asked again after None.
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some(length) = self.length() else { return Ok(None) };
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong(u64::from(length)));
        }
        let begin = self.start + HEADER_BYTES;
        let end = begin + length as usize;
        if end > self.end {
            return Ok(None);
        }
        self.start = end;
        self.long = end - begin > READ_BYTES;
        decode(&self.buffer[begin..end]).map(Some)
    }

    /// Whether the stream may end here: nothing of a frame is waiting.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.start == self.end
    }

    fn length(&self) -> Option<u32> {
        let header = self.buffer[self.start..self.end].first_chunk::<HEADER_BYTES>()?;
        Some(u32::from_be_bytes(*header))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::control::{Reply, Request};

    fn feed(
        decoder: &mut Decoder,
        mut bytes: &[u8],
        step: usize,
    ) -> Vec<Result<Request, FrameError>> {
        let mut frames = Vec::new();
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(Ok(frame)),
                Err(FrameError::Unknown(what)) => frames.push(Err(FrameError::Unknown(what))),
                Err(error) => {
                    frames.push(Err(error));
                    return frames;
                }
                Ok(None) if bytes.is_empty() => return frames,
                Ok(None) => {
                    let space = decoder.space();
                    let now = space.len().min(bytes.len()).min(step);
                    space[..now].copy_from_slice(&bytes[..now]);
                    decoder.filled(now);
                    bytes = &bytes[now..];
                }
            }
        }
    }

    #[test]
    fn a_long_length_is_refused_before_room_is_made_for_it() {
        let mut decoder = Decoder::new();
        let frames = feed(&mut decoder, &u32::MAX.to_be_bytes(), 4);
        assert!(matches!(frames[..], [Err(FrameError::TooLong(4_294_967_295))]));
        assert!(decoder.buffer.capacity() <= 4 * READ_BYTES);
        assert!(matches!(
            encode(&Request::Data(vec![0; MAX_FRAME_BYTES as usize])),
            Err(FrameError::TooLong(_))
        ));
    }

    #[test]
    fn what_is_unknown_is_told_apart_from_garbage() {
        let mut stream = encode(&std::collections::BTreeMap::from([("polish", 1)])).unwrap();
        stream.extend(encode(&Request::Status).unwrap());
        stream.extend([0, 0, 0, 1, 0xc1]); // 0xc1 is never used in MessagePack.
        let frames = feed(&mut Decoder::new(), &stream, 3);
        assert!(matches!(
            frames[..],
            [Err(FrameError::Unknown(_)), Ok(Request::Status), Err(FrameError::Garbage(_))]
        ));
    }

    #[test]
    fn what_is_too_deep_is_garbage_and_ends_nobody() {
        // A thread's stack as programs have it, in a build that is not optimised.
        for open in [&[0x91][..], &[0x81, 0xa1, b'a'], &[0x81, 0x91]] {
            let deep = open.repeat(1_000_000 / open.len());
            assert!(matches!(decode::<Request>(&deep), Err(FrameError::Garbage(_))));
            assert!(matches!(decode::<Reply>(&deep), Err(FrameError::Garbage(_))));
        }
    }

    #[test]
    fn room_that_a_long_frame_needed_is_given_back() {
        let mut decoder = Decoder::new();
        let long = encode(&Request::Data(vec![7; 512 * 1024])).unwrap();
        assert_eq!(feed(&mut decoder, &long, usize::MAX).len(), 1);
        assert!(decoder.space().len() > 512 * 1024, "kept for the next long one");
        assert_eq!(feed(&mut decoder, &encode(&Request::End).unwrap(), usize::MAX).len(), 1);
        assert_eq!(decoder.space().len(), READ_BYTES);
        assert!(decoder.buffer.capacity() <= 2 * READ_BYTES);
        assert!(decoder.is_between_frames());
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), step in 1usize..50) {
            feed(&mut Decoder::new(), &bytes, step);
            let _ = decode::<Reply>(&bytes);
            let _ = decode::<crate::control::Hello>(&bytes);
        }

        #[test]
        fn frames_come_back_however_the_stream_is_cut(
            sizes in proptest::collection::vec(0usize..20_000, 1..6),
            step in 1usize..9000,
        ) {
            let requests: Vec<Request> = sizes.iter().map(|n| Request::Data(vec![3; *n])).collect();
            let stream: Vec<u8> = requests.iter().flat_map(|r| encode(r).unwrap()).collect();
            let frames: Vec<Request> =
                feed(&mut Decoder::new(), &stream, step).into_iter().map(Result::unwrap).collect();
            prop_assert_eq!(frames, requests);
        }
    }
}

//! A kept picture: its file's head, and its bytes on their way out. Called by the cache alone.
//!
//! The head: `imgv`, a version, the media type's length, the picture's length and its BLAKE3 hash, the
//! media type; then the picture. A small one is in memory, a large one is read from its file as it is
//! sent, so that a slow reader holds a descriptor and no more.

use std::fs::File;
use std::io::{self, Read as _};

use bytes::Bytes;
use imgrepo_proto::BlobHash;

const MAGIC: &[u8; 4] = b"imgv";
const VERSION: u8 = 1;

/// Bytes of the head before the media type.
const FIXED_BYTES: usize = 4 + 1 + 1 + 8 + 32;

/// The largest picture that is kept in memory: what one data message holds.
const IN_MEMORY_BYTES: u64 = imgrepo_proto::limits::DATA_MESSAGE_BYTES as u64;

/// The bytes that are hashed at once where a picture is not kept in memory.
const PIECE_BYTES: usize = 64 * 1024;

/// A picture that is there and whole. It can be read to its end even when its file goes.
#[derive(Debug)]
pub struct Kept {
    /// Its media type.
    pub media_type: String,
    /// Its own hash.
    pub hash: BlobHash,
    size_bytes: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Bytes),
    File(Option<File>, u64),
}

/// The head of a picture's file.
pub(super) fn head(media_type: &str, bytes: &[u8]) -> Vec<u8> {
    let media_type = media_type.as_bytes();
    let media_len = u8::try_from(media_type.len()).unwrap_or(u8::MAX);
    let mut head = Vec::with_capacity(FIXED_BYTES + media_type.len());
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&[VERSION, media_len]);
    head.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    head.extend_from_slice(blake3::hash(bytes).as_bytes());
    head.extend_from_slice(&media_type[..usize::from(media_len)]);
    head
}

impl Kept {
    /// One that is in memory alone, because the disk did not take it.
    #[must_use]
    pub fn new(media_type: &str, bytes: Bytes) -> Kept {
        Kept {
            media_type: media_type.to_owned(),
            hash: BlobHash(*blake3::hash(&bytes).as_bytes()),
            size_bytes: bytes.len() as u64,
            place: Place::Memory(bytes),
        }
    }

    /// Reads and checks a whole file; None where it is not as it was written.
    pub(super) fn read(mut file: &File) -> Option<Kept> {
        let file_bytes = file.metadata().ok()?.len();
        let mut fixed = [0; FIXED_BYTES];
        file.read_exact(&mut fixed).ok()?;
        let (magic, rest) = fixed.split_first_chunk::<4>()?;
        let ([version, media_len], rest) = rest.split_first_chunk::<2>()?;
        let (len, hash) = rest.split_first_chunk::<8>()?;
        let hash = BlobHash(*hash.first_chunk::<32>()?);
        let size_bytes = u64::from_be_bytes(*len);
        let at = FIXED_BYTES as u64 + u64::from(*media_len);
        if magic != MAGIC || *version != VERSION || file_bytes.checked_sub(at) != Some(size_bytes) {
            return None;
        }
        let mut media_type = vec![0; usize::from(*media_len)];
        file.read_exact(&mut media_type).ok()?;
        let media_type = String::from_utf8(media_type).ok()?;
        let (place, found) = if size_bytes <= IN_MEMORY_BYTES {
            let mut bytes = vec![0; usize::try_from(size_bytes).ok()?];
            file.read_exact(&mut bytes).ok()?;
            let found = blake3::hash(&bytes);
            (Place::Memory(bytes.into()), found)
        } else {
            let (mut hasher, mut left) = (blake3::Hasher::new(), size_bytes);
            let mut piece = vec![0; PIECE_BYTES];
            while left > 0 {
                let len = left.min(PIECE_BYTES as u64) as usize;
                let piece = piece.get_mut(..len)?;
                file.read_exact(piece).ok()?;
                hasher.update(piece);
                left -= len as u64;
            }
            (Place::File(None, at), hasher.finalize())
        };
        (*found.as_bytes() == hash.0).then_some(Kept { media_type, hash, size_bytes, place })
    }

    /// The same, to be read from this file where it is large.
    pub(super) fn within(mut self, file: File) -> Kept {
        if let Place::File(place, _) = &mut self.place {
            *place = Some(file);
        }
        self
    }

    /// It, where it is in memory.
    #[must_use]
    pub fn in_memory(&self) -> Option<Bytes> {
        match &self.place {
            Place::Memory(bytes) => Some(bytes.clone()),
            Place::File(..) => None,
        }
    }

    /// Bytes of it.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads from this offset until the buffer is full. Blocks.
    ///
    /// # Errors
    /// The disk's; an end before that.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        match &self.place {
            Place::Memory(bytes) => {
                let start = usize::try_from(offset).map_err(|_| end())?;
                let to = start.checked_add(buffer.len()).ok_or_else(end)?;
                buffer.copy_from_slice(bytes.get(start..to).ok_or_else(end)?);
                Ok(())
            }
            Place::File(Some(file), at) => read_exact_at(file, buffer, at + offset),
            Place::File(None, _) => Err(end()),
        }
    }

    /// All of it, without a copy where it is in memory. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub fn bytes(&self) -> io::Result<Bytes> {
        if let Some(bytes) = self.in_memory() {
            return Ok(bytes);
        }
        let len = usize::try_from(self.size_bytes).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes.into())
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

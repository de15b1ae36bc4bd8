//! One file of the journal: contents one after the other, each behind a header that says how long it
//! is and what its hash is. Written at its end alone and read anywhere; knows no other file.
//!
//! A header is `imgj`, the version and the length (u32, little endian), four zero bytes, and the
//! BLAKE3 hash. A tail that a power cut tore is told by its headers and hashes: nothing in it was
//! acknowledged. What is damaged is told in the same way, and costs no other content.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use imgrepo_proto::BlobHash;

use crate::repository::blobs::files::{read_at_once, read_exact_at};
use crate::repository::blobs::{APPENDED_BYTES, Blob};
use crate::repository::durable::{self, SyncPoint};
use crate::repository::gather::write_all;

const MAGIC: [u8; 4] = *b"imgj";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: u64 = 48;

/// More than a segment ever has: its 32 MiB, and the group that exceeded them.
const MOST_BYTES: u64 = 128 * 1024 * 1024;

/// A content in a segment: where its bytes begin, and how many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) bytes: u32,
}

/// The segment that grows.
#[derive(Debug)]
pub(super) struct Growing {
    file: File,
    end: u64,
}

pub(super) fn header(hash: &BlobHash, bytes: u32) -> [u8; HEADER_BYTES as usize] {
    let mut header = [0; HEADER_BYTES as usize];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&VERSION.to_le_bytes());
    header[8..12].copy_from_slice(&bytes.to_le_bytes());
    header[16..].copy_from_slice(&hash.0);
    header
}

impl Growing {
    /// Makes a new file.
    pub(super) fn create(path: &Path) -> io::Result<Growing> {
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(path)?;
        Ok(Growing { file, end: 0 })
    }

    /// The same file, to read from.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Adds contents at the end, for good, and says where they are. After an error nothing was added.
    pub(super) fn append(&mut self, contents: &[&(BlobHash, Bytes)]) -> io::Result<Vec<Extent>> {
        let mut end = self.end;
        let mut extents = Vec::with_capacity(contents.len());
        let mut headers = Vec::with_capacity(contents.len());
        for (hash, content) in contents {
            let bytes = u32::try_from(content.len()).map_err(io::Error::other)?;
            extents.push(Extent { start: end + HEADER_BYTES, bytes });
            headers.push(header(hash, bytes));
            end += HEADER_BYTES + u64::from(bytes);
        }
        let parts = headers.iter().zip(contents);
        let mut slices: Vec<IoSlice<'_>> = parts
            .flat_map(|(header, (_, content))| [IoSlice::new(header), IoSlice::new(content)])
            .collect();
        write_all(&mut self.file, &mut slices)?;
        durable::sync_bytes(SyncPoint::Journal, &self.file)?;
        self.end = end;
        Ok(extents)
    }

    /// Cuts off what a failed append left.
    pub(super) fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)
    }
}

/// The whole contents in a file. What is damaged or torn costs itself alone: behind a head that is none
/// the next one is looked for, and what its hash confirms is a content wherever it stands.
///
/// # Errors
/// The disk's, and a file of a version that this program does not know.
pub(super) fn replay(file: impl Read) -> io::Result<Vec<(BlobHash, Extent)>> {
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        match whole(head, &bytes[at + head.len()..]) {
            Some((hash, len)) => {
                let start = at as u64 + HEADER_BYTES;
                found.push((hash, Extent { start, bytes: len }));
                at += head.len() + len as usize;
            }
            None => {
                let next = bytes[at + 1..].windows(MAGIC.len()).position(|bytes| bytes == MAGIC);
                let Some(next) = next else { break };
                at += 1 + next;
            }
        }
    }
    let version = bytes.first_chunk().and_then(version);
    match version {
        // Of one that is known, another version is a damaged head.
        Some(version) if version != VERSION && version != 0 && found.is_empty() => {
            let message = format!("the journal's version {version} is not known here");
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        }
        _ => Ok(found),
    }
}

/// The version that a head says; None of what is no head.
fn version(head: &[u8; HEADER_BYTES as usize]) -> Option<u32> {
    (head[..4] == MAGIC).then(|| number(head, 4))
}

fn number(head: &[u8; HEADER_BYTES as usize], from: usize) -> u32 {
    u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]])
}

/// The content behind a head, by its hash and its length, where it is all there.
fn whole(head: &[u8; HEADER_BYTES as usize], rest: &[u8]) -> Option<(BlobHash, u32)> {
    let len = number(head, 8);
    if version(head) != Some(VERSION) || u64::from(len) > APPENDED_BYTES {
        return None;
    }
    let content = rest.get(..len as usize)?;
    let hash = BlobHash(*head.last_chunk()?);
    (blake3::hash(content).as_bytes() == &hash.0).then_some((hash, len))
}

/// A content in a segment, which stays readable when the segment is removed.
pub(super) struct JournalBlob {
    file: Arc<File>,
    extent: Extent,
}

impl JournalBlob {
    pub(super) fn new(file: Arc<File>, extent: Extent) -> JournalBlob {
        JournalBlob { file, extent }
    }
}

impl Blob for JournalBlob {
    fn size_bytes(&self) -> u64 {
        u64::from(self.extent.bytes)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size_bytes()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read_exact_at(&self.file, buffer, self.extent.start + offset)
    }

    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> usize {
        // Behind it is another's.
        let left = self.size_bytes().saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        read_at_once(&self.file, &mut buffer[..len], self.extent.start.saturating_add(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: &[u8]) -> (BlobHash, Bytes) {
        (BlobHash(*blake3::hash(bytes).as_bytes()), Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn a_tail_torn_at_any_byte_costs_the_last_content_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1");
        let contents = [content(&[1; 3000]), content(b""), content(&[2; 500])];
        let mut growing = Growing::create(&path).unwrap();
        let extents = growing.append(&contents.each_ref()).unwrap();
        let last = contents.len() - 1;
        let whole: Vec<_> = contents.iter().map(|(hash, _)| *hash).zip(extents).collect();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, growing.end);
        let torn = |bytes: &[u8]| replay(bytes).unwrap();
        assert_eq!(torn(&bytes), whole);
        for cut in bytes.len() - 548..bytes.len() {
            assert_eq!(torn(&bytes[..cut]), whole[..last], "cut at {cut}");
            // The length came to the disk, the bytes did not.
            let mut zeros = bytes.clone();
            zeros[cut..].fill(0);
            if zeros != bytes {
                assert_eq!(torn(&zeros), whole[..last], "zeros from {cut}");
            }
        }
        // Damage in the middle costs what is damaged.
        let mut damaged = bytes.clone();
        damaged[100] ^= 1;
        assert_eq!(torn(&damaged), whole[1..]);
        // So does damage of a head, whichever bit of it.
        for bit in 0..8 * HEADER_BYTES as usize {
            for (content, at) in [(0, 0), (1, 3048)] {
                let mut damaged = bytes.clone();
                damaged[at + bit / 8] ^= 1 << (bit % 8);
                let found = torn(&damaged);
                let others: Vec<_> =
                    whole.iter().filter(|other| **other != whole[content]).copied().collect();
                // Four bytes of it say nothing.
                let is_whole = (12..16).contains(&(bit / 8));
                assert_eq!(&found, if is_whole { &whole } else { &others }, "bit {bit}");
            }
        }
        let mut newer = bytes;
        for at in [0, 3048, 3096] {
            newer[at + 4] = 2;
        }
        let error = replay(&newer[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

//! One file of the journal: contents one after the other, each behind a header that says how long it
//! is and what its hash is. Written at its end alone and read anywhere; knows no other file.
//!
//! A header is `imgj`, the version and the length (u32, little endian), four zero bytes, and the
//! BLAKE3 hash. A tail that a power cut tore is told by its headers and hashes: nothing in it was
//! acknowledged.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, IoSlice, Read};
use std::path::Path;

use bytes::Bytes;
use imgrepo_proto::BlobHash;

use crate::repository::blobs::APPENDED_BYTES;
use crate::repository::durable::{self, SyncPoint};
use crate::repository::gather::write_all;

const MAGIC: [u8; 4] = *b"imgj";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: u64 = 48;

/// Read at a time when a segment is replayed.
const REPLAY_BYTES: usize = 1024 * 1024;

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

/// The whole contents in a file, up to the first header that is none.
///
/// # Errors
/// The disk's, and a header of a version that this program does not know.
pub(super) fn replay(file: impl Read) -> io::Result<Vec<(BlobHash, Extent)>> {
    let mut reader = BufReader::with_capacity(REPLAY_BYTES, file);
    let mut found = Vec::new();
    let mut at = 0;
    let mut content = Vec::new();
    loop {
        let mut header = [0; HEADER_BYTES as usize];
        if !is_filled(reader.read_exact(&mut header))? {
            return Ok(found);
        }
        let number = |from: usize| {
            u32::from_le_bytes([header[from], header[from + 1], header[from + 2], header[from + 3]])
        };
        let bytes = number(8);
        if header[..4] != MAGIC || number(4) == 0 || u64::from(bytes) > APPENDED_BYTES {
            return Ok(found);
        }
        if number(4) != VERSION {
            let message = format!("the journal's version {} is not known here", number(4));
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        content.resize(bytes as usize, 0);
        if !is_filled(reader.read_exact(&mut content))? {
            return Ok(found);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(&header[16..]);
        let start = at + HEADER_BYTES;
        at = start + u64::from(bytes);
        // A content that is damaged says nothing of those behind it.
        if blake3::hash(&content).as_bytes() == &hash {
            found.push((BlobHash(hash), Extent { start, bytes }));
        }
    }
}

/// Whether there was enough to read; the end is no error.
fn is_filled(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
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
        let mut newer = bytes;
        newer[4] = 2;
        let error = replay(&newer[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

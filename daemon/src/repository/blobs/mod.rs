//! Contents, addressed by their hash. Local files today; an object store fits behind the same
//! trait, so nothing here needs a put-if-absent, an append or a lock.
//!
//! A content comes as a staged local file whose hash was checked and whose bytes were synced, and is
//! durable when [`BlobStore::place`] returns. Small ones come as bytes, many at once: a file of its own costs each
//! of them more than its bytes do. All calls block. Who refers to a blob is the catalog's matter:
//! the repository alone places, appends and removes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use imgrepo_proto::BlobHash;

pub use anew::{Anew, Reading};
pub(super) use files::open_file;
pub(crate) use reader::Reader;

use super::figures::JournalStanding;

mod anew;
#[cfg(test)]
mod conformance;
mod files;
pub(super) mod journal;
pub(super) mod lost;
pub mod memory;
mod reader;
pub(super) mod sound;

/// The largest content that is appended. Measured: one file with its syncs costs as much as writing
/// some 250 KB, so above that writing a content twice costs more than it saves.
pub const APPENDED_BYTES: u64 = 256 * 1024;

/// Where contents are.
pub trait BlobStore: Send + Sync {
    /// Takes the staged file of this hash, whose bytes are on disk: when this returns the content
    /// survives a power cut and this name is gone. Placing what is there already leaves it as it is,
    /// or replaces it by the same bytes. After an error the blob may be there or not; the staged file
    /// too.
    fn place(&self, hash: BlobHash, staged: &Path) -> io::Result<()>;

    /// Takes small contents that are whole and checked: when this returns they survive a power cut.
    /// After an error each may be here or not. Called by one thread at a time.
    fn append(&self, contents: &[(BlobHash, Bytes)]) -> io::Result<()>;

    /// Whether [`BlobStore::append`] is the better way at the moment; contents are placed else.
    fn wants_appends(&self) -> bool;

    /// The content of this hash, None where it is not here. What is open can be read to its end
    /// even when it is removed meanwhile.
    fn open(&self, hash: BlobHash) -> io::Result<Option<Arc<dyn Blob>>>;

    /// Removes the content of this hash. No error where it is not here.
    fn remove(&self, hash: BlobHash) -> io::Result<()>;

    /// The hashes that begin with this byte, of every content here: a 256th part at a time, so
    /// that who looks for garbage holds up nothing.
    fn slice(&self, first_byte: u8) -> io::Result<Vec<BlobHash>>;

    /// The same, each with the bytes that are there of it, damaged or not.
    fn sizes(&self, first_byte: u8) -> io::Result<Vec<(BlobHash, u64)>>;

    /// Hashes the bytes that are here under this hash, read from the disk itself where the system
    /// lets us; None where there are none. `goes_on` hears of each piece's bytes, and ends it by
    /// false: an error of the kind `Interrupted`.
    fn hash_anew(
        &self,
        hash: BlobHash,
        goes_on: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<Option<Anew>>;

    /// Moves what is here under this hash, damaged or not, to a file of this name, which is free and
    /// on the same disk; false where nothing is here.
    fn set_aside(&self, hash: BlobHash, to: &Path) -> io::Result<bool>;

    /// What is wrong with the store's own files, in words; contents are looked at one by one.
    fn inspect(&self) -> Vec<String> {
        Vec::new()
    }

    /// How the journal of appended contents stands, where they go into one.
    fn journal(&self) -> Option<JournalStanding> {
        None
    }

    /// Ends what goes on beside the calls, within some seconds. Reading still works.
    fn close(&self) {}
}

/// A content that is open.
pub trait Blob: Send + Sync {
    /// Bytes of the content.
    fn size_bytes(&self) -> u64;

    /// Reads from this offset until the buffer is full; an end before that is an error.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// As much from this offset on as can be had without a wait for the disk, at most a bufferful: how
    /// many bytes. It may always be none.
    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> usize {
        let _ = (buffer, offset);
        0
    }

    /// The content, where all of it is in memory.
    fn in_memory(&self) -> Option<Bytes> {
        None
    }
}

//! A blob store behind the knowledge of what is lost: what is damaged is not given to anybody, a read
//! that the disk fails makes a content lost, and a content that comes again takes the place of its
//! damaged one, whose bytes are moved aside. Everyone in the repository has its contents through this
//! but for the check, which must see what is there.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use imgrepo_proto::BlobHash;

use super::lost::Lost;
use super::{Anew, Blob, BlobStore};
use crate::repository::figures::JournalStanding;

/// Contents that are whole, as far as anybody knows.
pub(crate) struct SoundBlobs {
    raw: Arc<dyn BlobStore>,
    lost: Arc<Lost>,
}

impl SoundBlobs {
    pub(crate) fn new(raw: Arc<dyn BlobStore>, lost: Lost) -> SoundBlobs {
        SoundBlobs { raw, lost: Arc::new(lost) }
    }

    /// What is there, damaged or not.
    pub(crate) fn raw(&self) -> &dyn BlobStore {
        &*self.raw
    }

    /// What is known to be lost.
    pub(crate) fn lost(&self) -> &Arc<Lost> {
        &self.lost
    }

    /// Moves what is there of a lost content aside. No error where nothing is.
    pub(crate) fn set_aside(&self, hash: BlobHash) -> io::Result<bool> {
        self.raw.set_aside(hash, &self.lost.aside(hash)?)
    }
}

impl BlobStore for SoundBlobs {
    fn place(&self, hash: BlobHash, staged: &Path) -> io::Result<()> {
        let was_lost = self.lost.contains(hash);
        if was_lost {
            self.set_aside(hash)?;
        }
        self.raw.place(hash, staged)?;
        if was_lost {
            self.lost.unmark(hash);
        }
        Ok(())
    }

    fn append(&self, contents: &[(BlobHash, Bytes)]) -> io::Result<()> {
        let is_lost = |hash: &BlobHash| self.lost.contains(*hash);
        let lost: Vec<BlobHash> = contents.iter().map(|(hash, _)| *hash).filter(is_lost).collect();
        for hash in &lost {
            self.set_aside(*hash)?;
        }
        self.raw.append(contents)?;
        for hash in lost {
            self.lost.unmark(hash);
        }
        Ok(())
    }

    fn wants_appends(&self) -> bool {
        self.raw.wants_appends()
    }

    fn open(&self, hash: BlobHash) -> io::Result<Option<Arc<dyn Blob>>> {
        if self.lost.contains(hash) {
            return Ok(None);
        }
        let blob = self.raw.open(hash).inspect_err(|error| self.look(hash, error))?;
        let lost = &self.lost;
        Ok(blob.map(|blob| Arc::new(Read { hash, blob, lost: lost.clone() }) as Arc<dyn Blob>))
    }

    fn remove(&self, hash: BlobHash) -> io::Result<()> {
        self.raw.remove(hash)?;
        if self.lost.contains(hash) {
            self.lost.unmark(hash);
        }
        Ok(())
    }

    fn slice(&self, first_byte: u8) -> io::Result<Vec<BlobHash>> {
        self.raw.slice(first_byte)
    }

    fn sizes(&self, first_byte: u8) -> io::Result<Vec<(BlobHash, u64)>> {
        self.raw.sizes(first_byte)
    }

    fn hash_anew(
        &self,
        hash: BlobHash,
        goes_on: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<Option<Anew>> {
        let hashed =
            self.raw.hash_anew(hash, goes_on).inspect_err(|error| self.look(hash, error))?;
        if hashed.is_some_and(|anew| anew.hash != hash) {
            self.lost.mark(hash, &"its bytes have another hash");
        }
        Ok(hashed)
    }

    fn set_aside(&self, hash: BlobHash, to: &Path) -> io::Result<bool> {
        self.raw.set_aside(hash, to)
    }

    fn inspect(&self) -> Vec<String> {
        self.raw.inspect()
    }

    fn journal(&self) -> Option<JournalStanding> {
        self.raw.journal()
    }

    fn close(&self) {
        self.raw.close();
    }
}

impl SoundBlobs {
    fn look(&self, hash: BlobHash, error: &io::Error) {
        if is_damage(error) {
            self.lost.mark(hash, error);
        }
    }
}

/// Whether an error of the disk says that these bytes are gone, not that there was no memory, no
/// descriptor or no right to read them.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    /// EIO, ENODATA (a sector that a disk gave up) and EUCLEAN (a file system that is corrupt), as
    /// Linux numbers them; the first is the same everywhere.
    const GONE: &[i32] = if cfg!(target_os = "linux") { &[5, 61, 117] } else { &[5] };
    error.kind() == io::ErrorKind::UnexpectedEof
        || error.raw_os_error().is_some_and(|code| GONE.contains(&code))
}

/// A content that somebody reads.
struct Read {
    hash: BlobHash,
    blob: Arc<dyn Blob>,
    lost: Arc<Lost>,
}

impl Blob for Read {
    fn size_bytes(&self) -> u64 {
        self.blob.size_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.blob.read_exact_at(buffer, offset);
        if let Err(error) = &read
            && is_damage(error)
            // Who asks for more than there is learns nothing of the disk.
            && offset.checked_add(buffer.len() as u64).is_some_and(|end| end <= self.size_bytes())
        {
            self.lost.mark(self.hash, error);
        }
        read
    }

    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> usize {
        // A fault is met again, and noted, where the rest is read.
        self.blob.read_at_once(buffer, offset)
    }

    fn in_memory(&self) -> Option<Bytes> {
        self.blob.in_memory()
    }
}

//! The bytes of one upload in progress: a file that grows from its start, hashed as it grows.
//! Called by `slot`, under its lock; knows neither the table nor the catalog.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IoSlice, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use imgrepo_proto::BlobHash;

use crate::repository::gather::write_all;

/// Pieces below this are hashed together: BLAKE3 loses 40 % on updates of 8 KiB, nothing on 64 KiB.
const HASH_PIECE_BYTES: usize = 64 * 1024;

/// Read at a time when held bytes are hashed again.
const REHASH_BYTES: usize = 1024 * 1024;

/// Where a body is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Takes bytes.
    #[default]
    Open,
    /// Whole, checked and on its way into the repository.
    Sealed,
    /// The same, with a name here that stays until a record has it.
    Kept,
    /// A newer upload has it.
    TakenOver,
    /// Refused; its file is gone.
    Dropped,
}

/// The bytes so far.
#[derive(Default)]
pub(super) struct Body {
    pub(super) phase: Phase,
    /// Bytes in the file from its start.
    pub(super) written: u64,
    /// Of these, on disk for sure.
    pub(super) synced: u64,
    /// The first bytes may be an image's, or are not known: the whole is probed in any case.
    pub(super) is_promising: bool,
    /// The first bytes, until they tell.
    pub(super) first: Vec<u8>,
    /// The file at its end and the hash of what is in it; None before the first byte, after a
    /// suspension, and after a failed write, when the two may differ.
    growing: Option<Growing>,
}

struct Growing {
    file: File,
    hasher: blake3::Hasher,
}

/// A content that is whole and has its announced hash.
pub(crate) struct Sealed {
    pub(crate) hash: BlobHash,
    pub(crate) file: File,
}

impl Body {
    /// A body that was suspended: its file is read again before it grows.
    pub(super) fn suspended(held: u64, synced: u64) -> Body {
        Body { written: held, synced, is_promising: true, ..Body::default() }
    }

    /// A body whose file is gone.
    pub(super) fn dropped() -> Body {
        Body { phase: Phase::Dropped, ..Body::default() }
    }

    /// Moves everything to a newer owner; None where the content is whole or gone.
    pub(super) fn take_over(&mut self) -> Option<Body> {
        if self.phase != Phase::Open {
            return None;
        }
        let taken = std::mem::take(self);
        self.phase = Phase::TakenOver;
        Some(taken)
    }

    /// Opens the file and hashes what it holds, from nothing where it holds less than was said.
    pub(super) fn warm_up(&mut self, path: &Path) -> io::Result<()> {
        if self.growing.is_some() {
            return Ok(());
        }
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let found = file.metadata()?;
        if found.len() < self.written {
            self.written = 0;
            self.synced = 0;
        }
        if found.len() > self.written {
            // A content that was whole may be a blob by now, whose bytes nobody may touch.
            if has_more_names(&found) {
                return Err(io::Error::other("it is more than was kept, and has another name too"));
            }
            file.set_len(self.written)?;
        }
        let mut hasher = blake3::Hasher::new();
        if self.written > 0 {
            let mut buffer = vec![0; REHASH_BYTES];
            loop {
                let read = file.read(&mut buffer)?;
                if read == 0 {
                    break;
                }
                hasher.update(&buffer[..read]);
            }
            file.seek(SeekFrom::Start(self.written))?;
        }
        self.growing = Some(Growing { file, hasher });
        Ok(())
    }

    /// Adds bytes at the end. After an error none of them count.
    pub(super) fn grow(&mut self, path: &Path, pieces: &[Bytes]) -> io::Result<()> {
        self.warm_up(path)?;
        // Put back only when all is well: see `growing`.
        let Some(mut growing) = self.growing.take() else {
            return Err(io::ErrorKind::Other.into());
        };
        hash_all(&mut growing.hasher, pieces);
        let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        write_all(&mut growing.file, &mut slices)?;
        self.growing = Some(growing);
        self.written += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        Ok(())
    }

    /// The file, while it is open.
    pub(super) fn file(&mut self) -> Option<&mut File> {
        self.growing.as_mut().map(|growing| &mut growing.file)
    }

    /// The end of growing: the hash of it all, and the file.
    pub(super) fn finish(&mut self, path: &Path) -> io::Result<Sealed> {
        self.warm_up(path)?;
        let Some(growing) = self.growing.take() else { return Err(io::ErrorKind::Other.into()) };
        let hash = BlobHash(*growing.hasher.finalize().as_bytes());
        Ok(Sealed { hash, file: growing.file })
    }
}

#[cfg(unix)]
fn has_more_names(file: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(file) > 1
}

/// Unknown elsewhere, where only the catalog's word keeps a whole content from being cut.
#[cfg(not(unix))]
fn has_more_names(_: &Metadata) -> bool {
    false
}

fn hash_all(hasher: &mut blake3::Hasher, pieces: &[Bytes]) {
    let mut small = Vec::new();
    for piece in pieces {
        if small.is_empty() && piece.len() >= HASH_PIECE_BYTES {
            hasher.update(piece);
            continue;
        }
        small.extend_from_slice(piece);
        if small.len() >= HASH_PIECE_BYTES {
            hasher.update(&small);
            small.clear();
        }
    }
    hasher.update(&small);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_file_with_another_name_is_not_cut() {
        let scratch = tempfile::tempdir().unwrap();
        let (staged, blob) = (scratch.path().join("staged"), scratch.path().join("blob"));
        std::fs::write(&blob, b"whole").unwrap();
        std::fs::hard_link(&blob, &staged).unwrap();
        Body::suspended(5, 0).warm_up(&staged).unwrap();
        assert!(Body::suspended(2, 2).warm_up(&staged).is_err());
        assert!(Body::suspended(9, 9).warm_up(&staged).is_err());
        assert_eq!(std::fs::read(&blob).unwrap(), b"whole");
        std::fs::remove_file(&blob).unwrap();
        Body::suspended(2, 2).warm_up(&staged).unwrap();
        assert_eq!(std::fs::read(&staged).unwrap(), b"wh");
    }
}

//! Contents as files: `blobs/ab/<hash>`, in 256 directories by the hash's first byte. Used by
//! `journal`, which keeps the small ones for a while; touches nothing beside that directory.
//!
//! 256 directories keep each at some thousands of names for a million images, and exist from the
//! start, so that placing a blob never has a new parent to sync.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgrepo_proto::BlobHash;

use super::Blob;
use super::anew::{self, Anew};
use crate::repository::durable::{self, SyncPoint};

/// Contents in a directory of the local disk.
#[derive(Debug)]
pub(super) struct FileBlobs {
    root: PathBuf,
}

impl FileBlobs {
    /// Opens the directory, made with all its parts where they are missing.
    pub(super) fn open(root: &Path) -> io::Result<FileBlobs> {
        let mut is_new = false;
        for byte in 0..=u8::MAX {
            let directory = root.join(format!("{byte:02x}"));
            if !directory.is_dir() {
                fs::create_dir_all(&directory)?;
                is_new = true;
            }
        }
        if is_new {
            durable::sync_directory(SyncPoint::Layout, root)?;
        }
        Ok(FileBlobs { root: root.to_owned() })
    }

    /// Whether a directory of blobs, if there is one at all, holds any.
    pub(super) fn is_empty(root: &Path) -> io::Result<bool> {
        let directories = match fs::read_dir(root) {
            Ok(directories) => directories,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        for directory in directories {
            let directory = directory?.path();
            if directory.is_dir() && !hashes(&directory)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn directory(&self, first_byte: u8) -> PathBuf {
        self.root.join(format!("{first_byte:02x}"))
    }

    fn path(&self, hash: BlobHash) -> PathBuf {
        self.directory(hash.0[0]).join(hash.to_string())
    }
}

/// The names in a directory that are hashes; others are not ours and stay as they are.
fn hashes(directory: &Path) -> io::Result<Vec<BlobHash>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        if let Some(hash) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push(hash);
        }
    }
    Ok(found)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl FileBlobs {
    /// Puts a synced file whose hash this is into its place, for good.
    pub(super) fn place(&self, hash: BlobHash, staged: &Path) -> io::Result<()> {
        self.name(hash, staged)?;
        self.sync_names(hash.0[0])
    }

    /// Gives a staged file its name, which is there for good after [`FileBlobs::sync_names`].
    pub(super) fn name(&self, hash: BlobHash, staged: &Path) -> io::Result<()> {
        // Over what may be there: the same bytes, whose own sync nobody vouches for.
        fs::rename(staged, self.path(hash))?;
        // Where both names were one file's already, a rename does nothing (POSIX).
        remove_file(staged)
    }

    /// Waits until the names that begin with this byte are on disk.
    pub(super) fn sync_names(&self, first_byte: u8) -> io::Result<()> {
        durable::sync_directory(SyncPoint::BlobDirectory, &self.directory(first_byte))
    }

    pub(super) fn open_blob(&self, hash: BlobHash) -> io::Result<Option<Arc<dyn Blob>>> {
        open_file(&self.path(hash))
    }

    pub(super) fn remove(&self, hash: BlobHash) -> io::Result<()> {
        remove_file(&self.path(hash))
    }

    pub(super) fn slice(&self, first_byte: u8) -> io::Result<Vec<BlobHash>> {
        let mut found = hashes(&self.directory(first_byte))?;
        found.retain(|hash| hash.0[0] == first_byte);
        Ok(found)
    }
}

/// A file as a content, None where it is not there.
pub(in crate::repository) fn open_file(path: &Path) -> io::Result<Option<Arc<dyn Blob>>> {
    match File::open(path) {
        Ok(file) => {
            let size_bytes = file.metadata()?.len();
            Ok(Some(Arc::new(FileBlob { file, size_bytes })))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl FileBlobs {
    /// The names that begin with this byte, each with its file's length.
    pub(super) fn sizes(&self, first_byte: u8) -> io::Result<Vec<(BlobHash, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.directory(first_byte))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(hash) = name.to_str().and_then(|name| name.parse::<BlobHash>().ok()) else {
                continue;
            };
            match entry.metadata() {
                Ok(told) if hash.0[0] == first_byte => found.push((hash, told.len())),
                Ok(_) => {}
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    pub(super) fn hash_anew(
        &self,
        hash: BlobHash,
        goes_on: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<Option<Anew>> {
        match anew::hash(&self.path(hash), 0, None, goes_on) {
            Ok(anew) => Ok(Some(anew)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a file another name, for good; false where there is none.
    pub(super) fn set_aside(&self, hash: BlobHash, to: &Path) -> io::Result<bool> {
        match fs::rename(self.path(hash), to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        if let Some(directory) = to.parent() {
            durable::sync_directory(SyncPoint::Layout, directory)?;
        }
        self.sync_names(hash.0[0])?;
        Ok(true)
    }
}

struct FileBlob {
    file: File,
    size_bytes: u64,
}

impl Blob for FileBlob {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        read_exact_at(&self.file, buffer, offset)
    }

    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> usize {
        read_at_once(&self.file, buffer, offset)
    }
}

/// Reads from this place of a file what the system has of it in memory, from its first byte on.
#[cfg(target_os = "linux")]
pub(super) fn read_at_once(file: &File, buffer: &mut [u8], offset: u64) -> usize {
    use rustix::io::{ReadWriteFlags, preadv2};
    if i64::try_from(offset).is_err() {
        // It would be taken for the place where the file stands (preadv2(2)).
        return 0;
    }
    let mut pieces = [io::IoSliceMut::new(buffer)];
    // What a file system does not know, or would wait for, is read the other way.
    preadv2(file, &mut pieces, offset, ReadWriteFlags::NOWAIT).unwrap_or_default()
}

/// Reads nothing: such systems do not tell what would have to be waited for.
#[cfg(not(target_os = "linux"))]
pub(super) fn read_at_once(_: &File, _: &mut [u8], _: u64) -> usize {
    0
}

/// Reads from this place of a file until the buffer is full.
#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Reads from this place of a file until the buffer is full.
#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !buffer.is_empty() {
        let read = file.seek_read(buffer, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        offset += read as u64;
    }
    Ok(())
}

//! Contents on their way into 256 folders by the hash's first byte: copied, compared with their hashes,
//! and on disk before they get their names. Called by who makes a backup and by who restores one; knows
//! neither where they come from nor which are wanted.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgrepo_proto::{BlobHash, Refusal};

use super::failed;
use crate::repository::blobs::{Blob, Reader, open_file};
use crate::repository::durable::{self, SyncPoint};

/// Contents whose bytes are synced together: the file system's commits are shared.
const BATCH: usize = 64;

/// Bytes after which a batch is synced whatever their number: what a disk writes in a moment, so that
/// nobody else waits long behind it.
const BATCH_BYTES: u64 = 64 * 1024 * 1024;

/// The end of the name of a content that is not whole yet.
const UNFINISHED: &str = ".new";

/// Where contents are carried to.
pub(super) struct Carrier {
    root: PathBuf,
    batch: Vec<(BlobHash, File)>,
    batch_bytes: u64,
}

/// What became of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carried {
    /// It will have its name after the next [`Carrier::land`].
    Taken,
    /// It cannot be read or is another: in words.
    Damaged(String),
}

impl Carrier {
    /// Makes the folders that are missing.
    pub(super) fn open(root: &Path) -> Result<Carrier, Refusal> {
        for first_byte in 0..=u8::MAX {
            let folder = folder(root, first_byte);
            fs::create_dir_all(&folder)
                .map_err(|error| failed("make the folder", &folder, &error))?;
        }
        Ok(Carrier { root: root.to_owned(), batch: Vec::new(), batch_bytes: 0 })
    }

    /// What is there of the contents that begin with this byte, with the size of each. What was left
    /// half-way goes.
    pub(super) fn present(&self, first_byte: u8) -> Result<HashMap<BlobHash, u64>, Refusal> {
        let folder = folder(&self.root, first_byte);
        let look = || -> io::Result<HashMap<BlobHash, u64>> {
            let mut found = HashMap::new();
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                if name.ends_with(UNFINISHED) {
                    fs::remove_file(entry.path())?;
                } else if let Ok(hash) = name.parse::<BlobHash>()
                    && hash.0[0] == first_byte
                {
                    found.insert(hash, entry.metadata()?.len());
                }
            }
            Ok(found)
        };
        look().map_err(|error| failed("look into", &folder, &error))
    }

    /// Whether what is there under this hash is that content.
    pub(super) fn is_whole(&self, hash: BlobHash, size_bytes: u64) -> Result<bool, Refusal> {
        let path = place(&self.root, hash);
        match open_file(&path) {
            Ok(Some(blob)) => {
                Ok(pour(blob, hash, size_bytes, |_| Ok(())).is_ok_and(|it| it.is_none()))
            }
            Ok(None) => Ok(false),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    /// Copies a content. `go_on` is asked between its pieces.
    pub(super) fn take(
        &mut self,
        hash: BlobHash,
        size_bytes: u64,
        source: Arc<dyn Blob>,
        go_on: &mut dyn FnMut() -> Result<(), Refusal>,
    ) -> Result<Carried, Refusal> {
        let path = unfinished(&self.root, hash);
        let written = |error: io::Error| failed("write", &path, &error);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // Whoever may read the folder of a backup need not be one who may see the images.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(written)?;
        let poured = pour(source, hash, size_bytes, |piece| {
            go_on()?;
            file.write_all(piece).map_err(written)
        });
        match poured {
            Ok(None) => {
                self.batch.push((hash, file));
                self.batch_bytes += size_bytes;
                Ok(Carried::Taken)
            }
            Ok(Some(why)) => {
                remove(&path)?;
                Ok(Carried::Damaged(why))
            }
            Err(refusal) => {
                // Room for who needs it; where even this fails the next run does it.
                let _ = fs::remove_file(&path);
                Err(refusal)
            }
        }
    }

    /// Whether enough was taken to be worth a sync.
    pub(super) fn is_full(&self) -> bool {
        self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES
    }

    /// Gives what was taken its names, once all of it is on disk.
    pub(super) fn land(&mut self) -> Result<(), Refusal> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let files: Vec<&File> = batch.iter().map(|(_, file)| file).collect();
        let synced = durable::sync_all(SyncPoint::Backup, &files);
        synced.map_err(|error| failed("write", &self.root, &error))?;
        for (hash, _) in batch {
            let to = place(&self.root, hash);
            fs::rename(unfinished(&self.root, hash), &to)
                .map_err(|error| failed("name", &to, &error))?;
        }
        Ok(())
    }

    /// Removes a content that nothing needs.
    pub(super) fn remove(&self, hash: BlobHash) -> Result<(), Refusal> {
        remove(&place(&self.root, hash))
    }

    /// Waits until every name that was ever given here is on disk: those of a run that was cut short
    /// too.
    pub(super) fn sync_names(&self) -> Result<(), Refusal> {
        for first_byte in 0..=u8::MAX {
            let folder = folder(&self.root, first_byte);
            durable::sync_directory(SyncPoint::Backup, &folder)
                .map_err(|error| failed("write", &folder, &error))?;
        }
        durable::sync_directory(SyncPoint::Backup, &self.root)
            .map_err(|error| failed("write", &self.root, &error))
    }
}

/// The content of this hash below a root, where there is one.
pub(super) fn open(root: &Path, hash: BlobHash) -> io::Result<Option<Arc<dyn Blob>>> {
    open_file(&place(root, hash))
}

/// Reads a content to its end; why it is not the one that it should be, if so. The outer error is that
/// of who takes the pieces.
fn pour(
    source: Arc<dyn Blob>,
    hash: BlobHash,
    size_bytes: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), Refusal>,
) -> Result<Option<String>, Refusal> {
    let found = source.size_bytes();
    if found != size_bytes {
        return Ok(Some(format!("has {found} bytes instead of {size_bytes}")));
    }
    let mut hasher = blake3::Hasher::new();
    let mut reader = Reader::new(source);
    loop {
        let piece = match reader.fill_buf() {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(error) => return Ok(Some(format!("cannot be read: {error}"))),
        };
        hasher.update(piece);
        take(piece)?;
        let len = piece.len();
        reader.consume(len);
    }
    let is_it = hasher.finalize().as_bytes() == &hash.0;
    Ok((!is_it).then(|| "is damaged: its bytes are not those of its hash".to_owned()))
}

fn folder(root: &Path, first_byte: u8) -> PathBuf {
    root.join(format!("{first_byte:02x}"))
}

fn place(root: &Path, hash: BlobHash) -> PathBuf {
    folder(root, hash.0[0]).join(hash.to_string())
}

fn unfinished(root: &Path, hash: BlobHash) -> PathBuf {
    folder(root, hash.0[0]).join(format!("{hash}{UNFINISHED}"))
}

fn remove(path: &Path) -> Result<(), Refusal> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", path, &error))
        }
        _ => Ok(()),
    }
}

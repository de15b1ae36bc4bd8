//! Which contents are lost: damaged, or not there although an image has them. What is lost is never
//! served, and counts as absent until its bytes come again. Told by who meets it: a check, a reader.
//!
//! `damaged/<hash>` in the data directory says it of a content, an empty file; `damaged/<hash>.1` and
//! so on are bytes that were moved aside, which nobody reads and nobody removes. A marker beside the
//! contents and no table of the catalog: it is of the disk, not of what people did, and is right for
//! whatever catalog comes back from a backup.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use imgrepo_proto::BlobHash;
use tokio::sync::watch;

use crate::repository::durable::{self, SyncPoint};

/// The contents that are lost.
#[derive(Debug)]
pub(crate) struct Lost {
    directory: PathBuf,
    hashes: Mutex<BTreeSet<BlobHash>>,
    /// How often something was found to be lost.
    found: watch::Sender<u64>,
}

impl Lost {
    /// Reads which are; nothing is made before something is lost.
    pub(crate) fn open(directory: &Path) -> io::Result<Lost> {
        let mut hashes = BTreeSet::new();
        match fs::read_dir(directory) {
            Ok(entries) => {
                for entry in entries {
                    let name = entry?.file_name();
                    hashes.extend(name.to_str().and_then(|name| name.parse::<BlobHash>().ok()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if !hashes.is_empty() {
            tracing::warn!(
                "{} contents are damaged or missing and are not served: `imgrepod fsck` names them",
                hashes.len()
            );
        }
        let directory = directory.to_owned();
        Ok(Lost { directory, hashes: Mutex::new(hashes), found: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<BlobHash>> {
        // Every change under the lock is a single call, so a panic elsewhere leaves it whole.
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn contains(&self, hash: BlobHash) -> bool {
        self.lock().contains(&hash)
    }

    /// Wakes when something more is lost.
    pub(crate) fn found(&self) -> watch::Receiver<u64> {
        self.found.subscribe()
    }

    /// The next ones behind this one, in order, at most so many.
    pub(crate) fn after(&self, last: Option<BlobHash>, limit: usize) -> Vec<BlobHash> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.lock().range((from, Bound::Unbounded)).take(limit).copied().collect()
    }

    /// Those that begin with this byte.
    pub(crate) fn slice(&self, first_byte: u8) -> Vec<BlobHash> {
        let bound = |rest: u8| {
            let mut hash = [rest; 32];
            hash[0] = first_byte;
            BlobHash(hash)
        };
        self.lock().range(bound(0)..=bound(u8::MAX)).copied().collect()
    }

    /// This one is lost from now on; whether that is new. Where the disk does not take it, it is
    /// known to this process alone.
    pub(crate) fn mark(&self, hash: BlobHash, why: &dyn std::fmt::Display) -> bool {
        if !self.lock().insert(hash) {
            return false;
        }
        tracing::error!("content {hash} is not served any more: {why}");
        let marked = self.make_directory().and_then(|()| {
            File::create(self.marker(hash))?;
            durable::sync_directory(SyncPoint::Layout, &self.directory)
        });
        if let Err(error) = marked {
            tracing::warn!("cannot note that content {hash} is damaged: {error}");
        }
        self.found.send_modify(|count| *count += 1);
        true
    }

    /// This one is there again, whole.
    pub(crate) fn unmark(&self, hash: BlobHash) {
        // The name first: nobody takes it for whole who might not find it so.
        if let Err(error) = fs::remove_file(self.marker(hash))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot note that content {hash} is whole again: {error}");
        }
        if self.lock().remove(&hash) {
            tracing::info!("content {hash} is whole again");
        }
    }

    /// A free name for bytes that are moved aside.
    pub(crate) fn aside(&self, hash: BlobHash) -> io::Result<PathBuf> {
        self.make_directory()?;
        let name = |number: u32| self.directory.join(format!("{hash}.{number}"));
        (1..u32::MAX)
            .map(name)
            .find(|path| !path.exists())
            .ok_or_else(|| io::ErrorKind::AlreadyExists.into())
    }

    fn marker(&self, hash: BlobHash) -> PathBuf {
        self.directory.join(hash.to_string())
    }

    fn make_directory(&self) -> io::Result<()> {
        if self.directory.is_dir() {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.directory)?;
        match self.directory.parent() {
            Some(parent) => durable::sync_directory(SyncPoint::Layout, parent),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_remembered_until_it_is_there_again() {
        let data = tempfile::tempdir().unwrap();
        let directory = data.path().join("damaged");
        let hash = |byte| BlobHash([byte; 32]);
        let lost = Lost::open(&directory).unwrap();
        assert!(!directory.exists());
        assert!(lost.mark(hash(7), &"a test") && !lost.mark(hash(7), &"a test"));
        lost.mark(hash(9), &"a test");
        std::fs::write(lost.aside(hash(7)).unwrap(), b"x").unwrap();
        assert_eq!(lost.aside(hash(7)).unwrap(), directory.join(format!("{}.2", hash(7))));

        let lost = Lost::open(&directory).unwrap();
        assert_eq!(lost.after(None, 9), [hash(7), hash(9)]);
        assert_eq!(lost.after(Some(hash(7)), 9), [hash(9)]);
        assert_eq!(lost.slice(7), [hash(7)]);
        lost.unmark(hash(7));
        assert!(!lost.contains(hash(7)) && lost.contains(hash(9)));
        assert_eq!(Lost::open(&directory).unwrap().after(None, 9), [hash(9)]);
        assert!(directory.join(format!("{}.1", hash(7))).exists());
    }
}

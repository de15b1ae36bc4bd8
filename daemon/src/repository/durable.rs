//! Every sync of the repository's own files: one function for a file's bytes, one for a directory's
//! names, each call with the name of its place.
//!
//! Called by the blob store, staging and the opening of a repository. With the feature `mutants`
//! (a proof's build, never a release) the place that `IMGREPO_SKIP_SYNC` names is left out, so that
//! a power-cut test can show that it notices.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::metrics::Counter;

/// A place where the repository waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPoint {
    /// A blob's bytes, before it gets its name.
    Blob,
    /// The directory of a blob, after it got its name.
    BlobDirectory,
    /// The contents of a group, appended to the journal.
    Journal,
    /// The bytes of a partial upload, before the catalog says how many are safe.
    Partial,
    /// The data directory and those in it, when a repository opens, and a new segment of the
    /// journal. ext4 writes a new name with the first sync of what bears it, or of anything in it, so
    /// leaving this out cannot be seen there.
    Layout,
    /// The catalog's transactions: SQLite's own.
    Catalog,
    /// The files of a backup, and those of a repository that is restored from one. Nobody is told that
    /// anything is safe there before all of it is.
    Backup,
}

impl SyncPoint {
    /// Every place of a repository that serves, for a proof that leaves out one after the other.
    pub const ALL: [SyncPoint; 6] = [
        SyncPoint::Blob,
        SyncPoint::BlobDirectory,
        SyncPoint::Journal,
        SyncPoint::Partial,
        SyncPoint::Layout,
        SyncPoint::Catalog,
    ];

    /// Its word in `IMGREPO_SKIP_SYNC`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            SyncPoint::Blob => "blob",
            SyncPoint::BlobDirectory => "blob_directory",
            SyncPoint::Journal => "journal",
            SyncPoint::Partial => "partial",
            SyncPoint::Layout => "layout",
            SyncPoint::Catalog => "catalog",
            SyncPoint::Backup => "backup",
        }
    }
}

/// Whether a proof asks to leave this place out.
#[cfg(feature = "mutants")]
#[must_use]
pub fn is_skipped(point: SyncPoint) -> bool {
    std::env::var_os("IMGREPO_SKIP_SYNC").is_some_and(|word| word == point.word())
}

/// Whether a proof asks to leave this place out: never.
#[cfg(not(feature = "mutants"))]
#[must_use]
pub fn is_skipped(_: SyncPoint) -> bool {
    false
}

/// What was waited for in each place, of the whole process: a file does not know whose it is, and the
/// disk is one for all.
static SYNCS: [Counter; PLACES] = [const { Counter::new() }; PLACES];

const PLACES: usize = SyncPoint::Backup as usize + 1;

/// How often the process has waited in this place.
pub(crate) fn counted(point: SyncPoint) -> u64 {
    SYNCS[point as usize].get()
}

/// Waits until the file's bytes, and its length, are on disk.
pub(crate) fn sync_bytes(point: SyncPoint, file: &File) -> io::Result<()> {
    if is_skipped(point) {
        return Ok(());
    }
    SYNCS[point as usize].one();
    file.sync_data()
}

/// Threads that sync files together. One after the other each file would cost a commit of the file
/// system.
const TOGETHER: usize = 8;

/// Syncs the bytes of files, several at a time: they then share the commits of the file system.
pub(crate) fn sync_all(point: SyncPoint, files: &[&File]) -> io::Result<()> {
    let sync = |files: &[&File]| files.iter().try_for_each(|file| sync_bytes(point, file));
    std::thread::scope(|scope| {
        let share = files.len().div_ceil(TOGETHER).max(1);
        let syncing: Vec<_> = files
            .chunks(share)
            .map(|share| std::thread::Builder::new().spawn_scoped(scope, move || sync(share)))
            .collect();
        for thread in syncing {
            thread?.join().map_err(|_| io::Error::other("a thread that syncs panicked"))??;
        }
        Ok(())
    })
}

/// Waits until the names in a directory are on disk.
pub(crate) fn sync_directory(point: SyncPoint, directory: &Path) -> io::Result<()> {
    if is_skipped(point) {
        return Ok(());
    }
    SYNCS[point as usize].one();
    // Elsewhere a directory cannot be opened as a file; NTFS journals its names.
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}

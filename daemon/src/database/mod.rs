//! A SQLite file of this program: made whole, checked before it is used, brought to the newest version
//! after a copy was put beside it. Never repaired or replaced: one that is not ours, that is damaged or
//! that a newer version wrote is refused and left as it is.
//!
//! Called by the rooms that keep such a file, each with its [`Format`]. What stands in the tables is
//! theirs.

mod check;
mod copy;
mod migrate;
mod open;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::ErrorCode;

pub use copy::{copy, look_into};
pub use open::{open, reader};

/// What a room's file is.
#[derive(Debug, Clone, Copy)]
pub struct Format<'a> {
    /// What it is called: `catalog`.
    pub noun: &'a str,
    /// Says in the file's header whose it is.
    pub application_id: i32,
    /// The steps from version n to n + 1, at n. One that was released is never edited.
    pub migrations: &'a [&'a str],
    /// What is written into a new file, at the newest version.
    pub first: &'a str,
    /// The tables: the version that brought each, its name and the first column of its key.
    pub tables: &'a [(i64, &'a str, &'a str)],
    /// What is wrong with the contents, where something is. It writes nothing.
    pub look: fn(&Connection) -> rusqlite::Result<Option<String>>,
}

/// Why a file cannot be used. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It is damaged.
    #[error("the {noun} `{}` is damaged: {reason}; nothing was changed", path.display())]
    Damaged {
        /// What it is called.
        noun: String,
        /// The file.
        path: PathBuf,
        /// What shows it.
        reason: String,
    },
    /// It is another program's.
    #[error("`{}` is no {noun} of this program; nothing was changed", path.display())]
    Foreign {
        /// What it is called.
        noun: String,
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this program wrote it.
    #[error(
        "the {noun} `{}` is of version {found}, this program knows up to {known}; \
         nothing was changed",
        path.display()
    )]
    Future {
        /// What it is called.
        noun: String,
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// It cannot be read, made or migrated.
    #[error("cannot open the {noun} `{}`: {reason}", path.display())]
    Unusable {
        /// What it is called.
        noun: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Format<'_> {
    /// The file cannot be used, for this reason.
    #[must_use]
    pub fn unusable(&self, path: &Path, error: &dyn std::error::Error) -> DatabaseError {
        let reason = match is_disk_full(path) {
            true => format!("no room is left on its disk ({error})"),
            false => error.to_string(),
        };
        DatabaseError::Unusable { noun: self.noun.to_owned(), path: path.to_owned(), reason }
    }

    fn damaged(&self, path: &Path, reason: impl Into<String>) -> DatabaseError {
        let (noun, path) = (self.noun.to_owned(), path.to_owned());
        DatabaseError::Damaged { noun, path, reason: reason.into() }
    }

    /// What an error of SQLite tells of a file that was only looked at: most that it is damaged, but
    /// not those of its disk or of another program that holds it.
    fn looking(&self, path: &Path, error: &rusqlite::Error) -> DatabaseError {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory,
            ) => self.unusable(path, error),
            _ => self.damaged(path, error.to_string()),
        }
    }
}

/// Whether the disk of this file has no room for a commit. Where a log or its index cannot grow,
/// SQLite itself does not say why.
#[must_use]
pub fn is_disk_full(path: &Path) -> bool {
    // Two steps by which the log's index grows.
    const FULL_BELOW_BYTES: u64 = 64 * 1024;
    rustix::fs::statvfs(path)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_BELOW_BYTES)
}

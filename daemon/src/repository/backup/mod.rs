//! Backups of a repository: made while it serves, made anew in the same folder for what is new, and
//! brought back into an empty home. `make` is called by the repository's maintenance, [`restore()`] by the
//! program's command line; neither ever changes what the other reads from.
//!
//! A backup is a folder:
//!
//! | in it | is |
//! | --- | --- |
//! | `backup.json` | the manifest: which repository, up to which change, which of these files and their hashes. Written last, in one step: the backup is what it names, whatever else lies there |
//! | `snapshot-N/catalog.db` | the catalog at one place of its history |
//! | `snapshot-N/key.pem`, `cert.pem` | who the server is, where it made that itself |
//! | `snapshot-N/config.toml` | its configuration, where there is one |
//! | `contents/ab/<hash>` | every content that a listed or trashed image of that catalog has, under its BLAKE3 hash |
//! | `backup.lock` | says that the folder is a backup's, and is locked while one is made |
//!
//! First the snapshot, then its contents: what the catalog refers to when it is copied is there, and is
//! held until the backup is done. Contents of former backups that the new one does not need go last,
//! when the new manifest is on disk, so a backup that is cut short leaves the former one as it was.

mod carry;
mod folder;
mod make;
mod manifest;
mod restore;

use std::io;
use std::path::Path;

use imgrepo_proto::control::maintenance::{Affected, Fault, FaultKind};
use imgrepo_proto::name::shown;
use imgrepo_proto::{BlobHash, ErrorCode, Refusal};

use super::catalog::sqlite::snapshot::Snapshot;
use super::durable::{self, SyncPoint};
use super::open;

pub(super) use make::make;
pub(super) use restore::is_unfinished;
pub use restore::{Restore, Restored, restore};

/// The catalog, in a snapshot and in a data directory.
const CATALOG: &str = "catalog.db";

/// The configuration, in a snapshot.
const CONFIG: &str = "config.toml";

/// The server's own identity, in a snapshot and in `tls` of a data directory: the secret first.
const IDENTITY: [&str; 2] = ["key.pem", "cert.pem"];

/// The folder of the identity in a data directory.
const TLS: &str = "tls";

/// Makes a directory for its user alone, for good, with what is missing above it.
fn make_directory(path: &Path) -> Result<(), Refusal> {
    let parents = open::make_directory(path);
    let made = parents.and_then(|parents| {
        parents.iter().try_for_each(|parent| durable::sync_directory(SyncPoint::Backup, parent))
    });
    made.map_err(|error| failed("make the folder", path, &error))
}

/// A refusal that names a file or folder, and what the disk said.
fn failed(act: &str, path: &Path, error: &io::Error) -> Refusal {
    let path = shown(&path.to_string_lossy());
    let (code, hint) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
            ErrorCode::StorageFull,
            Some("make room there, and do it again: it goes on where it was"),
        ),
        _ => (ErrorCode::FileError, None),
    };
    let refusal = Refusal::new(code, format!("cannot {act} `{path}`: {error}"));
    hint.into_iter().fold(refusal, Refusal::hint)
}

/// A refusal for what stands in the way.
fn conflict(message: String, hint: &str) -> Refusal {
    Refusal::new(ErrorCode::Conflict, message).hint(hint)
}

/// A copy of the catalog that cannot be read.
fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Refusal {
    let path = shown(&path.to_string_lossy());
    Refusal::new(ErrorCode::FileError, format!("cannot read the catalog `{path}`: {why}"))
}

/// A content that is not where it should be, or is another, with the images that it is of.
fn lost(snapshot: &Snapshot, hash: BlobHash, why: Option<&str>, remedy: &str) -> Fault {
    // The content is what matters; who has it is told where that can be read.
    let images = snapshot.images_of(hash).unwrap_or_default();
    let images = images.into_iter().map(|(id, name, uploader)| Affected { id, name, uploader });
    let (kind, message) = match why {
        Some(why) => (FaultKind::Damaged, format!("content {hash} {why}")),
        None => (FaultKind::Missing, format!("content {hash} is missing")),
    };
    let (images, remedy) = (images.collect(), Some(remedy.to_owned()));
    Fault { kind, message, hash: Some(hash), images, remedy, repaired: false }
}

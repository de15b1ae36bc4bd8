//! The folder of a backup while one is made in it: taken by one process, told from a folder of other
//! things, and what is at its top. Called by `make`, and for reading by `restore`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use imgrepo_proto::name::shown;
use imgrepo_proto::{BlobHash, ErrorCode, Refusal};

use super::manifest::{Listed, Manifest};
use super::{conflict, failed, make_directory};
use crate::private;
use crate::repository::durable::{self, SyncPoint};

const MANIFEST: &str = "backup.json";
const LOCK: &str = "backup.lock";
const CONTENTS: &str = "contents";
const SNAPSHOT: &str = "snapshot-";

/// What the lock says: the folder is ours, whether or not a backup came to its end in it.
const MARK: &str = "imgrepo backup\n";

/// Read at once of a file whose hash is computed.
const PIECE_BYTES: usize = 256 * 1024;

/// A folder that is taken to make a backup in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The backup that is in it.
    pub(super) former: Option<Manifest>,
    _lock: File,
}

impl Folder {
    /// Takes the folder, made where it is not there.
    ///
    /// # Errors
    /// `conflict` where it has something else in it or another backup is being made there.
    pub(super) fn take(path: &Path) -> Result<Folder, Refusal> {
        // What is in it is as private as the repository.
        make_directory(path)?;
        let lock = path.join(LOCK);
        let is_ours = fs::read_to_string(&lock).is_ok_and(|mark| mark == MARK || mark.is_empty())
            || path.join(MANIFEST).exists();
        if !is_ours && !is_empty(path).map_err(|error| failed("look into", path, &error))? {
            let name = shown(&path.to_string_lossy());
            let message = format!("cannot back up to `{name}`: it is not empty and no backup");
            return Err(conflict(message, "name a folder that is empty, or not there yet"));
        }
        let locked = |error: io::Error| failed("lock", &lock, &error);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&lock).map_err(locked)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let name = shown(&path.to_string_lossy());
                let message = format!("cannot back up to `{name}`: a backup is being made there");
                return Err(conflict(message, "wait for its end"));
            }
            // A file system without locks: whoever uses one sees to it.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(locked(error)),
        }
        file.write_all(MARK.as_bytes()).map_err(locked)?;
        let former = read_manifest(path)?;
        Ok(Folder { path: path.to_owned(), former, _lock: file })
    }

    /// The folder for a new snapshot, empty. What others left that no manifest names goes.
    pub(super) fn new_snapshot(&self) -> Result<(u64, PathBuf), Refusal> {
        let former = self.former.as_ref().map(|former| former.snapshot);
        self.remove_snapshots_but(former)?;
        let number = former.unwrap_or(0) + 1;
        let path = snapshot(&self.path, number);
        make_directory(&path)?;
        Ok((number, path))
    }

    /// Where contents are.
    pub(super) fn contents(&self) -> PathBuf {
        contents(&self.path)
    }

    /// Makes this the backup, in one step, when all that it names is on disk.
    pub(super) fn finish(&mut self, manifest: Manifest) -> Result<(), Refusal> {
        let sync = |path: &Path| {
            durable::sync_directory(SyncPoint::Backup, path)
                .map_err(|error| failed("write", path, &error))
        };
        sync(&snapshot(&self.path, manifest.snapshot))?;
        sync(&self.path)?;
        let path = self.path.join(MANIFEST);
        private::put(&path, &manifest.encode()).map_err(|error| failed("write", &path, &error))?;
        self.remove_snapshots_but(Some(manifest.snapshot))?;
        self.former = Some(manifest);
        Ok(())
    }

    /// Removes every snapshot but this one.
    pub(super) fn remove_snapshots_but(&self, kept: Option<u64>) -> Result<(), Refusal> {
        let listed = |error: io::Error| failed("look into", &self.path, &error);
        for entry in fs::read_dir(&self.path).map_err(listed)? {
            let entry = entry.map_err(listed)?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(SNAPSHOT));
            let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) else {
                continue;
            };
            if Some(number) != kept {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(|error| failed("remove", &path, &error))?;
            }
        }
        Ok(())
    }
}

fn is_empty(path: &Path) -> io::Result<bool> {
    // A file system's own, at the top of a disk that is there for backups alone.
    let is_own = |name: &std::ffi::OsStr| name == "lost+found";
    for entry in fs::read_dir(path)? {
        if !is_own(&entry?.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The folder of a snapshot.
pub(super) fn snapshot(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{SNAPSHOT}{number}"))
}

/// Where the contents of a backup are.
pub(super) fn contents(folder: &Path) -> PathBuf {
    folder.join(CONTENTS)
}

/// The backup in a folder; None where there is none.
///
/// # Errors
/// One that is damaged or of a newer version: it is left as it is.
pub(super) fn read_manifest(folder: &Path) -> Result<Option<Manifest>, Refusal> {
    let path = folder.join(MANIFEST);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &path, &error)),
    };
    Manifest::decode(&bytes).map(Some).map_err(|bad| {
        let folder = shown(&folder.to_string_lossy());
        Refusal::new(ErrorCode::FileError, format!("cannot use the backup in `{folder}`: {bad}"))
    })
}

/// A file as it stands in a manifest: its bytes are read. Synced too, where it was written just now.
pub(super) fn listed(path: &Path, name: &str, synced: bool) -> io::Result<Listed> {
    let mut file = match synced {
        // To sync what another handle wrote, one must be able to write.
        true => File::options().read(true).write(true).open(path)?,
        false => File::open(path)?,
    };
    if synced {
        durable::sync_bytes(SyncPoint::Backup, &file)?;
    }
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        let len = match file.read(&mut piece) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&piece[..len]);
        bytes += len as u64;
    }
    let hash = BlobHash(*hasher.finalize().as_bytes());
    Ok(Listed { name: name.to_owned(), bytes, hash })
}

//! What a download that was broken off leaves beside its place, for the next one of the same
//! content into the same folder: `.imgrepo-<hash>.part`, this user's alone until it is whole.
//!
//! One program at a time has it, by a lock that ends with the process; who comes second does
//! without. What lies there may be anybody's work in a folder that others can write to: only a
//! regular file of this user is taken, and never through a link.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use imgrepo_proto::BlobHash;
use tempfile::{NamedTempFile, TempPath};

/// Hexadecimal digits of a hash in a name: enough that two contents never meet in a folder. Should
/// they, the whole hash tells.
const DIGITS: usize = 16;

/// How long one is kept: as long as a server keeps what it has of an upload.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How often what lies there may turn into something else while it is opened.
const ATTEMPTS: usize = 8;

/// The partial of this content in this folder, opened at its beginning and locked, empty where there
/// was none. None where another program has it, or it is not to be trusted.
///
/// # Errors
/// Nothing can be written into the folder.
pub(super) fn open(folder: &Path, hash: &BlobHash) -> io::Result<Option<NamedTempFile>> {
    let digits: String = hash.to_string().chars().take(DIGITS).collect();
    let path = folder.join(format!(".imgrepo-{digits}.part"));
    for _ in 0..ATTEMPTS {
        match lock(&path) {
            Ok(Some(file)) => {
                let path = TempPath::try_from_path(&path)?;
                return Ok(Some(NamedTempFile::from_parts(file, path)));
            }
            Ok(None) => return Ok(None),
            // It came or went meanwhile: a download of another program began or ended.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Opens and locks what this path names, and still names when it is locked.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut is_new = false;
    let file = match fs::symlink_metadata(path) {
        Ok(meta) if !is_own(&meta) => return Ok(None),
        Ok(_) => match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(None),
            opened => opened?,
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            is_new = true;
            create(path)?
        }
        Err(error) => return Err(error),
    };
    let opened = file.metadata()?;
    match file.try_lock() {
        Ok(()) if !is_same(&opened, &fs::symlink_metadata(path)?) => {
            Err(ErrorKind::NotFound.into())
        }
        Ok(()) if is_own(&opened) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        // Where a file system has no locks, or no owners, there are no partials.
        Ok(()) | Err(TryLockError::Error(_)) => {
            if is_new {
                fs::remove_file(path)?;
            }
            Ok(None)
        }
    }
}

/// A new one, through no link.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Removes those that nobody came back for, of this and of other contents.
pub(super) fn sweep(folder: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if is_partial(&entry.file_name().to_string_lossy()) {
            remove_if_old(&entry.path(), now);
        }
    }
}

fn is_partial(name: &str) -> bool {
    let digits = name.strip_prefix(".imgrepo-").and_then(|name| name.strip_suffix(".part"));
    digits.is_some_and(|digits| {
        digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

fn remove_if_old(path: &PathBuf, now: SystemTime) {
    let is_old = |meta: &Metadata| {
        let age = meta.modified().ok().and_then(|at| now.duration_since(at).ok());
        age.is_some_and(|age| age > KEPT)
    };
    if !fs::symlink_metadata(path).is_ok_and(|meta| is_own(&meta) && is_old(&meta)) {
        return;
    }
    // One that is locked is being written, whatever the clock says.
    if let Ok(Some(_locked)) = lock(path) {
        let _ = fs::remove_file(path);
    }
}

/// A regular file of this user under this one name.
#[cfg(unix)]
fn is_own(meta: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let user = imgrepo_proto::control::endpoint::user();
    meta.is_file() && meta.uid() == user && meta.nlink() <= 1
}

#[cfg(not(unix))]
fn is_own(meta: &Metadata) -> bool {
    meta.is_file()
}

#[cfg(unix)]
fn is_same(opened: &Metadata, named: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (opened.dev(), opened.ino()) == (named.dev(), named.ino())
}

/// A file that is open cannot be replaced here.
#[cfg(not(unix))]
fn is_same(_: &Metadata, named: &Metadata) -> bool {
    named.is_file()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const HASH: BlobHash = BlobHash([0xab; 32]);
    const NAME: &str = ".imgrepo-abababababababab.part";

    #[test]
    fn one_at_a_time_has_it_and_finds_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = open(folder.path(), &HASH).unwrap().unwrap();
        assert_eq!(first.path(), folder.path().join(NAME));
        assert_eq!(first.as_file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(open(folder.path(), &HASH).unwrap().is_none());
        assert!(open(folder.path(), &BlobHash([1; 32])).unwrap().is_some());
        std::io::Write::write_all(&mut first, b"begun").unwrap();
        first.disable_cleanup(true);
        drop(first);
        let mut text = String::new();
        let mut again = open(folder.path(), &HASH).unwrap().unwrap();
        std::io::Read::read_to_string(&mut again, &mut text).unwrap();
        assert_eq!(text, "begun");
    }

    #[test]
    fn links_and_what_has_two_names_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join(NAME), folder.path().join("other"));
        symlink(&other, &path).unwrap();
        assert!(open(folder.path(), &HASH).unwrap().is_none());
        assert!(!other.exists());
        fs::remove_file(&path).unwrap();
        fs::write(&other, "mine").unwrap();
        fs::hard_link(&other, &path).unwrap();
        assert!(open(folder.path(), &HASH).unwrap().is_none());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(open(folder.path(), &HASH).unwrap().is_none());
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
        let missing = open(&folder.path().join("missing"), &HASH).unwrap();
        assert!(missing.is_none(), "what is wrong with the folder is said by the file itself");
    }

    #[test]
    fn old_ones_go_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let names = [NAME, ".imgrepo-x.part", ".imgrepo-abababababababag.part", "a.part"];
        for name in names {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let later = SystemTime::now() + KEPT + Duration::from_secs(60);
        let count = || fs::read_dir(folder.path()).unwrap().count();
        sweep(folder.path(), SystemTime::now());
        assert_eq!(count(), names.len());
        let held = open(folder.path(), &HASH).unwrap().unwrap();
        sweep(folder.path(), later);
        assert_eq!(count(), names.len(), "it is in use");
        let mut held = held;
        held.disable_cleanup(true);
        drop(held);
        sweep(folder.path(), later);
        assert_eq!(count(), names.len() - 1);
        assert!(!folder.path().join(NAME).exists());
    }
}

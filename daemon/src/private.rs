//! A small file of this user alone that is whole or not there at all, through a power cut too: the
//! server's key, the client's credentials, what is remembered. Called by the rooms that keep one.
//! What stands in it is theirs, and contents of images never go this way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Puts these bytes there, in place of what was. Blocking.
///
/// # Errors
/// The disk's; then the file is as it was.
pub fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = Path::new(&draft);
    // Left over by a crash, perhaps with other rights.
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(draft, path)?;
    // Without this the name may be gone after a power cut; the folder's own may be as new.
    let folder = path.parent();
    for folder in [folder, folder.and_then(Path::parent)].into_iter().flatten() {
        sync(folder)?;
    }
    Ok(())
}

#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    // The one above may be closed to this user, and then it is not new.
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn sync(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn it_is_its_owners_alone_whatever_was_there() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key.pem");
        let other = home.path().join("other");
        fs::write(&other, "untouched").unwrap();
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&other, home.path().join("key.pem.new")).unwrap();
        put(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&other).unwrap(), b"untouched");
        assert!(!home.path().join("key.pem.new").exists());
    }
}

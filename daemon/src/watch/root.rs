//! A watched folder as the disk has it: whether it is still the one that was meant, and folders and
//! files below it, opened without following a single link.
//!
//! Called by the scan, by hints and by what becomes of files afterwards. Nothing here is kept open
//! between two of them: a folder that is held open cannot be unmounted. Every call blocks.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use crate::state::Stamp;

/// Why a folder is not the one that is remembered.
pub(super) const ANOTHER: &str =
    "another folder is in its place: it is not mounted, or was replaced";

/// Which folder it is, whatever is mounted where: device and inode.
pub(super) type Identity = (u64, u64);

/// A watched folder, opened for one piece of work.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    folder: OwnedFd,
    identity: Identity,
}

/// How a watched folder was found.
#[derive(Debug)]
pub(super) enum Found {
    /// It is there.
    Here(Root),
    /// It is not, or is another one; why.
    Vanished(String),
}

/// A folder below, open.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    folder: OwnedFd,
}

/// What is at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// A regular file.
    File(Stamp),
    /// A folder.
    Folder,
    /// Something else, which is never uploaded: what it is.
    Other(&'static str),
}

impl Root {
    /// Opens it, and sees whether it is the one that is remembered. Links in the way to it are
    /// followed: the person named it so.
    pub(super) fn open(path: &Path, remembered: Option<Identity>) -> Found {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .and_then(|folder| Ok((rustix::fs::fstat(&folder)?, folder)));
        let (stat, folder) = match opened {
            Ok(opened) => opened,
            Err(rustix::io::Errno::NOENT) => return Found::Vanished("it is not there".to_owned()),
            Err(error) => return Found::Vanished(io::Error::from(error).to_string()),
        };
        let identity = (stat.st_dev, stat.st_ino);
        let root = Root { path: path.to_owned(), folder, identity };
        match remembered {
            Some(remembered) if !root.is(remembered) => Found::Vanished(ANOTHER.to_owned()),
            _ => Found::Here(root),
        }
    }

    /// Whether it is the folder that is remembered. A file system gets another device number each
    /// time that it is mounted somewhere, so that alone says nothing; but an empty folder in its
    /// place is what is left when it is not mounted.
    fn is(&self, (device, inode): Identity) -> bool {
        inode == self.identity.1 && (device == self.identity.0 || !self.is_empty())
    }

    fn is_empty(&self) -> bool {
        let Ok(entries) = Dir::read_from(&self.folder) else { return true };
        entries.flatten().all(|entry| matches!(entry.file_name().to_bytes(), b"." | b".."))
    }

    /// Which one it is.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Opens a folder below, or itself, by its absolute path.
    pub(super) fn folder(&self, path: &Path) -> io::Result<Folder> {
        let below = path.strip_prefix(&self.path).map_err(|_| io::ErrorKind::NotFound)?;
        // One step at a time, and none of them through a link: nothing outside is ever reached.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = rustix::fs::openat(&self.folder, ".", flags, Mode::empty())?;
        for step in below.components() {
            let Component::Normal(step) = step else { return Err(io::ErrorKind::NotFound.into()) };
            folder = rustix::fs::openat(&folder, step, flags, Mode::empty())?;
        }
        Ok(Folder { path: path.to_owned(), folder })
    }
}

impl Folder {
    /// Its absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its entries, in the order of the disk.
    pub(super) fn entries(&self) -> io::Result<Dir> {
        Ok(Dir::read_from(&self.folder)?)
    }

    /// What is at this name; None where nothing is. Links are not followed.
    pub(super) fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        match rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(entry(&stat))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a file for reading: never through a link, never waiting for the other end of a pipe.
    pub(super) fn file(&self, name: &OsStr) -> io::Result<File> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.folder, name, flags, Mode::empty())?))
    }

    /// For renaming and removing in it.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.folder
    }
}

/// What this is, by what the system says of it.
pub(super) fn entry(stat: &Stat) -> Entry {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Entry::File(stamp(stat)),
        FileType::Directory => Entry::Folder,
        FileType::Symlink => Entry::Other("a link"),
        FileType::Fifo => Entry::Other("a pipe"),
        FileType::Socket => Entry::Other("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Entry::Other("a device"),
        FileType::Unknown => Entry::Other("no regular file"),
    }
}

fn stamp(stat: &Stat) -> Stamp {
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)] // Their types are the system's.
    Stamp {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn here(path: &Path, remembered: Option<Identity>) -> Root {
        match Root::open(path, remembered) {
            Found::Here(root) => root,
            Found::Vanished(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_folder_is_recognised_and_another_in_its_place_is_not() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("w");
        assert!(matches!(Root::open(&path, None), Found::Vanished(_)));
        std::fs::create_dir(&path).unwrap();
        let identity = here(&path, None).identity();
        here(&path, Some(identity));
        // As if it were mounted under another number: believed unless it is empty.
        let (device, inode) = identity;
        assert!(matches!(Root::open(&path, Some((device + 1, inode))), Found::Vanished(_)));
        std::fs::write(path.join("a"), b"").unwrap();
        here(&path, Some((device + 1, inode)));
        std::fs::rename(&path, outer.path().join("away")).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(Root::open(&path, Some(identity)), Found::Vanished(_)));
    }

    #[test]
    fn no_link_is_followed_below_it() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("w");
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::create_dir_all(outer.path().join("secret/b")).unwrap();
        std::fs::write(outer.path().join("secret/b/c"), b"secret").unwrap();
        symlink(outer.path().join("secret"), path.join("link")).unwrap();
        symlink(outer.path().join("secret/b/c"), path.join("a/c")).unwrap();
        let root = here(&path, None);
        root.folder(&path).unwrap();
        root.folder(&path.join("a/b")).unwrap();
        assert!(root.folder(&path.join("link/b")).is_err());
        assert!(root.folder(&path.join("a/../a")).is_err());
        assert!(root.folder(outer.path()).is_err());
        let folder = root.folder(&path.join("a")).unwrap();
        assert!(folder.file(OsStr::new("c")).is_err());
        assert_eq!(folder.entry(OsStr::new("c")).unwrap(), Some(Entry::Other("a link")));
        assert_eq!(folder.entry(OsStr::new("b")).unwrap(), Some(Entry::Folder));
        assert_eq!(folder.entry(OsStr::new("none")).unwrap(), None);
        let pipe = path.join("a/pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let name = OsStr::new("pipe");
        assert_eq!(folder.entry(name).unwrap(), Some(Entry::Other("a pipe")));
        folder.file(name).expect("it does not wait for a writer");
    }
}

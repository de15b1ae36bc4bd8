//! How the queue opens files: never through a link that was not there when they were found, and, in
//! watched folders, nothing but what is below them. Called by its attempts.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use imgrepo_proto::Refusal;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::source::{Source, cannot_read, file_error, show};

/// Why a file of the queue was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotOpened {
    /// It is not there.
    Missing(Refusal),
    /// The whole folder is not there.
    Away(Refusal),
    /// It is a link, a folder, a pipe or something else that is no file.
    Another(Refusal),
    /// It may not be read, or its disk fails.
    Unreadable(Refusal),
}

impl NotOpened {
    /// In words.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            NotOpened::Missing(why)
            | NotOpened::Away(why)
            | NotOpened::Another(why)
            | NotOpened::Unreadable(why) => why,
        }
    }

    pub(super) fn because(path: &Path, error: Errno) -> NotOpened {
        let why = cannot_read(path, &std::io::Error::from(error).to_string());
        match error {
            Errno::NOENT | Errno::NOTDIR => NotOpened::Missing(why),
            Errno::LOOP | Errno::XDEV => {
                NotOpened::Another(cannot_read(path, "it is a link, or behind one"))
            }
            Errno::NXIO | Errno::NODEV | Errno::ISDIR => NotOpened::Another(why),
            _ => NotOpened::Unreadable(why),
        }
    }
}

/// A pipe without a writer would hold up an open that waits; no terminal is to be taken over.
pub(super) const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens what is below a directory, and never anything else.
fn beneath(directory: &OwnedFd, below: &Path) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // The kernel gives up where something above was renamed just then.
        for _ in 0..100 {
            match rustix::fs::openat2(directory, below, READ, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                // Before 5.6, or forbidden by a sandbox that does not know it.
                Err(Errno::NOSYS | Errno::PERM) => break,
                opened => return opened,
            }
        }
    }
    rustix::fs::openat(directory, below, READ | OFlags::NOFOLLOW, Mode::empty())
}

impl Source {
    /// Opens a regular file of a watched folder, without following a link below it. The folder has to
    /// be the directory (device, inode) that it was, where that is known. Blocks.
    pub(super) fn open_beneath(
        folder: &Path,
        root: Option<(u64, u64)>,
        path: &Path,
    ) -> Result<Source, NotOpened> {
        let away = |why: &str| {
            let act = format!("cannot read the folder `{}`", show(folder));
            NotOpened::Away(file_error(&act, why))
        };
        let cannot = |error: Errno| NotOpened::because(path, error);
        let Ok(below) = path.strip_prefix(folder) else {
            return Err(NotOpened::Another(cannot_read(path, "it is outside of its folder")));
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(folder, flags, Mode::empty())
            .map_err(|error| away(&std::io::Error::from(error).to_string()))?;
        let there = rustix::fs::fstat(&directory).map_err(cannot)?;
        if root.is_some_and(|root| root != (there.st_dev, there.st_ino)) {
            return Err(away("another one is in its place: is its disk mounted?"));
        }
        let file = beneath(&directory, below).map_err(cannot)?;
        Source::of(File::from(file), path, false)
    }

    /// Opens a regular file, but not through a link in its place. Blocks.
    pub(super) fn open_itself(path: &Path) -> Result<Source, NotOpened> {
        let flags = READ | OFlags::NOFOLLOW;
        let file = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| NotOpened::because(path, error))?;
        Source::of(File::from(file), path, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watched_file_is_opened_beneath_its_folder_alone() {
        use std::os::unix::fs::{MetadataExt as _, symlink};
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("folder");
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        std::fs::write(folder.join("sub/a"), "x").unwrap();
        std::fs::write(home.path().join("secret"), "x").unwrap();
        symlink(home.path().join("secret"), folder.join("link")).unwrap();
        symlink(folder.join("sub"), folder.join("linked")).unwrap();
        let metadata = std::fs::metadata(&folder).unwrap();
        let root = Some((metadata.dev(), metadata.ino()));
        let open = |name: &str| Source::open_beneath(&folder, root, &folder.join(name));
        assert_eq!(open("sub/a").unwrap().size(), 1);
        for name in ["link", "linked/a", "sub"] {
            assert!(matches!(open(name), Err(NotOpened::Another(_))), "{name}");
        }
        assert!(matches!(open("../secret"), Err(NotOpened::Another(_))));
        assert!(matches!(open("none"), Err(NotOpened::Missing(_))));
        assert!(matches!(open("sub/a/b"), Err(NotOpened::Missing(_))));
        let other = Source::open_beneath(&folder, Some((1, 2)), &folder.join("sub/a"));
        assert!(matches!(other, Err(NotOpened::Away(_))));
        let gone = home.path().join("gone");
        let gone = Source::open_beneath(&gone, None, &gone.join("a"));
        assert!(matches!(gone, Err(NotOpened::Away(_))));
        assert!(Source::open_itself(&folder.join("sub/a")).is_ok());
        let link = Source::open_itself(&folder.join("link"));
        assert!(matches!(link, Err(NotOpened::Another(_))));
        assert!(Source::open(&folder.join("link")).is_ok());
    }
}

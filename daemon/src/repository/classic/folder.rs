//! An old server's folder, open: its entries, and its images beneath it. Called by who imports.
//!
//! Every name is opened from the folder's own descriptor, one part at a time and without following
//! links, so nothing outside of it is ever read, whatever the entries say and whoever changes it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use imgrepo_proto::{ErrorCode, Refusal};
use jiff::tz::TimeZone;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::metadata::{self, Damaged, Entry};
use super::{IMAGES, METADATA, file_error};

/// An old server's folder.
#[derive(Debug)]
pub struct Folder {
    pub(super) entries: Vec<Result<Entry, Damaged>>,
    /// None where it has none: then every image is missing.
    images: Option<OwnedFd>,
}

impl Folder {
    /// Opens a folder and reads its catalog; `zone` is that of times without an offset. Blocks.
    ///
    /// # Errors
    /// `file_error`: there is none, or its catalog cannot be read.
    pub fn open(path: &Path, zone: &TimeZone) -> Result<Folder, Refusal> {
        let directory = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = openat(CWD, path, directory, Mode::empty())
            .map_err(|error| file_error("open the folder", path, &io::Error::from(error)))?;
        let file = path.join(METADATA);
        let bad = |why: &dyn std::fmt::Display| file_error("read", &file, why);
        let catalog = beneath(&root, METADATA).map_err(|error| {
            bad(&error).hint("give the folder of the old server, with metadata.json and imagens/")
        })?;
        let entries = metadata::read(catalog, zone).map_err(|error| bad(&error))?;
        let images = match openat(&root, IMAGES, directory | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(images) => Some(images),
            Err(Errno::NOENT) => None,
            Err(error) => {
                let error = io::Error::from(error);
                return Err(file_error("open the folder", &path.join(IMAGES), &error)
                    .hint("it must be a folder itself: links are not followed"));
            }
        };
        Ok(Folder { entries, images })
    }

    /// How many entries it has, whatever they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Opens an image's file, which is a regular one.
    pub(super) fn image(&self, file: &str) -> Result<File, Refusal> {
        let shown = PathBuf::from(IMAGES).join(file);
        let images = self.images.as_ref().ok_or_else(|| missing(&shown))?;
        beneath(images, file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(&shown),
            _ => file_error("read", &shown, &error),
        })
    }
}

fn missing(path: &Path) -> Refusal {
    let path = imgrepo_proto::name::shown(&path.to_string_lossy());
    Refusal::new(ErrorCode::NotFound, format!("its file `{path}` is missing"))
}

/// Opens a regular file by its name in a directory.
fn beneath(directory: &OwnedFd, name: &str) -> io::Result<File> {
    // A pipe without a writer would hold up an open that waits.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(io::Error::other("it is a link")),
        Err(error) => return Err(error.into()),
    };
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

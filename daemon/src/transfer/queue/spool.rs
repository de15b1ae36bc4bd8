//! Contents that programs streamed to be queued: one file each in `state/queue/`, durable before its
//! row is, removed after its end. What no row needs was left by a process that ended between the two.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use imgrepo_proto::{ErrorCode, Refusal};

use crate::host::random;
use crate::repository::picture::DECIDING_BYTES;
use crate::state::Stamp;
use crate::transfer::source::check_is_image;

use super::cannot_spool;

/// The directory. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Spool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    /// Files that have no row yet.
    fresh: Mutex<HashSet<u64>>,
}

/// A content that is being spooled. Its file goes when it is dropped before it was kept.
#[derive(Debug)]
pub struct Spooling {
    spool: Spool,
    number: u64,
    file: File,
    /// Its first bytes, which tell whether it is an image.
    first: Vec<u8>,
    is_kept: bool,
}

impl Spool {
    /// Makes the directory where it is missing. Blocks.
    pub(super) fn open(directory: PathBuf) -> Result<Spool, Refusal> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&directory).map_err(|error| {
            let shown = directory.display();
            let message = format!("cannot make the directory `{shown}`: {error}");
            Refusal::new(ErrorCode::FileError, message)
        })?;
        Ok(Spool(Arc::new(Shared { directory, fresh: Mutex::default() })))
    }

    /// A new, empty file. Blocks.
    pub(super) fn begin(&self) -> io::Result<Spooling> {
        // By chance, and never an old one: a row that was given up long ago may name it.
        let number = random() >> 1;
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        self.fresh(|fresh| fresh.insert(number));
        match options.open(self.path(number)) {
            Ok(file) => {
                let (spool, first) = (self.clone(), Vec::new());
                Ok(Spooling { spool, number, file, first, is_kept: false })
            }
            Err(error) => {
                self.fresh(|fresh| fresh.remove(&number));
                Err(error)
            }
        }
    }

    /// Where the content of this number is.
    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.0.directory.join(number.to_string())
    }

    /// Removes a content that is not needed any more. Blocks.
    pub(super) fn remove(&self, number: u64) {
        match fs::remove_file(self.path(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, number, "cannot remove a spooled content");
            }
            _ => {}
        }
    }

    /// The contents that lie here and are not being spooled. Blocks.
    pub(super) fn here(&self) -> io::Result<Vec<u64>> {
        let mut here = Vec::new();
        for entry in fs::read_dir(&self.0.directory)? {
            let name = entry?.file_name();
            // What is none of ours stays.
            let number = name.to_str().and_then(|name| name.parse::<u64>().ok());
            here.extend(number.filter(|number| !self.fresh(|fresh| fresh.contains(number))));
        }
        Ok(here)
    }

    /// Removes those that no row needs. The rows have to be asked for after [`Spool::here`]: then a
    /// content that gets its row meanwhile is not among these. Blocks.
    pub(super) fn sweep(&self, here: Vec<u64>, needed: &HashSet<u64>) {
        for number in here {
            if !needed.contains(&number) {
                self.remove(number);
            }
        }
    }

    fn fresh<T>(&self, act: impl FnOnce(&mut HashSet<u64>) -> T) -> T {
        act(&mut self.0.fresh.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Spooling {
    /// Adds to it. Blocks.
    ///
    /// # Errors
    /// `not_an_image` as soon as its first bytes say so; `storage_full`, or `file_error`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let room = DECIDING_BYTES - self.first.len();
        if room > 0 {
            self.first.extend_from_slice(&bytes[..bytes.len().min(room)]);
            check_is_image(&self.first, false)?;
        }
        self.file.write_all(bytes).map_err(|error| cannot_spool(&error))
    }

    /// It is whole: waits until it is on disk, name and all. Blocks.
    pub(super) fn finish(&self) -> Result<(u64, Stamp), Refusal> {
        check_is_image(&self.first, true)?;
        let sync = || {
            self.file.sync_all()?;
            sync_directory(&self.spool.0.directory)?;
            Ok((self.number, Stamp::of(&self.file.metadata()?)))
        };
        sync().map_err(|error| cannot_spool(&error))
    }

    /// It has its row.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Spooling {
    fn drop(&mut self) {
        if !self.is_kept {
            self.spool.remove(self.number);
        }
        self.spool.fresh(|fresh| fresh.remove(&self.number));
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_stays_and_all_else_goes() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("queue");
        let spool = Spool::open(directory.clone()).unwrap();
        let mut kept = spool.begin().unwrap();
        kept.write(b"P6\n1 1\n2").unwrap();
        kept.write(b"55\nabc").unwrap();
        let (number, stamp) = kept.finish().unwrap();
        assert_eq!(stamp.size, 14);
        kept.keep();
        drop(spool.begin().unwrap());
        let _fresh = spool.begin().unwrap();
        fs::write(directory.join("123"), "left").unwrap();
        fs::write(directory.join("notes"), "somebody's").unwrap();
        spool.sweep(spool.here().unwrap(), &HashSet::from([number]));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 3);
        assert_eq!(fs::read(spool.path(number)).unwrap(), b"P6\n1 1\n255\nabc");
        spool.remove(number);
        spool.remove(number);
        assert!(!spool.path(number).exists());
    }

    #[test]
    fn what_gets_its_row_while_it_is_swept_stays() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::open(home.path().join("queue")).unwrap();
        let mut fresh = spool.begin().unwrap();
        fresh.write(b"P6\n1 1\n255\nabc").unwrap();
        let (number, _) = fresh.finish().unwrap();
        let here = spool.here().unwrap();
        let needed = HashSet::new();
        fresh.keep();
        spool.sweep(here, &needed);
        assert!(spool.path(number).exists());
    }
}

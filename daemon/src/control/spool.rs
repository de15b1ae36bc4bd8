//! Where contents wait that programs stream, before they are sent: files without a name, so that
//! nothing is left behind by whatever ends the process.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use imgrepo_proto::{ErrorCode, Refusal};

/// The directory.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    next: AtomicU64,
}

impl Spool {
    /// Makes the directory where it is missing and empties it. Blocking.
    ///
    /// # Errors
    /// A directory that cannot be made or read.
    pub fn open(directory: PathBuf) -> Result<Spool, Refusal> {
        let prepare = || {
            fs::create_dir_all(&directory)?;
            // A process that was killed between making a file and taking its name away left one.
            fs::read_dir(&directory)?.try_for_each(|entry| fs::remove_file(entry?.path()))
        };
        prepare().map_err(|error: io::Error| {
            let shown = directory.display();
            Refusal::new(
                ErrorCode::FileError,
                format!("cannot use the directory `{shown}`: {error}"),
            )
        })?;
        Ok(Spool { directory, next: AtomicU64::new(0) })
    }

    /// A new, empty file without a name. Blocking.
    pub(super) fn file(&self) -> io::Result<File> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(number.to_string());
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_no_names_and_what_was_left_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("spool");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("0"), "left").unwrap();
        let spool = Spool::open(directory.clone()).unwrap();
        let _files = [spool.file().unwrap(), spool.file().unwrap()];
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
}

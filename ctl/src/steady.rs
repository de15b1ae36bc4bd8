//! A file that must be at its end what it was at its beginning: for its hash, and for what is
//! streamed to the daemon.

use std::fs::File;
use std::io::{self, Read};
use std::time::SystemTime;

/// A file that is read once, from its beginning. At its end it is an error when it has changed.
pub(crate) struct Steady {
    file: File,
    stamp: (u64, SystemTime),
}

impl Steady {
    /// Not read yet.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let stamp = Steady::stamp(&file)?;
        Ok(Steady { file, stamp })
    }

    fn stamp(file: &File) -> io::Result<(u64, SystemTime)> {
        let meta = file.metadata()?;
        Ok((meta.len(), meta.modified()?))
    }
}

impl Read for Steady {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer)? {
            0 if Steady::stamp(&self.file)? != self.stamp => {
                Err(io::Error::other("it changed while it was read"))
            }
            read => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_it_is_read_is_not_read_to_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "whole").unwrap();
        let read = |change: &str| {
            let mut steady = Steady::new(File::open(file.path()).unwrap()).unwrap();
            steady.read_exact(&mut [0; 3]).unwrap();
            std::fs::write(file.path(), change).unwrap();
            steady.read_to_end(&mut Vec::new())
        };
        assert_eq!(read("whole more").unwrap_err().to_string(), "it changed while it was read");
        let mut steady = Steady::new(File::open(file.path()).unwrap()).unwrap();
        assert_eq!(steady.read_to_end(&mut Vec::new()).unwrap(), 10);
    }
}

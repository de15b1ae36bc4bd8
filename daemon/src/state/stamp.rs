//! What tells whether a file is still the same without reading it. Every room that looks at files
//! uses this one; it is made of what the system says of an open file or of a path.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// A file's identity, size and time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The file system that it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Its bytes.
    pub size: u64,
    /// When it was last changed: seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
}

impl Stamp {
    /// As the system tells.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

//! How much room a disk has. Asked by staging before it promises to take a content, and by the
//! journal before it puts contents into their places.

use std::path::Path;

/// Bytes of the disk of this directory, None where the system does not tell or it is not there.
#[must_use]
pub fn disk_bytes(directory: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(directory).ok()?;
        (disk.f_blocks > 0).then(|| disk.f_blocks.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = directory;
        None
    }
}

/// Bytes free on the disk of this directory, None where the system does not tell.
pub(crate) fn free_bytes(directory: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(directory).ok()?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        // File systems without a limit say that they have no blocks at all.
        (disk.f_blocks > 0).then_some(free)
    }
    #[cfg(not(unix))]
    {
        let _ = directory;
        None
    }
}

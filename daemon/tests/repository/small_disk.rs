//! A disk that is full soon: a small tmpfs of its own for a test, unmounted at the test's end. Other
//! test programs take it by its path. Mounting needs root: without, a test says what it has not
//! tested, and ends.

#![allow(clippy::print_stderr, clippy::unwrap_used)] // A part of tests.

use std::path::Path;
use std::process::Command;

/// A small file system of its own, unmounted at the end.
pub(crate) struct SmallDisk {
    root: tempfile::TempDir,
}

impl SmallDisk {
    /// With these options of tmpfs(5), such as `size=2m`; None, and said so, where it cannot be.
    pub(crate) fn mount(options: &str) -> Option<SmallDisk> {
        let root = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "imgrepo-test"])
            .arg(root.path())
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(SmallDisk { root });
        }
        eprintln!("NOT TESTED: a full disk needs root, to mount a small tmpfs");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.root.path()).status();
    }
}

//! Whether a program has a file open for writing: the one question that only a read lease answers.
//!
//! Linux grants a read lease (`F_SETLEASE`, fcntl(2)) on a file that nobody has open for writing, to
//! its owner. It is given back at once: a program that opens the file to write in that moment waits
//! for that long. Called on a descriptor that was opened for reading alone; never reads or writes.

use std::fs::File;

/// What is known of a file's writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// No program has it open for writing.
    None,
    /// One has.
    Some,
    /// The system does not tell: the file is another user's, or its file system has no leases.
    Unknown,
}

/// Asks the system.
#[cfg(target_os = "linux")]
pub(super) fn writer_of(file: &File) -> Writer {
    match Lease::take(file) {
        Ok(lease) => {
            drop(lease);
            Writer::None
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Writer::Some,
        Err(_) => Writer::Unknown,
    }
}

/// Only Linux has leases that this program knows to ask for.
#[cfg(not(target_os = "linux"))]
pub(super) fn writer_of(_file: &File) -> Writer {
    Writer::Unknown
}

/// A read lease, until dropped.
#[cfg(target_os = "linux")]
struct Lease<'a>(&'a File);

#[cfg(target_os = "linux")]
impl<'a> Lease<'a> {
    /// A program that opens the file for writing while it is held makes the system send this process
    /// a signal: SIGIO, which would end it, unless another is named first. SIGURG is one that a
    /// process which does not ask for it never notices, and does not have to be caught.
    fn take(file: &'a File) -> std::io::Result<Self> {
        /// `linux/fcntl.h`; the libc crate does not have it for this system.
        const F_SETSIG: libc::c_int = 10;
        control(file, F_SETSIG, libc::SIGURG)?;
        control(file, libc::F_SETLEASE, libc::F_RDLCK)?;
        Ok(Lease(file))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // Where this fails, closing the file gives it back as well.
        let _ = control(self.0, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

/// `fcntl` with a number as its argument.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // No safe crate has leases: rustix, nix and std were looked through.
fn control(file: &File, command: libc::c_int, argument: libc::c_int) -> std::io::Result<()> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the commands of this file
    // take a number: no memory is handed over.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::OpenOptions;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_writer_is_seen_as_long_as_it_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let writer = File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(writer_of(&file), Writer::Some);
        drop(writer);
        let reader = File::open(&path).unwrap();
        assert_eq!(writer_of(&file), Writer::None, "another reader is none");
        drop(reader);
        let appender = OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(writer_of(&file), Writer::Some);
        drop(appender);
        assert_eq!(writer_of(&file), Writer::None);
    }

    #[test]
    fn a_writer_that_comes_in_the_middle_does_not_end_this_process() {
        use std::os::unix::fs::OpenOptionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        let lease = Lease::take(&file).unwrap();
        let mut writing = OpenOptions::new();
        writing.write(true).custom_flags(libc::O_NONBLOCK);
        let refused = writing.open(&path).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
        drop(lease);
        writing.open(&path).unwrap();
    }

    #[test]
    fn a_writer_that_does_not_mind_waits_and_is_let_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(OpenOptions::new().write(true).open(&path).unwrap());
                }
            });
            for _ in 0..20_000 {
                assert_ne!(writer_of(&file), Writer::Unknown);
            }
            over.store(true, Ordering::Relaxed);
        });
    }
}

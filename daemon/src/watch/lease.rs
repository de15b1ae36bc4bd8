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
    match lease(file) {
        Ok(()) => Writer::None,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Writer::Some,
        Err(_) => Writer::Unknown,
    }
}

/// Only Linux has leases that this program knows to ask for.
#[cfg(not(target_os = "linux"))]
pub(super) fn writer_of(_file: &File) -> Writer {
    Writer::Unknown
}

/// Takes a read lease and gives it back.
///
/// A program that opens the file for writing meanwhile makes the system send this process a signal:
/// SIGIO, which would end it, unless another is named first. SIGURG is one that a process which
/// does not ask for it never notices, and does not have to be caught.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // No safe crate has leases: rustix, nix and std were looked through.
fn lease(file: &File) -> std::io::Result<()> {
    use std::os::fd::AsRawFd as _;
    /// `linux/fcntl.h`; the libc crate does not have it for this system.
    const F_SETSIG: libc::c_int = 10;
    let fd = file.as_raw_fd();
    let call = |command, argument: libc::c_int| {
        // SAFETY: `fd` is open as long as `file` is borrowed, and these commands take a number: no
        // memory is handed over.
        match unsafe { libc::fcntl(fd, command, argument) } {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    call(F_SETSIG, libc::SIGURG)?;
    call(libc::F_SETLEASE, libc::F_RDLCK)?;
    // Closing the file would give it back as well.
    call(libc::F_SETLEASE, libc::F_UNLCK)
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
    fn a_writer_that_comes_in_the_middle_waits_and_does_not_end_this_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        let over = AtomicBool::new(false);
        let mut seen = [false; 2];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(OpenOptions::new().write(true).open(&path).unwrap());
                }
            });
            for _ in 0..20_000 {
                match writer_of(&file) {
                    Writer::None => seen[0] = true,
                    Writer::Some => seen[1] = true,
                    Writer::Unknown => panic!("the system does not tell"),
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!(seen, [true, true]);
    }
}

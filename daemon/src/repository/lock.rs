//! One process for a data directory, and what the one before left: `repository.lock`.
//!
//! The file is locked while a repository is open, and says in one line in which state the last one
//! was. It is never synced: a line that is lost or old reads as an unclean end, which is always
//! true enough. Called at open and close alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use imgrepo_proto::Seq;

/// Longer than any line that we write.
const LINE_BYTES: u64 = 256;

/// How long a process that was killed may take to let go of it: the system takes its memory first,
/// which is some milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The data directory is this process's.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    running: String,
}

/// What the process before left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    /// The disk has been mounted without a break since: what was written is there, synced or not.
    pub(crate) lengths_hold: bool,
    /// It closed in order, at this place of the history.
    pub(crate) closed_at: Option<Seq>,
}

impl Lock {
    /// Takes the directory; None where another process has it and keeps it. Blocks.
    pub(crate) fn take(directory: &Path) -> io::Result<Option<(Lock, Before)>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join("repository.lock"))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        let mut line = String::new();
        // What is no text was not written by us: an unclean end.
        let _ = (&file).take(LINE_BYTES).read_to_string(&mut line);
        let running = running(directory);
        let before = read(&line, &running);
        Ok(Some((Lock { file, running }, before)))
    }

    /// Says that the repository is open. Only now, when all that the end before asks for was done: a
    /// start that was refused half-way must leave the line for the next one.
    pub(crate) fn open(&mut self) -> io::Result<()> {
        self.say(&format!("open {}", self.running))
    }

    /// Says that the repository closed in order.
    pub(crate) fn close(&mut self, newest: Seq) -> io::Result<()> {
        self.say(&format!("closed {} {newest}", self.running))
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

fn read(line: &str, running: &str) -> Before {
    let words: Vec<&str> = line.split_whitespace().collect();
    let lengths_hold = |then: &str| running != UNKNOWN && then == running;
    match words[..] {
        ["open", then] => Before { lengths_hold: lengths_hold(then), closed_at: None },
        ["closed", then, seq] => {
            Before { lengths_hold: lengths_hold(then), closed_at: seq.parse().ok().map(Seq) }
        }
        _ => Before { lengths_hold: false, closed_at: None },
    }
}

const UNKNOWN: &str = "unknown";

/// Names this run of the system and this mount of the disk: whatever was written since both began
/// is still there, even if it was never synced.
#[cfg(target_os = "linux")]
fn running(directory: &Path) -> String {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    /// `STATX_MNT_ID_UNIQUE` (Linux 6.8): a mount's number that is never given again.
    const MOUNT: StatxFlags = StatxFlags::from_bits_retain(0x4000);
    let Ok(boot) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
        return UNKNOWN.to_owned();
    };
    let mount = statx(CWD, directory, AtFlags::empty(), MOUNT).ok();
    // On an older kernel the boot alone: only a disk that is pulled out and put in again is
    // mistaken, and then the final hash still decides.
    let mount = mount.filter(|stat| stat.stx_mask & MOUNT.bits() != 0).map(|stat| stat.stx_mnt_id);
    format!("{}/{}", boot.trim(), mount.unwrap_or(0))
}

/// Unknown: after any unclean end only what was synced counts.
#[cfg(not(target_os = "linux"))]
fn running(_: &Path) -> String {
    UNKNOWN.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_next_learns_how_the_last_ended() {
        let directory = tempfile::tempdir().unwrap();
        let take = || Lock::take(directory.path()).unwrap();
        let (mut lock, before) = take().unwrap();
        assert_eq!(before, Before { lengths_hold: false, closed_at: None });
        assert!(take().is_none());
        lock.close(Seq(7)).unwrap();
        drop(lock);
        // One that never came to open says nothing.
        drop(take().unwrap());
        let (mut lock, before) = take().unwrap();
        assert_eq!(before.closed_at, Some(Seq(7)));
        lock.open().unwrap();
        drop(lock);
        let (_lock, before) = take().unwrap();
        assert_eq!(before.closed_at, None);
        assert_eq!(before.lengths_hold, cfg!(target_os = "linux"));
    }

    #[test]
    fn a_line_of_another_run_or_of_nobody_promises_nothing() {
        let nothing = Before { lengths_hold: false, closed_at: None };
        assert_eq!(read("open a/1\n", "b/1"), nothing);
        assert_eq!(read("open unknown\n", UNKNOWN), nothing);
        for line in ["", "open", "closed a/1", "closed a/1 x y", "\0\0\0"] {
            assert_eq!(read(line, "a/1"), nothing, "{line:?}");
        }
        assert_eq!(read("closed a/1 x", "a/1").closed_at, None);
    }
}

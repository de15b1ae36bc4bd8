//! One disposable process for one content: started, fed, listened to, ended.
//!
//! Owns the process from its start until it is reaped, its time on the clock, and the verdict on how
//! it ended. Called by [`super::render`] on a thread that may block. It has the child killed in any
//! case before it returns, so there is never one left, and it believes nothing of the answer but
//! that it is one: what the pictures are is for the caller to check.

mod confine;
mod work;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::message::{Answer, Head};
pub use work::{COMMAND, work};

/// What a child may take by the clock where somebody waits. Its processor time ends it after five
/// seconds already: this is for a machine that has other things to do.
const WAITED_FOR: Duration = Duration::from_secs(15);

/// The same where nobody waits: it is the last that the machine does, and may get little of it.
const BACKGROUND: Duration = Duration::from_secs(60);

/// Of the content, at once: what a pipe holds.
const PIECE_BYTES: usize = 64 * 1024;

/// Gives the bytes at an offset of the content, all of them.
pub(super) type ReadAt<'a> = dyn FnMut(&mut [u8], u64) -> io::Result<()> + 'a;

/// How it ended without an answer.
#[derive(Debug)]
pub(super) enum Ended {
    /// The system, or who reads the content.
    Failed(io::Error),
    /// Its time by the clock was up.
    TimedOut,
    /// It answered what is no answer.
    Lied,
    /// With this status.
    Alone(ExitStatus),
}

/// Has a child of this program do what the head says with the content that `read_at` gives.
pub(super) fn run(program: &Path, head: &Head, read_at: &mut ReadAt<'_>) -> Result<Answer, Ended> {
    let mut child = Command::new(program)
        .arg(COMMAND)
        .env_clear()
        // A heap for each thread would take 64 MiB of its addresses.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Ended::Failed)?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let child = Owned(Mutex::new(child));
    let (Some(input), Some(mut output)) = (input, output) else {
        return Err(Ended::Failed(io::ErrorKind::BrokenPipe.into()));
    };
    let limit = if head.is_background { BACKGROUND } else { WAITED_FOR };
    let (answer, timed_out) = thread::scope(|scope| {
        let (done, end) = mpsc::channel::<()>();
        let (child, owned) = (&child, &child);
        // The scope joins it, as soon as `done` is dropped.
        let watch = thread::Builder::new().name("picture-clock".to_owned()).spawn_scoped(
            scope,
            move || {
                let is_late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
                if is_late {
                    child.kill();
                }
                is_late
            },
        )?;
        let answer = feed(input, head, read_at)
            .map_err(Ended::Failed)
            .map(|()| Answer::read(&mut output, &head.variants));
        // Not before: whatever it does now, it answers no more.
        owned.kill();
        drop(done);
        Ok((answer, watch.join().unwrap_or(true)))
    })
    .map_err(Ended::Failed)?;
    let status = child.reap().map_err(Ended::Failed)?;
    match answer? {
        Ok(answer) => Ok(answer),
        Err(_) if timed_out => Err(Ended::TimedOut),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Ended::Lied),
        Err(_) => Err(Ended::Alone(status)),
    }
}

/// Writes the order and the content. A child that ends before it has read all of it may have
/// answered.
fn feed(mut input: ChildStdin, head: &Head, read_at: &mut ReadAt<'_>) -> io::Result<()> {
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    let mut wrote = input.write_all(&head.write());
    while wrote.is_ok() && at < head.size_bytes {
        let len = (head.size_bytes - at).min(PIECE_BYTES as u64) as usize;
        read_at(&mut piece[..len], at)?;
        wrote = input.write_all(&piece[..len]);
        at += len as u64;
    }
    wrote.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
}

/// A child that is killed and reaped at the latest when this goes.
struct Owned(Mutex<Child>);

impl Owned {
    fn kill(&self) {
        // One that ended already keeps its status.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }

    fn reap(&self) -> io::Result<ExitStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wait()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.kill();
        let _ = self.reap();
    }
}

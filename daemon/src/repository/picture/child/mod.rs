//! One disposable process for one content: started, fed, listened to, ended.
//!
//! Owns the process from its start until it is reaped, its time on the clock, and the verdict on how
//! it ended. Called by [`super::render()`] on a thread that may block. It has the child killed in any
//! case before it returns, so there is never one left, and it believes nothing of the answer but
//! that it is one: what the pictures are is for the caller to check.

mod confine;
mod work;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::message::{Answer, Head};
pub use work::{COMMAND, work};

/// What a child may take by the clock. It ends for good after five seconds of the processor's time, and
/// can do nothing but compute: this is for a machine with so much else to do that these take minutes,
/// and says nothing of the image.
const CLOCK: Duration = Duration::from_secs(120);

/// How often it is looked whether the time is up, or the daemon ends: far below what anybody notices.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
pub(super) fn run(
    program: &Path,
    head: &Head,
    read_at: &mut ReadAt<'_>,
    stop: &AtomicBool,
) -> Result<Answer, Ended> {
    run_within(CLOCK, program, head, read_at, stop)
}

fn run_within(
    limit: Duration,
    program: &Path,
    head: &Head,
    read_at: &mut ReadAt<'_>,
    stop: &AtomicBool,
) -> Result<Answer, Ended> {
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
    let (answer, timed_out) = thread::scope(|scope| {
        let (done, end) = mpsc::channel::<()>();
        let (child, owned) = (&child, &child);
        // The scope joins it, as soon as `done` is dropped.
        let watch = thread::Builder::new().name("picture-clock".to_owned()).spawn_scoped(
            scope,
            move || {
                let late_at = Instant::now() + limit;
                while end.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                    let is_late = Instant::now() >= late_at;
                    if is_late || stop.load(Ordering::Relaxed) {
                        child.kill();
                        return is_late;
                    }
                }
                false
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
        Err(_) if stop.load(Ordering::Relaxed) => {
            Err(Ended::Failed(io::ErrorKind::Interrupted.into()))
        }
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

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use imgrepo_proto::session::view::Variant;

    use super::*;

    /// How a program of these lines ends.
    fn ended(lines: &str, limit: Duration, content_bytes: u64) -> Ended {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{lines}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
        let head = Head {
            size_bytes: content_bytes,
            orientation: 1,
            placeholder: true,
            is_background: false,
            may_be_itself: false,
            variants: vec![Variant::Small],
        };
        let never = AtomicBool::new(false);
        run_within(limit, &program, &head, &mut |_, _| Ok(()), &never).unwrap_err()
    }

    #[test]
    fn one_that_never_ends_is_ended() {
        let soon = Duration::from_millis(200);
        assert!(matches!(ended("exec sleep 1000", soon, 0), Ended::TimedOut));
        // Neither does one that takes nothing keep its parent from it.
        assert!(matches!(ended("exec sleep 1000", soon, 1 << 30), Ended::TimedOut));
        // Nor one that goes on for ever behind a closed door.
        assert!(matches!(ended("exec sleep 1000 >&-", soon, 0), Ended::Alone(_)));
    }

    #[test]
    fn one_that_answers_without_end_is_ended() {
        let ended = ended("exec yes", CLOCK, 0);
        assert!(matches!(ended, Ended::Lied), "{ended:?}");
    }

    #[test]
    fn how_one_ended_is_told() {
        let status = |lines| match ended(lines, CLOCK, 1 << 20) {
            Ended::Alone(status) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status("exit 3").code(), Some(3));
        assert!(status("kill -9 $$").to_string().contains("SIGKILL"));
    }
}

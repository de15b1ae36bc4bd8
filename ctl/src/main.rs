//! `imgctl`: the command line. It asks this user's own daemon over the local socket, shows the
//! answer and ends with an honest exit code.
//!
//! This file owns the process: it reads the arguments, runs the command on a thread of its own and
//! waits for it, for an interruption or for the end of the time that was given. It alone decides
//! the exit code; what a command does stands in `commands`, one file a verb.

mod cancel;
mod cli;
mod commands;
mod context;
mod echo;
mod failure;
mod folders;
mod images;
mod listing;
mod menu;
mod output;
mod people;
mod programs;
mod progress;
mod qr;
mod several;
mod start;
mod steady;
mod table;
mod uploads;
mod walk;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use imgrepo_proto::{ErrorCode, Refusal};

use crate::cancel::Cancel;
use crate::cli::{Asked, Global};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;

/// How long a command that was told to stop may take to say what it got done.
const GRACE: Duration = Duration::from_secs(2);

/// What the main thread waits for.
enum Turn {
    /// The command is over.
    Finished(u8),
    /// Ctrl-C, or SIGTERM.
    Interrupted,
}

/// Says `Finished` however the command's thread ends.
struct Finish(Sender<Turn>, u8);

impl Drop for Finish {
    fn drop(&mut self) {
        let _ = self.0.send(Turn::Finished(self.1));
    }
}

fn main() -> ExitCode {
    // Without a command: the menu.
    let (global, command) = match cli::parse() {
        Ok(Asked::Command(cli)) => (cli.global, Some(cli.command)),
        Ok(Asked::Menu) => (Global::default(), None),
        Err(code) => return ExitCode::from(code),
    };
    let cancel = Arc::new(Cancel::default());
    let deadline = global.timeout.and_then(|limit| Instant::now().checked_add(limit));
    let context = Arc::new(Context::new(global, Arc::clone(&cancel)));
    let out = Arc::clone(&context.out);
    let (turns, next) = mpsc::channel();
    if let Err(error) = listen(turns.clone()) {
        out.error(&Failure::new(
            "listen for Ctrl-C",
            Refusal::new(ErrorCode::Internal, error.to_string()),
        ));
        return ExitCode::FAILURE;
    }
    // Not joined: what it still waits for when the process was told to end, the end cuts off.
    thread::spawn(move || {
        let mut finish = Finish(turns, 1);
        // What cannot be written was not done.
        let outcome = match command {
            Some(command) => commands::run(&context, command),
            None => menu::run(&context),
        };
        let outcome = outcome.and_then(|()| context.out.flush());
        finish.1 = match outcome {
            Ok(()) => 0,
            Err(failure) => {
                context.out.error(&failure);
                failure.exit_code()
            }
        };
    });
    let code = wait(&next, deadline, &cancel, &out);
    cancel.clean_up();
    ExitCode::from(code)
}

/// Waits for the command's end. The first interruption, and the end of the time, let a command that
/// can say what it got done do so; a second interruption ends it at once.
fn wait(
    next: &mpsc::Receiver<Turn>,
    mut deadline: Option<Instant>,
    cancel: &Cancel,
    out: &Arc<Output>,
) -> u8 {
    let mut stopped: Option<Refusal> = None;
    loop {
        let turn = match deadline {
            Some(deadline) => next.recv_timeout(deadline.saturating_duration_since(Instant::now())),
            None => next.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let refusal = match (turn, &stopped) {
            (Ok(Turn::Finished(code)), None) => return code,
            // It may have been done with everything just then.
            (Ok(Turn::Finished(0)), Some(_)) => return 0,
            (Ok(Turn::Finished(_)), Some(refusal)) => return refusal.code.exit_code(),
            (Err(RecvTimeoutError::Disconnected), _) => return 1,
            (_, Some(refusal)) => return last_word(out, refusal),
            (Ok(Turn::Interrupted), None) => Refusal::new(ErrorCode::Cancelled, "interrupted"),
            (Err(RecvTimeoutError::Timeout), None) => {
                Refusal::new(ErrorCode::TimedOut, "the time given by `--timeout` is over")
            }
        };
        if !cancel.begin(&refusal) {
            return last_word(out, &refusal);
        }
        stopped = Some(refusal);
        deadline = Some(Instant::now() + GRACE);
    }
}

/// Says why the command ends before it is done, and gives the exit code. The command may be stuck
/// in a write to a reader that does not read, so this waits for no more than a moment.
fn last_word(out: &Arc<Output>, refusal: &Refusal) -> u8 {
    const MOMENT: Duration = Duration::from_millis(300);
    let (said, heard) = mpsc::channel();
    let (out, failure) = (Arc::clone(out), Failure::new("finish", refusal.clone()));
    // Not joined: the process ends whether or not anybody reads this.
    thread::spawn(move || {
        out.error(&failure);
        let _ = said.send(());
    });
    let _ = heard.recv_timeout(MOMENT);
    refusal.code.exit_code()
}

/// Listens for Ctrl-C and SIGTERM until the process ends.
#[cfg(unix)]
fn listen(turns: Sender<Turn>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    // Not joined: it waits for signals as long as the process lives.
    thread::spawn(move || {
        for _ in signals.forever() {
            if turns.send(Turn::Interrupted).is_err() {
                break;
            }
        }
    });
    Ok(())
}

/// Elsewhere Ctrl-C ends the process as the system does it.
#[cfg(not(unix))]
fn listen(_: Sender<Turn>) -> std::io::Result<()> {
    Ok(())
}

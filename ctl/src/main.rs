//! `imgctl`: the command line. It asks this user's own daemon over the local socket, shows the
//! answer and ends with an honest exit code.
//!
//! This file reads the arguments and runs the command, which `guard` cuts off at an interruption or
//! at the end of the time that was given. These two alone decide the exit code; what a command does
//! stands in `commands`, one file a verb.

mod cancel;
mod cli;
mod commands;
mod context;
mod echo;
mod failure;
mod folders;
mod guard;
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

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use imgrepo_proto::{ErrorCode, Refusal};

use crate::cancel::Cancel;
use crate::cli::{Asked, Global};
use crate::context::Context;
use crate::failure::Failure;
use crate::guard::Guard;

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
    let guard = match Guard::start(deadline, &cancel, &context.out) {
        Ok(guard) => guard,
        Err(error) => {
            context.out.error(&Failure::new(
                "listen for Ctrl-C",
                Refusal::new(ErrorCode::Internal, error.to_string()),
            ));
            return ExitCode::FAILURE;
        }
    };
    // Nothing of it is used after a panic but the exit code.
    let code = catch_unwind(AssertUnwindSafe(|| {
        let outcome = match command {
            Some(command) => commands::run(&context, command),
            None => menu::run(&context),
        };
        // What cannot be written was not done.
        match outcome.and_then(|()| context.out.flush()) {
            Ok(()) => 0,
            Err(failure) => {
                context.out.error(&failure);
                failure.exit_code()
            }
        }
    }));
    let code = guard.finished(code.unwrap_or(1));
    cancel.clean_up();
    ExitCode::from(code)
}

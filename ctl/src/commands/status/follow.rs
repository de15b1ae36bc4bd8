//! `imgctl status -f`: the status as it changes, through the ends and starts of the daemon. On a
//! terminal it stands in one place; elsewhere it is said again at each change.

use std::thread;
use std::time::Duration;

use imgrepo_proto::Refusal;
use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::reply::Status;
use imgrepo_proto::control::{Outcome, Request};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{ACT, document, lines};
use crate::context::{Context, unexpected};
use crate::failure::Failure;
use crate::output::{Problem, json};
use crate::start;

/// Between two looks: often enough to see a bar move.
const EVERY: Duration = Duration::from_millis(500);

/// `{"v":1,"error":{...}}`, while there is no daemon.
#[derive(Serialize)]
struct Away {
    error: Problem,
}

/// Shows it until it is interrupted.
pub(super) fn run(context: &Context, long: bool) -> Result<(), Failure> {
    let mut daemon = None;
    let mut view = View::new(context, long);
    let mut was_there = false;
    loop {
        let status = ask(context, &mut daemon);
        if let Err(refusal) = &status
            && !(was_there && start::is_restart(refusal.code))
        {
            return Err(Failure::new(ACT, refusal.clone()));
        }
        was_there = true;
        view.show(&status)?;
        thread::sleep(EVERY);
    }
}

fn ask(context: &Context, daemon: &mut Option<Client>) -> Result<Status, Refusal> {
    let client = match daemon {
        Some(client) => client,
        None => daemon.insert(context.open()?),
    };
    match client.call(&Request::Status)? {
        Outcome::Status(status) => Ok(*status),
        other => Err(unexpected(&other)),
    }
}

/// Where it is shown.
struct View<'a> {
    context: &'a Context,
    long: bool,
    /// On a terminal: what is drawn over itself.
    screen: Option<ProgressBar>,
    last: String,
}

impl<'a> View<'a> {
    fn new(context: &'a Context, long: bool) -> Self {
        let out = &context.out;
        let screen = (out.terminal() && !out.json()).then(|| {
            let screen = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                screen.set_style(style);
            }
            out.set_bar(Some(screen.clone()));
            screen
        });
        View { context, long, screen, last: String::new() }
    }

    fn show(&mut self, status: &Result<Status, Refusal>) -> Result<(), Failure> {
        let out = &self.context.out;
        let text = match (status, out.json()) {
            (Ok(status), true) => json(&document(status)),
            (Ok(status), false) => lines::lines(out, status, self.long).join("\n"),
            (Err(refusal), true) => json(&Problem::from(refusal)),
            (Err(refusal), false) => format!("waiting for the daemon: {}", refusal.message),
        };
        // What is the same is not drawn again: it would only flicker.
        if text == self.last {
            return Ok(());
        }
        if let Some(screen) = &self.screen {
            screen.set_message(text.clone());
            self.last = text;
            return Ok(());
        }
        match (status, out.json()) {
            (Ok(status), true) => out.document_line(&document(status))?,
            (Err(refusal), true) => out.document_line(&Away { error: refusal.into() })?,
            (_, false) => out.line(&format!("{text}\n"))?,
        }
        self.last = text;
        out.flush()
    }
}

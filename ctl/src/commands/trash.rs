//! `imgctl trash ls|empty`: what was deleted and can be restored, and its end.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::session::command::{Filter, State};
use serde::Serialize;

use crate::cli;
use crate::context::{Context, unexpected};
use crate::failure::Failure;
use crate::images;

/// `{"v":1,"purged":3}`.
#[derive(Serialize)]
struct Document {
    purged: u64,
}

/// Lists or empties it.
pub(crate) fn run(context: &Context, args: &cli::Trash) -> Result<(), Failure> {
    match args {
        cli::Trash::Ls(page) => {
            let filter = Filter { state: State::Trashed, ..Filter::default() };
            let again = if page.long { "trash ls --long" } else { "trash ls" };
            images::show(context, filter, page, again)
        }
        cli::Trash::Empty { yes } => empty(context, *yes),
    }
}

fn empty(context: &Context, yes: bool) -> Result<(), Failure> {
    let act = "empty the trash";
    let purged = if yes || confirmed() {
        match context.ask(act, &Request::Purge { image: None })? {
            Outcome::Purged(count) => count,
            other => return Err(Failure::new(act, unexpected(&other))),
        }
    } else {
        0
    };
    if context.out.json() {
        return context.out.document(&Document { purged });
    }
    context.out.confirm(&match purged {
        0 => "nothing is removed".to_owned(),
        1 => "1 image is gone for ever".to_owned(),
        count => format!("{count} images are gone for ever"),
    });
    Ok(())
}

/// Asks the person at the terminal. Where nobody is, the command itself is the word: scripts that
/// say it mean it.
fn confirmed() -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return true;
    }
    // What the terminal does not take, the person did not see: an empty answer then, which is no.
    let _ = write!(io::stderr(), "Remove everything in the trash for ever? [y/N] ");
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    matches!(answer.trim(), "y" | "Y" | "yes")
}

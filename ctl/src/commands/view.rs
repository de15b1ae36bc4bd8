//! `imgctl view [IMAGE]`: the window, on this image; one that is open already is steered.
//!
//! The image is looked up first, so that a wrong name opens nothing. A new window is a process of
//! its own that outlives this command: it is waited for until the daemon says that it is there, or
//! until it ends, and then its words are the error.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use imgrepo_proto::control::window::{Opened, WindowRequest};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, ImageRecord, ImageRef, Refusal};
use serde::Serialize;

use crate::cli;
use crate::context::{Context, image_ref, unexpected};
use crate::failure::Failure;
use crate::programs::program;

/// Between two looks at whether the window's process has ended: it is there to be seen, and this
/// is below what a person notices.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// `{"v":1,"window":"opened","image":{...}}`.
#[derive(Serialize)]
struct Document<'a> {
    window: &'static str,
    image: Option<&'a ImageRecord>,
}

/// Has the window show it, and opens one where there is none.
pub(crate) fn run(context: &Arc<Context>, args: &cli::View) -> Result<(), Failure> {
    let act = match &args.image {
        Some(image) => format!("view `{image}`"),
        None => "open the window".to_owned(),
    };
    let wrap = |refusal| Failure::new(&act, refusal);
    let image = args.image.as_deref().map(image_ref).transpose().map_err(wrap)?;
    let Opened { image, is_shown } = ask(context, image, false).map_err(wrap)?;
    if !is_shown {
        open(context, image.as_ref()).map_err(wrap)?;
    }
    let window = if is_shown { "steered" } else { "opened" };
    if context.out.json() {
        return context.out.document(&Document { window, image: image.as_ref() });
    }
    context.out.confirm(&match &image {
        Some(image) => format!("{window:<9}  {:>4}  {}", image.id, shown(&image.name)),
        None if is_shown => "the window is in front".to_owned(),
        None => "opened".to_owned(),
    });
    Ok(())
}

fn ask(context: &Context, image: Option<ImageRef>, wait: bool) -> Result<Opened, Refusal> {
    match context.open()?.call(&Request::Window(WindowRequest::Open { image, wait }))? {
        Outcome::Window(opened) => Ok(*opened),
        other => Err(unexpected(&other)),
    }
}

/// Starts a window, and returns when it is there.
fn open(context: &Arc<Context>, image: Option<&ImageRecord>) -> Result<(), Refusal> {
    let mut words = tempfile::tempfile().map_err(|error| not_started(&error))?;
    let its_words = words.try_clone().map_err(|error| not_started(&error))?;
    let mut command = Command::new(program("imgview"));
    command.arg("--detached").args(image.map(|image| image.id.to_string()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(its_words);
    let child = command.spawn().map_err(|error| not_started(&error))?;
    let child = Arc::new(Mutex::new(child));
    // A command that is broken off leaves no window that nobody waits for.
    let broken_off = Arc::clone(&child);
    let undo = context.cancel.undo(move || end(&broken_off));
    let (says, heard) = mpsc::channel();
    let asked = Arc::clone(context);
    // Not joined: what it waits for comes, or the daemon ends, or this process does.
    thread::spawn(move || {
        // Nobody hears it where the window has ended first.
        let _ = says.send(ask(&asked, None, true));
    });
    loop {
        match heard.recv_timeout(LOOK_EVERY) {
            Ok(Ok(_)) => break,
            Ok(Err(refusal)) => {
                undo.now();
                return Err(refusal);
            }
            Err(_) => {}
        }
        let ended = lock(&child).try_wait().ok().flatten();
        match ended {
            None => {}
            // It found that another had opened meanwhile, and has steered that.
            Some(status) if status.success() => break,
            Some(_) => return Err(refusal_in(&mut words)),
        }
    }
    drop(undo);
    // Not joined: a program that goes on (the menu) must not keep what is left of an ended window.
    thread::spawn(move || lock(&child).wait());
    Ok(())
}

fn lock(child: &Mutex<Child>) -> std::sync::MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(child: &Mutex<Child>) {
    let mut child = lock(child);
    // One that has ended by itself is as good.
    let _ = child.kill();
    let _ = child.wait();
}

/// What a window said before it ended, as an error of this command.
fn refusal_in(words: &mut File) -> Refusal {
    /// A toolkit may say more than anybody reads.
    const MOST_BYTES: u64 = 64 * 1024;
    let mut text = Vec::new();
    let _ = words.rewind();
    let _ = words.take(MOST_BYTES).read_to_end(&mut text);
    said(&String::from_utf8_lossy(&text))
}

/// The error and the hint among the lines that a window's process wrote.
fn said(text: &str) -> Refusal {
    let mut lines = text.lines().rev();
    let hint = text.lines().rev().find_map(|line| line.strip_prefix("hint: "));
    let message = lines.find_map(|line| line.strip_prefix("imgview: "));
    let last = || text.lines().map(str::trim).rfind(|line| !line.is_empty());
    let message = match message.or_else(last) {
        Some(message) => message.to_owned(),
        None => "the window ended at once and said nothing".to_owned(),
    };
    let refusal = Refusal::new(ErrorCode::Unsupported, message);
    match hint {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

fn not_started(error: &std::io::Error) -> Refusal {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Refusal::new(ErrorCode::Unsupported, "the window's program `imgview` is not here")
            .hint("install it: make install (it needs libwebkit2gtk-4.1-dev to be built)");
    }
    let cause = crate::failure::cause(error);
    Refusal::new(ErrorCode::Internal, format!("cannot start `imgview`: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_windows_last_words_are_the_error() {
        let refusal = said("Gtk-WARNING: x\nimgview: there is no display\nhint: use a desktop\n");
        assert_eq!(refusal.message, "there is no display");
        assert_eq!(refusal.hint.as_deref(), Some("use a desktop"));
        assert_eq!(said("a\n\nboom \n\n").message, "boom");
        assert_eq!(said("").message, "the window ended at once and said nothing");
        assert_eq!(said("").code.exit_code(), 1);
    }
}

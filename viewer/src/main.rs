//! `imgview`: the window of imgrepo, one a daemon.
//!
//! This file owns the process: it reads the arguments, refuses where there is no display, hands over
//! to a window that is open already, and otherwise is the window until that closes. Only this file
//! prints and exits. The page in the window is `ui/`'s, everything of the repository the daemon's.

#![allow(clippy::print_stderr, clippy::exit)] // This is where it happens.

mod attached;
mod bridge;
mod door;
mod drops;
mod fetch;
mod kept;
mod mailbox;
mod paths;
mod place;
mod saving;
mod ui;
mod window;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use imgrepo_proto::control::window::WindowRequest;
use imgrepo_proto::control::{Client, Endpoint, Outcome, Request};
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{ErrorCode, ImageRef, Refusal};

use crate::attached::First;
use crate::mailbox::Mailbox;
use crate::paths::Paths;
use crate::window::Wanted;

/// How long a daemon may take to say whether there is a window already. It says so in a millisecond;
/// one that is busy must not keep a person waiting for a window.
const FIRST_WORD: Duration = Duration::from_millis(150);

/// Shows the images that a group of people share.
///
/// The window belongs to the daemon that runs here (imgrepod); where there is a window already, that
/// shows the image. It is opened by `imgctl view` and from the menu of the desktop.
#[derive(Debug, Parser)]
#[command(name = "imgview", version, max_term_width = 100)]
struct Args {
    /// Which image: an id, an exact name, or @last; all of them when missing
    image: Option<String>,
    /// Outlive the terminal that it was started from
    #[arg(long, hide = true)]
    detached: bool,
    /// Let a test drive the page, and drop files for it
    #[arg(long, hide = true)]
    automation: bool,
    /// Add a line to this file when the first picture was painted
    #[arg(long, hide = true, value_name = "FILE", env = "IMGREPO_REPORT_PAINTED", hide_env = true)]
    report_painted: Option<PathBuf>,
    /// Write the manual pages into a folder, as they are installed
    #[arg(long, hide = true, value_name = "DIR", exclusive = true)]
    man: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.man {
        Some(folder) => write_pages(folder),
        None => run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            complain(&refusal);
            ExitCode::from(if refusal.code == ErrorCode::Usage { 2 } else { 1 })
        }
    }
}

/// Returns where there is nothing to be open for; a window ends the process when it closes.
fn run(args: Args) -> Result<(), Refusal> {
    let image = args.image.as_deref().map(image_ref).transpose()?;
    let paths = Paths::from_env(|name| std::env::var_os(name));
    if !paths.has_display {
        return Err(no_display("there is no display to open a window on"));
    }
    #[cfg(unix)]
    if args.detached {
        // A terminal that closes is nothing to it.
        let _ = rustix::process::setsid();
    }
    #[cfg(target_os = "linux")]
    if gtk::init().is_err() {
        return Err(no_display("the display cannot be opened"));
    }
    let events = window::events();
    let mailbox = Mailbox::new(events.create_proxy());
    let attached = attached::start(paths.endpoint.clone(), mailbox.clone());
    // It may close at this very moment: then the place is free for this one.
    if attached.first(FIRST_WORD) == First::Taken && steer(&paths.endpoint, image.clone())? {
        return Ok(());
    }
    let wanted = Wanted { image, automation: args.automation, painted: args.report_painted };
    window::open(events, mailbox, attached.standing, paths, wanted)
}

/// Has the window that is open already show it. False where there is none any more.
fn steer(endpoint: &Endpoint, image: Option<ImageRef>) -> Result<bool, Refusal> {
    let mut daemon = Client::connect(endpoint, program())?;
    match daemon.call(&Request::Window(WindowRequest::Open { image, wait: false }))? {
        Outcome::Window(opened) => Ok(opened.is_shown),
        _ => Ok(false),
    }
}

fn image_ref(text: &str) -> Result<ImageRef, Refusal> {
    ImageRef::parse(text).map_err(|error| Refusal::new(ErrorCode::Usage, error.to_string()))
}

fn no_display(message: &str) -> Refusal {
    Refusal::new(ErrorCode::Unsupported, message)
        .hint("run it in a desktop's session, or set DISPLAY or WAYLAND_DISPLAY to one")
}

fn write_pages(folder: &std::path::Path) -> Result<(), Refusal> {
    let pages = folder.join("share/man/man1");
    let written = std::fs::create_dir_all(&pages)
        .and_then(|()| clap_mangen::generate_to(Args::command(), &pages));
    written.map_err(|error| {
        let message = format!("cannot write the manual page to `{}`: {error}", pages.display());
        Refusal::new(ErrorCode::FileError, message)
    })
}

fn complain(refusal: &Refusal) {
    use std::io::Write as _;
    let mut text = format!("imgview: {}\n", imgrepo_proto::name::shown(&refusal.message));
    if let Some(hint) = &refusal.hint {
        text += &format!("hint: {}\n", imgrepo_proto::name::shown(hint));
    }
    // Nobody may be listening any more.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// This program's name and version.
pub(crate) fn program() -> Program {
    Program { name: "imgview".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

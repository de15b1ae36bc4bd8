//! The words of the command line: a contract that scripts depend on. Pure shape; what a verb does
//! stands in `commands`.

mod asked;
mod people;
mod transfers;
mod up;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use self::asked::{Asked, command, parse};
pub(crate) use self::people::{
    Audit, Devices, Invitations, Invite, Join, LoginLink, NewInvitation, Parcel, People,
};
pub(crate) use self::transfers::{
    After, Limit, Queue, QueueLs, Status, Verify, Watch, WatchAdd, Way, Which,
};
pub(crate) use self::up::Up;

/// Upload, list, download and follow the images that a group of people share.
#[derive(Debug, Parser)]
#[command(
    name = "imgctl",
    version,
    after_help = "IMAGE is an id (7), an exact name (beach.jpg; name:7 forces a name) or @last, the newest.\n\
                  PATTERN is a glob over the whole name, without regard to case.\n\n\
                  Exit codes: 0 done, 1 failed, 2 wrong usage, 3 daemon not running, 4 refused, 5 not found,\n\
                  6 some of several failed, 7 not connected or a passing fault, 8 ambiguous name or conflict,\n\
                  9 timed out, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but data and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more, such as the code of an error
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Whether to use colours; NO_COLOR is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Draw no progress bar
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
    /// Give up after this many seconds
    #[arg(long, global = true, value_name = "SECS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

/// When colours are used; `auto` is on a terminal. Its values have no words of their own: help is
/// short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show how everything is: daemon, session, queue, watched folders, transfers
    Status(Status),
    /// Make all of it run: what starts the daemon, the daemon, watched folders
    Up(Up),
    /// Open the session to a server and keep it open, across restarts too
    Connect(Connect),
    /// End the session in order and stay offline
    Disconnect(Disconnect),
    /// Store images: files and, recursively, folders
    Upload(Upload),
    /// List images, the newest first
    List(List),
    /// Show everything that is known of an image
    Info(One),
    /// Fetch originals, byte for byte
    Download(Download),
    /// Show an image, or all of them, in the window
    View(View),
    /// Give an image another name
    Rename(Rename),
    /// Move images to the trash
    Rm(Several),
    /// Bring images back from the trash
    Restore(Several),
    /// See or empty the trash
    #[command(subcommand)]
    Trash(Trash),
    /// Show what happened in the repository
    Events(Events),
    /// See and steer the uploads that wait for their turn
    #[command(subcommand)]
    Queue(Queue),
    /// Upload by itself what is dropped into a folder
    #[command(subcommand)]
    Watch(Watch),
    /// Wait until everything is uploaded (with --timeout, no longer than that)
    Wait,
    /// Tell whether the files here are in the repository, by their contents
    Verify(Verify),
    /// Limit all transfers together, or show their limits
    Limit(Limit),
    /// Let somebody in: print a link for them, or see and take back those that were given
    Invite(Invite),
    /// Take up an invitation: an account there, and the session to it
    Join(Join),
    /// See the people of the repository, and what they may do
    #[command(subcommand)]
    People(People),
    /// See the devices that are let in, take one out, or let in one more of your own
    #[command(subcommand)]
    Devices(Devices),
    /// Print a link that lets your own browser in, once and soon
    LoginLink(LoginLink),
    /// Show who did what: invited, joined, deleted, took out
    Audit(Audit),
    /// Look whether everything is as it should be, and say how to mend what is not
    Doctor,
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages and the completions of every shell into a folder, as they are installed
    #[command(hide = true)]
    Man(Man),
    /// Try it all: a server and two people's daemons in temporary folders
    Demo(Demo),
    /// End the daemon
    Stop,
}

#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// `ws://HOST:PORT/`, or `HOST[:PORT]`
    pub(crate) url: String,
    /// Your name there
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Disconnect {
    /// Leave it for good: revoke this computer there, and forget here its folders and what lets in
    #[arg(long)]
    pub(crate) forget: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Upload {
    /// Files and folders; `-` reads standard input (with --name)
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The image's name, instead of the file's
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Do not wait: the daemon uploads them when it can, whatever happens meanwhile
    #[arg(long)]
    pub(crate) queue: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only names that fit this glob
    pub(crate) pattern: Option<String>,
    /// Only images of this person
    #[arg(long, value_name = "U")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) page: Page,
}

/// Which part of a list, and how.
#[derive(Debug, Args)]
pub(crate) struct Page {
    /// At most this many (on a terminal 50, unless told otherwise)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "all")]
    pub(crate) limit: Option<u64>,
    /// Go on after an earlier list
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    /// All of them, on a terminal too
    #[arg(long)]
    pub(crate) all: bool,
    /// More columns
    #[arg(short, long)]
    pub(crate) long: bool,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// Which image
    pub(crate) image: String,
}

#[derive(Debug, Args)]
pub(crate) struct Several {
    /// Which images
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Download {
    /// Which images
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
    /// Where to: a file, a folder, or `-` for standard output
    #[arg(short, long, value_name = "PATH|DIR|-")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite files that exist
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct View {
    /// Which image; all of them when missing
    pub(crate) image: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where to
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// Which image
    pub(crate) image: String,
    /// Its new name
    pub(crate) name: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Trash {
    /// List what is in the trash
    Ls(Page),
    /// Remove everything in the trash for ever
    Empty {
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on with what happens from now on, through cuts of the session
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// After this event; 0 is the beginning
    #[arg(long, value_name = "SEQ")]
    pub(crate) since: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Your own pictures instead of those that the program brings
    #[arg(long, value_name = "DIR", env = "IMAGES", hide_env_values = true)]
    pub(crate) images: Option<PathBuf>,
    /// Leave it running (KEEP=1 too)
    #[arg(long)]
    pub(crate) keep: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(timeout) if !timeout.is_zero() => Ok(timeout),
        _ => Err("it must be more than 0 seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_positive() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "NaN", "inf", "x", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}

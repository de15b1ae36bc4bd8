//! `imgrepod import classic` and `imgrepod export classic`: the old system's folder and the repository
//! of this home, which no daemon may have open meanwhile. What was left out is told line by line, and
//! at the end a summary; the work is `repository::classic`'s.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use imgrepo_proto::{ErrorCode, Refusal};
use imgrepod::config::Flags;
use imgrepod::repository::classic::{ExportSummary, Folder, ImportSummary, Told};
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::home::{self, document, failed, say};

/// Some of several were left out.
const SOME_FAILED: u8 = 6;

/// How often a terminal hears how far it is: as often as an eye follows.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Where images come from.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// An old server's folder, with metadata.json and imagens/; what was taken once stays one
    Classic(Place),
}

/// Where images go.
#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// A folder that the old server runs on: metadata.json and imagens/
    Classic(Place),
}

/// A folder, and how to tell of it.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// Takes over an old server's folder.
pub(crate) fn import(
    Import::Classic(place): &Import,
    flags: &Flags,
    runtime: &Runtime,
) -> Result<ExitCode, Refusal> {
    let done = (|| {
        let settings = home::settings(flags)?;
        // Before a repository is made: a folder that is none leaves nothing behind.
        let folder = Folder::open(&place.folder, &TimeZone::system())?;
        runtime.block_on(async {
            let repository = home::open(settings)?;
            let mut screen = Screen::new(place.json, "imported");
            let summary = repository.import_classic(folder, &mut |told| screen.tell(&told)).await;
            repository.close().await;
            summary
        })
    })();
    finish(place, done, |summary: &ImportSummary| {
        let ImportSummary { imported, present, renumbered, left_out } = summary;
        let (renumbered, left) = (renumbered.len(), left_out.len());
        let text = format!(
            "imported {imported}, here already {present}, left out {left} \
             (under another number: {renumbered})"
        );
        (text, left > 0)
    })
}

/// Writes a folder for the old server.
pub(crate) fn export(
    Export::Classic(place): &Export,
    flags: &Flags,
    runtime: &Runtime,
) -> Result<ExitCode, Refusal> {
    let done = (|| {
        let settings = home::settings(flags)?;
        if !settings.data.join("catalog.db").exists() {
            let data = settings.data.display();
            let message = format!("cannot export: there is no repository in `{data}`");
            return Err(Refusal::new(ErrorCode::NotFound, message));
        }
        runtime.block_on(async {
            let repository = home::open(settings)?;
            let mut screen = Screen::new(place.json, "exported");
            let zone = TimeZone::system();
            let mut tell = |told: Told<'_>| screen.tell(&told);
            let summary = repository.export_classic(&place.folder, &zone, &mut tell).await;
            repository.close().await;
            summary
        })
    })();
    finish(place, done, |summary: &ExportSummary| {
        let ExportSummary { exported, without_thumbnail, left_out } = summary;
        let left = left_out.len();
        let text = format!(
            "exported {exported}, left out {left} (without a thumbnail: {without_thumbnail})"
        );
        (text, left > 0)
    })
}

/// Says what it came to.
fn finish<T: Serialize>(
    place: &Place,
    done: Result<T, Refusal>,
    summarise: impl FnOnce(&T) -> (String, bool),
) -> Result<ExitCode, Refusal> {
    match done {
        Ok(summary) => {
            let (text, is_partial) = summarise(&summary);
            say(if place.json { document(summary) } else { text });
            Ok(if is_partial { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS })
        }
        Err(refusal) => {
            if place.json {
                say(failed(&refusal));
            }
            Err(refusal)
        }
    }
}

/// What people see while it goes on, on stderr.
struct Screen {
    is_terminal: bool,
    is_quiet: bool,
    verb: &'static str,
    shown_at: Option<Instant>,
}

impl Screen {
    fn new(json: bool, verb: &'static str) -> Screen {
        let is_terminal = std::io::stderr().is_terminal();
        Screen { is_terminal, is_quiet: json, verb, shown_at: None }
    }

    fn tell(&mut self, told: &Told<'_>) {
        match told {
            Told::Progress { done, total } => self.progress(*done, *total),
            // A document has these.
            _ if self.is_quiet => {}
            Told::Renumbered(renumbered) => self.line(&format!(
                "renumbered: image {} is image {} here",
                renumbered.number, renumbered.image
            )),
            Told::LeftOut(left_out) => {
                let which = match (left_out.number, left_out.entry) {
                    (Some(number), _) => format!("image {number}"),
                    (None, Some(entry)) => format!("entry {entry}"),
                    (None, None) => "an image".to_owned(),
                };
                self.line(&format!("left out: {which}: {}", left_out.error.message));
            }
        }
    }

    fn line(&mut self, line: &str) {
        eprintln!("{}{line}", self.wipe());
    }

    fn progress(&mut self, done: usize, total: Option<u64>) {
        let is_last = total == Some(done as u64);
        let is_due = self.shown_at.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY);
        if !self.is_terminal || !(is_due || is_last) {
            return;
        }
        self.shown_at = Some(Instant::now());
        let total = total.map(|total| format!(" of {total}")).unwrap_or_default();
        let end = if is_last { "\n" } else { "" };
        eprint!("{}{} {done}{total}{end}", self.wipe(), self.verb);
    }

    /// Takes back a line of progress.
    fn wipe(&self) -> &'static str {
        if self.is_terminal { "\r\x1b[K" } else { "" }
    }
}

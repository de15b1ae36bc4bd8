//! `imgrepod backup` and `imgrepod restore`: a copy of the repository of this home, and a home out of
//! one. What is missing is told as it is found, and at the end what it came to; the work is the
//! repository's.

use std::path::PathBuf;
use std::process::ExitCode;

use imgrepo_proto::control::maintenance::{
    BackedUp, Backup, Fault, Maintenance, MaintenanceItem, MaintenanceOutcome,
};
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};
use imgrepod::config::Flags;
use imgrepod::repository::Told;
use imgrepod::repository::backup::{Restore, Restored, restore};
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::fsck::{INTERRUPTED, LISTED, Screen, lines};
use super::home::{self, document, failed, say};

/// Something is missing.
const MISSING: u8 = 1;

/// Where a backup goes.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// Its folder: empty, not there yet, or that of the last backup, which is renewed
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Read also what the folder has already, and copy anew what is damaged there
    #[arg(long)]
    check: bool,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// Where a backup is.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// Its folder, which is only read
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Come to an end though contents are missing or damaged there: their images stay without
    #[arg(long)]
    accept_missing: bool,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a, T> {
    #[serde(flatten)]
    done: &'a T,
    lost: &'a [Fault],
}

/// Tells what goes on, and keeps what a document lists.
struct Listener {
    screen: Screen,
    json: bool,
    lost: Vec<Fault>,
}

impl Listener {
    fn new(json: bool) -> Listener {
        Listener { screen: Screen::new(), json, lost: Vec::new() }
    }

    fn hear(&mut self, item: MaintenanceItem) {
        match item {
            MaintenanceItem::Step(step) => self.screen.step(&step),
            MaintenanceItem::Fault(fault) if self.json => {
                if self.lost.len() < LISTED {
                    self.lost.push(*fault);
                }
            }
            MaintenanceItem::Fault(fault) => {
                self.screen.wipe();
                say(lines(&fault));
            }
        }
    }

    /// Says what it came to: a document or words, and whether all is there.
    fn finish<T: Serialize>(
        mut self,
        done: Result<T, Refusal>,
        words: impl FnOnce(&T) -> String,
        is_whole: impl FnOnce(&T) -> bool,
    ) -> Result<ExitCode, Refusal> {
        self.screen.wipe();
        match done {
            Ok(done) => {
                let report = Report { done: &done, lost: &self.lost };
                say(if self.json { document(report) } else { words(&done) });
                let is_whole = is_whole(&done);
                Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(MISSING) })
            }
            Err(refusal) => {
                if self.json {
                    say(failed(&refusal));
                }
                if refusal.code == ErrorCode::Cancelled {
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                Err(refusal)
            }
        }
    }
}

/// Makes or renews a backup.
pub(crate) fn back_up(
    args: &BackupArgs,
    flags: &Flags,
    runtime: &Runtime,
) -> Result<ExitCode, Refusal> {
    let mut listener = Listener::new(args.json);
    // The daemon stands elsewhere.
    let folder = std::path::absolute(&args.folder).unwrap_or_else(|_| args.folder.clone());
    let work = Maintenance::Backup(Backup { folder, check: args.check });
    let done = home::maintain(work, flags, runtime, &mut |item| listener.hear(item));
    let done = done.and_then(|outcome| match outcome {
        MaintenanceOutcome::BackedUp(done) => Ok(*done),
        _ => Err(Refusal::new(ErrorCode::Internal, "nobody made the backup")),
    });
    let folder = shown(&args.folder.to_string_lossy());
    let words = |done: &BackedUp| {
        let BackedUp { images, contents, content_bytes, copied, copied_bytes, removed, .. } = done;
        let [all, new] = [*content_bytes, *copied_bytes].map(imgrepo_proto::size);
        let missing = match done.missing {
            0 => String::new(),
            missing => format!("\n{missing} contents are missing in it: see above"),
        };
        format!(
            "backed up to {folder}: {images} images, {contents} contents ({all}), up to change {}\n\
             copied {copied} ({new}), removed {removed}{missing}",
            done.seq
        )
    };
    listener.finish(done, words, |done| done.missing == 0)
}

/// Makes a repository out of a backup.
pub(crate) fn bring_back(
    args: &RestoreArgs,
    flags: &Flags,
    runtime: &Runtime,
) -> Result<ExitCode, Refusal> {
    let mut listener = Listener::new(args.json);
    let done = (|| {
        let settings = home::settings(flags)?;
        let owner = settings.owner;
        let wanted = Restore {
            folder: args.folder.clone(),
            data: settings.data,
            config: settings.config.unwrap_or_default(),
            accept_missing: args.accept_missing,
        };
        let restored = runtime.block_on(async {
            let (told, mut items) = Told::channel();
            let work = tokio::task::spawn_blocking(move || restore(&wanted, told));
            let tell = async {
                while let Some(item) = items.recv().await {
                    listener.hear(item);
                }
            };
            // A signal that nobody waits for any more means nothing.
            tokio::select! {
                () = tell => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            // The work ends at its next word where nobody hears it.
            drop(items);
            work.await.map_err(|error| Refusal::new(ErrorCode::Internal, error.to_string()))?
        });
        restored.map(|restored| (restored, owner))
    })();
    let (done, owner) = match done {
        Ok((restored, owner)) => (Ok(restored), Some(owner)),
        Err(refusal) => (Err(refusal), None),
    };
    let folder = shown(&args.folder.to_string_lossy());
    let words = |done: &Restored| {
        let Restored { images, contents, content_bytes, seq, .. } = done;
        let made_at = done.made_at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M");
        let size = imgrepo_proto::size(*content_bytes);
        let missing = match (done.missing, done.is_finished) {
            (0, _) => String::new(),
            (missing, true) => format!("\n{missing} contents are missing: see above"),
            (missing, false) => {
                return format!(
                    "not restored: {missing} contents are missing or damaged in {folder}, see above\n\
                     put them there and run it again, or restore without them: --accept-missing"
                );
            }
        };
        let user = match owner.as_ref().is_some_and(|owner| owner.as_str() == done.owner) {
            true => String::new(),
            false => format!(" --user {}", shown(&done.owner)),
        };
        format!(
            "restored from {folder}: {images} images, {contents} contents ({size}), up to change \
             {seq}, as of {made_at}{missing}\nnext: imgrepod --serve{user}"
        )
    };
    listener.finish(done, words, |done| done.missing == 0)
}

//! `imgrepod fsck`: what is not as it should be in the repository of this home, told as it is found,
//! and at the end what was looked at. The work is the repository's.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use imgrepo_proto::control::maintenance::{
    Check, Checked, Fault, Maintenance, MaintenanceItem, MaintenanceOutcome, Step,
};
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};
use imgrepod::config::Flags;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::home::{self, document, failed, say};

/// Something was found.
const FOUND: u8 = 1;

/// Ended by Ctrl-C, as a shell has it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Faults that a document lists; the counts tell of all.
pub(crate) const LISTED: usize = 10_000;

/// How to look.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read every content, past the page cache, and compare it with its hash
    #[arg(long)]
    read_data: bool,
    /// Put right what can be: move damaged contents aside, remove what belongs to nothing, count anew
    #[arg(long)]
    repair: bool,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    sound: bool,
    #[serde(flatten)]
    checked: &'a Checked,
    found: &'a [Fault],
}

/// Looks, and says what it came to.
pub(crate) fn run(args: &Args, flags: &Flags, runtime: &Runtime) -> Result<ExitCode, Refusal> {
    let work = Maintenance::Check(Check { read_data: args.read_data, repair: args.repair });
    let mut screen = Screen::new();
    let mut found = Vec::new();
    let mut item = |item: MaintenanceItem| match item {
        MaintenanceItem::Step(step) => screen.step(&step),
        MaintenanceItem::Fault(fault) if args.json => {
            if found.len() < LISTED {
                found.push(*fault);
            }
        }
        MaintenanceItem::Fault(fault) => {
            screen.wipe();
            say(lines(&fault));
        }
    };
    let done = home::maintain(work, flags, runtime, &mut item);
    screen.wipe();
    match done {
        Ok(MaintenanceOutcome::Checked(checked)) => {
            let sound = checked.faults == 0;
            let report = Report { sound, checked: &checked, found: &found };
            say(if args.json { document(report) } else { summary(&checked, args) });
            Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
        }
        Ok(_) => Err(Refusal::new(ErrorCode::Internal, "nobody looked at the repository")),
        Err(refusal) => {
            if args.json {
                say(failed(&refusal));
            }
            if refusal.code == ErrorCode::Cancelled {
                return Ok(ExitCode::from(INTERRUPTED));
            }
            Err(refusal)
        }
    }
}

/// A fault, with the images that suffer by it and what to do.
pub(crate) fn lines(fault: &Fault) -> String {
    let mut lines = fault.message.clone();
    for image in &fault.images {
        let (name, uploader) = (shown(&image.name), shown(&image.uploader));
        lines.push_str(&format!("\n  image {}: `{name}` of {uploader}", image.id));
    }
    if let Some(remedy) = &fault.remedy {
        lines.push_str(&format!("\n  {remedy}"));
    }
    lines
}

fn summary(checked: &Checked, args: &Args) -> String {
    let Checked { images, contents, changes, read, read_bytes, faults, repaired, .. } = checked;
    let mut lines = format!("looked at {images} images, {contents} contents, {changes} changes");
    if args.read_data {
        let how = checked.reading.as_deref().unwrap_or("nothing to read");
        let size = imgrepo_proto::size(*read_bytes);
        lines.push_str(&format!("; read {read} contents ({size}, {how})"));
    }
    let verdict = match (faults, faults - repaired) {
        (0, _) => "everything is there".to_owned(),
        (found, 0) => format!("found {found}, all put right"),
        (found, left) if args.repair => format!("found {found}, left {left}"),
        (found, _) => format!("found {found}; --repair puts right what can be"),
    };
    format!("{lines}\n{verdict}")
}

/// What people see while it goes on, on stderr.
pub(crate) struct Screen {
    is_terminal: bool,
    has_step: bool,
}

impl Screen {
    pub(crate) fn new() -> Screen {
        Screen { is_terminal: std::io::stderr().is_terminal(), has_step: false }
    }

    pub(crate) fn step(&mut self, step: &Step) {
        if !self.is_terminal {
            return;
        }
        let amount = |count: u64| match step.bytes {
            true => imgrepo_proto::size(count),
            false => count.to_string(),
        };
        let total = step.total.map(|total| format!(" of {}", amount(total))).unwrap_or_default();
        self.wipe();
        eprint!("{}: {}{total}", step.act, amount(step.done));
        self.has_step = true;
    }

    /// Takes back the line of progress.
    pub(crate) fn wipe(&mut self) {
        if std::mem::take(&mut self.has_step) {
            eprint!("\r\x1b[K");
        }
    }
}

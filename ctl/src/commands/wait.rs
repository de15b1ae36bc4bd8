//! `imgctl wait`: until nothing of the queue is open, through a restart of the daemon. What did not
//! arrive is named, what it waits for longest, and what is not waited for: folders that nobody looks
//! at.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::queue::{QueueStatus, QueuedUpload, UploadState};
use imgrepo_proto::control::reply::{SessionState, Status};
use imgrepo_proto::control::watch::{FolderState, WatchRequest};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};
use serde::Serialize;

use super::queue::Pages;
use crate::context::{Context, unexpected};
use crate::failure::Failure;
use crate::progress::Line;
use crate::{start, table, uploads};

/// Some of several failed.
const SOME: u8 = 6;

/// How many are named: enough to see what is wrong; `queue ls` names them all.
const NAMED: usize = 100;

/// How long a daemon that has ended may take to be back: a restart takes a second or two, and what
/// is not back by then nobody restarts.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks whether it is back.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// After so long without a change files that settle are named: most have settled by then, and nobody
/// wonders yet why nothing happens.
const SILENCE: Duration = Duration::from_secs(3);

/// How many of those: the first few tell what is going on.
const SETTLING_NAMED: u64 = 10;

/// What is heard while it waits.
enum Turn {
    /// How the queue stands.
    Now(QueueStatus),
    /// The daemon has ended.
    Gone,
    /// Nothing is open any more, or it cannot be told.
    Over(Result<QueueStatus, Refusal>),
    /// The command must stop.
    Stop(Refusal),
}

/// `{"v":1,"queue":{...},"uploads":[...],"notes":[...]}`.
#[derive(Serialize)]
struct Document<'a> {
    queue: uploads::QueueDocument,
    uploads: Vec<uploads::Document<'a>>,
    notes: &'a [String],
}

/// Waits.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let act = "wait for the queue";
    let (turns, heard) = mpsc::channel();
    let stop = turns.clone();
    context.cancel.wake(move |refusal| drop(stop.send(Turn::Stop(refusal.clone()))));
    let asked = context.clone();
    // Not joined: it ends with the queue, or with the process when that must stop.
    thread::spawn(move || {
        let over = until_empty(&asked, &turns);
        let _ = turns.send(Turn::Over(over));
    });
    let line = Line::new(context);
    let queue = follow(context, &heard, &line);
    line.finish();
    let queue = queue.map_err(|refusal| Failure::new(act, refusal))?;
    let faults = match queue.counts.faults() {
        0 => Vec::new(),
        _ => faults(context).map_err(|refusal| Failure::new("list the queue", refusal))?,
    };
    let status = super::status::of(act, context.ask(act, &Request::Status)?)?;
    let notes = notes(&status);
    for note in &notes {
        context.out.note(note);
    }
    if context.out.json() {
        let uploads = faults.iter().map(uploads::Document::from).collect();
        context.out.document(&Document { queue: (&queue).into(), uploads, notes: &notes })?;
    } else {
        for upload in &faults {
            context.out.line(&uploads::painted(
                &context.out,
                upload.state,
                &uploads::line(upload),
            ))?;
        }
        let more = queue.counts.faults().saturating_sub(faults.len() as u64);
        match (queue.counts.faults(), more) {
            (0, _) if notes.is_empty() => context.out.confirm("all is uploaded"),
            (0, _) => context.out.confirm("all else is uploaded"),
            (_, 0) => context.out.note(
                "try them again: imgctl queue retry --all; give them up: imgctl queue cancel --all",
            ),
            _ => context.out.note(&format!("and {more} more: imgctl queue ls")),
        }
    }
    match queue.counts.faults() {
        0 => Ok(()),
        _ => Err(Failure::Said(SOME)),
    }
}

/// Says how it goes until it is over.
fn follow(context: &Context, heard: &Receiver<Turn>, line: &Line) -> Result<QueueStatus, Refusal> {
    let mut settling = 0;
    let mut is_named = false;
    loop {
        let turn = heard.recv_timeout(SILENCE);
        let is_quiet = matches!(turn, Err(RecvTimeoutError::Timeout) | Ok(Turn::Stop(_)));
        if is_quiet && settling > 0 && !std::mem::replace(&mut is_named, true) {
            name_settling(context, settling);
        }
        match turn {
            Ok(Turn::Now(queue)) => {
                settling = queue.counts.settling;
                line.say(&open(&queue));
            }
            Ok(Turn::Gone) => line.say("waiting for the daemon"),
            Ok(Turn::Over(over)) => return over,
            Ok(Turn::Stop(refusal)) => return Err(refusal),
            Err(RecvTimeoutError::Timeout) => shut_out(context)?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Refusal::new(ErrorCode::Internal, "the waiting broke off"));
            }
        }
    }
}

/// Whether the server lets this device in no more: that is not tried again by itself, and what waits
/// for it would wait for ever. Where the daemon cannot tell, it is waited for.
fn shut_out(context: &Context) -> Result<(), Refusal> {
    let Ok(Outcome::Status(status)) =
        context.open().and_then(|mut daemon| daemon.call(&Request::Status))
    else {
        return Ok(());
    };
    match (status.session.state, status.session.error) {
        (SessionState::Refused, Some(refusal)) => Err(refusal),
        _ => Ok(()),
    }
}

/// Names files that settle, and says why: a copy that was cut short is for a person to do again. It
/// is a word beside: where the daemon cannot tell, nothing is said.
fn name_settling(context: &Context, settling: u64) {
    let Ok(files) = settling_files(context, settling.min(SETTLING_NAMED) as usize) else { return };
    let more = settling.saturating_sub(files.len() as u64);
    let is_any = !files.is_empty();
    for file in files {
        context.out.note(&format!("still settling: {file}"));
    }
    if is_any && more > 0 {
        context.out.note(&format!("and {more} more: imgctl queue ls"));
    }
}

/// The first of them, each with the reason where there is one.
fn settling_files(context: &Context, most: usize) -> Result<Vec<String>, Refusal> {
    let mut pages = Pages::open(context.open()?);
    let mut daemon = context.open()?;
    let mut files = Vec::new();
    while let Some(page) = pages.next()? {
        for upload in page.iter().filter(|upload| upload.state == UploadState::Settling) {
            if files.len() == most {
                return Ok(files);
            }
            let Some(path) = upload.path.clone() else { continue };
            let story = daemon.call(&Request::Watch(WatchRequest::Status { path }))?;
            let Outcome::File(story) = story else { return Err(unexpected(&story)) };
            // It may have settled just now.
            if story.upload.is_some_and(|upload| upload.state == UploadState::Settling) {
                let note = story.note.map(|note| format!(": {}", shown(&note)));
                files.push(format!("{}{}", uploads::what(upload), note.unwrap_or_default()));
            }
        }
    }
    Ok(files)
}

/// How the queue stands when nothing of it is open; tells meanwhile.
fn until_empty(context: &Context, turns: &Sender<Turn>) -> Result<QueueStatus, Refusal> {
    let mut daemon = context.open()?;
    let mut was_paused = false;
    let mut gone_since: Option<Instant> = None;
    loop {
        let mut item = |reply| {
            if let Reply::Queue(queue) = reply {
                gone_since = None;
                // Who is told no longer has ended, and this ends with it.
                let _ = turns.send(Turn::Now((*queue).clone()));
                if queue.paused && !std::mem::replace(&mut was_paused, true) {
                    context.out.note("the queue is paused; it goes on with: imgctl queue resume");
                }
            }
            Ok(())
        };
        match ask(&mut daemon, &mut item) {
            Err(refusal) if start::is_restart(refusal.code) => {
                let since = *gone_since.get_or_insert_with(|| {
                    let _ = turns.send(Turn::Gone);
                    context.out.note("the daemon has ended; waiting for it to be back");
                    Instant::now()
                });
                if since.elapsed() >= PATIENCE {
                    return Err(refusal);
                }
                thread::sleep(LOOK_EVERY);
            }
            outcome => return outcome,
        }
    }
}

/// What was not waited for, and so may not be uploaded.
fn notes(status: &Status) -> Vec<String> {
    let mut notes = Vec::new();
    if status.session.state == SessionState::Offline {
        notes.push(
            "the daemon is offline; what is new is uploaded after: imgctl connect URL".into(),
        );
    }
    for folder in &status.folders {
        let path = shown(&folder.path.to_string_lossy());
        let how = match folder.state {
            FolderState::Paused => {
                format!("is paused; it goes on with: imgctl watch resume '{path}'")
            }
            FolderState::Vanished => "has vanished; it goes on when it is back".to_owned(),
            FolderState::Elsewhere => {
                "is not watched now: it belongs to another repository or person".to_owned()
            }
            FolderState::Watching | FolderState::Polling | FolderState::Scanning => continue,
        };
        notes.push(format!("the watched folder `{path}` {how}"));
    }
    notes
}

fn ask(
    daemon: &mut Client,
    item: &mut dyn FnMut(Reply) -> Result<(), Refusal>,
) -> Result<QueueStatus, Refusal> {
    match daemon.call_with(&Request::Wait, item)? {
        Outcome::Queue(queue) => Ok(queue),
        other => Err(unexpected(&other)),
    }
}

/// What is open, in a line.
pub(super) fn open(queue: &QueueStatus) -> String {
    let open = imgrepo_proto::control::queue::Counts {
        settling: queue.counts.settling,
        queued: queue.counts.queued,
        sending: queue.counts.sending,
        waiting: queue.counts.waiting,
        ..Default::default()
    };
    match queue.counts.open() {
        0 => "empty".to_owned(),
        _ => format!("{}, {} left", uploads::counted(&open), table::size(queue.bytes_left)),
    }
}

/// Those that ended without a receipt.
fn faults(context: &Context) -> Result<Vec<QueuedUpload>, Refusal> {
    let mut pages = Pages::open(context.open()?);
    let mut faults = Vec::new();
    while let Some(page) = pages.next()? {
        faults.extend(page.into_iter().filter(|upload| upload.state.is_fault()));
        if faults.len() >= NAMED {
            faults.truncate(NAMED);
            break;
        }
    }
    Ok(faults)
}

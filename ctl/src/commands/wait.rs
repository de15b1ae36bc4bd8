//! `imgctl wait`: until nothing of the queue is open, through a restart of the daemon. What did not
//! arrive is named.

use std::thread;
use std::time::{Duration, Instant};

use imgrepo_proto::Refusal;
use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::queue::{QueueStatus, QueuedUpload};
use imgrepo_proto::control::{Outcome, Reply, Request};
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

/// `{"v":1,"queue":{...},"uploads":[...]}`.
#[derive(Serialize)]
struct Document<'a> {
    queue: &'a QueueStatus,
    uploads: Vec<uploads::Document<'a>>,
}

/// Waits.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let act = "wait for the queue";
    let line = Line::new(context);
    let queue = until_empty(context, &line);
    line.finish();
    let queue = queue.map_err(|refusal| Failure::new(act, refusal))?;
    let faults = match queue.counts.faults() {
        0 => Vec::new(),
        _ => faults(context).map_err(|refusal| Failure::new("list the queue", refusal))?,
    };
    if context.out.json() {
        let uploads = faults.iter().map(uploads::Document::from).collect();
        context.out.document(&Document { queue: &queue, uploads })?;
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
            (0, _) => context.out.confirm("all is uploaded"),
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

/// How the queue stands when nothing of it is open.
fn until_empty(context: &Context, line: &Line) -> Result<QueueStatus, Refusal> {
    let mut daemon = context.open()?;
    let mut was_paused = false;
    let mut gone_since: Option<Instant> = None;
    loop {
        let mut item = |reply| {
            if let Reply::Queue(queue) = reply {
                gone_since = None;
                line.say(&open(&queue));
                if queue.paused && !std::mem::replace(&mut was_paused, true) {
                    context.out.note("the queue is paused; it goes on with: imgctl queue resume");
                }
            }
            Ok(())
        };
        match ask(&mut daemon, &mut item) {
            Err(refusal) if start::is_restart(refusal.code) => {
                let since = *gone_since.get_or_insert_with(|| {
                    line.say("waiting for the daemon");
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

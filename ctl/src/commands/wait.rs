//! `imgctl wait`: until nothing of the queue is open. What did not arrive is named.

use imgrepo_proto::control::queue::{QueueStatus, QueuedUpload};
use imgrepo_proto::control::{Outcome, Reply, Request};
use serde::Serialize;

use super::queue::Pages;
use crate::context::{Context, unexpected};
use crate::failure::Failure;
use crate::progress::Line;
use crate::{table, uploads};

/// Some of several failed.
const SOME: u8 = 6;

/// How many are named: enough to see what is wrong; `queue ls` names them all.
const NAMED: usize = 100;

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
    let mut was_paused = false;
    let outcome = context.ask_with(act, &Request::Wait, &mut |reply| {
        if let Reply::Queue(queue) = reply {
            line.say(&open(&queue));
            if queue.paused && !std::mem::replace(&mut was_paused, true) {
                context.out.note("the queue is paused; it goes on with: imgctl queue resume");
            }
        }
        Ok(())
    });
    line.finish();
    let queue = match outcome? {
        Outcome::Queue(queue) => queue,
        other => return Err(Failure::new(act, unexpected(&other))),
    };
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
fn faults(context: &Context) -> Result<Vec<QueuedUpload>, imgrepo_proto::Refusal> {
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

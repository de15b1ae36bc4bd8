//! `Enqueue`: an upload that is kept until its receipt. Answered when it is durably in the queue.

use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::{ErrorCode, Refusal};
use tokio::task::spawn_blocking;

use super::Context;
use super::connection::Answer;
use super::upload::{check_name, internal, is_out_of_reach};
use super::wire::{Closed, Requests};

/// Queues a file of this machine.
pub(super) async fn from_path(context: &Context, upload: Upload) -> Answer {
    check_name(&upload)?;
    let Upload { name, content, unless_deleted } = upload;
    let Content::Path(path) = content else {
        return Err(Refusal::new(ErrorCode::Internal, "a streamed content was taken for a path"));
    };
    if is_out_of_reach(&path) {
        return Ok(Outcome::OutOfReach);
    }
    match context.queue.enqueue(path, name, unless_deleted).await {
        Ok(id) => Ok(Outcome::Queued(id)),
        // The program may see the file, or be allowed to read it.
        Err(refusal) if refusal.code == ErrorCode::FileError => Ok(Outcome::OutOfReach),
        Err(refusal) => Err(refusal),
    }
}

/// Queues a content that the program streams, once all of it is on disk. The outer error is the
/// connection's. Dropped before, nothing of it stays.
pub(super) async fn from_stream(
    context: &Context,
    upload: Upload,
    requests: &mut Requests<'_>,
) -> Result<Answer, Closed> {
    if let Err(refusal) = check_name(&upload) {
        return Ok(Err(refusal));
    }
    let mut spooling = match context.queue.begin_spooling().await {
        Ok(spooling) => spooling,
        Err(refusal) => return Ok(Err(refusal)),
    };
    loop {
        let piece = match requests.next().await? {
            Ok(Request::Data(piece)) => piece,
            Ok(Request::End) => break,
            Ok(_) | Err(_) => {
                let what = "a request came before the end of a streamed content";
                return Ok(Err(Refusal::new(ErrorCode::BadRequest, what)));
            }
        };
        let write = move || spooling.write(&piece).map(|()| spooling);
        spooling = match spawn_blocking(write).await {
            Ok(Ok(spooling)) => spooling,
            Ok(Err(refusal)) => return Ok(Err(refusal)),
            Err(error) => return Ok(Err(internal(&error))),
        };
    }
    let queued = context.queue.enqueue_spooled(spooling, upload.name, upload.unless_deleted).await;
    Ok(queued.map(Outcome::Queued))
}

//! `Watch`: the watched folders.

use std::path::PathBuf;
use std::time::Duration;

use imgrepo_proto::Refusal;
use imgrepo_proto::control::Outcome;
use imgrepo_proto::control::queue::UploadState;
use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::control::watch::{FileStory, WatchRequest};

use super::Context;
use super::connection::Answer;

/// How long that takes at most.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn watch(context: &Context, request: WatchRequest) -> Answer {
    let watch = &context.watch;
    Ok(match request {
        WatchRequest::Add { path, after } => {
            known(context).await;
            Outcome::Folders(vec![watch.add(path, after).await?])
        }
        WatchRequest::Rm { path } => {
            watch.rm(path).await?;
            Outcome::Nothing
        }
        WatchRequest::Ls => Outcome::Folders(watch.list().await?),
        WatchRequest::Pause { path } => Outcome::Folders(watch.pause(path).await?),
        WatchRequest::Resume { path } => Outcome::Folders(watch.resume(path).await?),
        WatchRequest::Rescan { path } => Outcome::Folders(watch.rescan(path).await?),
        WatchRequest::Status { path } => Outcome::File(Box::new(story(context, path).await?)),
    })
}

/// A file's story, with what its turn waits for.
async fn story(context: &Context, path: PathBuf) -> Result<FileStory, Refusal> {
    let mut story = context.watch.story(path).await?;
    let is_queued = story.upload.as_ref().is_some_and(|up| up.state == UploadState::Queued);
    if is_queued && story.note.is_none() {
        let queue = context.queue.status().await?;
        let is_connected = context.session.status().borrow().state == SessionState::Connected;
        story.note = match (queue.paused, is_connected) {
            (true, _) => Some("the queue is paused; it goes on with: imgctl queue resume"),
            (_, false) => Some("it is sent when the session to the server is back"),
            _ => None,
        }
        .map(str::to_owned);
    }
    Ok(story)
}

/// Right after the first `connect` it takes a moment until it is known whose folders these are.
async fn known(context: &Context) {
    let mut membership = context.queue.membership();
    if membership.borrow_and_update().is_none() && context.session.peer().await.is_ok() {
        let known = membership.wait_for(Option::is_some);
        // Without it the request is refused, with what to do about it.
        let _ = tokio::time::timeout(PATIENCE, known).await;
    }
}

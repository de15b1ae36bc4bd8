//! `Watch`: the watched folders.

use std::time::Duration;

use imgrepo_proto::control::Outcome;
use imgrepo_proto::control::watch::WatchRequest;

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
        WatchRequest::Status { path } => Outcome::File(Box::new(watch.story(path).await?)),
    })
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

//! `Queue`, `Wait` and `Limit`: what waits to be uploaded, and how fast transfers may go.

use std::time::Duration;

use imgrepo_proto::control::queue::{QueueRequest, QueueStatus, QueuedUpload, Rates, UploadId};
use imgrepo_proto::control::watch::FolderState;
use imgrepo_proto::control::{Outcome, Reply};
use imgrepo_proto::{ErrorCode, Refusal};

use tokio::time::timeout;

use super::Context;
use super::connection::Answer;
use super::upload::PROGRESS_EVERY;
use super::wire::Replies;

/// The most uploads of a page.
const PAGE: u32 = 500;

/// The most bytes of a page's texts: well within a frame, whatever the paths are.
const PAGE_BYTES: usize = 256 * 1024;

/// How often it is seen, while files are settling, whether their folder is still looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn queue(context: &Context, request: QueueRequest) -> Answer {
    let queue = &context.queue;
    match request {
        QueueRequest::Ls { all, after, limit } => {
            let limit = limit.clamp(1, PAGE);
            let page = queue.page(all, after, limit).await?;
            let is_last = page.len() < limit as usize;
            let (uploads, next) = bounded(page, is_last);
            Ok(Outcome::Uploads { uploads, next })
        }
        QueueRequest::Retry(which) => queue.retry(which).await.map(Outcome::Changed),
        QueueRequest::Cancel(which) => queue.cancel(which).await.map(Outcome::Changed),
        QueueRequest::Pause => queue.pause(true).await.map(|()| Outcome::Nothing),
        QueueRequest::Resume => queue.pause(false).await.map(|()| Outcome::Nothing),
    }
}

/// As much of a page as fits, and where the next one begins.
fn bounded(mut page: Vec<QueuedUpload>, is_last: bool) -> (Vec<QueuedUpload>, Option<UploadId>) {
    let mut bytes = 0;
    let fits = page.iter().take_while(|upload| {
        bytes += texts(upload);
        bytes <= PAGE_BYTES
    });
    // The first one comes in any case, or nothing would ever come after it.
    let fits = fits.count().max(1);
    let is_last = is_last && fits >= page.len();
    page.truncate(fits);
    let next = page.last().map(|last| last.id).filter(|_| !is_last);
    (page, next)
}

fn texts(upload: &QueuedUpload) -> usize {
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map_or(0, |path| path.as_os_str().len());
    let error = upload
        .error
        .as_ref()
        .map_or(0, |error| error.message.len() + error.hint.as_ref().map_or(0, String::len));
    // Numbers and names of members, beside.
    const REST: usize = 400;
    path(&upload.path)
        + path(&upload.folder)
        + path(&upload.moved_to)
        + upload.name.len()
        + error
        + REST
}

/// Looks at the watched folders once, waits until nothing is open, and tells how it stands
/// meanwhile.
pub(super) async fn wait(context: &Context, replies: &mut Replies<'_>) -> Answer {
    context.watch.look().await?;
    let mut changed = context.queue.changed();
    let mut told = None;
    loop {
        changed.mark_unchanged();
        let status = context.queue.status().await?;
        if status.counts.open() == left(context, &status).await? {
            return Ok(Outcome::Queue(status));
        }
        let look = status.counts.settling > 0;
        if told.as_ref() != Some(&status) {
            replies.send(&Reply::Queue(Box::new(status.clone()))).await?;
            told = Some(status);
        }
        tokio::time::sleep(PROGRESS_EVERY).await;
        // That a folder vanishes changes no row; dropping the wait loses nothing.
        let more = async {
            match look {
                true => timeout(LOOK_EVERY, changed.changed()).await.unwrap_or(Ok(())),
                false => changed.changed().await,
            }
        };
        if more.await.is_err() {
            // The queue ends, and with it the daemon; what is open goes on with the next one.
            return Err(Refusal::new(ErrorCode::ShuttingDown, "the daemon is ending"));
        }
    }
}

/// How many files are left as they are though they are settling: nobody looks at a folder that is
/// paused or has vanished, so waiting for them would have no end.
async fn left(context: &Context, status: &QueueStatus) -> Result<u64, Refusal> {
    if status.counts.settling == 0 {
        return Ok(0);
    }
    let mut folders = context.watch.list().await?;
    folders.retain(|folder| matches!(folder.state, FolderState::Paused | FolderState::Vanished));
    let left: u64 = folders.iter().map(|folder| folder.counts.settling).sum();
    Ok(left.min(status.counts.settling))
}

/// Limits all transfers together; 0 is none, and what is not said stays.
pub(super) async fn limit(context: &Context, up: Option<u64>, down: Option<u64>) -> Answer {
    let now = context.transfers.rates();
    let new = |told: Option<u64>, now: Option<u64>| match told {
        Some(0) => None,
        Some(rate) => Some(rate),
        None => now,
    };
    let rates = Rates { up: new(up, now.up), down: new(down, now.down) };
    context.queue.set_rates(rates).await?;
    Ok(Outcome::Rates(rates))
}

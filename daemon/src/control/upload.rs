//! `Upload`: a file that the daemon reads, or a content that the program streams and that is
//! spooled here first, because it must be sent again after a cut.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use imgrepo_proto::control::reply::{Phase, Progress};
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, ImageName, Refusal};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::Context;
use super::connection::Answer;
use super::wire::{Closed, NotHeard, Replies, Requests};
use crate::transfer::{Source, UploadMeta};

/// Between two progress items: as often as a person sees a bar move.
pub(super) const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Directories whose files are devices, or another process's view of its own: `/dev/fd/3` is not
/// the same file here as where the program runs.
const OTHERS: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

/// Stores a file of this machine.
pub(super) async fn from_path(
    context: &Context,
    upload: &Upload,
    replies: &mut Replies<'_>,
) -> Answer {
    let Content::Path(path) = &upload.content else {
        return Err(Refusal::new(ErrorCode::Internal, "a streamed content was taken for a path"));
    };
    check_name(upload)?;
    if is_out_of_reach(path) {
        return Ok(Outcome::OutOfReach);
    }
    // Whether there is a server at all is said before the file is read for its hash.
    context.session.peer().await?;
    let source = match open(path).await {
        Ok(source) => source,
        // The program may see the file, or be allowed to read it. Only now: one that changes or
        // goes away while it is read here must not be read again there.
        Err(refusal) if refusal.code == ErrorCode::FileError => return Ok(Outcome::OutOfReach),
        Err(refusal) => return Err(refusal),
    };
    send(context, upload, source, replies).await
}

async fn open(path: &Path) -> Result<Source, Refusal> {
    let path = path.to_owned();
    spawn_blocking(move || Source::open(&path)).await.unwrap_or_else(|error| Err(internal(&error)))
}

/// Whether a path means another file here than where the program runs.
pub(super) fn is_out_of_reach(path: &Path) -> bool {
    !path.is_absolute() || OTHERS.iter().any(|directory| path.starts_with(directory))
}

/// Takes a streamed content up to its end. The outer error is the connection's.
pub(super) async fn receive(
    context: &Context,
    upload: &Upload,
    requests: &mut Requests<'_>,
) -> Result<Result<Source, Refusal>, Closed> {
    let limit = match limit(context, upload).await {
        Ok(limit) => limit,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let spool = context.spool.clone();
    let mut file = match blocking(move || spool.file()).await {
        Ok(file) => file,
        Err(error) => return Ok(Err(cannot_spool(upload, &error))),
    };
    let mut size_bytes = 0;
    loop {
        let piece = match requests.next().await? {
            Ok(Request::Data(piece)) => piece,
            Ok(Request::End) => return Ok(Source::spooled(file)),
            Ok(_) | Err(_) => {
                let what = "a request came before the end of a streamed content";
                return Ok(Err(Refusal::new(ErrorCode::BadRequest, what)));
            }
        };
        size_bytes += piece.len() as u64;
        if size_bytes > limit {
            return Ok(Err(too_large(upload, limit)));
        }
        let written = blocking(move || {
            file.write_all(&piece)?;
            Ok(file)
        });
        file = match written.await {
            Ok(file) => file,
            Err(error) => return Ok(Err(cannot_spool(upload, &error))),
        };
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(act).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// How much of a stream is taken: what the server takes.
async fn limit(context: &Context, upload: &Upload) -> Result<u64, Refusal> {
    check_name(upload)?;
    Ok(context.session.peer().await?.limits().max_image_size)
}

/// Sends it, through cuts of the session, and tells how far it has come.
pub(super) async fn send(
    context: &Context,
    upload: &Upload,
    source: Source,
    replies: &mut Replies<'_>,
) -> Answer {
    let meta = UploadMeta { name: upload.name.clone(), unless_deleted: upload.unless_deleted };
    let (sender, progress) = watch::channel(Progress { phase: Phase::Hashing, done: 0, total: 0 });
    let stored = context.transfers.upload(source, meta, sender);
    // Dropping the upload gives it up; it is dropped only when nobody hears of it any more. The
    // report may be dropped at any point: what it tells has no consequence.
    let reply = tokio::select! {
        stored = stored => stored?,
        NotHeard = report(progress, replies) => return Err(NotHeard.into()),
    };
    Ok(Outcome::Stored { image: reply.image, duplicate: reply.duplicate })
}

async fn report(mut progress: watch::Receiver<Progress>, replies: &mut Replies<'_>) -> NotHeard {
    while progress.changed().await.is_ok() {
        let now = *progress.borrow_and_update();
        if let Err(not_heard) = replies.send(&Reply::Progress(now)).await {
            return not_heard;
        }
        tokio::time::sleep(PROGRESS_EVERY).await;
    }
    // The upload is about to end and needs no more reports.
    std::future::pending().await
}

/// Whether the name can be an image's.
pub(super) fn check_name(upload: &Upload) -> Result<(), Refusal> {
    let checked = ImageName::parse(&upload.name);
    checked.map(drop).map_err(|error| {
        let name = shown(&upload.name);
        Refusal::new(ErrorCode::BadName, format!("cannot upload as `{name}`: {error}"))
    })
}

fn too_large(upload: &Upload, limit: u64) -> Refusal {
    let name = shown(&upload.name);
    Refusal::new(
        ErrorCode::TooLarge,
        format!("cannot upload `{name}`: the server takes at most {limit} bytes"),
    )
}

fn cannot_spool(upload: &Upload, error: &io::Error) -> Refusal {
    let name = shown(&upload.name);
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorCode::StorageFull,
        _ => ErrorCode::FileError,
    };
    Refusal::new(code, format!("cannot spool the content of `{name}`: {error}"))
}

pub(super) fn internal(error: &tokio::task::JoinError) -> Refusal {
    Refusal::new(ErrorCode::Internal, format!("a task of the upload failed: {error}"))
}

//! One connection of the local socket: the greeting, then one request after the other until the
//! program closes. Closing while a request is under way gives it up.

use imgrepo_proto::control::frame::FrameError;
use imgrepo_proto::control::request::Content;
use imgrepo_proto::control::{Hello, Outcome, Reply, Request};
use imgrepo_proto::{ErrorCode, Refusal};
use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::StreamCommon as _;

use super::wire::{Closed, Replies, Requests};
use super::{Context, Farewells};
use super::{
    change, connect, download, enqueue, events, examine, images, leave, maintenance, people, queue,
    status, upload, view, watch, window,
};

/// What every request but a streamed upload comes to.
pub(super) type Answer = Result<Outcome, Refusal>;

/// Serves one program until it closes.
pub(super) async fn run(stream: Stream, context: &Context, farewells: &Farewells) {
    if !is_own_user(&stream) {
        return tracing::warn!("another user connected to the local socket and was turned away");
    }
    match serve(&stream, context).await {
        Ok(End::Stop) => {
            farewells.keep(stream);
            context.stop.cancel();
        }
        Ok(End::Refused) | Err(Closed::Gone) => {}
        Err(Closed::Bad(error)) => {
            tracing::warn!(%error, "a program on the local socket broke the protocol");
        }
    }
}

enum End {
    /// The daemon is asked to end.
    Stop,
    /// The connection is of no more use, and the program was told why.
    Refused,
}

async fn serve(stream: &Stream, context: &Context) -> Result<End, Closed> {
    let mut requests = Requests::new(stream);
    let mut replies = Replies::new(stream);

    let theirs: Hello = requests.next().await?.map_err(Closed::Bad)?;
    let mut ours = Hello::new(context.program.clone());
    let common = theirs.common();
    if let Some(version) = common {
        (ours.lowest, ours.highest) = (version, version);
    }
    replies.write(&ours).await.map_err(|_| Closed::Gone)?;
    if common.is_none() {
        return Ok(End::Refused);
    }
    loop {
        let request = match requests.next().await? {
            Ok(request) => request,
            Err(error) => {
                replies.send(&Reply::Refused(unknown(context, &error))).await?;
                continue;
            }
        };
        let is_stop = matches!(request, Request::Stop);
        let mut is_over = false;
        let answer = match request {
            Request::Upload(upload) if upload.content == Content::Stream => {
                let spooled = upload::receive(context, &upload, &mut requests).await?;
                // The rest of a content that was refused half-way is not waited for.
                is_over = spooled.is_err();
                match spooled {
                    Ok(source) => {
                        let work = upload::send(context, &upload, source, &mut replies);
                        unless_closed(&mut requests, work).await?
                    }
                    Err(refusal) => Err(refusal),
                }
            }
            Request::Enqueue(upload) if upload.content == Content::Stream => {
                let queued = enqueue::from_stream(context, upload, &mut requests).await?;
                is_over = queued.is_err();
                queued
            }
            request => {
                let work = carry_out(context, request, &mut replies);
                unless_closed(&mut requests, work).await?
            }
        };
        let reply = match answer {
            Ok(outcome) => Reply::Done(Box::new(outcome)),
            Err(refusal) => Reply::Refused(refusal),
        };
        replies.send(&reply).await?;
        if is_stop {
            return Ok(End::Stop);
        }
        if is_over {
            return Ok(End::Refused);
        }
    }
}

/// Does this work, unless the program closes before it is done.
async fn unless_closed(
    requests: &mut Requests<'_>,
    work: impl Future<Output = Answer>,
) -> Result<Answer, Closed> {
    // Dropping the work is what giving up a request means: each is safe to drop at any point.
    // `closed` loses nothing that was read.
    tokio::select! {
        answer = work => Ok(answer),
        closed = requests.closed() => Err(closed),
    }
}

async fn carry_out(context: &Context, request: Request, replies: &mut Replies<'_>) -> Answer {
    match request {
        Request::Status => Ok(Outcome::Status(Box::new(status::status(context).await))),
        Request::Connect { url, user } => connect::connect(context, &url, user.as_deref()).await,
        Request::Disconnect => connect::disconnect(context).await,
        Request::Leave => leave::leave(context).await,
        Request::Stop => Ok(Outcome::Nothing),
        Request::Upload(upload) => upload::from_path(context, &upload, replies).await,
        Request::List(list) => images::list(context, list).await,
        Request::Info(image) => images::info(context, image).await,
        Request::Download { image, offset } => {
            download::download(context, image, offset, replies).await
        }
        Request::Rename { image, name } => change::rename(context, image, name).await,
        Request::Delete(image) => change::delete(context, image).await,
        Request::Restore(image) => change::restore(context, image).await,
        Request::Purge { image } => change::purge(context, image).await,
        Request::Events { since, follow } => events::events(context, since, follow, replies).await,
        Request::Have(hashes) => images::have(context, hashes).await,
        Request::Examine => examine::examine(context).await,
        Request::Maintenance(work) => maintenance::maintain(context, work, replies).await,
        Request::Enqueue(upload) => enqueue::from_path(context, upload).await,
        Request::Queue(request) => queue::queue(context, request).await,
        Request::Wait => queue::wait(context, replies).await,
        Request::Limit { up, down } => queue::limit(context, up, down).await,
        Request::People(request) => people::people(context, request).await,
        Request::Watch(request) => watch::watch(context, request).await,
        Request::View { image, variant } => view::view(context, image, variant, replies).await,
        Request::Exif(image) => view::exif(context, image).await,
        Request::Window(request) => window::window(context, request, replies).await,
        Request::Data(_) | Request::End => Err(Refusal::new(
            ErrorCode::BadRequest,
            "content came, but no upload that it belongs to",
        )),
    }
}

fn unknown(context: &Context, error: &FrameError) -> Refusal {
    let version = &context.program.version;
    Refusal::new(
        ErrorCode::Unsupported,
        format!("the daemon ({version}) does not know this request: {error}"),
    )
    .hint("restart the daemon: imgctl stop && imgrepod")
}

/// Whether this user is at the other end. Where the system does not tell, the socket's access
/// rights have decided.
#[cfg(unix)]
fn is_own_user(stream: &Stream) -> bool {
    let own = imgrepo_proto::control::endpoint::user();
    stream.peer_creds().is_ok_and(|creds| creds.euid().is_none_or(|user| user == own))
}

#[cfg(not(unix))]
fn is_own_user(stream: &Stream) -> bool {
    stream.peer_creds().is_ok()
}

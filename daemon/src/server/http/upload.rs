//! A browser's upload: the request's body, handed to the repository in pieces as it comes. A body that
//! stops coming is given up, and so is one whose sender may upload no more.

use std::time::Duration;

use axum::body::Body;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::Upload;
use imgrepo_proto::session::reply::UploadReply;
use imgrepo_proto::{ErrorCode, Refusal};
use tokio::time::{Instant, timeout_at};

use super::call::promise;
use super::desk::{Desk, Leave};
use crate::repository::blobs::APPENDED_BYTES;
use crate::repository::catalog::Again;
use crate::repository::{Action, Actor, Receiving};
use crate::server::v1::MIN_PROGRESS_BYTES;

/// Bytes that are written at once, and that an upload has in memory: one that has no more comes whole,
/// which is the quickest to make durable.
const PIECE_BYTES: u64 = APPENDED_BYTES;

/// Stores a body as an image of this person.
pub(super) async fn receive(
    desk: &Desk,
    actor: Actor,
    upload: Upload,
    body: Body,
) -> Result<UploadReply, Refusal> {
    let coming = Coming {
        name: shown(&upload.name),
        size: upload.size,
        body,
        leave: desk.leave(actor.clone(), Action::Upload),
        patience: desk.context.settings.timeouts.upload_stall,
    };
    let (done, promise) = promise();
    // None: the outcome was given already.
    if let Some(receiving) = desk.repository().begin(&actor, upload, Again::Reuse, done).await {
        coming.store(receiving).await;
    }
    promise.kept().await
}

/// A content on its way in.
struct Coming {
    name: String,
    size: u64,
    body: Body,
    leave: Leave,
    patience: Duration,
}

impl Coming {
    async fn store(self, mut receiving: Receiving) {
        let Coming { name, size, body, mut leave, patience } = self;
        let failed = |code, why| Refusal::new(code, format!("cannot store `{name}`: {why}"));
        let mut body = body.into_data_stream();
        let (mut came, mut written) = (0, 0);
        let (mut look, mut came_by_then) = (Instant::now() + patience, 0);
        let mut piece = BytesMut::new();
        while came < size {
            // Dropping either is safe: what was not read stays in the socket, and a change for somebody
            // stays to be seen.
            let read = tokio::select! {
                biased;
                refusal = leave.ended() => return receiving.fail(refusal),
                read = timeout_at(look, body.next()) => read,
            };
            match read {
                Ok(Some(Ok(bytes))) => {
                    came += bytes.len() as u64;
                    // Copied: small reads would keep a whole buffer each.
                    piece.extend_from_slice(&bytes);
                }
                Ok(None | Some(Err(_))) => {
                    let why = format!("only {came} of {size} bytes came");
                    return receiving.fail(failed(ErrorCode::WrongSize, why));
                }
                Err(_) if came - came_by_then >= MIN_PROGRESS_BYTES => {
                    (look, came_by_then) = (Instant::now() + patience, came);
                }
                Err(_) => {
                    let why = "its bytes stopped coming".to_owned();
                    return receiving.fail(failed(ErrorCode::Cancelled, why));
                }
            }
            if came - written >= PIECE_BYTES || came >= size {
                match receiving.write(vec![piece.split().freeze()]).await {
                    Ok(_) => written = came,
                    Err(refusal) => return receiving.fail(refusal),
                }
            }
        }
        receiving.finish().await;
    }
}

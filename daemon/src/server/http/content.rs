//! Contents on their way to a browser, originals and pictures of them: read as the socket drains, a piece at a time, for as long as
//! their reader may have them.

use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use imgrepo_proto::api::{self, Fetch, Head};
use imgrepo_proto::limits::DATA_MESSAGE_BYTES;
use imgrepo_proto::session::command::Target;
use imgrepo_proto::session::view::View;
use imgrepo_proto::{ErrorCode, ImageId, Refusal};

use super::call::headed;
use super::desk::{Desk, Leave};
use crate::repository::{Action, Actor, Content, Seen};

/// Bytes that are read at once: two of these are in memory for a reader, however slow.
const PIECE_BYTES: usize = DATA_MESSAGE_BYTES;

/// What has no more is read whole: nearly every picture, which the cache may have in memory already.
const WHOLE_BYTES: u64 = 2 * PIECE_BYTES as u64;

/// The content of an image as it was uploaded, or the part of it that is asked for.
pub(super) async fn original(
    desk: &Desk,
    actor: Actor,
    image: ImageId,
    fetch: &Fetch,
) -> Result<Response, Refusal> {
    let (record, content) = desk.repository().content(&actor, &Target::id(image)).await?;
    let Some(hash) = record.hash else {
        return Err(Refusal::new(ErrorCode::Internal, "the image's hash is not known"));
    };
    let (size, media_type) = (content.size(), record.media_type.as_deref());
    let (head, bytes) = fetch.answer(&api::Content { record: &record, hash, size, media_type });
    send(desk.leave(actor, Action::Download), head, content, bytes).await
}

/// A picture of an image, made first where it is not kept.
pub(super) async fn picture(
    desk: &Desk,
    actor: Actor,
    view: &View,
    fetch: &Fetch,
) -> Result<Response, Refusal> {
    let Seen { record, media_type, hash, content } = desk.repository().view(&actor, view).await?;
    let (size, media_type) = (content.size(), Some(media_type.as_str()));
    let (head, bytes) = fetch.answer(&api::Content { record: &record, hash, size, media_type });
    send(desk.leave(actor, Action::Download), head, content, bytes).await
}

async fn send(
    leave: Leave,
    head: Head,
    content: Content,
    bytes: Range<u64>,
) -> Result<Response, Refusal> {
    let (at, end) = (bytes.start, bytes.end);
    let body = if at == end {
        Body::empty()
    } else if end - at == content.size() && end <= WHOLE_BYTES {
        Body::from(content.whole().await?)
    } else {
        let reading = Reading { content, at, end, leave };
        Body::from_stream(stream::unfold(reading, |mut reading| async {
            let piece = reading.next().await?;
            Some((piece, reading))
        }))
    };
    Ok(headed(head, body))
}

/// A content of which a part is still to be sent.
struct Reading {
    content: Content,
    at: u64,
    end: u64,
    leave: Leave,
}

impl Reading {
    /// The next piece; none at the end. What fails cuts the answer short, for its head is said.
    async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        if left == 0 {
            return None;
        }
        if let Err(refusal) = self.leave.still().await {
            return Some(Err(refusal));
        }
        let piece = self.content.read(self.at, left.min(PIECE_BYTES), 0).await;
        Some(piece.map(|piece| {
            self.at += piece.len() as u64;
            piece.freeze()
        }))
    }
}

//! Contents on their way to a browser: read as the socket drains, a piece at a time, for as long as
//! their reader may have them.

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use imgrepo_proto::api;
use imgrepo_proto::limits::DATA_MESSAGE_BYTES;
use imgrepo_proto::session::command::Target;
use imgrepo_proto::{ErrorCode, ImageId, Refusal};

use super::call::headed;
use super::desk::{Desk, Leave};
use crate::repository::{Action, Actor, Content};

/// Bytes that are read at once: two of these are in memory for a reader, however slow.
const PIECE_BYTES: usize = DATA_MESSAGE_BYTES;

/// The content of an image as it was uploaded, or the part of it that is asked for.
pub(super) async fn original(
    desk: &Desk,
    actor: Actor,
    image: ImageId,
    fetch: &api::Fetch,
) -> Result<Response, Refusal> {
    let (record, content) = desk.repository().content(&actor, &Target::id(image)).await?;
    let Some(hash) = record.hash else {
        return Err(Refusal::new(ErrorCode::Internal, "the image's hash is not known"));
    };
    let size = content.size();
    let media_type = record.media_type.as_deref();
    let (head, bytes) = fetch.answer(&api::Content { record: &record, hash, size, media_type });
    let length = bytes.end - bytes.start;
    let body = match usize::try_from(length) {
        Ok(0) => Body::empty(),
        Ok(length) if length <= PIECE_BYTES => {
            Body::from(read(&content, bytes.start, length).await?)
        }
        _ => {
            let leave = desk.leave(actor, Action::Download);
            let reading = Reading { content, at: bytes.start, end: bytes.end, leave };
            Body::from_stream(stream::unfold(reading, |mut reading| async {
                let piece = reading.next().await?;
                Some((piece, reading))
            }))
        }
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
        let read = read(&self.content, self.at, left.min(PIECE_BYTES)).await;
        if let Ok(piece) = &read {
            self.at += piece.len() as u64;
        }
        Some(read)
    }
}

async fn read(content: &Content, offset: u64, length: usize) -> Result<Bytes, Refusal> {
    let piece = content.read(offset, length, 0).await?;
    match piece.len() == length {
        true => Ok(piece.freeze()),
        false => Err(Refusal::new(ErrorCode::Internal, "the content was cut short")),
    }
}

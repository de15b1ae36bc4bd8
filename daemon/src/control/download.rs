//! `Download`: a content, in order and from where it is wanted, to the program that asked.

use bytes::Bytes;
use imgrepo_proto::control::reply::Size;
use imgrepo_proto::control::{CHUNK_BYTES, Outcome, Reply};
use imgrepo_proto::{ImageRef, Refusal};

use super::Context;
use super::connection::Answer;
use super::resolve;
use super::wire::Replies;
use crate::transfer::AsyncSink;

pub(super) async fn download(
    context: &Context,
    image: ImageRef,
    offset: u64,
    replies: &mut Replies<'_>,
) -> Answer {
    let peer = context.session.peer().await?;
    let target = resolve::target(&peer, image).await?;
    let record = context.transfers.download(target, offset, ToProgram(replies)).await?;
    Ok(Outcome::Image(record))
}

/// The program takes a piece before the next is fetched: its pace is the download's.
struct ToProgram<'a, 'b>(&'a mut Replies<'b>);

impl AsyncSink for ToProgram<'_, '_> {
    async fn size(&mut self, size: Size) -> Result<(), Refusal> {
        Ok(self.0.send(&Reply::Size(size)).await?)
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        for piece in bytes.chunks(CHUNK_BYTES) {
            self.0.send(&Reply::Data(piece.to_vec())).await?;
        }
        Ok(())
    }
}

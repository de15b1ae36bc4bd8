//! `View` and `Exif`: a picture of an image, and what its camera wrote, to the program that asked.

use imgrepo_proto::control::reply::Size;
use imgrepo_proto::control::{CHUNK_BYTES, Outcome, Reply};
use imgrepo_proto::session::command::{Target, Variant};
use imgrepo_proto::{ImageRef, Refusal};

use super::Context;
use super::connection::Answer;
use super::resolve;
use super::wire::Replies;
use crate::transfer::Picture;

pub(super) async fn view(
    context: &Context,
    image: ImageRef,
    variant: Variant,
    replies: &mut Replies<'_>,
) -> Answer {
    let target = target(context, image).await?;
    let Picture { image, info, bytes } = context.transfers.view(target, variant).await?;
    replies.send(&Reply::Size(Size { image, info })).await?;
    for piece in bytes.chunks(CHUNK_BYTES) {
        replies.send(&Reply::Data(piece.to_vec())).await?;
    }
    Ok(Outcome::Nothing)
}

pub(super) async fn exif(context: &Context, image: ImageRef) -> Answer {
    let target = target(context, image).await?;
    let exif = context.session.peer().await?.exif(target).await?;
    Ok(Outcome::Exif(Box::new(exif)))
}

/// What is named by its number needs no session to be found.
async fn target(context: &Context, image: ImageRef) -> Result<Target, Refusal> {
    match image {
        ImageRef::Id(id) => Ok(Target::id(id)),
        image => resolve::target(&context.session.peer().await?, image).await,
    }
}

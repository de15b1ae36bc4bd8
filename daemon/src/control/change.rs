//! `Rename`, `Delete`, `Restore` and `Purge`: changes of what the repository has.

use imgrepo_proto::control::Outcome;
use imgrepo_proto::session::command::{Purge, Rename, Target};
use imgrepo_proto::{ImageId, ImageRef};

use super::Context;
use super::connection::Answer;
use super::resolve;

pub(super) async fn rename(context: &Context, image: ImageRef, name: String) -> Answer {
    let peer = context.session.peer().await?;
    let image = resolve::id(&peer, image).await?;
    Ok(Outcome::Image(peer.rename(Rename { image, name }).await?.image))
}

pub(super) async fn delete(context: &Context, image: ImageRef) -> Answer {
    let peer = context.session.peer().await?;
    let target = resolve::target(&peer, image).await?;
    Ok(Outcome::Image(peer.delete(target).await?.image))
}

pub(super) async fn restore(context: &Context, image: ImageRef) -> Answer {
    let peer = context.session.peer().await?;
    let target = Target::id(resolve::trashed_id(&peer, image).await?);
    Ok(Outcome::Image(peer.restore(target).await?.image))
}

pub(super) async fn purge(context: &Context, image: Option<ImageId>) -> Answer {
    let peer = context.session.peer().await?;
    Ok(Outcome::Purged(peer.purge(Purge { image }).await?.purged))
}

//! `List`, `Info` and `Have`: what the repository has.

use imgrepo_proto::control::Outcome;
use imgrepo_proto::session::command::List;
use imgrepo_proto::{BlobHash, ImageRef};

use super::Context;
use super::connection::Answer;
use super::resolve;

pub(super) async fn list(context: &Context, list: List) -> Answer {
    let page = context.session.peer().await?.list(list).await?;
    context.transfers.learn(&page.images);
    Ok(Outcome::Images(page))
}

pub(super) async fn info(context: &Context, image: ImageRef) -> Answer {
    let peer = context.session.peer().await?;
    resolve::record(&peer, image).await.map(Outcome::Image)
}

pub(super) async fn have(context: &Context, hashes: Vec<BlobHash>) -> Answer {
    let have = context.session.peer().await?.have(&hashes).await?;
    Ok(Outcome::Have(have))
}

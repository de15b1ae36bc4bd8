//! `List` and `Info`: what the repository has.

use imgrepo_proto::ImageRef;
use imgrepo_proto::control::Outcome;
use imgrepo_proto::session::command::List;

use super::Context;
use super::connection::Answer;
use super::resolve;

pub(super) async fn list(context: &Context, list: List) -> Answer {
    let page = context.session.peer().await?.list(list).await?;
    Ok(Outcome::Images(page))
}

pub(super) async fn info(context: &Context, image: ImageRef) -> Answer {
    let peer = context.session.peer().await?;
    resolve::record(&peer, image).await.map(Outcome::Image)
}

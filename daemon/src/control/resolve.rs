//! From an image as a person names it to an image of the repository.
//!
//! Names are the server's to resolve (an old one has its own rule); what is asked here is what no
//! single command of the session gives: the newest image, and a name in the trash.

use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::{Filter, List, State, Target};
use imgrepo_proto::{ErrorCode, ImageId, ImageRecord, ImageRef, Refusal};

use crate::session::Peer;

/// Ids that an error lists at most; who has more of one name reads the listing.
const LISTED_IDS: u32 = 10;

/// What the session's commands take.
pub(super) async fn target(peer: &Peer, image: ImageRef) -> Result<Target, Refusal> {
    match image {
        ImageRef::Id(id) => Ok(Target::id(id)),
        ImageRef::Name(name) => Ok(Target::name(name)),
        ImageRef::Last => newest(peer).await.map(|record| Target::id(record.id)),
    }
}

/// The whole record.
pub(super) async fn record(peer: &Peer, image: ImageRef) -> Result<ImageRecord, Refusal> {
    match image {
        ImageRef::Last => newest(peer).await,
        image => Ok(peer.info(target(peer, image).await?).await?.image),
    }
}

/// The number, for commands that take no name.
pub(super) async fn id(peer: &Peer, image: ImageRef) -> Result<ImageId, Refusal> {
    match image {
        ImageRef::Id(id) => Ok(id),
        image => record(peer, image).await.map(|record| record.id),
    }
}

/// The number of an image in the trash.
pub(super) async fn trashed_id(peer: &Peer, image: ImageRef) -> Result<ImageId, Refusal> {
    let name = match image {
        ImageRef::Id(id) => return Ok(id),
        ImageRef::Name(name) => name,
        ImageRef::Last => {
            return Err(Refusal::new(
                ErrorCode::BadRequest,
                "@last is the newest image that is not in the trash",
            )
            .hint("see what is there: imgctl trash ls"));
        }
    };
    let filter = Filter {
        exact_name: Some(name.as_str().to_owned()),
        state: State::Trashed,
        ..Filter::default()
    };
    let list = List { filter, limit: Some(LISTED_IDS), ..List::default() };
    let found = peer.list(list).await?.images;
    match found.as_slice() {
        [] => Err(Refusal::new(
            ErrorCode::NotFound,
            format!("no image in the trash is named `{}`", shown(name.as_str())),
        )),
        [one] => Ok(one.id),
        several => Err(ambiguous(name.as_str(), several)),
    }
}

fn ambiguous(name: &str, several: &[ImageRecord]) -> Refusal {
    let ids: Vec<String> = several.iter().map(|record| record.id.to_string()).collect();
    Refusal::new(
        ErrorCode::Ambiguous,
        format!("several images in the trash are named `{}`: {}", shown(name), ids.join(", ")),
    )
    .hint("name one by its number")
}

async fn newest(peer: &Peer) -> Result<ImageRecord, Refusal> {
    let page = peer.list(List { limit: Some(1), ..List::default() }).await?;
    page.images
        .into_iter()
        .next()
        .ok_or_else(|| Refusal::new(ErrorCode::NotFound, "the repository has no images yet"))
}

//! What a person asks to see: the image that a target names, a page of records, which contents are
//! here. Reads the catalog, changes nothing; a person sees of the trash what they may restore.

use std::collections::{BTreeMap, BTreeSet};

use imgrepo_proto::limits::MAX_HAVE;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::{List, State, Target};
use imgrepo_proto::session::reply::{HaveReply, ListReply};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageName, ImageRecord, Refusal};

use tokio::sync::oneshot;

use super::catalog::{Catalog, ImageState, PageQuery, StoredImage};
use super::people::{Action, Actor, Object, authorize};
use super::{Done, Repository, faults};

/// Ids that an ambiguous name lists.
const SHOWN_IDS: u32 = 10;

impl Repository {
    /// A page of records.
    ///
    /// # Errors
    /// A bad cursor or glob: `bad_request`.
    pub async fn list(&self, actor: &Actor, list: List) -> Result<ListReply, Refusal> {
        authorize(actor, Action::List, Object::Any)?;
        let sees_all = || authorize(actor, Action::SeeTrash, Object::Any).is_ok();
        let person = match list.filter.state {
            State::Trashed if !sees_all() => Some(actor.person),
            State::Listed | State::Trashed => None,
        };
        self.hop(move |inner| {
            let limit = list.page_size();
            let List { filter, sort, cursor, .. } = list;
            let query = PageQuery { filter, sort, limit, cursor, person };
            inner.catalog.page(&query).map_err(|error| faults::catalog(&error))?
        })
        .await
    }

    /// One record.
    ///
    /// # Errors
    /// `not_found`; `ambiguous`, which lists the ids, where several bear the name.
    pub async fn info(&self, actor: &Actor, target: &Target) -> Result<ImageRecord, Refusal> {
        let (tell, told) = oneshot::channel();
        // Nobody waits any more where telling fails.
        let done = move |outcome| drop(tell.send(outcome));
        self.look_up(actor.clone(), target.clone(), Box::new(done));
        told.await.unwrap_or_else(|_| Err(faults::shutting_down()))
    }

    /// The same for who has many to ask: `done` hears of it on the thread that finds it.
    pub fn look_up(&self, actor: Actor, target: Target, done: Done<ImageRecord>) {
        if let Err(refusal) = authorize(&actor, Action::List, Object::Any) {
            return done(Err(refusal));
        }
        let find = move |catalog: &dyn Catalog| {
            find(catalog, &actor, &target, ImageState::Listed).map(|image| image.record)
        };
        self.inner.questions.ask(find, done);
    }

    /// The listed images of each of these contents.
    ///
    /// # Errors
    /// `bad_request` where there are too many.
    pub async fn have(&self, actor: &Actor, hashes: Vec<BlobHash>) -> Result<HaveReply, Refusal> {
        authorize(actor, Action::List, Object::Any)?;
        if hashes.len() > MAX_HAVE {
            return Err(Refusal::new(
                ErrorCode::BadRequest,
                format!("cannot look for {} hashes at once, the limit is {MAX_HAVE}", hashes.len()),
            ));
        }
        // One that is asked for a thousand times is looked up once.
        let hashes: Vec<BlobHash> = BTreeSet::from_iter(hashes).into_iter().collect();
        self.hop(move |inner| {
            let found = inner.catalog.have(&hashes).map_err(|error| faults::catalog(&error))?;
            let lost = inner.sound.lost();
            // What is damaged counts as absent: who has it may send it again.
            let there = found.into_iter().map(|(hash, images)| match lost.contains(hash) {
                true => (hash, Vec::new()),
                false => (hash, images),
            });
            Ok(HaveReply { have: there.collect::<BTreeMap<_, _>>() })
        })
        .await
    }

    /// The newest image of this name, as v1 means it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn newest_named(&self, name: &str) -> Result<ImageRecord, Refusal> {
        // What can be no image's name is no image's name.
        let Ok(name) = ImageName::parse(name) else { return Err(no_such_name(name)) };
        self.hop(move |inner| {
            let found = inner
                .catalog
                .images_named(&name, ImageState::Listed, 1)
                .map_err(|error| faults::catalog(&error))?;
            match found.into_iter().next() {
                Some(image) => Ok(image.record),
                None => Err(no_such_name(name.as_str())),
            }
        })
        .await
    }
}

/// The image that is meant; by name, the one in this state.
pub(crate) fn find(
    catalog: &dyn Catalog,
    actor: &Actor,
    target: &Target,
    state: ImageState,
) -> Result<StoredImage, Refusal> {
    match (target.image, &target.name) {
        (Some(id), _) => find_id(catalog, actor, id),
        (None, Some(name)) => find_name(catalog, actor, name, state),
        (None, None) => {
            Err(Refusal::new(ErrorCode::BadRequest, "name the image by `image` or by `name`"))
        }
    }
}

/// The image of this number, in whatever state, if this person may know of it.
pub(crate) fn find_id(
    catalog: &dyn Catalog,
    actor: &Actor,
    id: ImageId,
) -> Result<StoredImage, Refusal> {
    let found = catalog.image(id).map_err(|error| faults::catalog(&error))?;
    found
        .filter(|image| may_see(actor, image))
        .ok_or_else(|| Refusal::new(ErrorCode::NotFound, format!("no image has the number {id}")))
}

fn find_name(
    catalog: &dyn Catalog,
    actor: &Actor,
    name: &ImageName,
    state: ImageState,
) -> Result<StoredImage, Refusal> {
    let mut found = catalog
        .images_named(name, state, SHOWN_IDS + 1)
        .map_err(|error| faults::catalog(&error))?;
    found.retain(|image| may_see(actor, image));
    match found.len() {
        0 => Err(match state {
            ImageState::Trashed => Refusal::new(
                ErrorCode::NotFound,
                format!("no image in the trash is named `{}`", shown(name.as_str())),
            ),
            _ => no_such_name(name.as_str()),
        }),
        1 => Ok(found.remove(0)),
        count => {
            let most = SHOWN_IDS as usize;
            let ids: Vec<String> =
                found.iter().take(most).map(|image| image.record.id.to_string()).collect();
            let more = if count > most { " and more" } else { "" };
            let message = format!(
                "several images are named `{}`: {}{more}",
                shown(name.as_str()),
                ids.join(", ")
            );
            Err(Refusal::new(ErrorCode::Ambiguous, message).hint("name one by its number"))
        }
    }
}

fn may_see(actor: &Actor, image: &StoredImage) -> bool {
    match image.state {
        ImageState::Listed => true,
        ImageState::Trashed => {
            authorize(actor, Action::SeeTrash, Object::Of(image.person, &"it")).is_ok()
        }
        ImageState::Purged => false,
    }
}

fn no_such_name(name: &str) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("no image is named `{}`", shown(name)))
}

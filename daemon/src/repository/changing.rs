//! Changes of images that are here: name, trash, and away for ever. Each is looked up, authorized
//! and committed on the committer's thread, in the order in which they were asked for.

use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::{self, Target};
use imgrepo_proto::session::reply::{ImageReply, PurgeReply};
use imgrepo_proto::{ErrorCode, ImageName, Refusal};

use super::catalog::{Catalog, Change, ImageState};
use super::finding::{find, find_id};
use super::people::{Action, Actor, Object, authorize};
use super::queue::{Answer, Purge, Work};
use super::{Done, Repository};

impl Repository {
    /// Gives an image another name.
    pub fn rename(&self, actor: &Actor, rename: command::Rename, done: Done<ImageReply>) {
        let name = match ImageName::parse(&rename.name) {
            Ok(name) => name,
            Err(error) => {
                let message = format!(
                    "cannot rename image {} to `{}`: {error}",
                    rename.image,
                    shown(&rename.name)
                );
                return done(Err(Refusal::new(ErrorCode::BadName, message)));
            }
        };
        let change = |id| Change::Rename(id, name);
        self.change(
            actor,
            Action::Rename,
            Target::id(rename.image),
            ImageState::Listed,
            change,
            done,
        );
    }

    /// Puts an image into the trash.
    pub fn delete(&self, actor: &Actor, target: Target, done: Done<ImageReply>) {
        self.change(actor, Action::Delete, target, ImageState::Listed, Change::Delete, done);
    }

    /// Takes an image out of the trash; by name, among those in it.
    pub fn restore(&self, actor: &Actor, target: Target, done: Done<ImageReply>) {
        self.change(actor, Action::Restore, target, ImageState::Trashed, Change::Restore, done);
    }

    /// Removes one image of the trash for ever, or all of one's own, or for the owner all.
    pub fn purge(&self, actor: &Actor, purge: command::Purge, done: Done<PurgeReply>) {
        let answer = Answer::new(done);
        let (by, from) = (actor.person, actor.from.clone());
        let work = match purge.image {
            Some(id) => {
                let actor = actor.clone();
                Work::Propose {
                    by,
                    from,
                    make: Box::new(move |catalog: &dyn Catalog| {
                        let image = find_id(catalog, &actor, id)?;
                        let object = format!("image {id}");
                        authorize(&actor, Action::Purge, Object::Of(image.person, &object))?;
                        Ok(Change::Purge(id))
                    }),
                    then: Box::new(move |outcome| {
                        answer.give(outcome.map(|_| PurgeReply { purged: 1 }));
                    }),
                }
            }
            None => {
                let person = match authorize(actor, Action::Purge, Object::Any) {
                    Ok(()) => None,
                    Err(_) => {
                        let own = Object::Of(actor.person, &"the trash");
                        if let Err(refusal) = authorize(actor, Action::Purge, own) {
                            return answer.give(Err(refusal));
                        }
                        Some(actor.person)
                    }
                };
                let answer = Answer::new(Box::new(move |outcome: Result<u64, Refusal>| {
                    answer.give(outcome.map(|purged| PurgeReply { purged }));
                }));
                Work::Purge(Purge { by, from, person, before: None, purged: 0, answer })
            }
        };
        self.inner.queue.push(work);
    }

    fn change(
        &self,
        actor: &Actor,
        action: Action,
        target: Target,
        state: ImageState,
        change: impl FnOnce(imgrepo_proto::ImageId) -> Change + Send + 'static,
        done: Done<ImageReply>,
    ) {
        let answer = Answer::new(done);
        let (by, from) = (actor.person, actor.from.clone());
        let actor = actor.clone();
        self.inner.queue.push(Work::Propose {
            by,
            from,
            make: Box::new(move |catalog: &dyn Catalog| {
                let image = find(catalog, &actor, &target, state)?;
                let object = format!("image {}", image.record.id);
                authorize(&actor, action, Object::Of(image.person, &object))?;
                Ok(change(image.record.id))
            }),
            then: Box::new(move |outcome| {
                answer.give(outcome.map(|committed| ImageReply { image: committed.image }));
            }),
        });
    }
}

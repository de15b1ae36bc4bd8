//! What is done to accounts, and the record of all that is done; what `devices` and `invitations` share
//! with it. Called by the server for each session's [`Actor`].
//!
//! Every act looks at the actor anew, asks `authorize`, and has the catalog carry it out, one act at a
//! time: who was revoked or lost a role a moment ago acts no more, whatever their session knows.

use std::sync::{Arc, PoisonError};

use imgrepo_proto::limits::DEFAULT_PAGE;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::people::{
    Audit, AuditReply, Disable, People, PeopleReply, PersonReply, SetRole,
};
use imgrepo_proto::{ErrorCode, PersonName, Refusal};
use jiff::{SignedDuration, Timestamp};

use super::{Action, Actor, Authentication, Object, authorize};
use crate::repository::catalog::page::fitting;
use crate::repository::catalog::people::{Act, Acted, By, KnownPerson};
use crate::repository::catalog::{PersonId, PersonKind};
use crate::repository::{Inner, Repository, faults};

/// For how long what has ended is listed.
pub(super) const ENDED_SHOWN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How much of what has ended is listed at most.
pub(super) const MAX_ENDED: u32 = 100;

impl Inner {
    /// Has the catalog carry out an act, and tells of it.
    pub(super) fn act(&self, act: &Act, by: &By) -> Result<Acted, Refusal> {
        if self.queue.is_closed() {
            return Err(faults::shutting_down());
        }
        let acted = self.catalog.act(act, by, Timestamp::now());
        let acted = acted.map_err(|error| faults::catalog(&error))??;
        for record in &acted.records {
            record.log();
        }
        if acted.changes_sessions {
            self.people.send_modify(|count| *count += 1);
        }
        Ok(acted)
    }

    /// The actor as they are now.
    pub(super) fn anew(&self, actor: &Actor) -> Result<Actor, Refusal> {
        match self.refreshed(actor).map_err(|error| faults::catalog(&error))? {
            Authentication::Known(actor) => Ok(actor),
            _ => Err(Refusal::new(ErrorCode::Denied, "you are not let in any more")),
        }
    }

    pub(super) fn known(&self, id: PersonId) -> Result<Option<KnownPerson>, Refusal> {
        self.catalog.person_of(id).map_err(|error| faults::catalog(&error))
    }

    pub(super) fn named(
        &self,
        kind: PersonKind,
        name: &PersonName,
    ) -> Result<Option<KnownPerson>, Refusal> {
        self.catalog.person_named(kind, name).map_err(|error| faults::catalog(&error))
    }

    /// The account or the owner of this name.
    pub(super) fn account(&self, text: &str) -> Result<KnownPerson, Refusal> {
        let nobody = || {
            let message = format!("nobody has an account under the name `{}`", shown(text));
            Refusal::new(ErrorCode::NotFound, message).hint("imgctl people ls")
        };
        let name = PersonName::parse(text).map_err(|_| nobody())?;
        match self.named(PersonKind::Account, &name)? {
            Some(account) => Ok(account),
            None => self.named(PersonKind::Owner, &name)?.ok_or_else(nobody),
        }
    }

    pub(super) fn name(&self, id: PersonId) -> Result<String, Refusal> {
        Ok(self.known(id)?.map_or_else(String::new, |person| person.shown.into()))
    }

    fn told_person(&self, id: PersonId) -> Result<PersonReply, Refusal> {
        let person = self.catalog.told_person(id).map_err(|error| faults::catalog(&error))?;
        let gone = || faults::internal(&format!("there is no person {}", id.0));
        Ok(PersonReply { person: person.ok_or_else(gone)? })
    }
}

pub(super) fn by(actor: &Actor) -> By {
    By { person: Some(actor.person), device: actor.device, from: actor.from.clone() }
}

impl Repository {
    /// As [`Repository::hop`], with the actor as they are now, and nobody else acting on people.
    pub(super) async fn people_hop<T: Send + 'static>(
        &self,
        actor: &Actor,
        act: impl FnOnce(&Arc<Inner>, &Actor) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let actor = actor.clone();
        self.hop(move |inner| {
            let _turn = inner.people_turn.lock().unwrap_or_else(PoisonError::into_inner);
            let actor = inner.anew(&actor)?;
            act(inner, &actor)
        })
        .await
    }

    /// A page of the people: the owner and the accounts, then guests, then who was imported.
    ///
    /// # Errors
    /// `denied`, `bad_request`; the disk's.
    pub async fn people(&self, actor: &Actor, people: &People) -> Result<PeopleReply, Refusal> {
        let after = people.cursor.as_deref().map(read_cursor).transpose()?;
        let actor = actor.clone();
        self.hop(move |inner| {
            authorize(&inner.anew(&actor)?, Action::People, Object::Any)?;
            let limit = DEFAULT_PAGE;
            let found = inner.catalog.people(after, limit + 1);
            let found = found.map_err(|error| faults::catalog(&error))?;
            let (ids, mut people): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            let fitting = fitting(&people, limit as usize);
            let last = fitting.checked_sub(1).filter(|_| people.len() > fitting);
            let next = last.and_then(|last| Some(cursor(people.get(last)?.kind, *ids.get(last)?)));
            people.truncate(fitting);
            Ok(PeopleReply { people, next })
        })
        .await
    }

    /// Gives an account another role.
    ///
    /// # Errors
    /// `denied`, `not_found`, `conflict`; the disk's.
    pub async fn set_role(&self, actor: &Actor, set: &SetRole) -> Result<PersonReply, Refusal> {
        let set = set.clone();
        self.people_hop(actor, move |inner, actor| {
            authorize(actor, Action::Role, Object::Any)?;
            let person = inner.account(&set.person)?;
            inner.act(&Act::SetRole(person.id, set.role), &by(actor))?;
            inner.told_person(person.id)
        })
        .await
    }

    /// Lets an account in no more, or again. Its images stay.
    ///
    /// # Errors
    /// `denied`, `not_found`, `conflict`; the disk's.
    pub async fn disable(&self, actor: &Actor, disable: &Disable) -> Result<PersonReply, Refusal> {
        let disable = disable.clone();
        self.people_hop(actor, move |inner, actor| {
            authorize(actor, Action::Disable, Object::Any)?;
            let person = inner.account(&disable.person)?;
            inner.act(&Act::Disable(person.id, disable.disabled), &by(actor))?;
            inner.told_person(person.id)
        })
        .await
    }

    /// A page of the record of what was done, newest first.
    ///
    /// # Errors
    /// `denied`; the disk's.
    pub async fn audit(&self, actor: &Actor, audit: &Audit) -> Result<AuditReply, Refusal> {
        let (actor, audit) = (actor.clone(), audit.clone());
        self.hop(move |inner| {
            authorize(&inner.anew(&actor)?, Action::Audit, Object::Any)?;
            let limit = audit.page_size();
            let entries = inner.catalog.audit(audit.before, limit + 1);
            let mut entries = entries.map_err(|error| faults::catalog(&error))?;
            let fitting = fitting(&entries, limit as usize);
            let more = entries.len() > fitting;
            entries.truncate(fitting);
            let next = entries.last().filter(|_| more).map(|last| last.id);
            Ok(AuditReply { entries, next })
        })
        .await
    }
}

/// The letters that stand for kinds in a cursor, in the order of a list.
const KINDS: [(char, PersonKind); 4] = [
    ('o', PersonKind::Owner),
    ('a', PersonKind::Account),
    ('g', PersonKind::Guest),
    ('i', PersonKind::Imported),
];

fn cursor(kind: PersonKind, id: PersonId) -> String {
    let letter = KINDS.into_iter().find(|(_, other)| *other == kind).map_or('o', |(it, _)| it);
    format!("{letter}{}", id.0)
}

fn read_cursor(text: &str) -> Result<(PersonKind, PersonId), Refusal> {
    let bad = || Refusal::new(ErrorCode::BadRequest, "the cursor is none of a list of people");
    let mut chars = text.chars();
    let letter = chars.next().ok_or_else(bad)?;
    let (_, kind) = KINDS.into_iter().find(|(it, _)| *it == letter).ok_or_else(bad)?;
    let id = chars.as_str().parse().map_err(|_| bad())?;
    Ok((kind, PersonId(id)))
}

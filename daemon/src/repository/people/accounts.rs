//! What is done to accounts, devices and invitations, and the record of it. Called by the server for
//! each session's [`Actor`].
//!
//! Every act looks at the actor anew, asks `authorize`, and has the catalog carry it out, one act at a
//! time: who was revoked or lost a role a moment ago acts no more, whatever their session knows.

use std::sync::{Arc, PoisonError};

use imgrepo_proto::limits::{
    DEFAULT_PAGE, INVITATION_SECONDS, MAX_INVITATION_SECONDS, MAX_INVITATION_USES,
};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::people::{
    AccountRole, Audit, AuditReply, Device, DeviceReply, Devices, DevicesReply, Disable,
    Invitation, InvitationReply, InvitationsReply, Invite, People, PeopleReply, PersonReply,
    Revoke, SetRole, Uninvite,
};
use imgrepo_proto::{ErrorCode, PersonName, Refusal, Secret};
use jiff::{SignedDuration, Timestamp};

use super::entrance::new_secret;
use super::{Action, Actor, Authentication, Object, authorize};
use crate::repository::catalog::page::fitting;
use crate::repository::catalog::people::{
    Act, Acted, By, GUEST_SUFFIX, KnownDevice, KnownInvitation, KnownPerson, NewInvitation,
    SecretHash,
};
use crate::repository::catalog::{PersonId, PersonKind};
use crate::repository::{Inner, Repository, faults};

/// Bytes of an invitation's secret: nobody guesses them, and the link stays short enough to be seen by
/// a camera.
const INVITATION_BYTES: usize = 16;

/// For how long what has ended is listed.
const ENDED_SHOWN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How much of what has ended is listed at most.
const MAX_ENDED: u32 = 100;

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
    fn anew(&self, actor: &Actor) -> Result<Actor, Refusal> {
        match self.refreshed(actor).map_err(|error| faults::catalog(&error))? {
            Authentication::Known(actor) => Ok(actor),
            _ => Err(Refusal::new(ErrorCode::Denied, "you are not let in any more")),
        }
    }

    fn known(&self, id: PersonId) -> Result<Option<KnownPerson>, Refusal> {
        self.catalog.person_of(id).map_err(|error| faults::catalog(&error))
    }

    fn named(&self, kind: PersonKind, name: &PersonName) -> Result<Option<KnownPerson>, Refusal> {
        self.catalog.person_named(kind, name).map_err(|error| faults::catalog(&error))
    }

    /// The account or the owner of this name.
    fn account(&self, text: &str) -> Result<KnownPerson, Refusal> {
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

    /// The guest of this name, or the one who is shown under it.
    fn guest_named(&self, text: &str) -> Result<KnownPerson, Refusal> {
        let text = text.trim();
        for text in [Some(text), text.strip_suffix(GUEST_SUFFIX)].into_iter().flatten() {
            if let Ok(name) = PersonName::parse(text)
                && let Some(guest) = self.named(PersonKind::Guest, &name)?
            {
                return Ok(guest);
            }
        }
        let message = format!("no guest was here under the name `{}`", shown(text));
        Err(Refusal::new(ErrorCode::NotFound, message))
    }

    fn name(&self, id: PersonId) -> Result<String, Refusal> {
        Ok(self.known(id)?.map_or_else(String::new, |person| person.shown.into()))
    }

    fn told_device(&self, device: KnownDevice, actor: &Actor) -> Result<Device, Refusal> {
        Ok(Device {
            id: device.id,
            person: self.name(device.person)?,
            label: device.label,
            kind: device.kind,
            since: device.created_at,
            seen: device.seen_at,
            revoked: device.revoked_at,
            this: actor.device == Some(device.id),
        })
    }

    fn told_invitation(&self, known: &KnownInvitation) -> Result<Invitation, Refusal> {
        let name = |id: Option<PersonId>| id.map(|id| self.name(id)).transpose();
        Ok(Invitation {
            id: known.id,
            role: known.role,
            person: name(known.person)?,
            guest: name(known.guest)?,
            uses: known.uses_left,
            by: self.name(known.by)?,
            since: known.created_at,
            expires: known.expires_at,
            revoked: known.revoked_at,
        })
    }

    fn told_person(&self, id: PersonId) -> Result<PersonReply, Refusal> {
        let person = self.catalog.told_person(id).map_err(|error| faults::catalog(&error))?;
        let gone = || faults::internal(&format!("there is no person {}", id.0));
        Ok(PersonReply { person: person.ok_or_else(gone)? })
    }

    fn device(&self, revoke: Revoke) -> Result<KnownDevice, Refusal> {
        let id = revoke.device;
        let device = self.catalog.device(id).map_err(|error| faults::catalog(&error))?;
        let message = || format!("cannot revoke device {id}: there is none of that number");
        device.ok_or_else(|| Refusal::new(ErrorCode::NotFound, message()))
    }

    fn invitation(&self, uninvite: Uninvite) -> Result<KnownInvitation, Refusal> {
        let id = uninvite.invitation;
        let found = self.catalog.invitation(id).map_err(|error| faults::catalog(&error))?;
        let message = || format!("cannot take back invitation {id}: there is none of that number");
        found.ok_or_else(|| Refusal::new(ErrorCode::NotFound, message()))
    }
}

fn by(actor: &Actor) -> By {
    By { person: Some(actor.person), device: actor.device, from: actor.from.clone() }
}

/// What is wrong with an invitation that is asked for, if anything, before it is asked who may.
fn check(invite: &Invite) -> Result<(u32, u64), Refusal> {
    let bad = |message: String| Err(Refusal::new(ErrorCode::BadRequest, message));
    let (uses, seconds) = (invite.uses.unwrap_or(1), invite.seconds.unwrap_or(INVITATION_SECONDS));
    if !(1..=MAX_INVITATION_USES).contains(&uses) {
        return bad(format!("cannot invite {uses} times, the limit is {MAX_INVITATION_USES}"));
    }
    if !(1..=MAX_INVITATION_SECONDS).contains(&seconds) {
        let most = MAX_INVITATION_SECONDS;
        return bad(format!("cannot invite for {seconds} seconds, the limit is {most}"));
    }
    if invite.person.is_some() && (invite.role.is_some() || invite.guest.is_some()) {
        return bad("cannot invite: a further device has its person's role and images".to_owned());
    }
    if invite.guest.is_some() && uses > 1 {
        return bad("cannot invite: a guest's images can become one person's alone".to_owned());
    }
    Ok((uses, seconds))
}

impl Repository {
    /// As [`Repository::hop`], with the actor as they are now, and nobody else acting on people.
    async fn people_hop<T: Send + 'static>(
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

    /// A new invitation, and what lets in by it: it is told this once.
    ///
    /// # Errors
    /// `denied`, `bad_request`, `not_found`, `conflict`; the disk's.
    pub async fn invite(
        &self,
        actor: &Actor,
        invite: &Invite,
    ) -> Result<(Invitation, Secret), Refusal> {
        let (uses, seconds) = check(invite)?;
        let invite = invite.clone();
        self.people_hop(actor, move |inner, actor| {
            let person = match &invite.person {
                Some(name) => match inner.account(name) {
                    Ok(person) => Some(person),
                    // Who may not invite others learns nothing of who there is.
                    Err(refusal) => {
                        authorize(actor, Action::Invite, Object::Any)?;
                        return Err(refusal);
                    }
                },
                None => None,
            };
            match &person {
                Some(person) => {
                    let object = format!("a device of `{}`", shown(person.shown.as_str()));
                    authorize(actor, Action::Invite, Object::Of(person.id, &object))?;
                }
                None => authorize(actor, Action::Invite, Object::Any)?,
            }
            let guest = invite.guest.as_deref().map(|name| inner.guest_named(name)).transpose()?;
            let secret = new_secret::<INVITATION_BYTES>()?;
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            let expires_at = Timestamp::now().checked_add(SignedDuration::from_secs(seconds));
            let new = NewInvitation {
                secret: SecretHash::of(&secret),
                role: match person {
                    Some(_) => None,
                    None => Some(invite.role.unwrap_or(AccountRole::Member)),
                },
                person: person.map(|person| person.id),
                guest: guest.map(|guest| guest.id),
                uses,
                expires_at: expires_at.map_err(|error| faults::internal(&error))?,
            };
            let acted = inner.act(&Act::Invite(new), &by(actor))?;
            let invitation = imgrepo_proto::session::people::InvitationId(acted.number);
            let known = inner.invitation(Uninvite { invitation })?;
            Ok((inner.told_invitation(&known)?, secret))
        })
        .await
    }

    /// The invitations that this person may see: all, or those that they made.
    ///
    /// # Errors
    /// `denied`; the disk's.
    pub async fn invitations(&self, actor: &Actor) -> Result<InvitationsReply, Refusal> {
        let actor = actor.clone();
        self.hop(move |inner| {
            let actor = inner.anew(&actor)?;
            let made_by = match authorize(&actor, Action::Invitations, Object::Any) {
                Ok(()) => None,
                Err(_) => {
                    let own = Object::Of(actor.person, &"invitations");
                    authorize(&actor, Action::Invitations, own)?;
                    Some(actor.person)
                }
            };
            let now = Timestamp::now();
            let since = now.checked_sub(ENDED_SHOWN).unwrap_or(Timestamp::MIN);
            let found = inner.catalog.invitations(made_by, now, since, MAX_ENDED);
            let found = found.map_err(|error| faults::catalog(&error))?;
            let told = found.iter().map(|known| inner.told_invitation(known));
            let mut invitations = told.collect::<Result<Vec<_>, _>>()?;
            invitations.truncate(fitting(&invitations, invitations.len()));
            Ok(InvitationsReply { invitations })
        })
        .await
    }

    /// Takes an invitation back. One that has ended already stays as it is.
    ///
    /// # Errors
    /// `denied`, `not_found`; the disk's.
    pub async fn uninvite(
        &self,
        actor: &Actor,
        uninvite: &Uninvite,
    ) -> Result<InvitationReply, Refusal> {
        let uninvite = *uninvite;
        self.people_hop(actor, move |inner, actor| {
            let object = format!("invitation {}", uninvite.invitation);
            let whose = |known: &KnownInvitation| {
                authorize(actor, Action::Uninvite, Object::Of(known.by, &object))
            };
            match inner.invitation(uninvite) {
                Ok(known) => whose(&known)?,
                Err(refusal) => {
                    authorize(actor, Action::Uninvite, Object::Any)?;
                    return Err(refusal);
                }
            }
            inner.act(&Act::Uninvite(uninvite.invitation), &by(actor))?;
            let invitation = inner.told_invitation(&inner.invitation(uninvite)?)?;
            Ok(InvitationReply { invitation })
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

    /// The devices of a person.
    ///
    /// # Errors
    /// `denied`, `not_found`; the disk's.
    pub async fn devices(&self, actor: &Actor, devices: &Devices) -> Result<DevicesReply, Refusal> {
        let (actor, devices) = (actor.clone(), devices.clone());
        self.hop(move |inner| {
            let actor = inner.anew(&actor)?;
            let whose = match &devices.person {
                None => actor.person,
                Some(name) => match inner.account(name) {
                    Ok(person) => person.id,
                    Err(refusal) => {
                        authorize(&actor, Action::Devices, Object::Any)?;
                        return Err(refusal);
                    }
                },
            };
            let object = match &devices.person {
                Some(name) => format!("the devices of `{}`", shown(name)),
                None => "devices".to_owned(),
            };
            authorize(&actor, Action::Devices, Object::Of(whose, &object))?;
            let since = Timestamp::now().checked_sub(ENDED_SHOWN).unwrap_or(Timestamp::MIN);
            let found = inner.catalog.devices(whose, since, MAX_ENDED);
            let found = found.map_err(|error| faults::catalog(&error))?;
            let told = found.into_iter().map(|device| inner.told_device(device, &actor));
            Ok(DevicesReply { devices: told.collect::<Result<_, _>>()? })
        })
        .await
    }

    /// Lets a device in no more.
    ///
    /// # Errors
    /// `denied`, `not_found`; the disk's.
    pub async fn revoke(&self, actor: &Actor, revoke: &Revoke) -> Result<DeviceReply, Refusal> {
        let revoke = *revoke;
        self.people_hop(actor, move |inner, actor| {
            let object = format!("device {}", revoke.device);
            match inner.device(revoke) {
                Ok(device) => {
                    authorize(actor, Action::Revoke, Object::Of(device.person, &object))?;
                }
                Err(refusal) => {
                    authorize(actor, Action::Revoke, Object::Any)?;
                    return Err(refusal);
                }
            }
            inner.act(&Act::Revoke(revoke.device), &by(actor))?;
            let device = inner.told_device(inner.device(revoke)?, actor)?;
            Ok(DeviceReply { device })
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

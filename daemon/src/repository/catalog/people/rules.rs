//! What becomes of an act on people: the one place that decides what nobody may do to whom, and what
//! goes with it. Who an invitation lets in is `joining`'s.
//!
//! Called by both catalogs within one transaction. Everything is looked at before anything is written,
//! so that what is refused leaves nothing behind; the time comes from outside.

use imgrepo_proto::limits::MAX_INVITATIONS;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::people::{AccountRole, DeviceId, InvitationId};
use imgrepo_proto::{ErrorCode, Refusal};
use jiff::Timestamp;

use super::book::Book;
use super::{Act, Acted, By, KnownInvitation, KnownPerson, NewInvitation, Record};
use crate::repository::catalog::{PersonId, PersonKind};

/// Live invitations that one person may have made for devices of their own: enough for who moves
/// house, too few to keep others from inviting ([`MAX_INVITATIONS`] is for all together).
const MAX_OWN_INVITATIONS: usize = 10;

/// An answer, or the storage's failure.
pub(super) type Decided<T, B> = Result<Result<T, Refusal>, <B as Book>::Error>;

pub(super) fn refused<T, E>(
    code: ErrorCode,
    message: impl Into<String>,
) -> Result<Result<T, Refusal>, E> {
    Ok(Err(Refusal::new(code, message)))
}

/// Carries out an act, or refuses it. `now` is a `kept_time`.
pub(crate) fn act<B: Book>(book: &mut B, act: &Act, by: &By, now: Timestamp) -> Decided<Acted, B> {
    let mut scene = Scene { book, by, now, records: Vec::new(), changes_sessions: false };
    let number = match act {
        Act::Join(device) => scene.join(device)?.map(|device| device.0),
        Act::Invite(invitation) => scene.invite(invitation)?.map(|invitation| invitation.0),
        Act::Uninvite(id) => scene.uninvite(*id)?.map(|()| id.0),
        Act::SetRole(person, role) => scene.set_role(*person, *role)?.map(|()| number(*person)),
        Act::Disable(person, disabled) => {
            scene.disable(*person, *disabled)?.map(|()| number(*person))
        }
        Act::Revoke(device) => scene.revoke(*device)?.map(|()| device.0),
    };
    let Scene { records, changes_sessions, .. } = scene;
    Ok(number.map(|number| Acted { number, records, changes_sessions }))
}

fn number(person: PersonId) -> u64 {
    u64::try_from(person.0).unwrap_or(0)
}

/// An act while it is carried out.
pub(super) struct Scene<'a, B> {
    pub(super) book: &'a mut B,
    by: &'a By,
    pub(super) now: Timestamp,
    records: Vec<Record>,
    pub(super) changes_sessions: bool,
}

impl<B: Book> Scene<'_, B> {
    pub(super) fn record(
        &mut self,
        by: PersonId,
        act: &'static str,
        object: String,
    ) -> Result<(), B::Error> {
        let by_name = self.book.person(by)?.map_or_else(String::new, |by| by.shown.into());
        let record = Record { by, by_name, from: self.by.from.clone(), act, object };
        self.book.add_record(&record, self.now)?;
        self.records.push(record);
        Ok(())
    }

    /// As [`Scene::record`], of what a person here does.
    fn note(&mut self, act: &'static str, object: String) -> Result<(), B::Error> {
        match self.by.person {
            Some(by) => self.record(by, act, object),
            None => Ok(()),
        }
    }

    fn invite(&mut self, new: &NewInvitation) -> Decided<InvitationId, B> {
        let Some(by) = self.by.person else {
            return refused(ErrorCode::Internal, "an invitation needs somebody who invites");
        };
        if let Some(id) = new.person {
            let Some(person) = self.book.person(id)? else {
                return refused(ErrorCode::NotFound, "nobody has that number");
            };
            let name = shown(person.shown.as_str());
            if person.is_disabled {
                let message = format!("cannot invite a device of `{name}`, who is not let in");
                let hint = format!("imgctl people enable {name}");
                return Ok(Err(Refusal::new(ErrorCode::Conflict, message).hint(hint)));
            }
            // Whoever held such a device would be the owner in everybody's eyes.
            if person.kind == PersonKind::Owner && id != by {
                let message = format!(
                    "cannot invite a device of `{name}`, who runs the server: only they may"
                );
                return refused(ErrorCode::Denied, message);
            }
        }
        if let Some(id) = new.guest {
            let guest = self.book.person(id)?;
            if guest.is_none_or(|guest| guest.kind != PersonKind::Guest) {
                let message = "cannot invite: there is no guest of that number";
                return refused(ErrorCode::NotFound, message);
            }
        }
        let live = self.book.live_invitations(self.now)?;
        let own = live.iter().filter(|it| it.person == Some(by) && it.by == by).count();
        let (count, most, of) = match new.person == Some(by) {
            true if own >= MAX_OWN_INVITATIONS => (own, MAX_OWN_INVITATIONS, "of your devices"),
            _ => (live.len(), MAX_INVITATIONS as usize, "of this repository"),
        };
        if count >= most {
            let message = format!("cannot invite: {count} invitations {of} let in, the limit");
            let hint = "take one back, or wait until one ends";
            return Ok(Err(Refusal::new(ErrorCode::Conflict, message).hint(hint)));
        }
        let id = self.book.add_invitation(new, (by, self.by.device), self.now)?;
        let whom = match (new.person, new.guest) {
            (Some(person), _) => format!("a device of {}", self.name(person)?),
            (None, guest) => {
                let role = new.role.unwrap_or(AccountRole::Member).word();
                let guest = match guest {
                    Some(guest) => format!(" who gets the images of {}", self.name(guest)?),
                    None => String::new(),
                };
                let article = if role == AccountRole::Admin.word() { "an" } else { "a" };
                format!("{article} {role}{guest}")
            }
        };
        let times = match new.uses {
            1 => String::new(),
            uses => format!(", {uses} times"),
        };
        self.note("invite", format!("invitation {id} for {whom}{times}"))?;
        Ok(Ok(id))
    }

    fn uninvite(&mut self, id: InvitationId) -> Decided<(), B> {
        let Some(invitation) = self.book.invitation(id)? else {
            return refused(ErrorCode::NotFound, format!("there is no invitation {id}"));
        };
        self.take_back(invitation)?;
        Ok(Ok(()))
    }

    /// Nobody is let in by it any more. One that has ended stays as it is.
    fn take_back(&mut self, mut invitation: KnownInvitation) -> Result<(), B::Error> {
        if !invitation.lets_in(self.now) {
            return Ok(());
        }
        invitation.revoked_at = Some(self.now);
        self.book.put_invitation(&invitation)?;
        self.note("uninvite", format!("invitation {}", invitation.id))
    }

    /// Takes back all live invitations that fit.
    fn take_back_all(&mut self, fits: impl Fn(&KnownInvitation) -> bool) -> Result<(), B::Error> {
        for invitation in self.book.live_invitations(self.now)? {
            if fits(&invitation) {
                self.take_back(invitation)?;
            }
        }
        Ok(())
    }

    /// The account that something is done to by another.
    fn other(&self, id: PersonId, act: &str) -> Decided<KnownPerson, B> {
        let Some(person) = self.book.person(id)? else {
            return refused(ErrorCode::NotFound, "nobody has that number");
        };
        let name = shown(person.shown.as_str());
        let conflict =
            |why: &str| refused(ErrorCode::Conflict, format!("cannot {act} `{name}`: {why}"));
        match person.kind {
            PersonKind::Owner => conflict("they run the server"),
            PersonKind::Guest | PersonKind::Imported => conflict("they have no account"),
            PersonKind::Account if self.by.person == Some(id) => {
                conflict("that is you; another admin or the owner may")
            }
            PersonKind::Account => Ok(Ok(person)),
        }
    }

    fn set_role(&mut self, id: PersonId, role: AccountRole) -> Decided<(), B> {
        let person = match self.other(id, "change the role of")? {
            Ok(person) => person,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let before = person.role;
        if before == Some(role) {
            return Ok(Ok(()));
        }
        let name = shown(person.shown.as_str());
        self.book.put_person(&KnownPerson { role: Some(role), ..person })?;
        self.changes_sessions = true;
        let was = before.map_or("", AccountRole::word);
        self.note("role", format!("{name}, {was} before, {} now", role.word()))?;
        // What an admin gave out does not outlive their being one.
        if role != AccountRole::Admin {
            self.take_back_all(|it| it.by == id && it.person != Some(id))?;
        }
        Ok(Ok(()))
    }

    fn disable(&mut self, id: PersonId, disabled: bool) -> Decided<(), B> {
        let act = if disabled { "disable" } else { "enable" };
        let person = match self.other(id, act)? {
            Ok(person) => person,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if person.is_disabled == disabled {
            return Ok(Ok(()));
        }
        let name = shown(person.shown.as_str());
        self.book.put_person(&KnownPerson { is_disabled: disabled, ..person })?;
        self.changes_sessions = true;
        self.note(act, name)?;
        if disabled {
            self.take_back_all(|it| it.by == id || it.person == Some(id))?;
        }
        Ok(Ok(()))
    }

    fn revoke(&mut self, id: DeviceId) -> Decided<(), B> {
        let Some(device) = self.book.device(id)? else {
            return refused(ErrorCode::NotFound, format!("there is no device {id}"));
        };
        if device.revoked_at.is_some() {
            return Ok(Ok(()));
        }
        self.book.revoke_device(id, self.now)?;
        self.changes_sessions = true;
        let object = self.device_words(id, &device.label, device.person)?;
        self.note("revoke", object)?;
        // Whoever holds a lost device may have made themselves another way in.
        self.take_back_all(|it| it.device == Some(id))?;
        Ok(Ok(()))
    }

    fn name(&self, id: PersonId) -> Result<String, B::Error> {
        let person = self.book.person(id)?;
        Ok(person.map_or_else(String::new, |person| shown(person.shown.as_str())))
    }

    pub(super) fn device_words(
        &self,
        id: DeviceId,
        label: &str,
        person: PersonId,
    ) -> Result<String, B::Error> {
        Ok(format!("device {id} ({}) of {}", shown(label), self.name(person)?))
    }
}

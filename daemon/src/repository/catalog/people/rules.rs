//! What becomes of an act on people: the one place that decides who an invitation lets in, what names
//! are free, and what nobody may do to whom.
//!
//! Called by both catalogs within one transaction. Everything is looked at before anything is written,
//! so that what is refused leaves nothing behind; the time comes from outside.

use imgrepo_proto::limits::{MAX_DEVICES, MAX_INVITATIONS, MAX_PERSON_NAME_BYTES};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::people::{AccountRole, DeviceId, InvitationId};
use imgrepo_proto::{ErrorCode, PersonName, Refusal};
use jiff::Timestamp;

use super::{
    Act, Acted, By, GUEST_SUFFIX, KnownDevice, KnownInvitation, KnownPerson, NewDevice,
    NewInvitation, Record, SecretHash,
};
use crate::repository::catalog::{PersonId, PersonKind};

/// Live invitations that one person may have made for devices of their own: enough for who moves
/// house, too few to keep others from inviting ([`MAX_INVITATIONS`] is for all together).
const MAX_OWN_INVITATIONS: usize = 10;

/// What the rules need to know, and how it is written.
pub(crate) trait Book {
    /// How the storage fails.
    type Error;
    fn person(&self, id: PersonId) -> Result<Option<KnownPerson>, Self::Error>;
    fn person_named(
        &self,
        kind: PersonKind,
        name: &PersonName,
    ) -> Result<Option<KnownPerson>, Self::Error>;
    fn device(&self, id: DeviceId) -> Result<Option<KnownDevice>, Self::Error>;
    /// Devices of this person that are not revoked.
    fn device_count(&self, person: PersonId) -> Result<u32, Self::Error>;
    fn invitation(&self, id: InvitationId) -> Result<Option<KnownInvitation>, Self::Error>;
    fn invitation_of(&self, secret: SecretHash) -> Result<Option<KnownInvitation>, Self::Error>;
    /// Those that let in somebody at this time.
    fn live_invitations(&self, now: Timestamp) -> Result<Vec<KnownInvitation>, Self::Error>;

    fn add_person(
        &mut self,
        kind: PersonKind,
        name: &PersonName,
        shown: &PersonName,
        role: Option<AccountRole>,
        now: Timestamp,
    ) -> Result<PersonId, Self::Error>;
    /// Kind, names, role and whether they are let in.
    fn put_person(&mut self, person: &KnownPerson) -> Result<(), Self::Error>;
    fn add_device(
        &mut self,
        person: PersonId,
        device: &NewDevice,
        now: Timestamp,
    ) -> Result<DeviceId, Self::Error>;
    fn revoke_device(&mut self, id: DeviceId, now: Timestamp) -> Result<(), Self::Error>;
    fn add_invitation(
        &mut self,
        invitation: &NewInvitation,
        by: (PersonId, Option<DeviceId>),
        now: Timestamp,
    ) -> Result<InvitationId, Self::Error>;
    /// Its uses, and when it was used and taken back.
    fn put_invitation(&mut self, invitation: &KnownInvitation) -> Result<(), Self::Error>;
    fn add_record(&mut self, record: &Record, now: Timestamp) -> Result<(), Self::Error>;
}

/// An answer, or the storage's failure.
type Decided<T, B> = Result<Result<T, Refusal>, <B as Book>::Error>;

fn refused<T, E>(code: ErrorCode, message: impl Into<String>) -> Result<Result<T, Refusal>, E> {
    Ok(Err(Refusal::new(code, message)))
}

/// The person of this kind and name, made if there is none yet. Its name is shown as its own where it
/// is the owner's or an account's.
pub(crate) fn enter<B: Book>(
    book: &mut B,
    kind: PersonKind,
    name: &PersonName,
    now: Timestamp,
) -> Result<PersonId, B::Error> {
    if let Some(known) = book.person_named(kind, name)? {
        return Ok(known.id);
    }
    let is_guest = kind == PersonKind::Guest;
    let shown = match is_guest && is_taken(book, name)? {
        true => as_guest(name),
        false => name.clone(),
    };
    let id = book.add_person(kind, name, &shown, None, now)?;
    if matches!(kind, PersonKind::Owner | PersonKind::Account) {
        tell_guest_apart(book, name)?;
    }
    Ok(id)
}

/// Whether the owner or an account has this name.
pub(crate) fn is_taken<B: Book>(book: &B, name: &PersonName) -> Result<bool, B::Error> {
    Ok(book.person_named(PersonKind::Account, name)?.is_some()
        || book.person_named(PersonKind::Owner, name)?.is_some())
}

/// A guest's name as it is shown where it is somebody else's, cut where it would be too long.
fn as_guest(name: &PersonName) -> PersonName {
    let mut room =
        MAX_PERSON_NAME_BYTES.saturating_sub(GUEST_SUFFIX.len()).min(name.as_str().len());
    while !name.as_str().is_char_boundary(room) {
        room -= 1;
    }
    let told = format!("{}{GUEST_SUFFIX}", name.as_str()[..room].trim_end());
    PersonName::parse(&told).unwrap_or_else(|_| PersonName::anon())
}

/// The guest of this name is shown as one from now on; whether there is one.
fn tell_guest_apart<B: Book>(book: &mut B, name: &PersonName) -> Result<bool, B::Error> {
    let Some(guest) = book.person_named(PersonKind::Guest, name)? else { return Ok(false) };
    book.put_person(&KnownPerson { shown: as_guest(name), ..guest })?;
    Ok(true)
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
struct Scene<'a, B> {
    book: &'a mut B,
    by: &'a By,
    now: Timestamp,
    records: Vec<Record>,
    changes_sessions: bool,
}

impl<B: Book> Scene<'_, B> {
    fn record(&mut self, by: PersonId, act: &'static str, object: String) -> Result<(), B::Error> {
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

    fn join(&mut self, device: &NewDevice) -> Decided<DeviceId, B> {
        let denied = |why: &str| {
            let message = format!("cannot join: {why}");
            Ok(Err(Refusal::new(ErrorCode::Denied, message).hint("ask for a new invitation")))
        };
        let Some(mut invitation) = self.book.invitation_of(device.invitation)? else {
            return denied("this invitation is not known here");
        };
        // Whoever comes here had its secret: they may know what became of it.
        if invitation.revoked_at.is_some() {
            return denied("this invitation was taken back");
        }
        if invitation.uses_left == 0 {
            return denied("this invitation was used already, as often as it could be");
        }
        if !invitation.lets_in(self.now) {
            return denied(&format!("this invitation ended at {}", invitation.expires_at));
        }
        let (person, told) = match invitation.person {
            Some(person) => match self.further_device(person)? {
                Ok(person) => (person, String::new()),
                Err(refusal) => return Ok(Err(refusal)),
            },
            None => match self.new_account(&invitation, device)? {
                Ok((person, role)) => (person, format!(", a new {}", role.word())),
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        let id = self.book.add_device(person, device, self.now)?;
        invitation.uses_left -= 1;
        invitation.used_at = Some(self.now);
        self.book.put_invitation(&invitation)?;
        let object = self.device_words(id, &device.label, person)?;
        self.record(person, "join", format!("{object}{told}, by invitation {}", invitation.id))?;
        Ok(Ok(id))
    }

    /// Whether this person may have one more device.
    fn further_device(&mut self, id: PersonId) -> Decided<PersonId, B> {
        let Some(person) = self.book.person(id)? else {
            return refused(ErrorCode::Denied, "cannot join: this invitation is for nobody");
        };
        let name = shown(person.shown.as_str());
        if person.is_disabled {
            let message = format!("cannot join: `{name}` is not let in any more");
            return Ok(Err(Refusal::new(ErrorCode::Denied, message).hint("ask an admin")));
        }
        if self.book.device_count(id)? >= MAX_DEVICES {
            let message = format!("cannot join: `{name}` has {MAX_DEVICES} devices, the limit");
            let hint = "imgctl devices revoke DEVICE";
            return Ok(Err(Refusal::new(ErrorCode::Conflict, message).hint(hint)));
        }
        Ok(Ok(id))
    }

    fn new_account(
        &mut self,
        invitation: &KnownInvitation,
        device: &NewDevice,
    ) -> Decided<(PersonId, AccountRole), B> {
        let guest = match invitation.guest {
            Some(guest) => self.book.person(guest)?,
            None => None,
        };
        if invitation.guest.is_some()
            && guest.as_ref().is_none_or(|guest| guest.kind != PersonKind::Guest)
        {
            let message = "cannot join: the guest of this invitation has an account by now";
            return refused(ErrorCode::Conflict, message);
        }
        let Some(name) = device.user.clone().or_else(|| guest.as_ref().map(|it| it.name.clone()))
        else {
            let message = "cannot join: say the name of the new account";
            return Ok(Err(Refusal::new(ErrorCode::BadRequest, message).hint("--user NAME")));
        };
        let told = shown(name.as_str());
        if name.as_str().ends_with(GUEST_SUFFIX) {
            let message = format!("cannot join as `{told}`: guests are shown like that");
            return Ok(Err(Refusal::new(ErrorCode::BadName, message).hint("--user NAME")));
        }
        if is_taken(self.book, &name)? {
            let message = format!("cannot join as `{told}`: somebody has that name here");
            return Ok(Err(Refusal::new(ErrorCode::Conflict, message).hint("--user NAME")));
        }
        let role = invitation.role.unwrap_or(AccountRole::Member);
        let person = match guest {
            Some(guest) => {
                let id = guest.id;
                self.book.put_person(&KnownPerson {
                    kind: PersonKind::Account,
                    name: name.clone(),
                    shown: name.clone(),
                    role: Some(role),
                    ..guest
                })?;
                self.changes_sessions = true;
                id
            }
            None => {
                self.book.add_person(PersonKind::Account, &name, &name, Some(role), self.now)?
            }
        };
        // A guest's session tells its name as it is shown.
        self.changes_sessions |= tell_guest_apart(self.book, &name)?;
        Ok(Ok((person, role)))
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
                let hint = format!("imgctl people enable `{name}`");
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
                format!("a {role}{guest}")
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

    fn device_words(
        &self,
        id: DeviceId,
        label: &str,
        person: PersonId,
    ) -> Result<String, B::Error> {
        Ok(format!("device {id} ({}) of {}", shown(label), self.name(person)?))
    }
}

//! Who an invitation lets in, under which name, and how a name is shown. Called by `rules`, and by the
//! catalogs for guests and the owner, who need no invitation.

use imgrepo_proto::limits::{MAX_DEVICES, MAX_PERSON_NAME_BYTES};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::people::{AccountRole, DeviceId, DeviceKind};
use imgrepo_proto::{ErrorCode, PersonName, Refusal};
use jiff::Timestamp;

use super::book::Book;
use super::fold::folded;
use super::rules::{Decided, Scene, refused};
use super::{GUEST_SUFFIX, KnownInvitation, KnownPerson, NewDevice};
use crate::repository::catalog::{PersonId, PersonKind};

/// For whoever joins under a name that is taken, in a terminal or a browser: whether it is they
/// themselves, only they know.
const TAKEN: &str = "choose another (--user NAME); if it is you, take up a link of `imgctl devices \
    add` instead, from another device of yours or from an admin";

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
        tell_guests_apart(book, name)?;
    }
    Ok(id)
}

/// Whether the owner or an account has this name, or one that looks the same.
pub(crate) fn is_taken<B: Book>(book: &B, name: &PersonName) -> Result<bool, B::Error> {
    let folded = folded(name);
    Ok(!book.alike(PersonKind::Account, &folded)?.is_empty()
        || !book.alike(PersonKind::Owner, &folded)?.is_empty())
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

/// Guests of this name, or of one that looks the same, are shown as guests from now on; whether there
/// are any.
fn tell_guests_apart<B: Book>(book: &mut B, name: &PersonName) -> Result<bool, B::Error> {
    let guests = book.alike(PersonKind::Guest, &folded(name))?;
    for guest in &guests {
        book.put_person(&KnownPerson { shown: as_guest(&guest.name), ..guest.clone() })?;
    }
    Ok(!guests.is_empty())
}

/// How a refusal speaks of what somebody wanted who took up a link.
struct Words {
    act: &'static str,
    object: &'static str,
    hint: &'static str,
}

impl Words {
    fn of(invitation: &KnownInvitation, kind: DeviceKind) -> Words {
        match (invitation.person, kind) {
            (None, _) => {
                Words { act: "join", object: "invitation", hint: "ask for a new invitation" }
            }
            (Some(_), DeviceKind::Browser) => Words {
                act: "log in",
                object: "link",
                hint: "print a new one (`imgctl login-link`), or ask an admin for one",
            },
            (Some(_), DeviceKind::Program) => Words {
                act: "let this device in",
                object: "link",
                hint: "print a new one (`imgctl devices add`), or ask an admin for one",
            },
        }
    }
}

impl<B: Book> Scene<'_, B> {
    pub(super) fn join(&mut self, device: &NewDevice) -> Decided<DeviceId, B> {
        let Some(mut invitation) = self.book.invitation_of(device.invitation)? else {
            // What for it was nobody knows.
            let message = "cannot let you in: this link is not known here";
            return Ok(Err(Refusal::new(ErrorCode::Denied, message).hint("ask for a new one")));
        };
        let words = Words::of(&invitation, device.kind);
        let denied = |why: &str| {
            let message = format!("cannot {}: this {} {why}", words.act, words.object);
            Ok(Err(Refusal::new(ErrorCode::Denied, message).hint(words.hint)))
        };
        // Whoever comes here had its secret: they may know what became of it.
        if invitation.revoked_at.is_some() {
            return denied("was taken back");
        }
        if invitation.uses_left == 0 {
            return denied("was used already, as often as it could be");
        }
        if !invitation.lets_in(self.now) {
            // Who reads it may be in another time zone.
            let ended = invitation.expires_at.strftime("%Y-%m-%d %H:%M UTC");
            return denied(&format!("ended at {ended}"));
        }
        let (person, told) = match invitation.person {
            Some(person) => match self.further_device(person, words.act)? {
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
    fn further_device(&mut self, id: PersonId, act: &str) -> Decided<PersonId, B> {
        let Some(person) = self.book.person(id)? else {
            return refused(ErrorCode::Denied, format!("cannot {act}: this link is for nobody"));
        };
        let name = shown(person.shown.as_str());
        if person.is_disabled {
            let message = format!("cannot {act}: `{name}` is not let in any more");
            return Ok(Err(Refusal::new(ErrorCode::Denied, message).hint("ask an admin")));
        }
        if self.book.device_count(id)? >= MAX_DEVICES {
            let message = format!("cannot {act}: `{name}` has {MAX_DEVICES} devices, the limit");
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
        let seen = folded(&name);
        if seen.is_empty() {
            let message = format!("cannot join as `{told}`: nothing of that name can be seen");
            return Ok(Err(Refusal::new(ErrorCode::BadName, message).hint("--user NAME")));
        }
        if seen.ends_with(GUEST_SUFFIX) {
            let message = format!("cannot join as `{told}`: guests are shown like that");
            return Ok(Err(Refusal::new(ErrorCode::BadName, message).hint("--user NAME")));
        }
        if is_taken(self.book, &name)? {
            let why = "somebody has that name here, or one that looks the same";
            let message = format!("cannot join as `{told}`: {why}");
            return Ok(Err(Refusal::new(ErrorCode::Conflict, message).hint(TAKEN)));
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
        self.changes_sessions |= tell_guests_apart(self.book, &name)?;
        Ok(Ok((person, role)))
    }
}

//! Who is let in: guests, devices by their credential, and whoever holds an invitation. Called by the
//! server for each session that begins, and again for one that goes on after
//! [`Repository::people_changed`] told of something. It counts no failures: that is the server's.

use imgrepo_proto::limits::MAX_DEVICE_LABEL_BYTES;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::people::{AccountRole, DeviceId, DeviceKind, Join, JoinReply};
use imgrepo_proto::{ErrorCode, PersonName, Refusal, Secret};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::{Actor, Authentication, Role};
use crate::host;
use crate::repository::catalog::people::{Act, By, KnownDevice, NewDevice, SecretHash};
use crate::repository::catalog::{CatalogResult, PersonKind};
use crate::repository::queue::Work;
use crate::repository::{Inner, Repository, faults};

/// Bytes of a credential: as hard to guess as a key.
const CREDENTIAL_BYTES: usize = 32;

/// How exactly it is noted when a device was seen, so that a session that begins costs no commit.
const SEEN_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// A device that was seen last before this is noted again.
pub(crate) fn seen_before(now: Timestamp) -> Timestamp {
    now.checked_sub(SEEN_EVERY).unwrap_or(Timestamp::MIN)
}

/// A new secret of so many random bytes.
pub(super) fn new_secret<const BYTES: usize>() -> Result<Secret, Refusal> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| faults::internal(&error))?;
    let text = data_encoding::BASE64URL_NOPAD.encode(&bytes);
    Secret::parse(&text).map_err(|error| faults::internal(&error))
}

impl Inner {
    /// A device's person as an actor, if it is let in.
    fn of_device(&self, device: &KnownDevice, from: &str) -> CatalogResult<Authentication> {
        if device.revoked_at.is_some() {
            return Ok(Authentication::Revoked);
        }
        let Some(person) = self.catalog.person_of(device.person)? else {
            return Ok(Authentication::Unknown);
        };
        if person.is_disabled {
            return Ok(Authentication::Disabled);
        }
        let role = match (person.kind, person.role) {
            (PersonKind::Owner, _) => Role::Admin,
            (PersonKind::Account, role) => role.unwrap_or(AccountRole::Viewer).into(),
            // These have no devices.
            (PersonKind::Guest | PersonKind::Imported, _) => return Ok(Authentication::Unknown),
        };
        Ok(Authentication::Known(Actor {
            person: person.id,
            name: person.shown,
            role,
            device: Some(device.id),
            from: from.to_owned(),
        }))
    }

    /// What has become of an actor.
    pub(super) fn refreshed(&self, actor: &Actor) -> CatalogResult<Authentication> {
        if let Some(id) = actor.device {
            return match self.catalog.device(id)? {
                Some(device) => self.of_device(&device, &actor.from),
                None => Ok(Authentication::Unknown),
            };
        }
        if actor.role == Role::Owner {
            return Ok(Authentication::Known(actor.clone()));
        }
        // A guest who became an account proves it from now on.
        let person = self.catalog.person_of(actor.person)?;
        Ok(match person.filter(|person| person.kind == PersonKind::Guest) {
            Some(person) => Authentication::Known(Actor { name: person.shown, ..actor.clone() }),
            None => Authentication::Unknown,
        })
    }

    /// Notes that a device was seen, not before anybody waits for it.
    fn note_seen(&self, device: &KnownDevice) {
        let last_before = seen_before(host::now());
        if device.seen_at.is_none_or(|seen| seen < last_before) {
            self.queue.push(Work::Seen(device.id));
        }
    }
}

impl Repository {
    /// The person who runs the server, by the local socket.
    #[must_use]
    pub fn owner(&self) -> Actor {
        self.inner.owner.clone()
    }

    /// The guest of this name. Whether guests are let in is the server's to say.
    ///
    /// # Errors
    /// The disk's: `storage_full`, `internal`.
    pub async fn guest(
        &self,
        name: &PersonName,
        may_upload: bool,
        from: &str,
    ) -> Result<Actor, Refusal> {
        let (named, from) = (name.clone(), from.to_owned());
        self.hop(move |inner| {
            let failed = |error| faults::catalog(&error);
            let catalog = &inner.catalog;
            let person = catalog.person(PersonKind::Guest, &named, host::now()).map_err(failed)?;
            let known = catalog.person_of(person).map_err(failed)?;
            let name = known.map_or(named, |known| known.shown);
            Ok(Actor { person, name, role: Role::Guest { may_upload }, device: None, from })
        })
        .await
    }

    /// Whether a guest of this name was here before.
    ///
    /// # Errors
    /// The disk's: `internal`.
    pub async fn knows_guest(&self, name: &PersonName) -> Result<bool, Refusal> {
        let name = name.clone();
        self.hop(move |inner| {
            let known = inner.catalog.person_named(PersonKind::Guest, &name);
            Ok(known.map_err(|error| faults::catalog(&error))?.is_some())
        })
        .await
    }

    /// Who holds this credential. `user` is the name that they said, if any: where it is another's
    /// the credential is unknown. Known and unknown names take the same work, for nothing is looked
    /// up by name.
    ///
    /// # Errors
    /// The disk's: `internal`.
    pub async fn authenticate(
        &self,
        user: Option<&str>,
        credential: &Secret,
        from: &str,
    ) -> Result<Authentication, Refusal> {
        let user = user.map(str::trim).filter(|user| !user.is_empty()).map(PersonName::parse);
        let (hash, from) = (SecretHash::of(credential), from.to_owned());
        self.hop(move |inner| {
            let failed = |error| faults::catalog(&error);
            let Some(device) = inner.catalog.holder(hash).map_err(failed)? else {
                return Ok(Authentication::Unknown);
            };
            let answer = inner.of_device(&device, &from).map_err(failed)?;
            if let Some(user) = user {
                let person = inner.catalog.person_of(device.person).map_err(failed)?;
                if user.ok() != person.map(|person| person.name) {
                    return Ok(Authentication::Unknown);
                }
            }
            if matches!(answer, Authentication::Known(_)) {
                inner.note_seen(&device);
            }
            Ok(answer)
        })
        .await
    }

    /// What has become of who is let in already: the same, perhaps with another role or name, or no
    /// more.
    ///
    /// # Errors
    /// The disk's: `internal`.
    pub async fn refresh(&self, actor: &Actor) -> Result<Authentication, Refusal> {
        let actor = actor.clone();
        self.hop(move |inner| inner.refreshed(&actor).map_err(|error| faults::catalog(&error)))
            .await
    }

    /// Lets in whoever holds an invitation: a new account, or a further device of one.
    ///
    /// # Errors
    /// `denied` where the invitation lets in nobody, `conflict` where the name is taken,
    /// `bad_request` and `bad_name`; the disk's.
    pub async fn join(
        &self,
        join: &Join,
        kind: DeviceKind,
        from: &str,
    ) -> Result<(JoinReply, Actor), Refusal> {
        let user = match join.user.as_deref().map(str::trim).filter(|user| !user.is_empty()) {
            Some(text) => Some(PersonName::parse(text).map_err(|error| {
                let message = format!("cannot join as `{}`: {error}", shown(text));
                Refusal::new(ErrorCode::BadName, message).hint("--user NAME")
            })?),
            None => None,
        };
        let credential = new_secret::<CREDENTIAL_BYTES>()?;
        let device = NewDevice {
            invitation: SecretHash::of(&join.secret),
            user,
            credential: SecretHash::of(&credential),
            label: label(&join.device),
            kind,
        };
        let by = By { person: None, device: None, from: from.to_owned() };
        self.hop(move |inner| {
            let failed = |error| faults::catalog(&error);
            let acted = inner.act(&Act::Join(device), &by)?;
            let id = DeviceId(acted.number);
            let joined = inner.catalog.device(id).map_err(failed)?;
            let joined = match joined {
                Some(device) => inner.of_device(&device, &by.from).map_err(failed)?,
                None => Authentication::Unknown,
            };
            let Authentication::Known(actor) = joined else {
                let message = "cannot join: the account was taken back at once";
                return Err(Refusal::new(ErrorCode::Denied, message));
            };
            let reply = JoinReply {
                repository: inner.catalog.repository_id(),
                user: actor.name.as_str().to_owned(),
                role: actor.role.word().to_owned(),
                device: id,
                credential,
            };
            Ok((reply, actor))
        })
        .await
    }

    /// Counts the changes that may end or change a session: whoever keeps one asks
    /// [`Repository::refresh`] then.
    #[must_use]
    pub fn people_changed(&self) -> watch::Receiver<u64> {
        self.inner.people.subscribe()
    }
}

/// What a device is called: safe to show, and not longer than what is kept.
fn label(text: &str) -> String {
    let text = text.trim();
    let mut label = String::new();
    for c in text.chars().filter(|c| !imgrepo_proto::name::is_unsafe_to_show(*c)) {
        if label.len() + c.len_utf8() > MAX_DEVICE_LABEL_BYTES {
            break;
        }
        label.push(c);
    }
    match label.trim_end() {
        "" => "device".to_owned(),
        label => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_safe_to_show() {
        assert_eq!(label("  ana's laptop \n"), "ana's laptop");
        assert_eq!(label("\u{1b}[31mred\u{202e}\u{7}"), "[31mred");
        assert_eq!(label("\n\u{7}"), "device");
        assert_eq!(label(&"é".repeat(40)), "é".repeat(32));
        assert_eq!(label(&format!("{}é", "a".repeat(63))), "a".repeat(63));
    }

    #[test]
    fn secrets_are_long_random_and_fit_a_link() {
        let secrets: Vec<Secret> = (0..64).map(|_| new_secret::<32>().unwrap()).collect();
        for (at, secret) in secrets.iter().enumerate() {
            assert_eq!(secret.expose().len(), 43);
            let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            assert!(secret.expose().bytes().all(known));
            assert!(!secrets[..at].contains(secret));
        }
    }
}

//! People as the catalog keeps them: accounts and guests, devices, invitations, and the record of what
//! was done. Types, and the acts on them ([`Act`]); what becomes of an act is decided in `rules` for
//! both catalogs.
//!
//! Called by the catalogs and the repository. No secret is kept here, only its hash.

pub(crate) mod book;
pub(crate) mod fold;
pub(crate) mod joining;
pub(crate) mod rules;

use imgrepo_proto::session::people::{AccountRole, DeviceId, DeviceKind, InvitationId};
use imgrepo_proto::{PersonName, Secret};
use jiff::Timestamp;

use super::{PersonId, PersonKind};

/// What a guest's name ends with, as it is shown, where it belongs to somebody who proves theirs.
pub const GUEST_SUFFIX: &str = " (guest)";

/// BLAKE3 of a secret. A secret is random and long, so that its hash needs no salt and no work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    /// The hash of this secret.
    #[must_use]
    pub fn of(secret: &Secret) -> SecretHash {
        SecretHash(*blake3::hash(secret.expose().as_bytes()).as_bytes())
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPerson {
    /// Their number.
    pub id: PersonId,
    /// How they came here.
    pub kind: PersonKind,
    /// Their name, unique within their kind.
    pub name: PersonName,
    /// The name as everybody sees it.
    pub shown: PersonName,
    /// Of an account.
    pub role: Option<AccountRole>,
    /// Is let in no more.
    pub is_disabled: bool,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDevice {
    /// Its number.
    pub id: DeviceId,
    /// Whose it is.
    pub person: PersonId,
    /// What its holder calls it.
    pub label: String,
    /// What it is.
    pub kind: DeviceKind,
    /// When it was let in.
    pub created_at: Timestamp,
    /// When it was last seen, to the hour.
    pub seen_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownInvitation {
    /// Its number.
    pub id: InvitationId,
    /// What who comes will be.
    pub role: Option<AccountRole>,
    /// Whose further device it lets in.
    pub person: Option<PersonId>,
    /// The guest who becomes the account.
    pub guest: Option<PersonId>,
    /// How many more it lets in.
    pub uses_left: u32,
    /// Who made it.
    pub by: PersonId,
    /// With which device.
    pub device: Option<DeviceId>,
    /// When.
    pub created_at: Timestamp,
    /// Until when it lets in.
    pub expires_at: Timestamp,
    /// When it last let in somebody.
    pub used_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

impl KnownInvitation {
    /// Whether it lets in somebody at this time.
    #[must_use]
    pub fn lets_in(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.uses_left > 0 && now < self.expires_at
    }
}

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// None for whoever joins.
    pub person: Option<PersonId>,
    /// With which device.
    pub device: Option<DeviceId>,
    /// From where.
    pub from: String,
}

/// What is done to people. Whether the actor may was decided before (`authorize`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Somebody takes up an invitation.
    Join(NewDevice),
    /// A new invitation.
    Invite(NewInvitation),
    /// An invitation lets in nobody any more.
    Uninvite(InvitationId),
    /// An account gets another role.
    SetRole(PersonId, AccountRole),
    /// An account is let in no more (true), or again.
    Disable(PersonId, bool),
    /// A device is let in no more.
    Revoke(DeviceId),
}

/// A device that asks to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// Of the invitation's secret.
    pub invitation: SecretHash,
    /// The name of the new account, where it was said.
    pub user: Option<PersonName>,
    /// Of the credential that it gets.
    pub credential: SecretHash,
    /// What its holder calls it.
    pub label: String,
    /// What it is.
    pub kind: DeviceKind,
}

/// An invitation to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvitation {
    /// Of its secret.
    pub secret: SecretHash,
    /// As in [`KnownInvitation`].
    pub role: Option<AccountRole>,
    /// As in [`KnownInvitation`].
    pub person: Option<PersonId>,
    /// As in [`KnownInvitation`].
    pub guest: Option<PersonId>,
    /// How many it lets in.
    pub uses: u32,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A line of the record, before it has a number and a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who did it.
    pub by: PersonId,
    /// As they were called then.
    pub by_name: String,
    /// From where.
    pub from: String,
    /// What, in the words of the wire.
    pub act: &'static str,
    /// To what. Safe to show.
    pub object: String,
}

impl Record {
    /// Tells the log; only once it is committed.
    pub(crate) fn log(&self) {
        let Record { by, by_name, from, act, object } = self;
        let by_name = imgrepo_proto::name::shown(by_name);
        tracing::info!(target: "audit", person = by.0, by = %by_name, %from, %act, %object);
    }
}

/// What a committed act left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// The number of the device that joined or was revoked, of the invitation, of the person.
    pub number: u64,
    /// What went into the record. Nothing where all was as it was wanted.
    pub records: Vec<Record>,
    /// Whether it may end or change a session.
    pub changes_sessions: bool,
}

//! Who acts: roles, and the person behind a session. What a role may do is decided in `authorize`
//! alone; who is let in, in `entrance`; what is done to people, in `accounts`, `devices` and
//! `invitations`. The catalog keeps them all, and it is the truth: nothing here is remembered between
//! two questions.
//!
//! Called by the repository before every change and every answer, and by the server for whoever
//! connects.

use imgrepo_proto::PersonName;
use imgrepo_proto::session::people::{AccountRole, DeviceId};

use super::catalog::PersonId;

mod accounts;
mod authorize;
mod devices;
mod entrance;
mod invitations;

pub(crate) use entrance::seen_before;

pub use authorize::{Action, Object, authorize};

/// What a person is in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Runs the server, and comes by its local socket.
    Owner,
    /// Everything, of everybody.
    Admin,
    /// Uploads, and changes what is their own.
    Member,
    /// Looks and downloads.
    Viewer,
    /// Is let in without proof of who it is.
    Guest {
        /// Uploads and changes what is under its name; else it looks and downloads.
        may_upload: bool,
    },
}

impl Role {
    /// Its word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => AccountRole::Admin.word(),
            Role::Member => AccountRole::Member.word(),
            Role::Viewer => AccountRole::Viewer.word(),
            Role::Guest { .. } => "guest",
        }
    }

    /// What it may do, in the words of the wire.
    #[must_use]
    pub fn can(self) -> Vec<String> {
        let words: &[&str] = match self {
            Role::Owner | Role::Admin => {
                &["list", "download", "upload", "change_own", "change_all", "people"]
            }
            Role::Member | Role::Guest { may_upload: true } => {
                &["list", "download", "upload", "change_own"]
            }
            Role::Viewer | Role::Guest { may_upload: false } => &["list", "download"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}

impl From<AccountRole> for Role {
    fn from(role: AccountRole) -> Role {
        match role {
            AccountRole::Viewer => Role::Viewer,
            AccountRole::Member => Role::Member,
            AccountRole::Admin => Role::Admin,
        }
    }
}

/// From where the owner comes: the `from` of what is done by the local socket.
pub const LOCAL: &str = "local";

/// A person who asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub person: PersonId,
    /// Under which name, as everybody sees it.
    pub name: PersonName,
    /// As what.
    pub role: Role,
    /// By which device: None for guests, and for the owner by the local socket.
    pub device: Option<DeviceId>,
    /// From where: an address, or [`LOCAL`].
    pub from: String,
}

/// What came of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// Is let in, as this.
    Known(Actor),
    /// No device has it, or it is not a device of the person that was named.
    Unknown,
    /// The device was revoked.
    Revoked,
    /// The person is not let in.
    Disabled,
}

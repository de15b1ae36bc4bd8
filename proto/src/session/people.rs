//! What is said of people over the session: accounts and their roles, devices, invitations, and the
//! record of what was done to them. Types only; who may ask for what is the server's to say.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::command::Program;
use crate::image::RepositoryId;
use crate::limits;
use crate::secret::Secret;

/// What an account may do. Each may do what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountRole {
    /// Look and download.
    Viewer,
    /// Upload, and change or delete what is their own.
    Member,
    /// Everything, of everybody; invitations and people too.
    Admin,
}

impl AccountRole {
    /// All, the least first.
    pub const ALL: [AccountRole; 3] =
        [AccountRole::Viewer, AccountRole::Member, AccountRole::Admin];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            AccountRole::Viewer => "viewer",
            AccountRole::Member => "member",
            AccountRole::Admin => "admin",
        }
    }

    /// The role of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<AccountRole> {
        AccountRole::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// A device's number in its repository, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub u64);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An invitation's number in its repository, never given twice. It lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InvitationId(pub u64);

impl fmt::Display for InvitationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a person came to be in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonKind {
    /// Runs the server; reaches it through the local socket.
    Owner,
    /// Was invited.
    Account,
    /// Is let in without proof of who it is.
    Guest,
    /// Came with an imported catalog.
    Imported,
}

/// A person of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// As everybody sees it: a guest who bears an account's name is `ana (guest)`.
    pub name: String,
    /// How they came here.
    pub kind: PersonKind,
    /// What they may do, where they have an account or run the server.
    pub role: Option<AccountRole>,
    /// Is not let in.
    pub disabled: bool,
    /// Since when they are known.
    pub since: Timestamp,
    /// Their images, those in the trash too.
    pub images: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Their devices that are not revoked.
    pub devices: u32,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A daemon, or another program that keeps a credential.
    Program,
    /// A browser, which keeps a cookie.
    Browser,
}

/// What holds a credential of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its number.
    pub id: DeviceId,
    /// Whose it is.
    pub person: String,
    /// What its holder calls it.
    pub label: String,
    /// What it is.
    pub kind: DeviceKind,
    /// When it was let in.
    pub since: Timestamp,
    /// When it was last seen, to the hour.
    pub seen: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// It is the one that asks.
    #[serde(default)]
    pub this: bool,
}

/// An invitation, without what lets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Its number.
    pub id: InvitationId,
    /// What who comes will be. None where it is for a further device of `person`.
    pub role: Option<AccountRole>,
    /// The account that it lets one more device into.
    pub person: Option<String>,
    /// The guest whose images become theirs who comes.
    pub guest: Option<String>,
    /// How many more it lets in.
    pub uses: u32,
    /// Who made it.
    pub by: String,
    /// When it was made.
    pub since: Timestamp,
    /// Until when it lets in.
    pub expires: Timestamp,
    /// When it was taken back.
    pub revoked: Option<Timestamp>,
}

/// The arguments of JOIN: the first command of one who was invited, instead of AUTH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// What the invitation carries.
    pub secret: Secret,
    /// The name of the new account; of no account where the invitation is for a further device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What to call this device.
    pub device: String,
    /// The client's name and version, for the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Program>,
}

/// `data` of JOIN. AUTH with the credential may follow on the same session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinReply {
    /// Which repository this is.
    pub repository: RepositoryId,
    /// Under which name the device is let in.
    pub user: String,
    /// As what, in the words of AUTH's reply.
    pub role: String,
    /// The device's number.
    pub device: DeviceId,
    /// What it says in AUTH from now on. It is told this once.
    pub credential: Secret,
}

/// The arguments of INVITE.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// What who comes will be: a member when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<AccountRole>,
    /// A further device of this account instead; one's own does not need an admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The images of this guest become theirs who comes: for one use alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<String>,
    /// How many it lets in: 1 when missing, at most [`limits::MAX_INVITATION_USES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// For how long: [`limits::INVITATION_SECONDS`] when missing, at most
    /// [`limits::MAX_INVITATION_SECONDS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// `data` of INVITE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteReply {
    /// The invitation.
    pub invitation: Invitation,
    /// The link for a program: [`crate::invitation::Link`].
    pub link: Secret,
    /// The link for a browser.
    pub page: Secret,
    /// What keeps others from reaching the server by it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// `data` of INVITATIONS: those that let in and those that ended in the last 30 days, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationsReply {
    /// The invitations.
    pub invitations: Vec<Invitation>,
}

/// The arguments of UNINVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uninvite {
    /// Which invitation lets in nobody any more.
    pub invitation: InvitationId,
}

/// `data` of UNINVITE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationReply {
    /// The invitation as it is now.
    pub invitation: Invitation,
}

/// The arguments of PEOPLE.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// The page begins after the one that gave this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `data` of PEOPLE: the owner and the accounts first, then guests, then who was imported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeopleReply {
    /// A page of people.
    pub people: Vec<Person>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// The arguments of ROLE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRole {
    /// Whose account.
    pub person: String,
    /// What they may do from now on.
    pub role: AccountRole,
}

/// The arguments of DISABLE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disable {
    /// Whose account.
    pub person: String,
    /// Whether they are let in no more, or again.
    pub disabled: bool,
}

/// `data` of ROLE and DISABLE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonReply {
    /// The person as they are now.
    pub person: Person,
}

/// The arguments of DEVICES.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// Whose; one's own when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}

/// `data` of DEVICES, the newest first, at most [`limits::MAX_DEVICES`] that are not revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesReply {
    /// The devices.
    pub devices: Vec<Device>,
}

/// The arguments of REVOKE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoke {
    /// Which device is let in no more. Its sessions end at once.
    pub device: DeviceId,
}

/// `data` of REVOKE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReply {
    /// The device as it is now.
    pub device: Device,
}

/// The arguments of AUDIT.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Only what was done before the entry of this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Entries in the page: 1 to [`limits::MAX_PAGE`]; [`limits::DEFAULT_PAGE`] when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl Audit {
    /// Entries in the page that is asked for.
    #[must_use]
    pub fn page_size(&self) -> u32 {
        self.limit.unwrap_or(limits::DEFAULT_PAGE).clamp(1, limits::MAX_PAGE)
    }
}

/// What was done, by whom and to what. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number: from 1, in the order in which things were done.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub by: String,
    /// From where: an address, or `local`.
    pub from: String,
    /// What: `join`, `invite`, `uninvite`, `role`, `disable`, `enable`, `revoke`, `delete`, `purge`.
    pub act: String,
    /// To what, such as `device 7 (laptop) of ana`.
    pub object: String,
}

/// `data` of AUDIT, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReply {
    /// A page of the record.
    pub entries: Vec<AuditEntry>,
    /// `before` of the next page.
    pub next: Option<u64>,
}

//! What the local socket says of people: an invitation that is taken up, and what the session's
//! commands on people say, as they are. Used by requests, replies and `imgctl`; decides nothing.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::session::command::{Audit, Devices, Disable, Invite, People, Revoke, SetRole, Uninvite};
use crate::session::people::{
    AuditReply, DeviceReply, DevicesReply, InvitationReply, InvitationsReply, InviteReply,
    PeopleReply, PersonReply,
};

/// What can be asked of people. Each but [`PeopleRequest::Join`] is answered by the same of
/// [`PeopleOutcome`], in [`super::Outcome::People`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeopleRequest {
    /// Take up an invitation: an account, a credential of this device, the server remembered, and
    /// the session to it opened. Answered by [`super::Outcome::Status`] once it is connected.
    Join {
        /// The link.
        link: Secret,
        /// The name of the new account; the login name when missing.
        user: Option<String>,
        /// What to call this device; the computer's name when missing.
        device: Option<String>,
    },
    /// A new invitation.
    Invite(Invite),
    /// The invitations.
    Invitations,
    /// One lets in nobody any more.
    Uninvite(Uninvite),
    /// A page of the people.
    Ls(People),
    /// What an account may do.
    Role(SetRole),
    /// Whether an account is let in.
    Disable(Disable),
    /// The devices of a person.
    Devices(Devices),
    /// A device is let in no more.
    Revoke(Revoke),
    /// A page of the record of what was done.
    Audit(Audit),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeopleOutcome {
    /// Of [`PeopleRequest::Invite`].
    Invited(InviteReply),
    /// Of [`PeopleRequest::Invitations`].
    Invitations(InvitationsReply),
    /// Of [`PeopleRequest::Uninvite`].
    Invitation(InvitationReply),
    /// Of [`PeopleRequest::Ls`].
    People(PeopleReply),
    /// Of [`PeopleRequest::Role`] and [`PeopleRequest::Disable`].
    Person(PersonReply),
    /// Of [`PeopleRequest::Devices`].
    Devices(DevicesReply),
    /// Of [`PeopleRequest::Revoke`].
    Device(DeviceReply),
    /// Of [`PeopleRequest::Audit`].
    Audit(AuditReply),
}

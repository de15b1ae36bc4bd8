//! What is done to accounts, devices and invitations, and the record of it. Called by the server for
//! each session's [`Actor`]; the catalog decides and keeps it in one transaction.

use imgrepo_proto::session::people::{
    Audit, AuditReply, DeviceReply, Devices, DevicesReply, Disable, Invitation, InvitationReply,
    InvitationsReply, Invite, People, PeopleReply, PersonReply, Revoke, SetRole, Uninvite,
};
use imgrepo_proto::{ErrorCode, Refusal, Secret};

use super::Actor;
use crate::repository::Repository;

fn missing<T>() -> Result<T, Refusal> {
    Err(Refusal::new(ErrorCode::Unsupported, "there are no accounts yet"))
}

impl Repository {
    /// A new invitation, and what lets in by it: it is told this once.
    ///
    /// # Errors
    /// `denied`, `bad_request`, `not_found`, `conflict`; the disk's.
    pub async fn invite(
        &self,
        _actor: &Actor,
        _invite: &Invite,
    ) -> Result<(Invitation, Secret), Refusal> {
        missing()
    }

    /// The invitations that this person may see.
    ///
    /// # Errors
    /// `denied`; the disk's.
    pub async fn invitations(&self, _actor: &Actor) -> Result<InvitationsReply, Refusal> {
        missing()
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// `denied`, `not_found`; the disk's.
    pub async fn uninvite(
        &self,
        _actor: &Actor,
        _uninvite: &Uninvite,
    ) -> Result<InvitationReply, Refusal> {
        missing()
    }

    /// A page of the people.
    ///
    /// # Errors
    /// `denied`, `bad_request`; the disk's.
    pub async fn people(&self, _actor: &Actor, _people: &People) -> Result<PeopleReply, Refusal> {
        missing()
    }

    /// Gives an account another role.
    ///
    /// # Errors
    /// `denied`, `not_found`, `conflict`; the disk's.
    pub async fn set_role(&self, _actor: &Actor, _set: &SetRole) -> Result<PersonReply, Refusal> {
        missing()
    }

    /// Lets an account in no more, or again. Its images stay.
    ///
    /// # Errors
    /// `denied`, `not_found`, `conflict`; the disk's.
    pub async fn disable(
        &self,
        _actor: &Actor,
        _disable: &Disable,
    ) -> Result<PersonReply, Refusal> {
        missing()
    }

    /// The devices of a person.
    ///
    /// # Errors
    /// `denied`, `not_found`; the disk's.
    pub async fn devices(
        &self,
        _actor: &Actor,
        _devices: &Devices,
    ) -> Result<DevicesReply, Refusal> {
        missing()
    }

    /// Lets a device in no more.
    ///
    /// # Errors
    /// `denied`, `not_found`; the disk's.
    pub async fn revoke(&self, _actor: &Actor, _revoke: &Revoke) -> Result<DeviceReply, Refusal> {
        missing()
    }

    /// A page of the record of what was done.
    ///
    /// # Errors
    /// `denied`; the disk's.
    pub async fn audit(&self, _actor: &Actor, _audit: &Audit) -> Result<AuditReply, Refusal> {
        missing()
    }
}

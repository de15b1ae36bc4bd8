//! The rows of people as the rules read and write them: what a catalog has to have. Implemented by both;
//! everything runs within one transaction.

use imgrepo_proto::PersonName;
use imgrepo_proto::session::people::{AccountRole, DeviceId, InvitationId};
use jiff::Timestamp;

use super::{
    KnownDevice, KnownInvitation, KnownPerson, NewDevice, NewInvitation, Record, SecretHash,
};
use crate::repository::catalog::{PersonId, PersonKind};

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
    /// Everybody of this kind whose folded name is this one. All of the kind may be looked at.
    fn alike(&self, kind: PersonKind, folded: &str) -> Result<Vec<KnownPerson>, Self::Error>;
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

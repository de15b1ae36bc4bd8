//! Devices: which ones a person has, and which are let in no more. Called by the server for each
//! session's [`Actor`]. How one comes to be let in is `entrance`'s.

use imgrepo_proto::name::shown;
use imgrepo_proto::session::people::{Device, DeviceReply, Devices, DevicesReply, Revoke};
use imgrepo_proto::{ErrorCode, Refusal};
use jiff::Timestamp;

use super::accounts::{ENDED_SHOWN, MAX_ENDED, by};
use super::{Action, Actor, Object, authorize};
use crate::repository::catalog::people::{Act, KnownDevice};
use crate::repository::{Inner, Repository, faults};

impl Inner {
    fn told_device(&self, device: KnownDevice, actor: &Actor) -> Result<Device, Refusal> {
        Ok(Device {
            id: device.id,
            person: self.name(device.person)?,
            label: device.label,
            kind: device.kind,
            since: device.created_at,
            seen: device.seen_at,
            revoked: device.revoked_at,
            this: actor.device == Some(device.id),
        })
    }

    fn device(&self, revoke: Revoke) -> Result<KnownDevice, Refusal> {
        let id = revoke.device;
        let device = self.catalog.device(id).map_err(|error| faults::catalog(&error))?;
        let message = || format!("cannot revoke device {id}: there is none of that number");
        device.ok_or_else(|| Refusal::new(ErrorCode::NotFound, message()))
    }
}

impl Repository {
    /// The devices of a person.
    ///
    /// # Errors
    /// `denied`, `not_found`; the disk's.
    pub async fn devices(&self, actor: &Actor, devices: &Devices) -> Result<DevicesReply, Refusal> {
        let (actor, devices) = (actor.clone(), devices.clone());
        self.hop(move |inner| {
            let actor = inner.anew(&actor)?;
            let (object, found) = match &devices.person {
                None => ("devices".to_owned(), Ok(actor.person)),
                Some(name) => {
                    let object = format!("the devices of `{}`", shown(name));
                    (object, inner.account(name).map(|person| person.id))
                }
            };
            let whose = match &found {
                Ok(person) => Object::Of(*person, &object),
                Err(_) => Object::Missing(&object),
            };
            authorize(&actor, Action::Devices, whose)?;
            let since = Timestamp::now().checked_sub(ENDED_SHOWN).unwrap_or(Timestamp::MIN);
            let found = inner.catalog.devices(found?, since, MAX_ENDED);
            let found = found.map_err(|error| faults::catalog(&error))?;
            let told = found.into_iter().map(|device| inner.told_device(device, &actor));
            Ok(DevicesReply { devices: told.collect::<Result<_, _>>()? })
        })
        .await
    }

    /// Lets a device in no more.
    ///
    /// # Errors
    /// `denied`, `not_found`; the disk's.
    pub async fn revoke(&self, actor: &Actor, revoke: &Revoke) -> Result<DeviceReply, Refusal> {
        let revoke = *revoke;
        self.people_hop(actor, move |inner, actor| {
            let object = format!("device {}", revoke.device);
            let found = inner.device(revoke);
            let whose = match &found {
                Ok(device) => Object::Of(device.person, &object),
                Err(_) => Object::Missing(&object),
            };
            authorize(actor, Action::Revoke, whose)?;
            found?;
            inner.act(&Act::Revoke(revoke.device), &by(actor))?;
            let device = inner.told_device(inner.device(revoke)?, actor)?;
            Ok(DeviceReply { device })
        })
        .await
    }
}

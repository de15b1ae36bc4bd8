//! People in memory: persons, devices, invitations and the record, as the rules read and write them,
//! and the lists that are asked for. Called by the catalog in memory, under its lock.

use std::convert::Infallible;

use imgrepo_proto::PersonName;
use imgrepo_proto::session::people::{AccountRole, AuditEntry, DeviceId, InvitationId, Person};
use jiff::Timestamp;

use super::kept::{Kept, numbered};
use crate::repository::catalog::people::book::Book;
use crate::repository::catalog::people::{
    KnownDevice, KnownInvitation, KnownPerson, NewDevice, NewInvitation, Record, SecretHash, fold,
};
use crate::repository::catalog::rules::kept_time;
use crate::repository::catalog::{ImageState, PersonId, PersonKind};

/// People, each of number n at n - 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Folk {
    pub(super) people: Vec<(KnownPerson, Timestamp)>,
    pub(super) devices: Vec<(SecretHash, KnownDevice)>,
    pub(super) invitations: Vec<(SecretHash, KnownInvitation)>,
    pub(super) audit: Vec<AuditEntry>,
}

fn at(number: u64) -> usize {
    usize::try_from(number.wrapping_sub(1)).unwrap_or(usize::MAX)
}

fn place(person: PersonId) -> u64 {
    u64::try_from(person.0).unwrap_or(0)
}

impl Book for Kept {
    type Error = Infallible;

    fn person(&self, id: PersonId) -> Result<Option<KnownPerson>, Infallible> {
        Ok(numbered(&self.folk.people, place(id)).map(|(person, _)| person.clone()))
    }

    fn person_named(
        &self,
        kind: PersonKind,
        name: &PersonName,
    ) -> Result<Option<KnownPerson>, Infallible> {
        let mut people = self.folk.people.iter().map(|(person, _)| person);
        Ok(people.find(|person| person.kind == kind && person.name == *name).cloned())
    }

    fn alike(&self, kind: PersonKind, folded: &str) -> Result<Vec<KnownPerson>, Infallible> {
        let people = self.folk.people.iter().map(|(person, _)| person);
        let alike = |it: &&KnownPerson| it.kind == kind && fold::folded(&it.name) == folded;
        Ok(people.filter(alike).cloned().collect())
    }

    fn device(&self, id: DeviceId) -> Result<Option<KnownDevice>, Infallible> {
        Ok(numbered(&self.folk.devices, id.0).map(|(_, device)| device.clone()))
    }

    fn device_count(&self, person: PersonId) -> Result<u32, Infallible> {
        let devices = self.folk.devices.iter().map(|(_, device)| device);
        let live = devices.filter(|it| it.person == person && it.revoked_at.is_none());
        Ok(u32::try_from(live.count()).unwrap_or(u32::MAX))
    }

    fn invitation(&self, id: InvitationId) -> Result<Option<KnownInvitation>, Infallible> {
        Ok(numbered(&self.folk.invitations, id.0).map(|(_, invitation)| invitation.clone()))
    }

    fn invitation_of(&self, secret: SecretHash) -> Result<Option<KnownInvitation>, Infallible> {
        let found = self.folk.invitations.iter().find(|(hash, _)| *hash == secret);
        Ok(found.map(|(_, invitation)| invitation.clone()))
    }

    fn live_invitations(&self, now: Timestamp) -> Result<Vec<KnownInvitation>, Infallible> {
        let all = self.folk.invitations.iter().map(|(_, invitation)| invitation);
        Ok(all.filter(|invitation| invitation.lets_in(now)).cloned().collect())
    }

    fn add_person(
        &mut self,
        kind: PersonKind,
        name: &PersonName,
        shown: &PersonName,
        role: Option<AccountRole>,
        now: Timestamp,
    ) -> Result<PersonId, Infallible> {
        let id = PersonId(self.folk.people.len() as i64 + 1);
        let (name, shown) = (name.clone(), shown.clone());
        let person = KnownPerson { id, kind, name, shown, role, is_disabled: false };
        self.folk.people.push((person, now));
        Ok(id)
    }

    fn put_person(&mut self, person: &KnownPerson) -> Result<(), Infallible> {
        if let Some((known, _)) = self.folk.people.get_mut(at(place(person.id))) {
            *known = person.clone();
        }
        for image in self.images.values_mut().filter(|image| image.person == person.id) {
            image.record.uploader = person.shown.as_str().to_owned();
        }
        Ok(())
    }

    fn add_device(
        &mut self,
        person: PersonId,
        new: &NewDevice,
        now: Timestamp,
    ) -> Result<DeviceId, Infallible> {
        let id = DeviceId(self.folk.devices.len() as u64 + 1);
        let device = KnownDevice {
            id,
            person,
            label: new.label.clone(),
            kind: new.kind,
            created_at: now,
            seen_at: None,
            revoked_at: None,
        };
        self.folk.devices.push((new.credential, device));
        Ok(id)
    }

    fn revoke_device(&mut self, id: DeviceId, now: Timestamp) -> Result<(), Infallible> {
        if let Some((_, device)) = self.folk.devices.get_mut(at(id.0)) {
            device.revoked_at = Some(now);
        }
        Ok(())
    }

    fn add_invitation(
        &mut self,
        new: &NewInvitation,
        by: (PersonId, Option<DeviceId>),
        now: Timestamp,
    ) -> Result<InvitationId, Infallible> {
        let id = InvitationId(self.folk.invitations.len() as u64 + 1);
        let invitation = KnownInvitation {
            id,
            role: new.role,
            person: new.person,
            guest: new.guest,
            uses_left: new.uses,
            by: by.0,
            device: by.1,
            created_at: now,
            expires_at: kept_time(new.expires_at),
            used_at: None,
            revoked_at: None,
        };
        self.folk.invitations.push((new.secret, invitation));
        Ok(id)
    }

    fn put_invitation(&mut self, invitation: &KnownInvitation) -> Result<(), Infallible> {
        if let Some((_, known)) = self.folk.invitations.get_mut(at(invitation.id.0)) {
            *known = invitation.clone();
        }
        Ok(())
    }

    fn add_record(&mut self, record: &Record, now: Timestamp) -> Result<(), Infallible> {
        self.folk.audit.push(AuditEntry {
            id: self.folk.audit.len() as u64 + 1,
            at: now,
            by: record.by_name.clone(),
            from: record.from.clone(),
            act: record.act.to_owned(),
            object: record.object.clone(),
        });
        Ok(())
    }
}

impl Kept {
    pub(super) fn devices(
        &self,
        person: PersonId,
        revoked_since: Timestamp,
        revoked_limit: u32,
    ) -> Vec<KnownDevice> {
        let mut room = revoked_limit;
        let devices = self.folk.devices.iter().rev().map(|(_, device)| device);
        let listed = |device: &&KnownDevice| match device.revoked_at {
            None => true,
            Some(at) => at >= kept_time(revoked_since) && take(&mut room),
        };
        devices.filter(|device| device.person == person).filter(listed).cloned().collect()
    }

    pub(super) fn invitations(
        &self,
        by: Option<PersonId>,
        now: Timestamp,
        ended_since: Timestamp,
        ended_limit: u32,
    ) -> Vec<KnownInvitation> {
        let (now, since, mut room) = (kept_time(now), kept_time(ended_since), ended_limit);
        let ended = |it: &KnownInvitation| {
            let used = it.used_at.filter(|_| it.uses_left == 0);
            it.revoked_at.or(used).unwrap_or(it.expires_at)
        };
        let all = self.folk.invitations.iter().rev().map(|(_, invitation)| invitation);
        all.filter(|it| by.is_none_or(|by| it.by == by))
            .filter(|it| it.lets_in(now) || (ended(it) >= since && take(&mut room)))
            .cloned()
            .collect()
    }

    pub(super) fn bytes_of(&self, person: Option<PersonId>) -> u64 {
        let all = self.images.values().filter(|image| image.state != ImageState::Purged);
        let theirs = all.filter(|image| person.is_none_or(|person| image.person == person));
        theirs.map(|image| image.size_bytes).sum()
    }

    pub(super) fn told_person(&self, id: PersonId) -> Option<Person> {
        let (person, since) = numbered(&self.folk.people, place(id))?;
        let images = self.images.values().filter(|image| image.person == id);
        let Ok(devices) = self.device_count(id);
        Some(Person {
            name: person.shown.as_str().to_owned(),
            kind: person.kind,
            role: match person.kind {
                PersonKind::Owner => Some(AccountRole::Admin),
                _ => person.role,
            },
            disabled: person.is_disabled,
            since: kept_time(*since),
            images: images.filter(|image| image.state != ImageState::Purged).count() as u64,
            bytes: self.bytes_of(Some(id)),
            devices,
        })
    }

    pub(super) fn people(
        &self,
        after: Option<(PersonKind, PersonId)>,
        limit: u32,
    ) -> Vec<(PersonId, Person)> {
        let keys = self.folk.people.iter().map(|(person, _)| (person.kind, person.id));
        let mut keys: Vec<_> = keys.filter(|key| after.is_none_or(|after| *key > after)).collect();
        keys.sort_unstable();
        let told = |(_, id): (PersonKind, PersonId)| Some((id, self.told_person(id)?));
        keys.into_iter().filter_map(told).take(limit as usize).collect()
    }

    pub(super) fn audit(&self, before: Option<u64>, limit: u32) -> Vec<AuditEntry> {
        let older = self.folk.audit.iter().rev();
        let older = older.filter(|entry| before.is_none_or(|before| entry.id < before));
        older.take(limit as usize).cloned().collect()
    }

    pub(super) fn seen(&mut self, id: DeviceId, last_before: Timestamp, now: Timestamp) {
        if let Some((_, device)) = self.folk.devices.get_mut(at(id.0))
            && device.seen_at.is_none_or(|seen| seen < kept_time(last_before))
        {
            device.seen_at = Some(kept_time(now));
        }
    }
}

/// Whether there was room for one more.
fn take(room: &mut u32) -> bool {
    let had = *room > 0;
    *room = room.saturating_sub(1);
    had
}

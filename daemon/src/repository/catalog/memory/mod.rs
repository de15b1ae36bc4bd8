//! A catalog in memory: for tests, and to keep the trait honest.
//!
//! It follows the same rules (`rules`, `page`) over plain collections. It keeps nothing when it is
//! dropped, so no server runs on it.

mod images;
mod kept;
mod people;

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use imgrepo_proto::session::event::{Event, EventKind};
use imgrepo_proto::session::people::{AuditEntry, DeviceId, InvitationId, Person};
use imgrepo_proto::session::reply::{EventsReply, ListReply};
use imgrepo_proto::{BlobHash, ImageId, ImageName, PersonName, Refusal, RepositoryId, Seq};
use jiff::Timestamp;

use self::kept::Kept;
use super::inspection::{Inspection, KeptContent};
use super::page::{PagePlan, events_reply};
use super::people::book::Book;
use super::people::{
    Act, Acted, By, KnownDevice, KnownInvitation, KnownPerson, SecretHash, joining,
    rules as people_rules,
};
use super::rules::{self, Known};
use super::{
    Catalog, CatalogError, CatalogResult, Committed, ImageState, Imported, KnownPicture,
    NewPicture, PageQuery, PersonId, PersonKind, Proposal, StoredImage, SyncedPartial, Unmade,
};

/// The catalog in memory.
#[derive(Debug)]
pub struct MemoryCatalog {
    id: RepositoryId,
    kept: Mutex<Kept>,
}

impl MemoryCatalog {
    /// An empty catalog of the repository of this id.
    #[must_use]
    pub fn new(id: RepositoryId) -> MemoryCatalog {
        MemoryCatalog { id, kept: Mutex::default() }
    }

    /// Another one of what is in this one now: what a crash would leave of it.
    #[must_use]
    pub fn copy(&self) -> MemoryCatalog {
        MemoryCatalog { id: self.id.clone(), kept: Mutex::new(self.kept().clone()) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of something that cannot fail.
fn sure<T>(answer: Result<T, Infallible>) -> CatalogResult<T> {
    answer.map_err(|never| match never {})
}

impl Catalog for MemoryCatalog {
    fn repository_id(&self) -> RepositoryId {
        self.id.clone()
    }

    fn person(
        &self,
        kind: PersonKind,
        name: &PersonName,
        now: Timestamp,
    ) -> CatalogResult<PersonId> {
        sure(joining::enter(&mut *self.kept(), kind, name, rules::kept_time(now)))
    }

    fn commit(
        &self,
        group: &[Proposal],
        now: Timestamp,
    ) -> CatalogResult<Vec<Result<Committed, Refusal>>> {
        let mut kept = self.kept();
        let now = rules::kept_time(now);
        Ok(group.iter().map(|proposal| kept.commit_one(proposal, now)).collect())
    }

    fn image(&self, id: ImageId) -> CatalogResult<Option<StoredImage>> {
        sure(Known::image(&*self.kept(), id))
    }

    fn images_named(
        &self,
        name: &ImageName,
        state: ImageState,
        limit: u32,
    ) -> CatalogResult<Vec<StoredImage>> {
        let kept = self.kept();
        let named = kept.in_state(state).rev().filter(|image| image.record.name == name.as_str());
        Ok(named.take(limit as usize).cloned().collect())
    }

    fn page(&self, query: &PageQuery) -> CatalogResult<Result<ListReply, Refusal>> {
        Ok(PagePlan::new(query).map(|plan| self.kept().page(&plan)))
    }

    fn stored_by(&self, person: PersonId, hash: BlobHash) -> CatalogResult<Option<StoredImage>> {
        sure(Known::stored_by(&*self.kept(), person, hash))
    }

    fn imported_as(
        &self,
        person: PersonId,
        name: &ImageName,
        hash: BlobHash,
        entry: &Imported,
    ) -> CatalogResult<Option<StoredImage>> {
        sure(rules::imported_as(person, name, hash, entry, &*self.kept()))
    }

    fn imported_timestamp(&self, id: ImageId) -> CatalogResult<Option<String>> {
        Ok(self.kept().imported.get(&id).map(|(_, entry)| entry.timestamp.clone()))
    }

    fn has_tombstone(&self, person: PersonId, hash: BlobHash) -> CatalogResult<bool> {
        sure(Known::has_tombstone(&*self.kept(), person, hash))
    }

    fn have(&self, hashes: &[BlobHash]) -> CatalogResult<Vec<(BlobHash, Vec<ImageId>)>> {
        let kept = self.kept();
        let listed = |hash: &BlobHash| {
            let of_hash = kept.in_state(ImageState::Listed).filter(|image| image.hash == *hash);
            (*hash, of_hash.map(|image| image.record.id).collect())
        };
        Ok(hashes.iter().map(listed).collect())
    }

    fn changes(&self, since: Seq, limit: u32) -> CatalogResult<EventsReply> {
        let kept = self.kept();
        let limit = limit.max(1) as usize;
        let skipped = usize::try_from(since.0).unwrap_or(usize::MAX);
        let events = kept.events.iter().skip(skipped).take(limit + 1).cloned().collect();
        Ok(events_reply(events, limit))
    }

    fn last_uploads(&self, limit: u32) -> CatalogResult<Vec<Event>> {
        let kept = self.kept();
        let uploads = kept.events.iter().rev().filter(|e| e.event == EventKind::NewUpload);
        let mut newest: Vec<Event> = uploads.take(limit as usize).cloned().collect();
        newest.reverse();
        Ok(newest)
    }

    fn newest_seq(&self) -> CatalogResult<Seq> {
        Ok(Seq(self.kept().events.len() as u64))
    }

    fn listed(&self) -> CatalogResult<u64> {
        Ok(self.kept().in_state(ImageState::Listed).count() as u64)
    }

    fn trashed(
        &self,
        before: Option<Timestamp>,
        person: Option<PersonId>,
        limit: u32,
    ) -> CatalogResult<Vec<ImageId>> {
        let kept = self.kept();
        let fits = |image: &&StoredImage| {
            before.is_none_or(|before| image.record.trashed_at < Some(before))
                && person.is_none_or(|person| image.person == person)
        };
        let mut found: Vec<_> = kept
            .in_state(ImageState::Trashed)
            .filter(fits)
            .map(|image| (image.record.trashed_at, image.record.id))
            .collect();
        found.sort_unstable();
        Ok(found.into_iter().take(limit as usize).map(|(_, id)| id).collect())
    }

    fn is_referenced(&self, hash: BlobHash) -> CatalogResult<bool> {
        let refers = |image: &StoredImage| image.hash == hash && image.state != ImageState::Purged;
        Ok(self.kept().images.values().any(refers))
    }

    fn put_partial(&self, partial: &SyncedPartial, _: Timestamp) -> CatalogResult<()> {
        let key = (partial.person, partial.hash, partial.size_bytes);
        self.kept().partials.insert(key, partial.synced_bytes);
        Ok(())
    }

    fn partials(&self) -> CatalogResult<Vec<SyncedPartial>> {
        let kept = self.kept();
        let all = kept.partials.iter().map(|((person, hash, size_bytes), synced)| SyncedPartial {
            person: *person,
            hash: *hash,
            size_bytes: *size_bytes,
            synced_bytes: *synced,
        });
        Ok(all.collect())
    }

    fn remove_partial(&self, person: PersonId, hash: BlobHash, size: u64) -> CatalogResult<()> {
        self.kept().partials.remove(&(person, hash, size));
        Ok(())
    }

    fn person_of(&self, id: PersonId) -> CatalogResult<Option<KnownPerson>> {
        sure(Book::person(&*self.kept(), id))
    }

    fn person_named(
        &self,
        kind: PersonKind,
        name: &PersonName,
    ) -> CatalogResult<Option<KnownPerson>> {
        sure(Book::person_named(&*self.kept(), kind, name))
    }

    fn device(&self, id: DeviceId) -> CatalogResult<Option<KnownDevice>> {
        sure(Book::device(&*self.kept(), id))
    }

    fn holder(&self, credential: SecretHash) -> CatalogResult<Option<KnownDevice>> {
        let kept = self.kept();
        let found = kept.folk.devices.iter().find(|(hash, _)| *hash == credential);
        Ok(found.map(|(_, device)| device.clone()))
    }

    fn devices(
        &self,
        person: PersonId,
        revoked_since: Timestamp,
        revoked_limit: u32,
    ) -> CatalogResult<Vec<KnownDevice>> {
        Ok(self.kept().devices(person, revoked_since, revoked_limit))
    }

    fn invitation(&self, id: InvitationId) -> CatalogResult<Option<KnownInvitation>> {
        sure(Book::invitation(&*self.kept(), id))
    }

    fn invitations(
        &self,
        by: Option<PersonId>,
        now: Timestamp,
        ended_since: Timestamp,
        ended_limit: u32,
    ) -> CatalogResult<Vec<KnownInvitation>> {
        Ok(self.kept().invitations(by, now, ended_since, ended_limit))
    }

    fn told_person(&self, id: PersonId) -> CatalogResult<Option<Person>> {
        Ok(self.kept().told_person(id))
    }

    fn people(
        &self,
        after: Option<(PersonKind, PersonId)>,
        limit: u32,
    ) -> CatalogResult<Vec<(PersonId, Person)>> {
        Ok(self.kept().people(after, limit))
    }

    fn act(&self, act: &Act, by: &By, now: Timestamp) -> CatalogResult<Result<Acted, Refusal>> {
        sure(people_rules::act(&mut *self.kept(), act, by, rules::kept_time(now)))
    }

    fn audit(&self, before: Option<u64>, limit: u32) -> CatalogResult<Vec<AuditEntry>> {
        Ok(self.kept().audit(before, limit))
    }

    fn seen(
        &self,
        devices: &[DeviceId],
        last_before: Timestamp,
        now: Timestamp,
    ) -> CatalogResult<()> {
        let mut kept = self.kept();
        for device in devices {
            kept.seen(*device, last_before, now);
        }
        Ok(())
    }

    fn picture(&self, hash: BlobHash, pipeline: u32) -> CatalogResult<Option<KnownPicture>> {
        let kept = self.kept();
        let known = kept.pictures.get(&hash).filter(|(with, _)| *with == pipeline);
        Ok(known.map(|(_, known)| known.clone()))
    }

    fn note_pictures(&self, pictures: &[NewPicture], pipeline: u32) -> CatalogResult<()> {
        let mut kept = self.kept();
        pictures.iter().for_each(|new| kept.note_picture(new, pipeline));
        Ok(())
    }

    fn unmade(&self, pipeline: u32, below: Option<ImageId>, limit: u32) -> CatalogResult<Unmade> {
        Ok(self.kept().unmade(pipeline, below, limit))
    }

    fn snapshot(&self, _: &Path) -> CatalogResult<Seq> {
        Err(CatalogError::Failed("a catalog in memory cannot be copied to a file".to_owned()))
    }

    fn kept_bytes(&self, person: Option<PersonId>) -> CatalogResult<u64> {
        Ok(self.kept().bytes_of(person))
    }

    fn contents(&self, first_byte: u8) -> CatalogResult<Vec<KeptContent>> {
        Ok(self.kept().contents(first_byte))
    }

    fn images_of(&self, hash: BlobHash, limit: u32) -> CatalogResult<Vec<StoredImage>> {
        Ok(self.kept().images_of(hash, limit))
    }

    fn inspect(&self, _: bool) -> CatalogResult<Inspection> {
        Ok(self.kept().inspect())
    }

    fn recount(&self) -> CatalogResult<()> {
        // Nothing is kept here that could be counted.
        Ok(())
    }
}

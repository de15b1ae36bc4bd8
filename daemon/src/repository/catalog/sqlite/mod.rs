//! The catalog on disk: one SQLite file in WAL mode, one connection that writes, a few that read.
//!
//! [`SqliteCatalog::open`] is called by the repository, which holds the directory's lock: no other
//! process of this program has the file open. SQL never leaves this folder.

mod format;
mod inspect;
mod people;
mod pictures;
mod read;
mod rows;
mod search;
pub(crate) mod snapshot;
mod walk;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use imgrepo_proto::session::event::Event;
use imgrepo_proto::session::people::{AuditEntry, DeviceId, InvitationId, Person};
use imgrepo_proto::session::reply::{EventsReply, ListReply};
use imgrepo_proto::{BlobHash, ImageId, ImageName, PersonName, Refusal, RepositoryId, Seq};
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

use self::format::FORMAT;
use self::rows::{Lookup, counter};
use crate::database::{self, DatabaseError};

use super::inspection::{Inspection, KeptContent};
use super::page::PagePlan;
use super::people::book::Book;
use super::people::{Act, Acted, By, KnownDevice, KnownInvitation, KnownPerson, SecretHash};
use super::rules::{self, Known};
use super::{
    Catalog, CatalogError, CatalogResult, Committed, ImageState, Imported, KnownPicture,
    NewPicture, PageQuery, PersonId, PersonKind, Proposal, StoredImage, SyncedPartial, Unmade,
};

/// Connections that read. Requests are short; more of them than processors only cost memory.
const READERS: usize = 3;

/// How the file is used.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// Leaves out every sync, so that a test can show that it would notice.
    #[cfg(feature = "mutants")]
    pub unsynced: bool,
}

/// The catalog on disk.
#[derive(Debug)]
pub struct SqliteCatalog {
    path: PathBuf,
    id: RepositoryId,
    writer: Mutex<Connection>,
    readers: [Mutex<Connection>; READERS],
    turn: AtomicUsize,
}

impl SqliteCatalog {
    /// Opens the catalog in this file, made where there is none, migrated where it is older. Blocks.
    ///
    /// # Errors
    /// A file that is damaged, another program's or of a newer version: it is left as it is.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<SqliteCatalog, DatabaseError> {
        let unusable = |error: rusqlite::Error| FORMAT.unusable(path, &error);
        let writer = database::open(path, &FORMAT)?;
        unsync(&writer, options).map_err(unusable)?;
        let sql = "SELECT value FROM meta WHERE key = 'repository'";
        let id = writer.query_row(sql, [], |row| row.get(0)).map_err(unusable)?;
        let reader = || database::reader(path, &FORMAT).map(Mutex::new);
        Ok(SqliteCatalog {
            path: path.to_owned(),
            id: RepositoryId(id),
            writer: Mutex::new(writer),
            readers: [reader()?, reader()?, reader()?],
            turn: AtomicUsize::new(0),
        })
    }

    fn write<T>(
        &self,
        act: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> CatalogResult<T> {
        // After a panic the transaction was undone as it was dropped: the connection is good.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut writer).map_err(|error| self.fault(&error))
    }

    fn read<T>(
        &self,
        ask: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> CatalogResult<T> {
        ask(&mut self.reader()).map_err(|error| self.fault(&error))
    }

    /// A connection to read with: an idle one, else the next in turn once it is.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        for reader in &self.readers {
            match reader.try_lock() {
                Ok(idle) => return idle,
                Err(TryLockError::Poisoned(idle)) => return idle.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % READERS;
        self.readers[turn].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an error of SQLite means here.
    fn fault(&self, error: &rusqlite::Error) -> CatalogError {
        let full = match error.sqlite_error() {
            Some(sqlite) if sqlite.code == ErrorCode::DiskFull => true,
            Some(sqlite) if sqlite.code == ErrorCode::SystemIoFailure => {
                database::is_disk_full(&self.path)
            }
            _ => false,
        };
        match full {
            true => CatalogError::Full,
            false => CatalogError::Failed(format!("catalog `{}`: {error}", self.path.display())),
        }
    }
}

#[cfg(feature = "mutants")]
fn unsync(writer: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    match options.unsynced {
        true => writer.pragma_update(None, "synchronous", "off"),
        false => Ok(()),
    }
}

#[cfg(not(feature = "mutants"))]
fn unsync(_: &Connection, _: &SqliteOptions) -> rusqlite::Result<()> {
    Ok(())
}

impl Catalog for SqliteCatalog {
    fn repository_id(&self) -> RepositoryId {
        self.id.clone()
    }

    fn person(
        &self,
        kind: PersonKind,
        name: &PersonName,
        now: Timestamp,
    ) -> CatalogResult<PersonId> {
        // Most people are known: they do not wait for a commit.
        match self.read(|reader| rows::person(reader, kind, name))? {
            Some(known) => Ok(known),
            None => self.write(|writer| write::person(writer, kind, name, now)),
        }
    }

    fn commit(
        &self,
        group: &[Proposal],
        now: Timestamp,
    ) -> CatalogResult<Vec<Result<Committed, Refusal>>> {
        self.write(|writer| write::commit(writer, group, now))
    }

    fn image(&self, id: ImageId) -> CatalogResult<Option<StoredImage>> {
        self.read(|reader| Lookup(reader).image(id))
    }

    fn images_named(
        &self,
        name: &ImageName,
        state: ImageState,
        limit: u32,
    ) -> CatalogResult<Vec<StoredImage>> {
        self.read(|reader| read::images_named(reader, name, state, limit))
    }

    fn page(&self, query: &PageQuery) -> CatalogResult<Result<ListReply, Refusal>> {
        match PagePlan::new(query) {
            Ok(plan) => self.read(|reader| read::page(reader, &plan)).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn stored_by(&self, person: PersonId, hash: BlobHash) -> CatalogResult<Option<StoredImage>> {
        self.read(|reader| Lookup(reader).stored_by(person, hash))
    }

    fn imported_as(
        &self,
        person: PersonId,
        name: &ImageName,
        hash: BlobHash,
        entry: &Imported,
    ) -> CatalogResult<Option<StoredImage>> {
        self.read(|reader| rules::imported_as(person, name, hash, entry, &Lookup(reader)))
    }

    fn imported_timestamp(&self, id: ImageId) -> CatalogResult<Option<String>> {
        self.read(|reader| rows::imported_timestamp(reader, id))
    }

    fn has_tombstone(&self, person: PersonId, hash: BlobHash) -> CatalogResult<bool> {
        self.read(|reader| Lookup(reader).has_tombstone(person, hash))
    }

    fn have(&self, hashes: &[BlobHash]) -> CatalogResult<Vec<(BlobHash, Vec<ImageId>)>> {
        self.read(|reader| read::have(reader, hashes))
    }

    fn changes(&self, since: Seq, limit: u32) -> CatalogResult<EventsReply> {
        self.read(|reader| read::changes(reader, since, limit))
    }

    fn last_uploads(&self, limit: u32) -> CatalogResult<Vec<Event>> {
        self.read(|reader| read::last_uploads(reader, limit))
    }

    fn newest_seq(&self) -> CatalogResult<Seq> {
        self.read(|reader| counter(reader, "seq")).map(Seq)
    }

    fn listed(&self) -> CatalogResult<u64> {
        self.read(|reader| counter(reader, "listed"))
    }

    fn trashed(
        &self,
        before: Option<Timestamp>,
        person: Option<PersonId>,
        limit: u32,
    ) -> CatalogResult<Vec<ImageId>> {
        self.read(|reader| read::trashed(reader, before, person, limit))
    }

    fn is_referenced(&self, hash: BlobHash) -> CatalogResult<bool> {
        self.read(|reader| Lookup(reader).is_referenced(hash))
    }

    fn put_partial(&self, partial: &SyncedPartial, now: Timestamp) -> CatalogResult<()> {
        self.write(|writer| write::put_partial(writer, partial, now))
    }

    fn partials(&self) -> CatalogResult<Vec<SyncedPartial>> {
        self.read(|reader| read::partials(reader))
    }

    fn remove_partial(
        &self,
        person: PersonId,
        hash: BlobHash,
        size_bytes: u64,
    ) -> CatalogResult<()> {
        self.write(|writer| write::remove_partial(writer, person, hash, size_bytes))
    }

    fn person_of(&self, id: PersonId) -> CatalogResult<Option<KnownPerson>> {
        self.read(|reader| Lookup(reader).person(id))
    }

    fn person_named(
        &self,
        kind: PersonKind,
        name: &PersonName,
    ) -> CatalogResult<Option<KnownPerson>> {
        self.read(|reader| Lookup(reader).person_named(kind, name))
    }

    fn device(&self, id: DeviceId) -> CatalogResult<Option<KnownDevice>> {
        self.read(|reader| Lookup(reader).device(id))
    }

    fn holder(&self, credential: SecretHash) -> CatalogResult<Option<KnownDevice>> {
        self.read(|reader| people::holder(reader, credential))
    }

    fn devices(
        &self,
        person: PersonId,
        revoked_since: Timestamp,
        revoked_limit: u32,
    ) -> CatalogResult<Vec<KnownDevice>> {
        self.read(|reader| people::devices(reader, person, revoked_since, revoked_limit))
    }

    fn invitation(&self, id: InvitationId) -> CatalogResult<Option<KnownInvitation>> {
        self.read(|reader| Lookup(reader).invitation(id))
    }

    fn invitations(
        &self,
        by: Option<PersonId>,
        now: Timestamp,
        ended_since: Timestamp,
        ended_limit: u32,
    ) -> CatalogResult<Vec<KnownInvitation>> {
        self.read(|reader| people::invitations(reader, by, now, ended_since, ended_limit))
    }

    fn told_person(&self, id: PersonId) -> CatalogResult<Option<Person>> {
        self.read(|reader| people::told_person(reader, id))
    }

    fn people(
        &self,
        after: Option<(PersonKind, PersonId)>,
        limit: u32,
    ) -> CatalogResult<Vec<(PersonId, Person)>> {
        self.read(|reader| people::people(reader, after, limit))
    }

    fn act(&self, act: &Act, by: &By, now: Timestamp) -> CatalogResult<Result<Acted, Refusal>> {
        self.write(|writer| write::act(writer, act, by, now))
    }

    fn audit(&self, before: Option<u64>, limit: u32) -> CatalogResult<Vec<AuditEntry>> {
        self.read(|reader| people::audit(reader, before, limit))
    }

    fn seen(
        &self,
        devices: &[DeviceId],
        last_before: Timestamp,
        now: Timestamp,
    ) -> CatalogResult<()> {
        self.write(|writer| people::seen(writer, devices, last_before, now))
    }

    fn picture(&self, hash: BlobHash, pipeline: u32) -> CatalogResult<Option<KnownPicture>> {
        self.read(|reader| pictures::picture(reader, hash, pipeline))
    }

    fn note_pictures(&self, pictures: &[NewPicture], pipeline: u32) -> CatalogResult<()> {
        self.write(|writer| pictures::note(writer, pictures, pipeline))
    }

    fn unmade(&self, pipeline: u32, below: Option<ImageId>, limit: u32) -> CatalogResult<Unmade> {
        self.read(|reader| pictures::unmade(reader, pipeline, below, limit))
    }

    fn snapshot(&self, to: &Path) -> CatalogResult<Seq> {
        // A connection of its own: those that answer people are not held up.
        let mut reader = database::reader(&self.path, &FORMAT)
            .map_err(|error| CatalogError::Failed(error.to_string()))?;
        snapshot::write(&mut reader, to).map_err(|error| self.fault(&error))
    }

    fn kept_bytes(&self, person: Option<PersonId>) -> CatalogResult<u64> {
        self.read(|reader| match person {
            Some(person) => people::bytes_of(reader, person),
            None => counter(reader, "bytes"),
        })
    }

    fn contents(&self, first_byte: u8) -> CatalogResult<Vec<KeptContent>> {
        self.read(|reader| inspect::contents(reader, first_byte))
    }

    fn images_of(&self, hash: BlobHash, limit: u32) -> CatalogResult<Vec<StoredImage>> {
        self.read(|reader| inspect::images_of(reader, hash, limit))
    }

    fn inspect(&self, thoroughly: bool) -> CatalogResult<Inspection> {
        self.read(|reader| inspect::inspect(reader, thoroughly))
    }

    fn recount(&self) -> CatalogResult<()> {
        self.write(inspect::recount)
    }
}

#[cfg(test)]
mod tests;

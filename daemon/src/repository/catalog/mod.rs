//! Who uploaded what: the catalog, the truth of a repository.
//!
//! The trait speaks the business's words; SQLite keeps it on disk, a second implementation in memory
//! keeps the trait honest, and one conformance suite runs on both. All calls block; only the
//! repository calls them, from threads that may. Nothing here knows where content lies.

pub(crate) mod cursor;
pub mod glob;
pub mod inspection;
pub mod memory;
mod new_image;
pub(crate) mod page;
pub mod people;
pub(crate) mod picture;
pub(crate) mod rules;
#[cfg(test)]
pub(crate) mod sample;
pub mod sqlite;

use std::path::Path;

use imgrepo_proto::session::command::{Filter, Sort};
use imgrepo_proto::session::event::Event;
pub use imgrepo_proto::session::people::PersonKind;
use imgrepo_proto::session::people::{AuditEntry, DeviceId, InvitationId, Person};
use imgrepo_proto::session::reply::{EventsReply, ListReply};
use imgrepo_proto::{
    BlobHash, ImageId, ImageName, ImageRecord, PersonName, Refusal, RepositoryId, Seq,
};
use jiff::Timestamp;

use inspection::{Inspection, KeptContent};
pub use new_image::{Again, Imported, NewImage};
use people::{Act, Acted, By, KnownDevice, KnownInvitation, KnownPerson, Record, SecretHash};
pub use picture::{KnownPicture, NewPicture, Unmade};

/// A person's number in this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub i64);

/// Where an image is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageState {
    /// In the repository.
    Listed,
    /// In the trash.
    Trashed,
    /// Gone: its number is never given again, its content may be gone.
    Purged,
}

/// A record with what only the server needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// What everyone sees.
    pub record: ImageRecord,
    /// The content's hash, always known here.
    pub hash: BlobHash,
    /// The content's bytes.
    pub size_bytes: u64,
    /// Whose it is.
    pub person: PersonId,
    /// Where it is.
    pub state: ImageState,
}

/// A change to commit. Whether the actor may was decided before (`people`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new image, or the one that the person has of this content.
    Store(NewImage),
    /// Another name.
    Rename(ImageId, ImageName),
    /// To the trash.
    Delete(ImageId),
    /// Out of the trash.
    Restore(ImageId),
    /// Out of the trash and away; leaves a tombstone.
    Purge(ImageId),
}

/// A change with who makes it: the name stands in the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Who makes it.
    pub by: PersonId,
    /// From where, for the record of what was deleted.
    pub from: String,
    /// What is to change.
    pub change: Change,
}

/// What a committed change left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The record after it.
    pub image: ImageRecord,
    /// Its place in the history; None where nothing changed (a duplicate, the same name again).
    pub seq: Option<Seq>,
    /// For [`Change::Store`]: whether the person had this content before.
    pub duplicate: bool,
    /// What went into the record of what was done: of a deletion alone.
    pub record: Option<Record>,
}

/// A page of records to look for.
#[derive(Debug, Clone, Default)]
pub struct PageQuery {
    /// Which.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// At most this many.
    pub limit: u32,
    /// Behind the page that gave this cursor.
    pub cursor: Option<String>,
    /// Only this person's (the trash of one who is not the owner).
    pub person: Option<PersonId>,
}

/// A partial upload whose first bytes were synced to disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncedPartial {
    /// Whose it is.
    pub person: PersonId,
    /// What the whole content's hash will be.
    pub hash: BlobHash,
    /// Bytes of the whole content.
    pub size_bytes: u64,
    /// Bytes that are on disk for sure.
    pub synced_bytes: u64,
}

/// Why the catalog cannot answer: its disk, never the request.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No room for more.
    #[error("no room left for the catalog")]
    Full,
    /// Anything else, in words.
    #[error("{0}")]
    Failed(String),
}

/// The outcome of a call that only the disk can fail.
pub type CatalogResult<T> = Result<T, CatalogError>;

/// What a repository knows of its images.
pub trait Catalog: Send + Sync {
    /// Which repository this is.
    fn repository_id(&self) -> RepositoryId;

    /// The person of this name and kind, made if there is none yet. A guest whose name is the owner's
    /// or an account's is shown as one, whoever of them comes first.
    fn person(
        &self,
        kind: PersonKind,
        name: &PersonName,
        now: Timestamp,
    ) -> CatalogResult<PersonId>;

    /// Commits a group in one durable transaction. Each proposal is carried out or refused on its
    /// own; those carried out get consecutive places in the history, in the group's order. When
    /// this returns they survive a power cut.
    fn commit(
        &self,
        group: &[Proposal],
        now: Timestamp,
    ) -> CatalogResult<Vec<Result<Committed, Refusal>>>;

    /// The image of this number, in whatever state.
    fn image(&self, id: ImageId) -> CatalogResult<Option<StoredImage>>;

    /// The newest images in this state of exactly this name, newest first, at most `limit`.
    fn images_named(
        &self,
        name: &ImageName,
        state: ImageState,
        limit: u32,
    ) -> CatalogResult<Vec<StoredImage>>;

    /// A page of records, cut to what fits one text message; the outer error is the disk's, the
    /// inner a bad cursor or glob. `total` is None where it would have to be counted.
    fn page(&self, query: &PageQuery) -> CatalogResult<Result<ListReply, Refusal>>;

    /// The image that this person has of this content, listed or in the trash.
    fn stored_by(&self, person: PersonId, hash: BlobHash) -> CatalogResult<Option<StoredImage>>;

    /// The image, in whatever state, that this entry of an old catalog is here: what was made of it
    /// by an import, or what it was exported from.
    fn imported_as(
        &self,
        person: PersonId,
        name: &ImageName,
        hash: BlobHash,
        entry: &Imported,
    ) -> CatalogResult<Option<StoredImage>>;

    /// The timestamp with which an image was imported, as in [`Imported::timestamp`].
    fn imported_timestamp(&self, id: ImageId) -> CatalogResult<Option<String>>;

    /// Whether this person purged this content.
    fn has_tombstone(&self, person: PersonId, hash: BlobHash) -> CatalogResult<bool>;

    /// The listed images of each of these contents, in the order of the question.
    fn have(&self, hashes: &[BlobHash]) -> CatalogResult<Vec<(BlobHash, Vec<ImageId>)>>;

    /// Events after this one, oldest first, at most `limit` and no more than fit one text message.
    /// Every committed event is seen; nothing is found after the newest.
    fn changes(&self, since: Seq, limit: u32) -> CatalogResult<EventsReply>;

    /// The newest events that told of a new image, oldest first, at most `limit`.
    fn last_uploads(&self, limit: u32) -> CatalogResult<Vec<Event>>;

    /// The newest place in the history.
    fn newest_seq(&self) -> CatalogResult<Seq>;

    /// How many images are listed. Kept, not counted.
    fn listed(&self) -> CatalogResult<u64>;

    /// Images in the trash since before this time (all where None), of this person (or anyone),
    /// oldest first, at most `limit`.
    fn trashed(
        &self,
        before: Option<Timestamp>,
        person: Option<PersonId>,
        limit: u32,
    ) -> CatalogResult<Vec<ImageId>>;

    /// Whether a listed or trashed image has this content.
    fn is_referenced(&self, hash: BlobHash) -> CatalogResult<bool>;

    /// Remembers how much of a partial upload is on disk for sure.
    fn put_partial(&self, partial: &SyncedPartial, now: Timestamp) -> CatalogResult<()>;

    /// Every remembered partial upload.
    fn partials(&self) -> CatalogResult<Vec<SyncedPartial>>;

    /// Forgets a partial upload. [`Catalog::commit`] of its content does so too.
    fn remove_partial(
        &self,
        person: PersonId,
        hash: BlobHash,
        size_bytes: u64,
    ) -> CatalogResult<()>;

    /// The person of this number.
    fn person_of(&self, id: PersonId) -> CatalogResult<Option<KnownPerson>>;

    /// The person of this name and kind.
    fn person_named(
        &self,
        kind: PersonKind,
        name: &PersonName,
    ) -> CatalogResult<Option<KnownPerson>>;

    /// The device of this number.
    fn device(&self, id: DeviceId) -> CatalogResult<Option<KnownDevice>>;

    /// The device that has the credential of this hash, revoked or not.
    fn holder(&self, credential: SecretHash) -> CatalogResult<Option<KnownDevice>>;

    /// The devices of a person, newest first: all that are let in, and at most `revoked_limit` of
    /// those that were revoked since then.
    fn devices(
        &self,
        person: PersonId,
        revoked_since: Timestamp,
        revoked_limit: u32,
    ) -> CatalogResult<Vec<KnownDevice>>;

    /// The invitation of this number.
    fn invitation(&self, id: InvitationId) -> CatalogResult<Option<KnownInvitation>>;

    /// Invitations that this person made (or anyone), newest first: all that let in somebody at
    /// `now`, and at most `ended_limit` of those that have ended since then.
    fn invitations(
        &self,
        by: Option<PersonId>,
        now: Timestamp,
        ended_since: Timestamp,
        ended_limit: u32,
    ) -> CatalogResult<Vec<KnownInvitation>>;

    /// A person as others are told of them.
    fn told_person(&self, id: PersonId) -> CatalogResult<Option<Person>>;

    /// People behind this one, by kind (owner, accounts, guests, imported) and then by number, at most
    /// `limit`.
    fn people(
        &self,
        after: Option<(PersonKind, PersonId)>,
        limit: u32,
    ) -> CatalogResult<Vec<(PersonId, Person)>>;

    /// Carries out an act on people in one durable transaction, with its line of the record, or
    /// refuses it.
    fn act(&self, act: &Act, by: &By, now: Timestamp) -> CatalogResult<Result<Acted, Refusal>>;

    /// The record of what was done before the entry of this number (all of it where None), newest
    /// first, at most `limit`.
    fn audit(&self, before: Option<u64>, limit: u32) -> CatalogResult<Vec<AuditEntry>>;

    /// Notes that these devices were seen now, but for those that were since `last_before`. In one
    /// transaction: after a start all come back at once.
    fn seen(
        &self,
        devices: &[DeviceId],
        last_before: Timestamp,
        now: Timestamp,
    ) -> CatalogResult<()>;

    /// What making pictures of a content came to with this pipeline; None where nobody has tried.
    fn picture(&self, hash: BlobHash, pipeline: u32) -> CatalogResult<Option<KnownPicture>>;

    /// Notes what making pictures with this pipeline came to, and gives their placeholders to the
    /// images of those contents. No change, so no event. In one transaction.
    fn note_pictures(&self, pictures: &[NewPicture], pipeline: u32) -> CatalogResult<()>;

    /// The contents of listed images of which this pipeline has neither made small pictures nor failed
    /// to: among the newest images below this one, `limit` of which are looked at.
    fn unmade(&self, pipeline: u32, below: Option<ImageId>, limit: u32) -> CatalogResult<Unmade>;

    /// Writes all of the catalog into a new file, as it is at one place of its history: that one. The
    /// file is another catalog's as soon as it is opened as one; it is not on disk for sure.
    fn snapshot(&self, to: &Path) -> CatalogResult<Seq>;

    /// Bytes of the images, listed or in the trash, of this person (or of all). Kept, not counted.
    fn kept_bytes(&self, person: Option<PersonId>) -> CatalogResult<u64>;

    /// The contents of listed and trashed images whose hashes begin with this byte, in order: a 256th
    /// part at a time, so that who looks at all of them never has all in memory.
    fn contents(&self, first_byte: u8) -> CatalogResult<Vec<KeptContent>>;

    /// The images of this content, the listed ones first, then those in the trash, oldest first, at most
    /// `limit`.
    fn images_of(&self, hash: BlobHash, limit: u32) -> CatalogResult<Vec<StoredImage>>;

    /// Looks whether the catalog agrees with itself. Takes seconds where it is large, and longer
    /// `thoroughly`; nobody else waits for it.
    fn inspect(&self, thoroughly: bool) -> CatalogResult<Inspection>;

    /// Counts anew what is kept, and sets right by which images contents are known. No change, so no
    /// event. Who commits meanwhile waits.
    fn recount(&self) -> CatalogResult<()>;
}

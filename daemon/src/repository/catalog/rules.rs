//! What becomes of a proposed change: the one place that decides duplicates, trash, tombstones and
//! what is refused.
//!
//! Called by both catalogs within a commit, before anything of that change is written. It reads
//! through [`Known`] and writes nothing; the time comes from outside.

use imgrepo_proto::name::shown;
use imgrepo_proto::session::event::EventKind;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageName, ImageRecord, Refusal};
use jiff::Timestamp;

use crate::host::{self, Mutant};

use super::people::Record;
use super::{Again, Change, ImageState, Imported, NewImage, PersonId, Proposal, StoredImage};

/// What the rules need to know of what is there, earlier changes of the same group included.
pub(crate) trait Known {
    /// How asking can fail.
    type Error;
    /// The name of the person of this number, as everybody sees it.
    fn person_name(&self, person: PersonId) -> Result<Option<String>, Self::Error>;
    /// The image of this number.
    fn image(&self, id: ImageId) -> Result<Option<StoredImage>, Self::Error>;
    /// The image that the person has of this content: a listed one, else one in the trash.
    fn stored_by(
        &self,
        person: PersonId,
        hash: BlobHash,
    ) -> Result<Option<StoredImage>, Self::Error>;
    /// The person's oldest listed image of this content and name.
    fn listed_as(
        &self,
        person: PersonId,
        hash: BlobHash,
        name: &ImageName,
    ) -> Result<Option<StoredImage>, Self::Error>;
    /// The image that was made of this entry of an old catalog.
    fn imported(
        &self,
        person: PersonId,
        name: &ImageName,
        hash: BlobHash,
        entry: &Imported,
    ) -> Result<Option<StoredImage>, Self::Error>;
    /// Whether the person purged this content.
    fn has_tombstone(&self, person: PersonId, hash: BlobHash) -> Result<bool, Self::Error>;
    /// The placeholder of a content of which pictures were made before.
    fn placeholder(&self, hash: BlobHash) -> Result<Option<String>, Self::Error>;
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: all is as it is wanted.
    Nothing,
    /// A new image.
    Insert,
    /// The name; it was this one before.
    Rename(String),
    /// The state; it was this one before.
    Turn(ImageState),
}

/// What a change comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) step: Step,
    /// The image after it.
    pub(crate) image: StoredImage,
    /// The name of the person who makes the change.
    pub(crate) by: String,
    /// Whether the person had this content before.
    pub(crate) duplicate: bool,
}

impl Verdict {
    /// The event that tells of it.
    pub(crate) fn event(&self) -> Option<EventKind> {
        match (&self.step, self.image.state) {
            (Step::Nothing, _) => None,
            (Step::Insert, _) => Some(EventKind::NewUpload),
            (Step::Rename(_), _) => Some(EventKind::Renamed),
            (Step::Turn(_), ImageState::Listed) => Some(EventKind::Restored),
            (Step::Turn(_), ImageState::Trashed) => Some(EventKind::Deleted),
            (Step::Turn(_), ImageState::Purged) => Some(EventKind::Purged),
        }
    }
}

impl Verdict {
    /// The line of the record that tells of it: of what was deleted alone.
    pub(crate) fn record(&self, proposal: &Proposal) -> Option<Record> {
        let act = match (&self.step, self.image.state) {
            (Step::Turn(_), ImageState::Trashed) => "delete",
            (Step::Turn(_), ImageState::Purged) => "purge",
            _ => return None,
        };
        let record = &self.image.record;
        let (name, of) = (shown(&record.name), shown(&record.uploader));
        Some(Record {
            by: proposal.by,
            by_name: self.by.clone(),
            from: proposal.from.clone(),
            act,
            object: format!("image {} ({name}) of {of}", record.id),
        })
    }
}

/// The time as the catalog keeps it: whole milliseconds.
pub(crate) fn kept_time(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// Decides a change. `next` is the number that a new image gets; `now` is a [`kept_time`].
pub(crate) fn decide<K: Known>(
    proposal: &Proposal,
    next: ImageId,
    now: Timestamp,
    known: &K,
) -> Result<Result<Verdict, Refusal>, K::Error> {
    let Some(by) = known.person_name(proposal.by)? else {
        return Ok(Err(nobody(proposal.by)));
    };
    let (id, act) = match &proposal.change {
        Change::Store(new) => return store(new, by, next, now, known),
        Change::Rename(id, _) => (*id, "rename"),
        Change::Delete(id) => (*id, "delete"),
        Change::Restore(id) => (*id, "restore"),
        Change::Purge(id) => (*id, "purge"),
    };
    let found = known.image(id)?.filter(|image| image.state != ImageState::Purged);
    let Some(mut image) = found else {
        return Ok(Err(Refusal::new(
            ErrorCode::NotFound,
            format!("cannot {act} image {id}: there is none of that number"),
        )));
    };
    let conflict = |why: &str, hint: Option<String>| {
        let name = shown(&image.record.name);
        let message = format!("cannot {act} `{name}` (image {id}): {why}");
        Ok(Err(Refusal { code: ErrorCode::Conflict, message, hint }))
    };
    let trashed = image.state == ImageState::Trashed;
    let step = match &proposal.change {
        Change::Rename(..) if trashed => {
            return conflict("it is in the trash", Some(format!("imgctl restore {id}")));
        }
        Change::Rename(_, name) if image.record.name == name.as_str() => Step::Nothing,
        Change::Rename(_, name) => {
            Step::Rename(std::mem::replace(&mut image.record.name, name.as_str().to_owned()))
        }
        Change::Delete(_) if trashed => return conflict("it is in the trash already", None),
        Change::Delete(_) => turn(&mut image, ImageState::Trashed, now),
        Change::Restore(_) if !trashed => return conflict("it is not in the trash", None),
        Change::Restore(_) => turn(&mut image, ImageState::Listed, now),
        Change::Purge(_) if !trashed => {
            return conflict("it is not in the trash", Some(format!("imgctl rm {id}")));
        }
        Change::Purge(_) => turn(&mut image, ImageState::Purged, now),
        Change::Store(_) => Step::Nothing,
    };
    Ok(Ok(Verdict { step, image, by, duplicate: false }))
}

fn store<K: Known>(
    new: &NewImage,
    by: String,
    next: ImageId,
    now: Timestamp,
    known: &K,
) -> Result<Result<Verdict, Refusal>, K::Error> {
    let Some(uploader) = known.person_name(new.person)? else {
        return Ok(Err(nobody(new.person)));
    };
    let name = shown(new.name.as_str());
    if i64::try_from(new.size_bytes).is_err() {
        return Ok(Err(Refusal::new(
            ErrorCode::TooLarge,
            format!("cannot upload `{name}`: no image has {} bytes", new.size_bytes),
        )));
    }
    let verdict = |step, image, duplicate| Ok(Ok(Verdict { step, image, by, duplicate }));
    if let Some(entry) = &new.imported {
        if let Some(image) = imported_as(new.person, &new.name, new.hash, entry, known)? {
            return verdict(Step::Nothing, image, true);
        }
        let wanted = ImageId(entry.number);
        let is_kept = (1..=Imported::LAST_KEPT).contains(&wanted.0);
        let id = if is_kept && known.image(wanted)?.is_none() { wanted } else { next };
        let at = entry.uploaded_at.map_or(now, kept_time);
        return verdict(Step::Insert, fresh(new, uploader, id, at, known)?, false);
    }
    let there = match new.again {
        Again::SameNameOnly => known.listed_as(new.person, new.hash, &new.name)?,
        _ if host::is_mutant(Mutant::StoreTwice) => None,
        Again::Reuse | Again::UnlessDeleted => known.stored_by(new.person, new.hash)?,
    };
    let listed = there.as_ref().is_some_and(|image| image.state == ImageState::Listed);
    if new.again == Again::UnlessDeleted
        && !listed
        && (there.is_some() || known.has_tombstone(new.person, new.hash)?)
    {
        return Ok(Err(Refusal::new(
            ErrorCode::Deleted,
            format!("cannot upload `{name}`: it was deleted here"),
        )
        .hint("upload it without `unless_deleted` to bring it back")));
    }
    match there {
        Some(image) if listed => verdict(Step::Nothing, image, true),
        Some(mut image) => {
            let step = turn(&mut image, ImageState::Listed, now);
            verdict(step, image, true)
        }
        None => verdict(Step::Insert, fresh(new, uploader, next, now, known)?, false),
    }
}

/// See [`super::Catalog::imported_as`].
pub(crate) fn imported_as<K: Known>(
    person: PersonId,
    name: &ImageName,
    hash: BlobHash,
    entry: &Imported,
    known: &K,
) -> Result<Option<StoredImage>, K::Error> {
    if let Some(image) = known.imported(person, name, hash, entry)? {
        return Ok(Some(image));
    }
    // An export of this very repository: the numbers are those here.
    let Some(image) = known.image(ImageId(entry.number))? else { return Ok(None) };
    let uploaded_at = entry.uploaded_at.map(kept_time);
    let is_same = image.hash == hash
        && image.record.name == name.as_str()
        && uploaded_at.is_some()
        && image.record.uploaded_at == uploaded_at
        && known.person_name(person)?.is_some_and(|uploader| image.record.uploader == uploader);
    Ok(is_same.then_some(image))
}

fn turn(image: &mut StoredImage, to: ImageState, now: Timestamp) -> Step {
    image.record.trashed_at = match to {
        ImageState::Listed => None,
        ImageState::Trashed => Some(now),
        // What is purged keeps the time at which it was deleted.
        ImageState::Purged => image.record.trashed_at,
    };
    Step::Turn(std::mem::replace(&mut image.state, to))
}

fn fresh<K: Known>(
    new: &NewImage,
    uploader: String,
    id: ImageId,
    at: Timestamp,
    known: &K,
) -> Result<StoredImage, K::Error> {
    Ok(StoredImage {
        record: ImageRecord {
            id,
            name: new.name.as_str().to_owned(),
            uploader,
            size: Some(new.size_bytes),
            hash: Some(new.hash),
            media_type: Some(new.media_type.clone()),
            width: new.width,
            height: new.height,
            orientation: new.orientation,
            uploaded_at: Some(at),
            taken_at: new.taken_at.clone(),
            placeholder: known.placeholder(new.hash)?,
            trashed_at: None,
        },
        hash: new.hash,
        size_bytes: new.size_bytes,
        person: new.person,
        state: ImageState::Listed,
    })
}

fn nobody(person: PersonId) -> Refusal {
    Refusal::new(ErrorCode::Internal, format!("no person has the number {}", person.0))
}

//! What a catalog in memory keeps, and how a change changes it: decided by the same rules as on disk.

use std::collections::{BTreeMap, BTreeSet};

use imgrepo_proto::session::event::Event;
use imgrepo_proto::{BlobHash, ImageId, ImageName, Refusal, Seq};
use jiff::Timestamp;

use super::super::people::book::Book;
use super::super::rules::{self, Step};
use super::super::{
    Change, Committed, ImageState, Imported, KnownPicture, NewImage, PersonId, Proposal,
    StoredImage,
};
use super::people;

#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) folk: people::Folk,
    /// By number, which imports may leave gaps in.
    pub(super) images: BTreeMap<ImageId, StoredImage>,
    /// What imported images were in the catalog that they come from, with their names there.
    pub(super) imported: BTreeMap<ImageId, (ImageName, Imported)>,
    pub(super) tombstones: BTreeSet<(PersonId, BlobHash)>,
    /// The event of place n is at n - 1.
    pub(super) events: Vec<Event>,
    pub(super) partials: BTreeMap<(PersonId, BlobHash, u64), u64>,
    /// What making pictures came to, with which pipeline.
    pub(super) pictures: BTreeMap<BlobHash, (u32, KnownPicture)>,
}

/// The item of number n, counted from 1.
pub(super) fn numbered<T>(items: &[T], n: u64) -> Option<&T> {
    items.get(usize::try_from(n.checked_sub(1)?).ok()?)
}

impl Kept {
    pub(super) fn get(&self, id: ImageId) -> Option<&StoredImage> {
        self.images.get(&id)
    }

    /// The person's images of this content that are not purged.
    pub(super) fn of(
        &self,
        person: PersonId,
        hash: BlobHash,
    ) -> impl Iterator<Item = &StoredImage> {
        let fits = move |image: &&StoredImage| {
            image.person == person && image.hash == hash && image.state != ImageState::Purged
        };
        self.images.values().filter(fits)
    }

    pub(super) fn in_state(
        &self,
        state: ImageState,
    ) -> impl DoubleEndedIterator<Item = &StoredImage> {
        self.images.values().filter(move |image| image.state == state)
    }

    pub(super) fn commit_one(
        &mut self,
        proposal: &Proposal,
        now: Timestamp,
    ) -> Result<Committed, Refusal> {
        let next = ImageId(self.images.keys().next_back().map_or(1, |last| last.0 + 1));
        let verdict = match rules::decide(proposal, next, now, &*self) {
            Ok(verdict) => verdict?,
            Err(never) => match never {},
        };
        let (event, record) = (verdict.event(), verdict.record(proposal));
        let image = verdict.image;
        let owned = (image.person, image.hash);
        match verdict.step {
            Step::Nothing => {}
            Step::Insert => {
                self.tombstones.remove(&owned);
                self.images.insert(image.record.id, image.clone());
                if let Change::Store(NewImage { name, imported: Some(entry), .. }) =
                    &proposal.change
                {
                    self.imported.insert(image.record.id, (name.clone(), entry.clone()));
                }
            }
            Step::Rename(_) | Step::Turn(_) => {
                if image.state == ImageState::Purged {
                    self.tombstones.insert(owned);
                }
                self.images.insert(image.record.id, image.clone());
            }
        }
        if let Change::Store(new) = &proposal.change {
            self.partials.remove(&(new.person, new.hash, new.size_bytes));
        }
        let seq = event.as_ref().map(|_| Seq(self.events.len() as u64 + 1));
        self.events.extend(event.map(|event| Event {
            event,
            seq,
            at: Some(now),
            by: Some(verdict.by),
            image: Some(image.record.clone()),
            message: None,
        }));
        if let Some(record) = &record {
            let Ok(()) = self.add_record(record, now);
        }
        Ok(Committed { image: image.record, seq, duplicate: verdict.duplicate, record })
    }
}

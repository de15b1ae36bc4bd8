//! Images in memory: what the rules ask of them, and a page of their records. Called by the catalog in
//! memory, under its lock.

use std::collections::BTreeMap;
use std::convert::Infallible;

use imgrepo_proto::session::command::Sort;
use imgrepo_proto::session::reply::ListReply;
use imgrepo_proto::{BlobHash, ImageId, ImageName, ImageRecord, PersonName};

use super::kept::Kept;
use crate::repository::catalog::inspection::{Inspection, KeptContent};
use crate::repository::catalog::page::PagePlan;
use crate::repository::catalog::people::book::Book as _;
use crate::repository::catalog::rules::Known;
use crate::repository::catalog::{
    ImageState, Imported, KnownPicture, NewPicture, PersonId, StoredImage, Unmade,
};

impl Kept {
    pub(super) fn note_picture(&mut self, new: &NewPicture, pipeline: u32) {
        let NewPicture { hash, orientation, known } = new;
        let kept = self.pictures.entry(*hash).or_default();
        if kept.0 != pipeline {
            *kept = (pipeline, KnownPicture::default());
        }
        let KnownPicture { placeholder, fault, display_fault } = known.clone();
        kept.1.placeholder = placeholder.clone().or(kept.1.placeholder.take());
        kept.1.fault = fault.or(kept.1.fault.take());
        kept.1.display_fault = display_fault.or(kept.1.display_fault.take());
        let is_of =
            |image: &&mut StoredImage| image.hash == *hash && image.state != ImageState::Purged;
        for image in self.images.values_mut().filter(is_of) {
            let record = &mut image.record;
            record.placeholder = placeholder.clone().or(record.placeholder.take());
            record.orientation = record.orientation.or(*orientation);
        }
    }

    pub(super) fn unmade(&self, pipeline: u32, below: Option<ImageId>, limit: u32) -> Unmade {
        let is_made = |hash: &BlobHash| {
            self.pictures.get(hash).is_some_and(|(with, known)| {
                *with == pipeline && (known.placeholder.is_some() || known.fault.is_some())
            })
        };
        let newest = self.in_state(ImageState::Listed).rev();
        let looked_at: Vec<_> = newest
            .filter(|image| below.is_none_or(|below| image.record.id < below))
            .take(limit as usize)
            .collect();
        let last = looked_at.last().map(|image| image.record.id);
        Unmade {
            hashes: looked_at
                .iter()
                .map(|image| image.hash)
                .filter(|hash| !is_made(hash))
                .collect(),
            next: last.filter(|_| looked_at.len() == limit as usize),
        }
    }

    pub(super) fn contents(&self, first_byte: u8) -> Vec<KeptContent> {
        let mut contents = BTreeMap::new();
        for image in self.images.values() {
            let hash = image.hash;
            if image.state == ImageState::Purged || hash.0[0] != first_byte {
                continue;
            }
            let (size_bytes, most_bytes) = (image.size_bytes, image.size_bytes);
            let new = KeptContent { hash, size_bytes, most_bytes, images: 0 };
            let content = contents.entry(hash).or_insert(new);
            content.size_bytes = content.size_bytes.min(image.size_bytes);
            content.most_bytes = content.most_bytes.max(image.size_bytes);
            content.images += 1;
        }
        contents.into_values().collect()
    }

    pub(super) fn images_of(&self, hash: BlobHash, limit: u32) -> Vec<StoredImage> {
        let states = [ImageState::Listed, ImageState::Trashed];
        let all = states.into_iter().flat_map(|state| self.in_state(state));
        all.filter(|image| image.hash == hash).take(limit as usize).cloned().collect()
    }

    /// Nothing is kept twice here that could disagree.
    pub(super) fn inspect(&self) -> Inspection {
        let is_kept = |image: &&StoredImage| image.state != ImageState::Purged;
        Inspection {
            images: self.images.values().filter(is_kept).count() as u64,
            bytes: self.bytes_of(None),
            changes: self.events.len() as u64,
            ..Inspection::default()
        }
    }

    pub(super) fn page(&self, plan: &PagePlan) -> ListReply {
        let is_whose = |image: &&StoredImage| {
            let uploader = || Some(PersonName::parse(&image.record.uploader).ok());
            plan.person.is_none_or(|person| image.person == person)
                && (plan.uploader.is_none() || plan.uploader == uploader())
        };
        let fits = |image: &&StoredImage| {
            let record = &image.record;
            plan.exact_name.as_ref().is_none_or(|name| record.name == *name)
                && (plan.media_type.is_none() || plan.media_type == record.media_type)
                && plan.uploaded_from.is_none_or(|from| record.uploaded_at >= Some(from))
                && plan.uploaded_before.is_none_or(|before| record.uploaded_at < Some(before))
                && plan.name_fits(&record.name)
        };
        let whose = || self.in_state(plan.state).filter(is_whose);
        let total = plan.is_counted().then(|| whose().count() as u64);
        let all = whose().filter(fits).map(|image| &image.record);
        let behind = |record: &&ImageRecord| match (plan.behind, plan.sort) {
            (None, _) => true,
            (Some(last), Sort::Newest) => record.id < last,
            (Some(last), Sort::Oldest) => record.id > last,
        };
        let take = plan.limit + 1;
        let images = match plan.sort {
            Sort::Newest => all.rev().filter(behind).take(take).cloned().collect(),
            Sort::Oldest => all.filter(behind).take(take).cloned().collect(),
        };
        plan.reply(images, None, total)
    }
}

impl Known for Kept {
    type Error = Infallible;

    fn person_name(&self, person: PersonId) -> Result<Option<String>, Infallible> {
        Ok(self.person(person)?.map(|person| person.shown.into()))
    }

    fn image(&self, id: ImageId) -> Result<Option<StoredImage>, Infallible> {
        Ok(self.get(id).cloned())
    }

    fn stored_by(
        &self,
        person: PersonId,
        hash: BlobHash,
    ) -> Result<Option<StoredImage>, Infallible> {
        let listed = |image: &&StoredImage| image.state == ImageState::Listed;
        let found = self.of(person, hash).find(listed);
        Ok(found.or_else(|| self.of(person, hash).next()).cloned())
    }

    fn listed_as(
        &self,
        person: PersonId,
        hash: BlobHash,
        name: &ImageName,
    ) -> Result<Option<StoredImage>, Infallible> {
        let mut all = self.of(person, hash);
        let fits = |image: &&StoredImage| {
            image.state == ImageState::Listed && image.record.name == name.as_str()
        };
        Ok(all.find(fits).cloned())
    }

    fn imported(
        &self,
        person: PersonId,
        name: &ImageName,
        hash: BlobHash,
        entry: &Imported,
    ) -> Result<Option<StoredImage>, Infallible> {
        let same = |(id, (named, made)): (&ImageId, &(ImageName, Imported))| {
            let image = self.get(*id)?;
            (image.person == person
                && image.hash == hash
                && named == name
                && (made.number, &made.timestamp) == (entry.number, &entry.timestamp))
                .then(|| image.clone())
        };
        Ok(self.imported.iter().find_map(same))
    }

    fn placeholder(&self, hash: BlobHash) -> Result<Option<String>, Infallible> {
        Ok(self.pictures.get(&hash).and_then(|(_, known)| known.placeholder.clone()))
    }

    fn has_tombstone(&self, person: PersonId, hash: BlobHash) -> Result<bool, Infallible> {
        Ok(self.tombstones.contains(&(person, hash)))
    }
}

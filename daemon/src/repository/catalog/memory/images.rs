//! Images in memory: what the rules ask of them, and a page of their records. Called by the catalog in
//! memory, under its lock.

use std::convert::Infallible;

use imgrepo_proto::session::command::Sort;
use imgrepo_proto::session::reply::ListReply;
use imgrepo_proto::{BlobHash, ImageId, ImageName, ImageRecord, PersonName};

use super::Kept;
use crate::repository::catalog::page::PagePlan;
use crate::repository::catalog::people::book::Book as _;
use crate::repository::catalog::rules::Known;
use crate::repository::catalog::{ImageState, Imported, PersonId, StoredImage};

impl Kept {
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

    fn has_tombstone(&self, person: PersonId, hash: BlobHash) -> Result<bool, Infallible> {
        Ok(self.tombstones.contains(&(person, hash)))
    }
}

//! A catalog with people and an easy way to change it, shared by the tests here.

use std::sync::Arc;

use imgrepo_proto::session::event::EventKind;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageName, PersonName, RepositoryId, Seq};
use imgrepod::repository::catalog::memory::MemoryCatalog;
use imgrepod::repository::catalog::sqlite::{SqliteCatalog, SqliteOptions};
use imgrepod::repository::catalog::{
    Again, Catalog, Change, Committed, NewImage, PersonId, PersonKind, Proposal,
};
use jiff::Timestamp;

/// A catalog, its people, and a clock that a test turns.
pub(crate) struct Scene {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) ana: PersonId,
    pub(crate) bo: PersonId,
    /// Kept for SQLite: the directory lives as long as the catalog.
    _directory: Option<tempfile::TempDir>,
}

/// The time of every commit, unless a test says otherwise: with digits that a catalog does not keep.
pub(crate) fn now() -> Timestamp {
    "2026-11-23T06:00:00.123456789Z".parse().unwrap()
}

pub(crate) fn name(text: &str) -> ImageName {
    ImageName::parse(text).unwrap()
}

pub(crate) fn person(text: &str) -> PersonName {
    PersonName::parse(text).unwrap()
}

pub(crate) fn hash(of: u8) -> BlobHash {
    BlobHash([of; 32])
}

/// The two kinds, each empty.
pub(crate) fn both() -> [Scene; 2] {
    [Scene::sqlite(), Scene::memory()]
}

impl Scene {
    pub(crate) fn sqlite() -> Scene {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        let catalog = SqliteCatalog::open(&path, &SqliteOptions::default()).unwrap();
        Scene::of(Arc::new(catalog), Some(directory))
    }

    pub(crate) fn memory() -> Scene {
        Scene::of(Arc::new(MemoryCatalog::new(RepositoryId("00ff".to_owned()))), None)
    }

    pub(crate) fn of(catalog: Arc<dyn Catalog>, directory: Option<tempfile::TempDir>) -> Scene {
        let ana = catalog.person(PersonKind::Guest, &person("ana"), now()).unwrap();
        let bo = catalog.person(PersonKind::Guest, &person("bo"), now()).unwrap();
        Scene { catalog, ana, bo, _directory: directory }
    }

    /// Commits one change by ana.
    pub(crate) fn change(&self, change: Change) -> Result<Committed, ErrorCode> {
        self.change_by(self.ana, change, now())
    }

    pub(crate) fn change_by(
        &self,
        by: PersonId,
        change: Change,
        at: Timestamp,
    ) -> Result<Committed, ErrorCode> {
        let mut outcomes = self
            .catalog
            .commit(&[Proposal { by, from: "10.0.0.7".to_owned(), change }], at)
            .unwrap();
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0).map_err(|refusal| refusal.code)
    }

    /// Stores a content as ana, as v2 does.
    pub(crate) fn store(&self, text: &str, content: u8) -> Committed {
        self.change(Change::Store(self.new_image(text, content, Again::Reuse))).unwrap()
    }

    pub(crate) fn new_image(&self, text: &str, content: u8, again: Again) -> NewImage {
        NewImage {
            person: self.ana,
            name: name(text),
            hash: hash(content),
            size_bytes: 1000 + u64::from(content),
            media_type: if content.is_multiple_of(2) { "image/png" } else { "image/jpeg" }
                .to_owned(),
            width: Some(640),
            height: None,
            orientation: Some(6),
            taken_at: Some("2021-07-04T18:30:00".to_owned()),
            again,
            imported: None,
        }
    }

    /// The whole history, checked to be without gaps, as kinds and images.
    pub(crate) fn history(&self) -> Vec<(EventKind, ImageId)> {
        let mut events = Vec::new();
        let mut since = Seq(0);
        loop {
            let page = self.catalog.changes(since, 3).unwrap();
            events.extend(page.events);
            match page.next {
                Some(next) => since = next,
                None => break,
            }
        }
        let newest = self.catalog.newest_seq().unwrap();
        let seqs: Vec<u64> = events.iter().map(|event| event.seq.unwrap().0).collect();
        assert_eq!(seqs, (1..=newest.0).collect::<Vec<_>>());
        events.into_iter().map(|event| (event.event, event.image.unwrap().id)).collect()
    }
}

//! What comes out of an old catalog: its numbers, its times, and that it comes once.

use imgrepo_proto::session::event::EventKind::{Deleted, NewUpload, Purged, Renamed};
use imgrepo_proto::{BlobHash, ImageId};
use imgrepod::repository::catalog::{Again, Change, Committed, ImageState, Imported, NewImage};
use jiff::Timestamp;

use super::scene::{Scene, both, hash, name};

fn then() -> Timestamp {
    "2024-05-01T12:34:56.789Z".parse().unwrap()
}

fn entry(number: u64) -> Imported {
    let timestamp = "\"2024-05-01T12:34:56.789\"".to_owned();
    Imported { number, timestamp, uploaded_at: Some(then()) }
}

fn import(scene: &Scene, text: &str, content: u8, entry: Imported) -> Committed {
    let new = scene.new_image(text, content, Again::Reuse);
    scene.change(Change::Store(NewImage { imported: Some(entry), ..new })).unwrap()
}

fn known(scene: &Scene, text: &str, content: BlobHash, entry: &Imported) -> Option<ImageId> {
    let found = scene.catalog.imported_as(scene.ana, &name(text), content, entry).unwrap();
    found.map(|image| image.record.id)
}

#[test]
fn a_number_is_kept_where_it_is_free_and_new_ones_follow_the_last() {
    for scene in both() {
        assert_eq!(scene.store("own.jpg", 9).image.id, ImageId(1));
        for (text, content, number, got) in [
            ("seven.jpg", 1, 7, 7),
            ("taken.jpg", 2, 1, 8),
            ("between.jpg", 3, 4, 4),
            ("none.jpg", 4, 0, 9),
            ("beyond.jpg", 5, Imported::LAST_KEPT + 1, 10),
            ("largest.jpg", 6, u64::MAX, 11),
        ] {
            let committed = import(&scene, text, content, entry(number));
            assert_eq!(committed.image.id, ImageId(got), "{text}");
            assert_eq!(committed.image.uploaded_at, Some(then()));
        }
        assert_eq!(scene.store("next.jpg", 10).image.id, ImageId(12));
        let news: Vec<_> = [1, 7, 8, 4, 9, 10, 11, 12].map(|id| (NewUpload, ImageId(id))).to_vec();
        assert_eq!(scene.history(), news);
        assert_eq!(scene.catalog.listed().unwrap(), 8);
    }
}

#[test]
fn an_entry_comes_once_whatever_became_of_its_image() {
    for scene in both() {
        let id = import(&scene, "a.jpg", 1, entry(7)).image.id;
        let again = |kind: &str| {
            let committed = import(&scene, "a.jpg", 1, entry(7));
            assert!(committed.duplicate && committed.seq.is_none(), "{kind}");
            assert_eq!(committed.image.id, id, "{kind}");
            assert_eq!(known(&scene, "a.jpg", hash(1), &entry(7)), Some(id), "{kind}");
        };
        again("listed");
        scene.change(Change::Rename(id, name("b.jpg"))).unwrap();
        again("renamed");
        scene.change(Change::Delete(id)).unwrap();
        again("trashed");
        scene.change(Change::Purge(id)).unwrap();
        again("purged");
        let image = scene.catalog.image(id).unwrap().unwrap();
        assert_eq!(image.state, ImageState::Purged, "it did not come back");
        assert_eq!(
            scene.history(),
            [NewUpload, Renamed, Deleted, Purged].map(|kind| (kind, id)).to_vec()
        );
    }
}

#[test]
fn entries_that_differ_in_anything_are_records_of_their_own() {
    for scene in both() {
        let later = Imported { timestamp: "1714567890.5".to_owned(), ..entry(1) };
        let ids = [
            import(&scene, "a.jpg", 1, entry(1)),
            import(&scene, "a.jpg", 1, entry(2)),
            import(&scene, "b.jpg", 1, entry(3)),
            import(&scene, "a.jpg", 2, entry(1)),
            import(&scene, "a.jpg", 2, later.clone()),
        ]
        .map(|committed| committed.image.id.0);
        // The last is a different entry, but one of the same number, name, time and content as a
        // record that is here: its own, exported.
        assert_eq!(ids, [1, 2, 3, 4, 5]);
        let timestamp = |id| scene.catalog.imported_timestamp(ImageId(id)).unwrap();
        assert_eq!(timestamp(1), Some(entry(1).timestamp));
        assert_eq!(timestamp(5), Some(later.timestamp));
        assert_eq!(timestamp(6), None);
    }
}

#[test]
fn an_export_of_the_repository_itself_is_recognised() {
    for scene in both() {
        let own = scene.store("own.jpg", 1).image;
        let entry = Imported { uploaded_at: own.uploaded_at, ..entry(own.id.0) };
        assert_eq!(known(&scene, "own.jpg", hash(1), &entry), Some(own.id));
        assert_eq!(known(&scene, "other.jpg", hash(1), &entry), None);
        assert_eq!(known(&scene, "own.jpg", hash(2), &entry), None);
        let unknown = Imported { uploaded_at: None, ..entry };
        assert_eq!(known(&scene, "own.jpg", hash(1), &unknown), None);
    }
}

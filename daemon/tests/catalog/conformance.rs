//! What becomes of changes in every catalog. Each test runs on both.

use imgrepo_proto::session::command::Filter;
use imgrepo_proto::session::event::EventKind::{Deleted, NewUpload, Purged, Renamed, Restored};
use imgrepo_proto::{ErrorCode, ImageId, Seq};
use imgrepod::repository::catalog::{
    Again, Change, ImageState, PageQuery, PersonId, Proposal, SyncedPartial,
};
use jiff::Timestamp;

use super::scene::{both, hash, name, now};

#[test]
fn a_stored_image_is_there_with_all_that_is_known() {
    for scene in both() {
        let stored = scene.store("a.jpg", 1);
        let kept: Timestamp = "2026-11-23T06:00:00.123Z".parse().unwrap();
        assert_eq!((stored.seq, stored.duplicate), (Some(Seq(1)), false));
        let image = scene.catalog.image(ImageId(1)).unwrap().unwrap();
        assert_eq!(image.record, stored.image);
        assert_eq!((image.hash, image.size_bytes, image.person), (hash(1), 1001, scene.ana));
        let record = stored.image;
        assert_eq!((record.name.as_str(), record.uploader.as_str()), ("a.jpg", "ana"));
        assert_eq!((record.size, record.hash), (Some(1001), Some(hash(1))));
        assert_eq!(record.media_type.as_deref(), Some("image/jpeg"));
        assert_eq!((record.width, record.height), (Some(640), None));
        assert_eq!(record.uploaded_at, Some(kept));
        assert_eq!(record.taken_at.as_deref(), Some("2021-07-04T18:30:00"));
        assert_eq!((&record.placeholder, record.trashed_at), (&None, None));
        let events = scene.catalog.changes(Seq(0), 10).unwrap();
        assert_eq!(events.next, None);
        let [event] = &events.events[..] else { panic!("{events:?}") };
        assert_eq!((event.at, event.by.as_deref()), (Some(kept), Some("ana")));
        assert_eq!(event.image.as_ref(), Some(&record));
        assert!(scene.catalog.is_referenced(hash(1)).unwrap());
        assert_eq!(scene.catalog.listed().unwrap(), 1);
        assert_eq!(scene.catalog.image(ImageId(0)).unwrap(), None);
        assert_eq!(scene.catalog.image(ImageId(2)).unwrap(), None);
        assert_eq!(scene.catalog.image(ImageId(u64::MAX)).unwrap(), None);
    }
}

#[test]
fn the_same_content_of_a_person_is_one_image() {
    for scene in both() {
        let first = scene.store("a.jpg", 1);
        for again in [Again::Reuse, Again::UnlessDeleted] {
            let second = scene.change(Change::Store(scene.new_image("b.jpg", 1, again))).unwrap();
            assert_eq!((second.image, second.seq), (first.image.clone(), None));
            assert!(second.duplicate);
        }
        let mut of_bo = scene.new_image("a.jpg", 1, Again::Reuse);
        of_bo.person = scene.bo;
        let of_bo = scene.change_by(scene.bo, Change::Store(of_bo), now()).unwrap();
        assert_eq!((of_bo.image.id, of_bo.duplicate), (ImageId(2), false));
        assert_eq!(of_bo.image.uploader, "bo");
        let have = scene.catalog.have(&[hash(9), hash(1)]).unwrap();
        assert_eq!(have, [(hash(9), vec![]), (hash(1), vec![ImageId(1), ImageId(2)])]);
        assert_eq!(scene.history(), [(NewUpload, ImageId(1)), (NewUpload, ImageId(2))]);
    }
}

#[test]
fn v1_makes_another_record_for_another_name() {
    for scene in both() {
        let store = |text: &str| {
            scene.change(Change::Store(scene.new_image(text, 1, Again::SameNameOnly))).unwrap()
        };
        assert_eq!(store("a.jpg").image.id, ImageId(1));
        let again = store("a.jpg");
        assert_eq!((again.image.id, again.duplicate, again.seq), (ImageId(1), true, None));
        let other = store("b.jpg");
        assert_eq!((other.image.id, other.duplicate), (ImageId(2), false));
        // In the trash it is no answer.
        scene.change(Change::Delete(ImageId(1))).unwrap();
        assert_eq!(store("a.jpg").image.id, ImageId(3));
        assert_eq!(store("a.jpg").image.id, ImageId(3));
        // v2 is answered with the oldest that is listed.
        assert_eq!(scene.store("c.jpg", 1).image.id, ImageId(2));
    }
}

#[test]
fn an_upload_brings_back_what_is_in_the_trash_unless_told_not_to() {
    for scene in both() {
        scene.store("a.jpg", 1);
        scene.change(Change::Delete(ImageId(1))).unwrap();
        let shy = Change::Store(scene.new_image("a.jpg", 1, Again::UnlessDeleted));
        assert_eq!(scene.change(shy.clone()), Err(ErrorCode::Deleted));
        let back = scene.store("b.jpg", 1);
        assert_eq!((back.image.id, back.duplicate), (ImageId(1), true));
        assert_eq!((back.image.name.as_str(), back.image.trashed_at), ("a.jpg", None));
        scene.change(Change::Delete(ImageId(1))).unwrap();
        scene.change(Change::Purge(ImageId(1))).unwrap();
        assert!(scene.catalog.has_tombstone(scene.ana, hash(1)).unwrap());
        assert!(!scene.catalog.has_tombstone(scene.bo, hash(1)).unwrap());
        assert_eq!(scene.change(shy), Err(ErrorCode::Deleted));
        let anew = scene.store("b.jpg", 1);
        assert_eq!((anew.image.id, anew.duplicate), (ImageId(2), false));
        assert!(!scene.catalog.has_tombstone(scene.ana, hash(1)).unwrap());
        let one = ImageId(1);
        let history = [
            (NewUpload, one),
            (Deleted, one),
            (Restored, one),
            (Deleted, one),
            (Purged, one),
            (NewUpload, ImageId(2)),
        ];
        assert_eq!(scene.history(), history);
    }
}

#[test]
fn the_trash_has_its_rules() {
    for scene in both() {
        let one = ImageId(1);
        for change in [
            Change::Rename(one, name("x")),
            Change::Delete(one),
            Change::Restore(one),
            Change::Purge(one),
        ] {
            assert_eq!(scene.change(change), Err(ErrorCode::NotFound));
        }
        scene.store("a.jpg", 1);
        assert_eq!(scene.change(Change::Restore(one)), Err(ErrorCode::Conflict));
        assert_eq!(scene.change(Change::Purge(one)), Err(ErrorCode::Conflict));
        let deleted = scene.change(Change::Delete(one)).unwrap();
        let trashed_at = Some("2026-11-23T06:00:00.123Z".parse().unwrap());
        assert_eq!(deleted.image.trashed_at, trashed_at);
        assert_eq!(scene.change(Change::Delete(one)), Err(ErrorCode::Conflict));
        assert_eq!(scene.change(Change::Rename(one, name("x"))), Err(ErrorCode::Conflict));
        assert_eq!(scene.catalog.image(one).unwrap().unwrap().state, ImageState::Trashed);
        assert_eq!(scene.catalog.listed().unwrap(), 0);
        assert!(scene.catalog.is_referenced(hash(1)).unwrap());
        assert_eq!(scene.catalog.have(&[hash(1)]).unwrap(), [(hash(1), vec![])]);
        scene.change(Change::Restore(one)).unwrap();
        assert_eq!(scene.catalog.listed().unwrap(), 1);
        scene.change(Change::Delete(one)).unwrap();
        let purged = scene.change(Change::Purge(one)).unwrap();
        assert_eq!((purged.image.id, purged.image.name.as_str()), (one, "a.jpg"));
        assert_eq!(scene.change(Change::Purge(one)), Err(ErrorCode::NotFound));
        assert_eq!(scene.change(Change::Restore(one)), Err(ErrorCode::NotFound));
        assert_eq!(scene.catalog.image(one).unwrap().unwrap().state, ImageState::Purged);
        assert!(!scene.catalog.is_referenced(hash(1)).unwrap());
        assert_eq!(scene.catalog.stored_by(scene.ana, hash(1)).unwrap(), None);
        assert_eq!(scene.catalog.newest_seq().unwrap(), Seq(5));
    }
}

#[test]
fn a_purge_leaves_the_other_records_of_a_content() {
    for scene in both() {
        for text in ["a.jpg", "b.jpg"] {
            scene.change(Change::Store(scene.new_image(text, 1, Again::SameNameOnly))).unwrap();
        }
        scene.change(Change::Delete(ImageId(1))).unwrap();
        let stored = || scene.catalog.stored_by(scene.ana, hash(1)).unwrap().unwrap().record.id;
        assert_eq!(stored(), ImageId(2));
        scene.change(Change::Purge(ImageId(1))).unwrap();
        assert_eq!(stored(), ImageId(2));
        assert!(scene.catalog.is_referenced(hash(1)).unwrap());
        scene.change(Change::Delete(ImageId(2))).unwrap();
        assert_eq!(stored(), ImageId(2));
    }
}

#[test]
fn a_rename_is_an_event_only_where_the_name_is_another() {
    for scene in both() {
        scene.store("a.jpg", 1);
        let same = scene.change(Change::Rename(ImageId(1), name("a.jpg"))).unwrap();
        assert_eq!(same.seq, None);
        let other = scene.change_by(scene.bo, Change::Rename(ImageId(1), name("é.jpg")), now());
        assert_eq!(other.unwrap().image.name, "é.jpg");
        assert_eq!(scene.history(), [(NewUpload, ImageId(1)), (Renamed, ImageId(1))]);
        let event = scene.catalog.changes(Seq(1), 1).unwrap().events.remove(0);
        // Whose it is and who changed it are two things.
        assert_eq!(event.by.as_deref(), Some("bo"));
        assert_eq!(event.image.unwrap().uploader, "ana");
        let first = scene.catalog.changes(Seq(0), 1).unwrap();
        assert_eq!(first.events[0].image.as_ref().unwrap().name, "a.jpg", "as it was then");
        assert_eq!(first.next, Some(Seq(1)));
        let found = |text: &str| {
            let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
            let query = PageQuery { filter, limit: 9, ..PageQuery::default() };
            scene.catalog.page(&query).unwrap().unwrap().images.len()
        };
        assert_eq!((found("a.jpg"), found("É.jp")), (0, 1));
    }
}

#[test]
fn a_group_is_committed_in_its_order_and_refuses_one_by_one() {
    for scene in both() {
        let store = |content| Change::Store(scene.new_image("a.jpg", content, Again::Reuse));
        let mut foreign = scene.new_image("a.jpg", 5, Again::Reuse);
        foreign.person = PersonId(77);
        let mut huge = scene.new_image("a.jpg", 6, Again::Reuse);
        huge.size_bytes = u64::MAX;
        let changes = [
            store(1),
            Change::Delete(ImageId(2)),
            store(1),
            store(2),
            Change::Store(foreign),
            Change::Store(huge),
            Change::Delete(ImageId(2)),
            store(3),
        ];
        let group = changes.map(|change| Proposal { by: scene.ana, from: String::new(), change });
        let outcomes = scene.catalog.commit(&group, now()).unwrap();
        let short: Vec<_> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Ok(done) => Ok((done.image.id.0, done.seq.map(|seq| seq.0))),
                Err(refusal) => Err(refusal.code),
            })
            .collect();
        let expected = [
            Ok((1, Some(1))),
            Err(ErrorCode::NotFound),
            Ok((1, None)),
            Ok((2, Some(2))),
            Err(ErrorCode::Internal),
            Err(ErrorCode::TooLarge),
            Ok((2, Some(3))),
            Ok((3, Some(4))),
        ];
        assert_eq!(short, expected);
        assert_eq!(scene.catalog.commit(&[], now()).unwrap(), []);
        let uploads = scene.catalog.last_uploads(2).unwrap();
        let seqs: Vec<_> = uploads.iter().map(|event| event.seq.unwrap().0).collect();
        assert_eq!(seqs, [2, 4]);
    }
}

#[test]
fn nothing_happened_after_the_newest_event() {
    for scene in both() {
        scene.store("a.jpg", 1);
        for since in [1, 2, u64::MAX] {
            let page = scene.catalog.changes(Seq(since), 10).unwrap();
            assert_eq!((page.events, page.next), (vec![], None));
        }
    }
}

#[test]
fn partial_uploads_are_remembered_until_their_content_is_stored() {
    for scene in both() {
        let partial = |content, synced_bytes| SyncedPartial {
            person: scene.ana,
            hash: hash(content),
            size_bytes: 1000 + u64::from(content),
            synced_bytes,
        };
        for (content, synced) in [(1, 16), (2, 32), (3, 48), (1, 64)] {
            scene.catalog.put_partial(&partial(content, synced), now()).unwrap();
        }
        let all = [partial(1, 64), partial(2, 32), partial(3, 48)];
        assert_eq!(scene.catalog.partials().unwrap(), all);
        scene.store("a.jpg", 1);
        assert_eq!(scene.catalog.partials().unwrap(), all[1..]);
        scene.catalog.remove_partial(scene.ana, hash(2), 1002).unwrap();
        scene.catalog.remove_partial(scene.ana, hash(3), 9).unwrap();
        assert_eq!(scene.catalog.partials().unwrap(), all[2..]);
    }
}

#[test]
fn contents_are_told_by_their_first_byte_with_the_images_that_have_them() {
    for scene in both() {
        for (text, of) in [("a", 1), ("b", 2), ("c", 3)] {
            scene.store(text, of);
        }
        let mut of_bo = scene.new_image("d", 1, Again::Reuse);
        of_bo.person = scene.bo;
        scene.change_by(scene.bo, Change::Store(of_bo), now()).unwrap();
        scene.change(Change::Delete(ImageId(1))).unwrap();
        scene.change(Change::Delete(ImageId(3))).unwrap();
        scene.change(Change::Purge(ImageId(3))).unwrap();
        let contents = |byte| {
            let contents = scene.catalog.contents(byte).unwrap();
            let told = |it: &imgrepod::repository::catalog::inspection::KeptContent| {
                assert_eq!(it.size_bytes, it.most_bytes);
                (it.hash, it.size_bytes, it.images)
            };
            contents.iter().map(told).collect::<Vec<_>>()
        };
        assert_eq!(contents(1), [(hash(1), 1001, 2)]);
        assert_eq!(contents(2), [(hash(2), 1002, 1)]);
        assert_eq!(contents(3), [], "purged");
        assert_eq!(contents(0xff), []);
        let images = |of, limit| {
            let images = scene.catalog.images_of(hash(of), limit).unwrap();
            images.iter().map(|image| image.record.id.0).collect::<Vec<_>>()
        };
        assert_eq!(images(1, 9), [4, 1], "the listed ones first");
        assert_eq!(images(1, 1), [4]);
        assert_eq!(images(3, 9), [0; 0]);
        for thoroughly in [false, true] {
            let found = scene.catalog.inspect(thoroughly).unwrap();
            assert_eq!((found.images, found.bytes, found.changes), (3, 3004, 7));
            let faults = (found.gaps, found.counts, found.contradictions, found.damage);
            assert_eq!(faults, (vec![], vec![], vec![], vec![]));
        }
        scene.catalog.recount().unwrap();
        assert_eq!(scene.catalog.listed().unwrap(), 2);
        assert_eq!(scene.catalog.kept_bytes(None).unwrap(), 3004);
        assert_eq!(contents(1), [(hash(1), 1001, 2)]);
    }
}

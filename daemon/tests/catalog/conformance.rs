//! What every catalog must do. Each test runs on both.

use imgrepo_proto::session::command::{Filter, Sort, State};
use imgrepo_proto::session::event::EventKind::{Deleted, NewUpload, Purged, Renamed, Restored};
use imgrepo_proto::{ErrorCode, ImageId, Seq};
use imgrepod::repository::catalog::{
    Again, Change, ImageState, PageQuery, PersonId, PersonKind, Proposal, SyncedPartial,
};
use jiff::{SignedDuration, Timestamp};

use super::scene::{Scene, both, hash, name, now, person};

/// Ids of the page of a filter, following cursors with pages of this size.
fn ids(scene: &Scene, filter: &Filter, sort: Sort, limit: u32) -> Vec<u64> {
    let mut query = PageQuery { filter: filter.clone(), sort, limit, ..PageQuery::default() };
    let mut ids = Vec::new();
    loop {
        let page = scene.catalog.page(&query).unwrap().unwrap();
        assert!(page.images.len() <= limit as usize);
        ids.extend(page.images.iter().map(|image| image.id.0));
        match page.next {
            None => return ids,
            next => query.cursor = next,
        }
        assert!(!page.images.is_empty(), "a page that is not the last is not empty");
    }
}

fn found(scene: &Scene, filter: Filter) -> Vec<u64> {
    let all = ids(scene, &filter, Sort::Newest, 100);
    assert_eq!(all, ids(scene, &filter, Sort::Newest, 1));
    let mut oldest = ids(scene, &filter, Sort::Oldest, 2);
    oldest.reverse();
    assert_eq!(all, oldest);
    all
}

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
        let filter = |text: &str| Filter { text: Some(text.to_owned()), ..Filter::default() };
        assert_eq!(found(&scene, filter("a.jpg")), [] as [u64; 0]);
        assert_eq!(found(&scene, filter("É.jp")), [1]);
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
        let group = changes.map(|change| Proposal { by: scene.ana, change });
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
fn filters_find_what_fits_all_of_them() {
    for scene in both() {
        let hour = |n: i64| now() + SignedDuration::from_hours(n);
        let names = ["beach.jpg", "Beach (2).JPG", "été.png", "x", "50%.png", "a\"b\"c.png"];
        for (n, text) in names.iter().enumerate() {
            let mut new = scene.new_image(text, n as u8, Again::Reuse);
            if n == 3 {
                new.person = scene.bo;
            }
            scene.change_by(scene.bo, Change::Store(new), hour(n as i64)).unwrap();
        }
        let with = |set: &dyn Fn(&mut Filter)| {
            let mut filter = Filter::default();
            set(&mut filter);
            found(&scene, filter)
        };
        let text = |text: &str| with(&|filter| filter.text = Some(text.to_owned()));
        let glob = |glob: &str| with(&|filter| filter.name = Some(glob.to_owned()));
        assert_eq!(with(&|_| {}), [6, 5, 4, 3, 2, 1]);
        assert_eq!(text(""), [6, 5, 4, 3, 2, 1]);
        assert_eq!(text("BEACH"), [2, 1]);
        assert_eq!(text("e\u{301}T"), [3]);
        assert_eq!(text("X"), [4]);
        assert_eq!(text("%.p"), [5]);
        assert_eq!(text("\"b\""), [6]);
        assert_eq!(text("a\0b"), [] as [u64; 0]);
        assert_eq!(glob("*.PNG"), [6, 5, 3]);
        assert_eq!(glob("beach*"), [2, 1]);
        assert_eq!(glob("[a-c]*.jpg"), [2, 1]);
        assert_eq!(glob("?"), [4]);
        assert_eq!(glob("beach"), [] as [u64; 0]);
        let exact = |text: &str| with(&|filter| filter.exact_name = Some(text.to_owned()));
        assert_eq!(exact("beach.jpg"), [1]);
        assert_eq!(exact("Beach.jpg"), [] as [u64; 0]);
        assert_eq!(exact("e\u{301}te\u{301}.png"), [3]);
        let uploader = |text: &str| with(&|filter| filter.uploader = Some(text.to_owned()));
        assert_eq!(uploader("bo"), [4]);
        assert_eq!(uploader(" ana "), [6, 5, 3, 2, 1]);
        assert_eq!(uploader("nobody"), [] as [u64; 0]);
        assert_eq!(uploader(""), [] as [u64; 0]);
        assert_eq!(with(&|filter| filter.media_type = Some("image/PNG".to_owned())), [5, 3, 1]);
        assert_eq!(with(&|filter| filter.uploaded_from = Some(hour(2))), [6, 5, 4]);
        assert_eq!(with(&|filter| filter.uploaded_before = Some(hour(2))), [3, 2, 1]);
        let combined = |filter: &mut Filter| {
            filter.name = Some("*.jpg".to_owned());
            filter.text = Some("2".to_owned());
            filter.uploader = Some("ana".to_owned());
            filter.media_type = Some("image/jpeg".to_owned());
            filter.uploaded_from = Some(hour(0));
            filter.uploaded_before = Some(hour(9));
        };
        assert_eq!(with(&combined), [2]);
    }
}

#[test]
fn people_of_one_name_are_found_together() {
    for scene in both() {
        let account = scene.catalog.person(PersonKind::Account, &person("ana"), now()).unwrap();
        assert_ne!(account, scene.ana);
        let same = scene.catalog.person(PersonKind::Guest, &person("ana"), now()).unwrap();
        assert_eq!(same, scene.ana);
        for content in 0..6 {
            let mut new = scene.new_image("a.jpg", content, Again::Reuse);
            new.person = if content % 2 == 0 { account } else { scene.ana };
            scene.change(Change::Store(new)).unwrap();
        }
        let filter = Filter { uploader: Some("ana".to_owned()), ..Filter::default() };
        assert_eq!(found(&scene, filter), [6, 5, 4, 3, 2, 1]);
    }
}

#[test]
fn totals_are_said_where_they_are_kept() {
    for scene in both() {
        for content in 0..4 {
            scene.store("a.jpg", content);
        }
        scene.change(Change::Delete(ImageId(2))).unwrap();
        let total = |filter: Filter, person| {
            let query = PageQuery { filter, limit: 1, person, ..PageQuery::default() };
            scene.catalog.page(&query).unwrap().unwrap().total
        };
        let uploader = |text: &str| Filter { uploader: Some(text.to_owned()), ..Filter::default() };
        let trash = Filter { state: State::Trashed, ..Filter::default() };
        assert_eq!(total(Filter::default(), None), Some(3));
        assert_eq!(total(uploader("ana"), None), Some(3));
        assert_eq!(total(uploader("bo"), None), Some(0));
        assert_eq!(total(uploader("nobody"), None), Some(0));
        assert_eq!(total(trash.clone(), None), Some(1));
        assert_eq!(total(trash.clone(), Some(scene.ana)), Some(1));
        assert_eq!(total(trash, Some(scene.bo)), Some(0));
        assert_eq!(total(uploader("ana"), Some(scene.bo)), Some(0));
        let text = Filter { text: Some("a".to_owned()), ..Filter::default() };
        assert_eq!(total(text, None), None);
    }
}

#[test]
fn the_trash_is_listed_by_itself_and_oldest_first_for_the_sweep() {
    for scene in both() {
        for content in 0..4 {
            scene.store("a.jpg", content);
        }
        // Whole milliseconds, as they are kept: "before" is sharp.
        let start: Timestamp = "2026-11-23T06:00:00.123Z".parse().unwrap();
        let at = |n: i64| start + SignedDuration::from_secs(n);
        for (id, n) in [(3, 1), (1, 2), (2, 3)] {
            scene.change_by(scene.ana, Change::Delete(ImageId(id)), at(n)).unwrap();
        }
        let filter = Filter { state: State::Trashed, ..Filter::default() };
        assert_eq!(found(&scene, filter), [3, 2, 1]);
        assert_eq!(found(&scene, Filter::default()), [4]);
        let trashed = |before, person, limit| {
            let ids = scene.catalog.trashed(before, person, limit).unwrap();
            ids.into_iter().map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!(trashed(None, None, 10), [3, 1, 2]);
        assert_eq!(trashed(None, None, 2), [3, 1]);
        assert_eq!(trashed(Some(at(3)), None, 10), [3, 1]);
        assert_eq!(trashed(Some(at(1)), None, 10), [3; 0]);
        assert_eq!(trashed(None, Some(scene.bo), 10), [3; 0]);
        assert_eq!(trashed(None, Some(scene.ana), 10), [3, 1, 2]);
        let named = |state| {
            let images = scene.catalog.images_named(&name("a.jpg"), state, 2).unwrap();
            images.into_iter().map(|image| image.record.id.0).collect::<Vec<_>>()
        };
        assert_eq!(named(ImageState::Listed), [4]);
        assert_eq!(named(ImageState::Trashed), [3, 2]);
    }
}

#[test]
fn a_cursor_goes_on_where_its_page_ended_whatever_came_since() {
    for scene in both() {
        for content in 0..4 {
            scene.store("a.jpg", content);
        }
        let mut query = PageQuery { limit: 2, ..PageQuery::default() };
        let page = scene.catalog.page(&query).unwrap().unwrap();
        query.cursor = page.next;
        scene.store("a.jpg", 9);
        scene.change(Change::Delete(ImageId(3))).unwrap();
        let page = scene.catalog.page(&query).unwrap().unwrap();
        let rest: Vec<_> = page.images.iter().map(|image| image.id.0).collect();
        assert_eq!((rest, page.next), (vec![2, 1], None));
        query.sort = Sort::Oldest;
        let refusal = scene.catalog.page(&query).unwrap().unwrap_err();
        assert_eq!(refusal.code, ErrorCode::BadRequest);
        for bad in ["", "1", "nonsense", "1.zz.1", "2.0011223344556677.1"] {
            let query = PageQuery { cursor: Some(bad.to_owned()), ..PageQuery::default() };
            let refusal = scene.catalog.page(&query).unwrap().unwrap_err();
            assert_eq!(refusal.code, ErrorCode::BadRequest, "{bad}");
        }
        let filter = Filter { name: Some("[".to_owned()), ..Filter::default() };
        let query = PageQuery { filter, ..PageQuery::default() };
        assert!(scene.catalog.page(&query).unwrap().is_err());
    }
}

#[test]
fn a_page_fits_one_text_message() {
    for scene in both() {
        // Six bytes of JSON each: the longest that a name can become.
        let long = name(&"\u{1}".repeat(255));
        let group: Vec<_> = (0..300u32)
            .map(|n| {
                let mut new = scene.new_image("a", 0, Again::Reuse);
                new.name = long.clone();
                new.hash.0[..4].copy_from_slice(&n.to_be_bytes());
                Proposal { by: scene.ana, change: Change::Store(new) }
            })
            .collect();
        scene.catalog.commit(&group, now()).unwrap();
        let limit = imgrepo_proto::limits::MAX_TEXT_BYTES;
        let page = scene.catalog.page(&PageQuery { limit: 500, ..PageQuery::default() });
        let page = page.unwrap().unwrap();
        assert!(page.next.is_some());
        let bytes = serde_json::to_string(&page).unwrap().len();
        assert!((limit / 2..limit).contains(&bytes), "{bytes}");
        assert_eq!(ids(&scene, &Filter::default(), Sort::Newest, 500).len(), 300);
        let events = scene.catalog.changes(Seq(0), 500).unwrap();
        assert!(serde_json::to_string(&events).unwrap().len() < limit);
        assert!(events.next.is_some());
        assert_eq!(scene.history().len(), 300);
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

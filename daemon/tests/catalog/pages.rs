//! Pages of records and of the history: what filters find, and where pages end. Each test runs on
//! both.

use imgrepo_proto::session::command::{Filter, Sort, State};
use imgrepo_proto::{ErrorCode, ImageId, Seq};
use imgrepod::repository::catalog::{Again, Change, ImageState, PageQuery, PersonKind, Proposal};
use jiff::{SignedDuration, Timestamp};

use super::scene::{Scene, both, name, now, person};

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
fn people_shown_under_one_name_are_found_together() {
    for scene in both() {
        let account = scene.catalog.person(PersonKind::Imported, &person("ana"), now()).unwrap();
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
                Proposal { by: scene.ana, from: String::new(), change: Change::Store(new) }
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

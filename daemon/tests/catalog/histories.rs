//! Random histories: SQLite and the catalog in memory answer alike, whatever is asked of them.

use imgrepo_proto::session::command::{Filter, Sort, State};
use imgrepo_proto::{ImageId, Seq};
use imgrepod::repository::catalog::{
    Again, Change, ImageState, Imported, NewImage, PageQuery, PersonId, Proposal,
};
use jiff::SignedDuration;
use proptest::prelude::*;

use super::scene::{Scene, hash, name, now};

const NAMES: [&str; 5] = ["a.jpg", "A.JPG", "beach.png", "é", "beach.jpg"];

fn imported() -> impl Strategy<Value = Imported> {
    let numbers = prop_oneof![9 => 0..12u64, 1 => Just(u64::MAX)];
    (numbers, 0..2i64).prop_map(|(number, day)| Imported {
        number,
        timestamp: format!("\"day {day}\""),
        uploaded_at: (day > 0).then(|| now() - SignedDuration::from_hours(24 * day)),
    })
}

fn change() -> impl Strategy<Value = Change> {
    let id = || (1..8u64).prop_map(ImageId);
    let again = prop::sample::select(vec![Again::Reuse, Again::UnlessDeleted, Again::SameNameOnly]);
    let imported = prop::option::weighted(0.3, imported());
    let new = (1..3i64, prop::sample::select(&NAMES[..]), 0..4u8, again, imported);
    let store = new.prop_map(|(person, text, content, again, imported)| {
        Change::Store(NewImage {
            person: PersonId(person),
            name: name(text),
            hash: hash(content),
            size_bytes: u64::from(content),
            media_type: ["image/png", "image/jpeg"][usize::from(content % 2)].to_owned(),
            width: None,
            height: Some(u32::from(content)),
            orientation: None,
            taken_at: None,
            again,
            imported,
        })
    });
    prop_oneof![
        4 => store,
        1 => (id(), prop::sample::select(&NAMES[..]))
            .prop_map(|(id, text)| Change::Rename(id, name(text))),
        2 => id().prop_map(Change::Delete),
        1 => id().prop_map(Change::Restore),
        1 => id().prop_map(Change::Purge),
    ]
}

fn query() -> impl Strategy<Value = PageQuery> {
    let text = |texts: &'static [&'static str]| {
        prop::option::weighted(0.3, prop::sample::select(texts).prop_map(str::to_owned))
    };
    let filter = (
        text(&["*", "*.jpg", "b*", "?", "[!a]*"]),
        text(&NAMES),
        text(&["ana", "bo", "zoe"]),
        text(&["beach", "JPG", "a", "É", ""]),
        text(&["image/png", "image/gif"]),
        prop::bool::weighted(0.3),
    );
    let filter =
        filter.prop_map(|(name, exact_name, uploader, text, media_type, trashed)| Filter {
            name,
            exact_name,
            uploader,
            text,
            uploaded_from: None,
            uploaded_before: None,
            media_type,
            state: if trashed { State::Trashed } else { State::Listed },
        });
    let person = prop::option::weighted(0.2, (1..3i64).prop_map(PersonId));
    (filter, any::<bool>(), 1..4u32, person).prop_map(|(filter, oldest, limit, person)| {
        let sort = if oldest { Sort::Oldest } else { Sort::Newest };
        PageQuery { filter, sort, limit, cursor: None, person }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_answer_alike(
        groups in prop::collection::vec(prop::collection::vec((1..3i64, change()), 1..6), 1..8),
        queries in prop::collection::vec(query(), 4),
    ) {
        let (sqlite, memory) = (Scene::sqlite(), Scene::memory());
        let mut at = now();
        let mut given = 0;
        for group in groups {
            at += jiff::SignedDuration::from_micros(700);
            let group: Vec<Proposal> = group
                .into_iter()
                .map(|(by, change)| Proposal { by: PersonId(by), from: String::new(), change })
                .collect();
            let done = sqlite.catalog.commit(&group, at).unwrap();
            prop_assert_eq!(&done, &memory.catalog.commit(&group, at).unwrap());
            let newest = sqlite.catalog.newest_seq().unwrap();
            let committed = done.iter().flatten().filter_map(|done| done.seq);
            prop_assert!(committed.is_sorted());
            // Numbers of images go up one by one and are never given again; an import brings its own.
            for (proposal, done) in group.iter().zip(&done) {
                let Ok(done) = done else { continue };
                let brought = match &proposal.change {
                    Change::Store(NewImage { imported: Some(entry), .. }) => entry.number,
                    _ => 0,
                };
                if done.image.id.0 > given {
                    prop_assert!([given + 1, brought].contains(&done.image.id.0));
                    given = done.image.id.0;
                }
            }
            prop_assert_eq!(newest, memory.catalog.newest_seq().unwrap());
        }
        sqlite.history();
        for limit in [2, 100] {
            prop_assert_eq!(
                sqlite.catalog.changes(Seq(1), limit).unwrap(),
                memory.catalog.changes(Seq(1), limit).unwrap()
            );
        }
        prop_assert_eq!(
            sqlite.catalog.last_uploads(5).unwrap(),
            memory.catalog.last_uploads(5).unwrap()
        );
        prop_assert_eq!(sqlite.catalog.listed().unwrap(), memory.catalog.listed().unwrap());
        for id in 0..=given + 1 {
            let id = ImageId(id);
            prop_assert_eq!(sqlite.catalog.image(id).unwrap(), memory.catalog.image(id).unwrap());
            prop_assert_eq!(
                sqlite.catalog.imported_timestamp(id).unwrap(),
                memory.catalog.imported_timestamp(id).unwrap()
            );
        }
        let hashes: Vec<_> = (0..5).map(hash).collect();
        prop_assert_eq!(
            sqlite.catalog.have(&hashes).unwrap(),
            memory.catalog.have(&hashes).unwrap()
        );
        for hash in hashes {
            prop_assert_eq!(
                sqlite.catalog.is_referenced(hash).unwrap(),
                memory.catalog.is_referenced(hash).unwrap()
            );
            for person in [sqlite.ana, sqlite.bo] {
                prop_assert_eq!(
                    sqlite.catalog.stored_by(person, hash).unwrap(),
                    memory.catalog.stored_by(person, hash).unwrap()
                );
                prop_assert_eq!(
                    sqlite.catalog.has_tombstone(person, hash).unwrap(),
                    memory.catalog.has_tombstone(person, hash).unwrap()
                );
                prop_assert_eq!(
                    sqlite.catalog.trashed(Some(at), Some(person), 3).unwrap(),
                    memory.catalog.trashed(Some(at), Some(person), 3).unwrap()
                );
            }
        }
        for text in NAMES {
            for state in [ImageState::Listed, ImageState::Trashed] {
                prop_assert_eq!(
                    sqlite.catalog.images_named(&name(text), state, 2).unwrap(),
                    memory.catalog.images_named(&name(text), state, 2).unwrap()
                );
            }
        }
        for mut query in queries {
            loop {
                let page = sqlite.catalog.page(&query).unwrap().unwrap();
                prop_assert_eq!(&page, &memory.catalog.page(&query).unwrap().unwrap());
                match page.next {
                    None => break,
                    next => query.cursor = next,
                }
            }
        }
    }
}

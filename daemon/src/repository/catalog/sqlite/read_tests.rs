//! Pages that end because enough was looked at, and ways that must all find the same.

use std::collections::BTreeSet;

use imgrepo_proto::session::command::{Filter, State};
use imgrepo_proto::{ImageName, PersonName};

use super::super::{SqliteCatalog, SqliteOptions};
use super::*;
use crate::repository::catalog::sample::new_image;
use crate::repository::catalog::{Catalog as _, Change, NewImage, PageQuery};
use crate::repository::catalog::{PersonKind, Proposal};

#[test]
fn a_search_that_looks_at_much_goes_on_by_its_cursor() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, &SqliteOptions::default()).unwrap();
    let insert = |writer: &mut Connection| {
        // Two people of one name, and every tenth image fits.
        writer.execute_batch(
            "INSERT INTO person (id, kind, name, shown, created_at) \
             VALUES (1, 'imported', 'ana', 'ana', 0), (2, 'account', 'ana', 'ana', 0); \
             WITH RECURSIVE k (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < 500) \
             INSERT INTO image (id, person, name, blob, size_bytes, media_type, uploaded_at, \
             state) SELECT n, 1 + n % 2, iif(n % 10 < 2, 'zz', 'aa') || n, zeroblob(32), 1, \
             'image/png', n, 0 FROM k",
        )
    };
    catalog.write(insert).unwrap();
    for (sort, uploader) in [
        (Sort::Newest, None),
        (Sort::Oldest, None),
        (Sort::Newest, Some("ana")),
        (Sort::Oldest, Some("ana")),
    ] {
        let filter = Filter {
            name: Some("z*".to_owned()),
            uploader: uploader.map(str::to_owned),
            ..Filter::default()
        };
        let mut query = PageQuery { filter, sort, limit: 7, ..PageQuery::default() };
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let mut plan = PagePlan::new(&query).unwrap();
            plan.steps = 3000;
            let page = catalog.read(|reader| page(reader, &plan)).unwrap();
            assert!(page.images.len() <= 7);
            found.extend(page.images.iter().map(|image| image.id.0));
            pages += 1;
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        let mut expected: Vec<u64> = (1..=500).filter(|id| id % 10 < 2).collect();
        if sort == Sort::Newest {
            expected.reverse();
        }
        assert_eq!(found, expected, "{sort:?} {uploader:?}");
        assert!(pages > 20, "{pages}");
    }
}

/// A catalog of 300 images of three people, a tenth of them in the trash, some of each age renamed, some
/// purged. The search knows but the older ones.
fn scene(directory: &std::path::Path) -> SqliteCatalog {
    let path = directory.join("catalog.db");
    let catalog = SqliteCatalog::open(&path, &SqliteOptions::default()).unwrap();
    let now = |n: i64| Timestamp::from_second(1_700_000_000 + n).unwrap();
    let people: Vec<PersonId> = ["ana", "bo", "caro"]
        .iter()
        .map(|name| PersonName::parse(name).unwrap())
        .map(|name| catalog.person(PersonKind::Guest, &name, now(0)).unwrap())
        .collect();
    let mut group = Vec::new();
    for n in 0..300i64 {
        // The last has a few among many.
        let person = people[if n % 25 == 0 { 2 } else { (n % 2) as usize }];
        let word = ["Beach", "beaches at night", "IMG_2019", "été", "zoo"][n as usize % 5];
        let kind = ["jpg", "png"][n as usize % 2];
        let new = NewImage {
            media_type: ["image/jpeg", "image/png"][n as usize % 2].to_owned(),
            ..new_image(person, &format!("{word} {n}.{kind}"), n as u64)
        };
        let change = |change| Proposal { by: person, from: String::new(), change };
        group.push(change(Change::Store(new)));
        if n % 10 == 0 {
            group.push(change(Change::Delete(ImageId(n as u64 + 1))));
        }
        // A time for each few of them.
        if n % 30 == 29 {
            for outcome in catalog.commit(&std::mem::take(&mut group), now(n)).unwrap() {
                outcome.unwrap();
            }
        }
    }
    let by = |change| Proposal { by: people[0], from: String::new(), change };
    for id in [3, 13, 123, 293] {
        let name = ImageName::parse(&format!("Renamed beach {id}.jpg")).unwrap();
        group.push(by(Change::Rename(ImageId(id), name)));
    }
    for id in [11, 131, 291] {
        group.push(by(Change::Purge(ImageId(id))));
    }
    for outcome in catalog.commit(&group, now(300)).unwrap() {
        outcome.unwrap();
    }
    let searched = catalog.read(|reader| counter(reader, "searched")).unwrap();
    assert_eq!(searched, 270, "there is something on both sides");
    catalog
}

/// What a query finds to its end, by pages that look at so much, and by searches only where more than
/// `few` images could fit.
fn found(catalog: &SqliteCatalog, query: &PageQuery, steps: u64, few: u64) -> Vec<u64> {
    let (mut query, mut found) = (query.clone(), Vec::new());
    loop {
        let mut plan = PagePlan::new(&query).unwrap();
        (plan.steps, plan.few) = (steps, few);
        let page = catalog.read(|reader| page(reader, &plan)).unwrap();
        assert!(page.images.len() <= query.limit as usize);
        found.extend(page.images.iter().map(|image| image.id.0));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return found,
        }
    }
}

#[test]
fn every_way_finds_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = scene(directory.path());
    let text = |text: &str| Some(text.to_owned());
    let at = |n: i64| Some(Timestamp::from_second(1_700_000_000 + n).unwrap());
    let names =
        [None, text("*beach*"), text("*.jpg"), text("IMG*9.png"), text("?oo*"), text("[a-c]*")];
    let texts = [None, text("a"), text("ea"), text("BEACH"), text("été 3"), text("zoo 4.jpg")];
    let mut hits = BTreeSet::new();
    for (name, some_text) in
        names.iter().flat_map(|name| texts.iter().map(move |text| (name, text)))
    {
        for (uploader, state, media_type, uploaded_from, uploaded_before) in [
            (None, State::Listed, None, None, None),
            (text("caro"), State::Listed, None, None, None),
            (None, State::Trashed, None, None, None),
            (text("ana"), State::Trashed, text("image/jpeg"), None, None),
            (None, State::Listed, text("image/png"), at(80), at(200)),
            (text("bo"), State::Listed, None, at(260), None),
        ] {
            let filter = Filter {
                name: name.clone(),
                text: some_text.clone(),
                uploader,
                state,
                media_type,
                uploaded_from,
                uploaded_before,
                ..Filter::default()
            };
            for sort in [Sort::Newest, Sort::Oldest] {
                let query =
                    PageQuery { filter: filter.clone(), sort, limit: 7, ..PageQuery::default() };
                let (much, never) = (u64::MAX, u64::MAX);
                let expected = found(&catalog, &query, much, never);
                assert!(expected.is_sorted() || expected.iter().rev().is_sorted());
                hits.insert(expected.len());
                for (steps, few) in [(much, 0), (9000, 0), (9000, never)] {
                    assert_eq!(
                        found(&catalog, &query, steps, few),
                        expected,
                        "{query:?} {steps} {few}"
                    );
                }
            }
        }
    }
    // They are not all empty, nor all of one kind.
    assert!(hits.len() > 12 && hits.contains(&0), "{hits:?}");
}

#[test]
fn what_does_not_fit_counts_too() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = scene(directory.path());
    let none = |set: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        set(&mut filter);
        let query = PageQuery { filter, limit: 7, ..PageQuery::default() };
        let mut plan = PagePlan::new(&query).unwrap();
        (plan.steps, plan.few) = (1000, 0);
        let page = catalog.read(|reader| page(reader, &plan)).unwrap();
        (page.images.len(), page.next.is_some())
    };
    let long_ago: Timestamp = "2001-01-01T00:00:00Z".parse().unwrap();
    let before = |filter: &mut Filter| filter.uploaded_before = Some(long_ago);
    for (what, set) in [
        ("a time", &before as &dyn Fn(&mut Filter)),
        ("a type", &|filter| filter.media_type = Some("image/qoi".to_owned())),
        ("a person's time", &|filter| {
            before(filter);
            filter.uploader = Some("ana".to_owned());
        }),
        ("a search", &|filter| {
            before(filter);
            filter.text = Some("beach".to_owned());
        }),
        ("letters", &|filter| filter.text = Some("qq".to_owned())),
    ] {
        assert_eq!(none(set), (0, true), "{what}: a page that ended at once, with a cursor");
    }
}

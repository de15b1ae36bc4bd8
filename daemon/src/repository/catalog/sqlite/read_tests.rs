//! That pages and searches read through their indices.

use imgrepo_proto::session::command::{Filter, State};

use super::super::{SqliteCatalog, SqliteOptions};
use super::*;
use crate::repository::catalog::PageQuery;

/// How SQLite says that it will answer a page.
fn plan(filter: Filter, sort: Sort, person: Option<PersonId>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, &SqliteOptions::default()).unwrap();
    let query = PageQuery { filter, sort, limit: 10, ..PageQuery::default() };
    let mut plan = PagePlan::new(&query).unwrap();
    plan.behind = Some(ImageId(7));
    let (sql, values) = page_sql(&plan, person);
    let reader = catalog.reader();
    let mut statement = reader.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let lines = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3));
    lines.unwrap().collect::<Result<Vec<_>, _>>().unwrap().join("\n")
}

#[test]
fn every_page_goes_by_an_index_in_order() {
    let everything = Filter::default;
    let time: Timestamp = "2026-11-23T06:00:00Z".parse().unwrap();
    for sort in [Sort::Newest, Sort::Oldest] {
        for (filter, person, index) in [
            (everything(), None, "USING INDEX image_page (state=? AND id"),
            (Filter { state: State::Trashed, ..everything() }, None, "INDEX image_page"),
            (
                Filter { uploaded_from: Some(time), ..everything() },
                None,
                "INDEX image_page (state=? AND id",
            ),
            (everything(), Some(PersonId(1)), "INDEX image_person (person=? AND state=? AND id"),
            (
                Filter { exact_name: Some("a".to_owned()), ..everything() },
                None,
                "INDEX image_name (name=? AND state=? AND id",
            ),
            (
                Filter { text: Some("beach".to_owned()), ..everything() },
                None,
                "SCAN name_search VIRTUAL TABLE INDEX",
            ),
        ] {
            let plan = plan(filter.clone(), sort, person);
            assert!(plan.contains(index), "{filter:?}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
            assert!(!plan.contains("SCAN image"), "{filter:?}: {plan}");
        }
    }
}

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

#[test]
fn a_search_asks_for_pieces_of_three() {
    let pieces = |texts: &[&str]| {
        search_pieces(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(pieces(&[]), None);
    assert_eq!(pieces(&["ab", ""]), None);
    assert_eq!(pieces(&["abcd", "ab", "bcd"]), Some("\"abc\" AND \"bcd\"".to_owned()));
    assert_eq!(pieces(&["a\"b"]), Some("\"a\"\"b\"".to_owned()));
    assert_eq!(pieces(&["a\0bc"]), None);
}

//! That walks go along their indices, in order.

use imgrepo_proto::ImageId;
use imgrepo_proto::session::command::{Filter, State};
use jiff::Timestamp;
use rusqlite::{StatementStatus, params_from_iter};

use super::super::rows::by_id;
use super::super::{SqliteCatalog, SqliteOptions};
use super::*;
use crate::repository::catalog::PageQuery;

/// How SQLite says that it will walk where there are many images, the newest of them not searched yet.
fn way(filter: Filter, sort: Sort, person: Option<PersonId>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, &SqliteOptions::default()).unwrap();
    let query = PageQuery { filter, sort, limit: 10, ..PageQuery::default() };
    let mut plan = PagePlan::new(&query).unwrap();
    plan.behind = Some(ImageId(7));
    let reader = catalog.reader();
    let mut ways = Vec::new();
    for walk in Walk::all(&plan, person, 1_000_000, ImageId(5)) {
        let mut statement = reader.prepare(&format!("EXPLAIN QUERY PLAN {}", walk.sql)).unwrap();
        let lines =
            statement.query_map(params_from_iter(walk.values), |row| row.get::<_, String>(3));
        ways.extend(lines.unwrap().collect::<Result<Vec<_>, _>>().unwrap());
    }
    ways.join("\n")
}

#[test]
fn every_page_goes_by_an_index_in_order() {
    let everything = Filter::default;
    let time: Timestamp = "2026-11-23T06:00:00Z".parse().unwrap();
    let ana = Some(PersonId(1));
    let text = |text: &str| Some(text.to_owned());
    const PAGE: &str = "COVERING INDEX image_page (state=? AND id";
    const PERSON: &str = "INDEX image_person (person=? AND state=? AND id";
    for sort in [Sort::Newest, Sort::Oldest] {
        for (filter, person, index) in [
            (everything(), None, PAGE),
            (Filter { state: State::Trashed, ..everything() }, None, PAGE),
            (Filter { uploaded_from: Some(time), ..everything() }, None, PAGE),
            (Filter { uploaded_before: Some(time), ..everything() }, None, PAGE),
            (Filter { media_type: text("image/png"), ..everything() }, None, PAGE),
            (
                Filter { text: text("ab"), ..everything() },
                None,
                "USING INDEX image_page (state=? AND id",
            ),
            (everything(), ana, PERSON),
            (Filter { text: text("ab"), uploaded_from: Some(time), ..everything() }, ana, PERSON),
            (
                Filter { exact_name: text("a"), ..everything() },
                None,
                "COVERING INDEX image_name (name=? AND state=? AND id",
            ),
            (
                Filter { text: text("beach"), ..everything() },
                ana,
                "SCAN name_search VIRTUAL TABLE INDEX",
            ),
        ] {
            let way = way(filter.clone(), sort, person);
            assert!(way.contains(index), "{filter:?}: {way}");
            assert!(!way.contains("TEMP B-TREE"), "{filter:?}: {way}");
            assert!(!way.contains("SCAN image"), "{filter:?}: {way}");
        }
    }
}

#[test]
fn a_statement_is_made_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, &SqliteOptions::default()).unwrap();
    let reader = catalog.reader();
    let filter = Filter {
        text: Some("beach".to_owned()),
        uploaded_from: Some(Timestamp::UNIX_EPOCH),
        ..Filter::default()
    };
    for (filter, person, held) in [
        (Filter::default(), None, 0),
        (Filter::default(), Some(PersonId(1)), 0),
        (filter.clone(), None, 0),
        (filter, Some(PersonId(1)), 1_000_000),
    ] {
        for behind in 1..4 {
            let query = PageQuery { filter: filter.clone(), limit: 10, ..PageQuery::default() };
            let mut plan = PagePlan::new(&query).unwrap();
            plan.behind = Some(ImageId(behind));
            for walk in Walk::all(&plan, person, held, ImageId(5)) {
                let mut statement = reader.prepare_cached(&walk.sql).unwrap();
                let mut rows = statement.query(params_from_iter(walk.values)).unwrap();
                assert!(rows.next().unwrap().is_none());
                drop(rows);
                let again = statement.get_status(StatementStatus::RePrepare);
                assert_eq!(again, 0, "{}", walk.sql);
            }
        }
    }
    for id in 1..4 {
        let mut statement = reader.prepare_cached(&by_id()).unwrap();
        assert!(!statement.exists([id]).unwrap());
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}

#[test]
fn of_few_images_each_is_looked_at() {
    let query = PageQuery {
        filter: Filter { text: Some("beach".to_owned()), ..Filter::default() },
        ..PageQuery::default()
    };
    let plan = PagePlan::new(&query).unwrap();
    let from = |person, held, sort| {
        let plan = PagePlan::new(&PageQuery { sort, ..query.clone() }).unwrap();
        let walks = Walk::all(&plan, person, held, ImageId(5));
        let from = |walk: &Walk| {
            walk.sql.split_once(" FROM ").unwrap().1.split_once(" WHERE").unwrap().0.to_owned()
        };
        walks.iter().map(from).collect::<Vec<_>>()
    };
    const SEARCH: &str = "name_search CROSS JOIN image ON image.id = name_search.rowid";
    for (person, each) in [
        (None, "image INDEXED BY image_page"),
        (Some(PersonId(1)), "image INDEXED BY image_person"),
    ] {
        assert_eq!(from(person, plan.few, Sort::Newest), [each]);
        assert_eq!(from(person, plan.few + 1, Sort::Newest), [each, SEARCH]);
        assert_eq!(from(person, plan.few + 1, Sort::Oldest), [SEARCH, each]);
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
    let long = pieces(&["abcdefghijklmnop"]).unwrap();
    assert_eq!(long, r#""abc" AND "cde" AND "fgh" AND "hij" AND "klm" AND "nop""#);
}

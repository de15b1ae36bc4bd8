//! That the catalog which is made for the figures is what commits leave.

use std::collections::BTreeMap;
use std::path::Path;

use imgrepo_proto::ImageId;
use imgrepod::repository::catalog::sqlite::{SqliteCatalog, SqliteOptions};
use imgrepod::repository::catalog::{Catalog as _, Change, KnownPicture, NewPicture, Proposal};
use imgrepod::repository::picture::PIPELINE;
use rusqlite::Connection;

use super::many::{PLACEHOLDER, fill, new_image, people, stored_at, throw_away};

/// Every row of every table, but for the repository's own number.
fn rows(path: &Path) -> BTreeMap<String, Vec<String>> {
    let connection = Connection::open(path).unwrap();
    let tables = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'meta'")
        .unwrap()
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        // How the search lies on disk differs with the commits that it came by.
        .filter(|table| !table.as_ref().unwrap().starts_with("name_search"))
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..columns).map(|at| row.get(at)).collect::<Result<Vec<rusqlite::types::Value>, _>>()
        });
        let mut rows: Vec<String> =
            rows.unwrap().map(|row| format!("{:?}", row.unwrap())).collect();
        rows.sort();
        found.insert(table, rows);
    }
    let search = "SELECT term, doc FROM terms ORDER BY term, doc";
    connection
        .execute_batch(
            "CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, name_search, instance)",
        )
        .unwrap();
    let mut statement = connection.prepare(search).unwrap();
    let terms = statement
        .query_map([], |row| Ok(format!("{} {}", row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
    found.insert("search".to_owned(), terms.unwrap().collect::<Result<_, _>>().unwrap());
    found
}

#[test]
fn it_is_what_commits_leave() {
    let directory = tempfile::tempdir().unwrap();
    let (made, grown) = (directory.path().join("made.db"), directory.path().join("grown.db"));
    fill(&made, 1040, stored_at(1041)).unwrap();
    let catalog = SqliteCatalog::open(&grown, &SqliteOptions::default()).unwrap();
    let people = people(&catalog).unwrap();
    for n in 1..=1040 {
        let new = new_image(n, &people);
        let known =
            KnownPicture { placeholder: Some(PLACEHOLDER.to_owned()), ..KnownPicture::default() };
        let picture = NewPicture { hash: new.hash, orientation: None, known };
        let by = new.person;
        let proposal = Proposal { by, from: String::new(), change: Change::Store(new) };
        let stored = catalog.commit(&[proposal], stored_at(n)).unwrap().remove(0).unwrap();
        assert_eq!(stored.image.id, ImageId(n));
        catalog.note_pictures(&[picture], PIPELINE).unwrap();
    }
    throw_away(&catalog, 1040, &people, stored_at(1041)).unwrap();
    drop(catalog);
    let (made, grown) = (rows(&made), rows(&grown));
    for (table, rows) in &grown {
        assert_eq!(made.get(table), Some(rows), "{table}");
    }
    assert_eq!(made.len(), grown.len());
    assert!(grown["search"].len() > 10400 && grown["image"].len() == 1040);
}

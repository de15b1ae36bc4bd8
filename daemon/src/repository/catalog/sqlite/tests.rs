//! What only a real file does: a disk that is full, readers that are few.

use super::*;
use crate::repository::catalog::Change;
use crate::repository::catalog::sample::new_image;

#[test]
fn a_full_disk_undoes_the_group_and_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, &SqliteOptions::default()).unwrap();
    let now: Timestamp = "2026-11-23T06:00:00Z".parse().unwrap();
    let ana = PersonName::parse("ana").unwrap();
    let ana = catalog.person(PersonKind::Guest, &ana, now).unwrap();
    let store = |content: u8| Proposal {
        by: ana,
        from: String::new(),
        change: Change::Store(new_image(
            ana,
            &format!("{content}{}", "x".repeat(200)),
            content.into(),
        )),
    };
    catalog.commit(&[store(0)], now).unwrap();
    let limit = |pages: i64| {
        let writer = catalog.writer.lock().unwrap();
        let set: i64 = writer
            .pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0))
            .unwrap();
        set
    };
    limit(limit(1));
    let group: Vec<Proposal> = (0..200).map(store).collect();
    let error = catalog.commit(&group, now).unwrap_err();
    assert!(matches!(error, CatalogError::Full), "{error}");
    assert_eq!(catalog.listed().unwrap(), 1);
    assert_eq!(catalog.newest_seq().unwrap(), Seq(1));
    limit(1_000_000);
    let done = catalog.commit(&group, now).unwrap();
    assert_eq!(done.last().unwrap().as_ref().unwrap().seq, Some(Seq(200)));
    assert_eq!(catalog.listed().unwrap(), 200);
}

#[test]
fn readers_in_use_are_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, &SqliteOptions::default()).unwrap();
    let held: Vec<_> = (0..READERS).map(|_| catalog.reader()).collect();
    std::thread::scope(|scope| {
        let asks: Vec<_> = (0..8).map(|_| scope.spawn(|| catalog.newest_seq())).collect();
        drop(held);
        for ask in asks {
            assert_eq!(ask.join().unwrap().unwrap(), Seq(0));
        }
    });
}

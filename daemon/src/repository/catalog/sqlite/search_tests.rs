//! What the index holds after all that may happen to an image.

use std::collections::{BTreeMap, BTreeSet};

use imgrepo_proto::{ImageId, ImageName, PersonName};
use jiff::Timestamp;

use super::super::rows::counter;
use super::super::{SqliteCatalog, SqliteOptions};
use super::*;
use crate::repository::catalog::sample::new_image;
use crate::repository::catalog::{
    Catalog as _, Change, Imported, NewImage, PersonId, PersonKind, Proposal,
};

/// The images of the index, each with its pieces; and up to where it goes.
fn index(catalog: &SqliteCatalog) -> (BTreeMap<i64, BTreeSet<String>>, u64) {
    let read = |reader: &mut Connection| {
        reader.execute_batch(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.terms \
             USING fts5vocab(main, name_search, instance)",
        )?;
        let mut found = BTreeMap::<i64, BTreeSet<String>>::new();
        let mut statement = reader.prepare("SELECT doc, term FROM terms")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found.entry(row.get(0)?).or_default().insert(row.get(1)?);
        }
        drop(rows);
        drop(statement);
        Ok((found, counter(reader, "searched")?))
    };
    catalog.write(read).unwrap()
}

fn pieces(name: &str) -> BTreeSet<String> {
    let chars: Vec<char> = fold(name).chars().collect();
    chars.windows(3).map(String::from_iter).collect()
}

fn store(person: PersonId, n: u64, imported: Option<Imported>) -> Proposal {
    let new = NewImage { imported, ..new_image(person, &format!("Image {n}.png"), n) };
    Proposal { by: person, from: String::new(), change: Change::Store(new) }
}

#[test]
fn it_has_the_names_of_the_older_images_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, &SqliteOptions::default()).unwrap();
    let ana = PersonName::parse("ana").unwrap();
    let ana = catalog.person(PersonKind::Guest, &ana, Timestamp::UNIX_EPOCH).unwrap();
    let commit = |group: &[Proposal]| {
        for outcome in catalog.commit(group, Timestamp::UNIX_EPOCH).unwrap() {
            outcome.unwrap();
        }
    };
    let change = |change| Proposal { by: ana, from: String::new(), change };
    let rename =
        |id, name: &str| change(Change::Rename(ImageId(id), ImageName::parse(name).unwrap()));

    // One short of enough: nothing is in the index, whatever becomes of them meanwhile.
    commit(&(1..TOGETHER).map(|n| store(ana, n, None)).collect::<Vec<_>>());
    commit(&[
        rename(1, "first.png"),
        change(Change::Delete(ImageId(2))),
        change(Change::Purge(ImageId(2))),
    ]);
    assert_eq!(index(&catalog), (BTreeMap::new(), 0));

    // All at once, as they are then.
    commit(&[store(ana, TOGETHER, None), change(Change::Delete(ImageId(3)))]);
    let mut expected: BTreeMap<i64, BTreeSet<String>> =
        (1..=TOGETHER).map(|n| (integer(n), pieces(&format!("image {n}.png")))).collect();
    expected.insert(1, pieces("first.png"));
    expected.remove(&2);
    assert_eq!(index(&catalog), (expected.clone(), TOGETHER));

    // What is in it follows; what came since waits.
    commit(&[
        store(ana, 1000, None),
        rename(4, "fourth.png"),
        rename(TOGETHER + 1, "late.png"),
        change(Change::Purge(ImageId(3))),
    ]);
    expected.insert(4, pieces("fourth.png"));
    expected.remove(&3);
    assert_eq!(index(&catalog), (expected.clone(), TOGETHER));

    // A number of long ago, and one far ahead, as an import brings them.
    let old = |number| Imported { number, timestamp: "0".to_owned(), uploaded_at: None };
    commit(&[store(ana, 2000, Some(old(900)))]);
    commit(&[store(ana, 2001, Some(old(500)))]);
    expected.insert(integer(TOGETHER + 1), pieces("late.png"));
    expected.insert(900, pieces("image 2000.png"));
    expected.insert(500, pieces("image 2001.png"));
    assert_eq!(index(&catalog), (expected, 900));
}

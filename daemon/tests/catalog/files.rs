//! The catalog as a file: what lasts, and what is refused without being touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use imgrepo_proto::ImageId;
use imgrepo_proto::session::event::EventKind::NewUpload;
use imgrepod::database::DatabaseError;
use imgrepod::repository::catalog::Catalog;
use imgrepod::repository::catalog::sqlite::{SqliteCatalog, SqliteOptions};

use super::scene::Scene;

pub(crate) fn open(path: &Path) -> Result<SqliteCatalog, DatabaseError> {
    SqliteCatalog::open(path, &SqliteOptions::default())
}

pub(crate) fn scene(path: &Path) -> Scene {
    Scene::of(std::sync::Arc::new(open(path).unwrap()), None)
}

/// Every file of a directory.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A closed catalog with a few hundred images, and its bytes.
fn closed(directory: &Path) -> (PathBuf, Vec<u8>) {
    let path = directory.join("catalog.db");
    let scene = scene(&path);
    for content in 0..200 {
        scene.store("some longer name of an image.jpg", content);
    }
    drop(scene);
    let bytes = fs::read(&path).unwrap();
    (path, bytes)
}

#[test]
fn what_was_committed_is_there_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let before = scene(&path);
    before.store("a.jpg", 1);
    let id = before.catalog.repository_id();
    assert!(id.0.len() == 32 && id.0.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    drop(before);
    let after = scene(&path);
    assert_eq!(after.catalog.repository_id(), id);
    assert_eq!(after.history(), [(NewUpload, ImageId(1))]);
    assert_eq!(after.store("b.jpg", 2).image.id, ImageId(2));
    drop(after);
    assert_eq!(files(directory.path()).into_keys().collect::<Vec<_>>(), [path]);
}

#[test]
fn two_repositories_have_two_ids() {
    let directory = tempfile::tempdir().unwrap();
    let id = |file: &str| open(&directory.path().join(file)).unwrap().repository_id();
    assert_ne!(id("a.db"), id("b.db"));
}

#[test]
fn a_half_made_catalog_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("catalog.db.new"), "half").unwrap();
    fs::write(directory.path().join("catalog.db.new-journal"), "half").unwrap();
    let path = directory.path().join("catalog.db");
    drop(open(&path).unwrap());
    assert_eq!(files(directory.path()).into_keys().collect::<Vec<_>>(), [path]);
}

/// Opens a file with these bytes, which must be refused by name and left alone.
fn refused(bytes: &[u8]) -> DatabaseError {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    fs::write(&path, bytes).unwrap();
    let before = files(directory.path());
    let error = open(&path).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(files(directory.path()) == before, "{error}: something was changed");
    error
}

#[test]
fn a_damaged_catalog_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (_, good) = closed(directory.path());
    let damaged = |error| assert!(matches!(error, DatabaseError::Damaged { .. }), "{error}");
    damaged(refused(b""));
    damaged(refused(b"SQLite format 3\0"));
    damaged(refused(&vec![0; 8192]));
    damaged(refused("no catalog at all, but long enough for a header".repeat(9).as_bytes()));
    damaged(refused(&good[..good.len() / 2]));
    damaged(refused(&good[..good.len() - 1]));
    // Each page in turn, but for the first, whose header says more; a free page may be anything.
    let mut unnoticed = 0;
    for page in 1..good.len() / 4096 {
        let mut bad = good.clone();
        bad[page * 4096..][..4096].fill(0xa5);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        fs::write(&path, &bad).unwrap();
        match open(&path) {
            Err(error) => {
                damaged(error);
                assert!(files(directory.path()) == BTreeMap::from([(path, bad)]));
            }
            Ok(_) => unnoticed += 1,
        }
    }
    assert!(unnoticed <= 2, "{unnoticed} of {} pages", good.len() / 4096);
}

#[test]
fn a_catalog_of_the_future_or_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut bytes) = closed(directory.path());
    bytes[60..64].copy_from_slice(&99u32.to_be_bytes());
    let future = refused(&bytes);
    assert!(matches!(future, DatabaseError::Future { found: 99, .. }), "{future}");
    bytes[60..64].copy_from_slice(&0u32.to_be_bytes());
    let unversioned = refused(&bytes);
    assert!(matches!(unversioned, DatabaseError::Damaged { .. }), "{unversioned}");
    bytes[68..72].copy_from_slice(b"else");
    let foreign = refused(&bytes);
    assert!(matches!(foreign, DatabaseError::Foreign { .. }), "{foreign}");
}

#[test]
fn a_log_without_its_catalog_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    fs::write(directory.path().join("catalog.db-wal"), "a log").unwrap();
    let before = files(directory.path());
    let error = open(&path).unwrap_err();
    assert!(matches!(error, DatabaseError::Damaged { .. }), "{error}");
    assert!(files(directory.path()) == before);
}

#[test]
fn what_stands_in_the_log_alone_is_there_after_the_process_died() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let living = scene(&path);
    living.store("a.jpg", 1);
    // As a killed process leaves it: the log was never moved into the file.
    let left = tempfile::tempdir().unwrap();
    for file in ["catalog.db", "catalog.db-wal"] {
        fs::copy(directory.path().join(file), left.path().join(file)).unwrap();
    }
    let copy = scene(&left.path().join("catalog.db"));
    assert_eq!(copy.history(), [(NewUpload, ImageId(1))]);
}

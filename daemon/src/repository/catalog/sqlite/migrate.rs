//! Brings an older catalog to the newest version. A change of the schema begins here: add the next
//! numbered file, enter it below, and freeze a sample of the version before in the tests.
//!
//! Called by `open` with a catalog that was checked. It copies the catalog before it touches it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::open::{beside, put};

/// The steps from version n to n + 1, at n. To change the schema, add the next file here; never edit
/// one that was released. The file of a step is run in one transaction, on a catalog that was copied.
pub(super) const MIGRATIONS: &[&str] =
    &[include_str!("schema/0001.sql"), include_str!("schema/0002.sql")];

/// Brings an older catalog to the newest version, after a copy of it was put beside it
/// (`catalog.db.v1`).
pub(super) fn migrate(
    path: &Path,
    connection: &mut Connection,
    migrations: &[&str],
) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(0);
    let Some(steps) = migrations.get(done..).filter(|steps| !steps.is_empty()) else {
        return Ok(());
    };
    copy(path, connection, version)?;
    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction()?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", migrations.len() as i64)?;
    transaction.commit()
}

/// Copies the catalog, its log included. An older copy of the same version (of a migration that was
/// cut short) is replaced only by a whole new one.
fn copy(path: &Path, connection: &Connection, version: i64) -> rusqlite::Result<()> {
    let failed = |error: io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    let copy = beside(path, &format!(".v{version}"));
    let new = beside(&copy, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let Some(target) = new.to_str() else { return Err(rusqlite::Error::InvalidPath(new)) };
    connection.execute("VACUUM INTO ?", [target])?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
    put(&new, &copy).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::super::SqliteOptions;
    use super::super::check::SqliteOpenError;
    use super::super::open::writer;
    use super::*;

    /// The first version alone: what every later one begins with.
    const FIRST: &[&str] = &[MIGRATIONS[0]];

    fn files(directory: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| name(entry).unwrap()).collect();
        names.sort();
        names
    }

    fn version(connection: &Connection) -> i64 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_older_catalog_is_copied_and_then_migrated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        let options = SqliteOptions::default();
        let old = writer(&path, &options, FIRST).unwrap();
        old.execute("INSERT INTO meta (key, value) VALUES ('a', 'b')", []).unwrap();
        drop(old);
        let mut steps = FIRST.to_vec();
        steps.push("UPDATE meta SET value = 'c' WHERE key = 'a'; CREATE TABLE more (a)");
        steps.push("DROP TABLE nothing");
        // A step that fails leaves the catalog as it was, and a copy.
        let error = writer(&path, &options, &steps).unwrap_err();
        assert!(matches!(error, SqliteOpenError::Unusable { .. }), "{error}");
        assert_eq!(version(&writer(&path, &options, FIRST).unwrap()), 1);
        steps[2] = "INSERT INTO more VALUES (1)";
        let new = writer(&path, &options, &steps).unwrap();
        assert_eq!(version(&new), 3);
        let value = |connection: &Connection| -> String {
            let sql = "SELECT value FROM meta WHERE key = 'a'";
            connection.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(value(&new), "c");
        drop(new);
        assert_eq!(files(directory.path()), ["catalog.db", "catalog.db.v1"]);
        let copy = writer(&beside(&path, ".v1"), &options, FIRST).unwrap();
        assert_eq!((version(&copy), value(&copy).as_str()), (1, "b"));
        // What an older program does with it now.
        let error = writer(&path, &options, FIRST).unwrap_err();
        assert!(matches!(error, SqliteOpenError::Future { found: 3, known: 1, .. }), "{error}");
    }

    #[test]
    fn a_newer_version_that_stands_in_the_log_alone_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        let living = writer(&path, &SqliteOptions::default(), FIRST).unwrap();
        living.pragma_update(None, "user_version", 2).unwrap();
        let left = tempfile::tempdir().unwrap();
        let copy = left.path().join("catalog.db");
        for suffix in ["", "-wal"] {
            fs::copy(beside(&path, suffix), beside(&copy, suffix)).unwrap();
        }
        let before = (fs::read(&copy).unwrap(), fs::read(beside(&copy, "-wal")).unwrap());
        let error = writer(&copy, &SqliteOptions::default(), FIRST).unwrap_err();
        assert!(matches!(error, SqliteOpenError::Future { found: 2, .. }), "{error}");
        assert!((fs::read(&copy).unwrap(), fs::read(beside(&copy, "-wal")).unwrap()) == before);
    }

    #[test]
    fn the_writer_syncs_every_commit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        let connection = writer(&path, &SqliteOptions::default(), MIGRATIONS).unwrap();
        let pragma = |name: &str| -> i64 {
            connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
        };
        assert_eq!((pragma("synchronous"), pragma("foreign_keys")), (2, 1));
        let mode: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}

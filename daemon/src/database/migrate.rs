//! Brings an older file to the newest version. Called by `open` with a file that was checked; copies it
//! before it touches it.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::open::{beside, put, remove};

/// Runs the steps that are missing, in one transaction, after a copy of the file was put beside it
/// (`catalog.db.v1`). Copies that earlier migrations left go then: of a large catalog each is large.
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
    transaction.commit()?;
    for older in 1..version {
        // One that stays does no harm.
        let _ = remove(&beside(path, &format!(".v{older}")));
    }
    Ok(())
}

/// Copies the file, its log included. An older copy of the same version (of a migration that was cut
/// short) is replaced only by a whole new one.
fn copy(path: &Path, connection: &Connection, version: i64) -> rusqlite::Result<()> {
    let failed = |error: io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    let copy = beside(path, &format!(".v{version}"));
    let new = beside(&copy, ".new");
    remove(&new).map_err(failed)?;
    let Some(target) = new.to_str() else { return Err(rusqlite::Error::InvalidPath(new)) };
    connection.execute("VACUUM INTO ?", [target])?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
    put(&new, &copy).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{DatabaseError, Format, open};
    use super::*;

    /// The first version alone: what every later one begins with.
    const FIRST: &[&str] = &["CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) STRICT"];

    fn format<'a>(migrations: &'a [&'a str]) -> Format<'a> {
        Format {
            noun: "catalog",
            application_id: 7,
            migrations,
            first: "INSERT INTO meta VALUES ('a', 'b')",
            tables: &[(1, "meta", "key"), (2, "more", "a")],
            look: |_| Ok(None),
        }
    }

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
    fn an_older_file_is_copied_and_then_migrated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        drop(open(&path, &format(FIRST)).unwrap());
        let mut steps = FIRST.to_vec();
        steps.push("UPDATE meta SET value = 'c' WHERE key = 'a'; CREATE TABLE more (a)");
        steps.push("DROP TABLE nothing");
        // A step that fails leaves the file as it was, and a copy.
        let error = open(&path, &format(&steps)).unwrap_err();
        assert!(matches!(error, DatabaseError::Unusable { .. }), "{error}");
        assert_eq!(version(&open(&path, &format(FIRST)).unwrap()), 1);
        steps[2] = "INSERT INTO more VALUES (1)";
        let new = open(&path, &format(&steps)).unwrap();
        assert_eq!(version(&new), 3);
        let value = |connection: &Connection| -> String {
            let sql = "SELECT value FROM meta WHERE key = 'a'";
            connection.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(value(&new), "c");
        drop(new);
        assert_eq!(files(directory.path()), ["catalog.db", "catalog.db.v1"]);
        let copy = open(&beside(&path, ".v1"), &format(FIRST)).unwrap();
        assert_eq!((version(&copy), value(&copy).as_str()), (1, "b"));
        drop(copy);
        // The next migration leaves its own copy alone.
        steps.push("INSERT INTO more VALUES (2)");
        drop(open(&path, &format(&steps)).unwrap());
        assert_eq!(files(directory.path()), ["catalog.db", "catalog.db.v3"]);
        // What an older program does with it now.
        let error = open(&path, &format(FIRST)).unwrap_err();
        assert!(matches!(error, DatabaseError::Future { found: 4, known: 1, .. }), "{error}");
    }

    #[test]
    fn a_newer_version_that_stands_in_the_log_alone_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        let living = open(&path, &format(FIRST)).unwrap();
        living.pragma_update(None, "user_version", 2).unwrap();
        let left = tempfile::tempdir().unwrap();
        let copy = left.path().join("catalog.db");
        for suffix in ["", "-wal"] {
            fs::copy(beside(&path, suffix), beside(&copy, suffix)).unwrap();
        }
        let read = || (fs::read(&copy).unwrap(), fs::read(beside(&copy, "-wal")).unwrap());
        let before = read();
        let error = open(&copy, &format(FIRST)).unwrap_err();
        assert!(matches!(error, DatabaseError::Future { found: 2, .. }), "{error}");
        assert!(read() == before);
    }

    #[test]
    fn every_commit_is_synced() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("a.db"), &format(FIRST)).unwrap();
        let pragma = |name: &str| -> i64 {
            connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
        };
        assert_eq!((pragma("synchronous"), pragma("foreign_keys")), (2, 1));
        let mode: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}

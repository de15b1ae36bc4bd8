//! Opens the catalog's file: makes it, checks it, migrates it; never repairs or replaces it.
//!
//! Called by [`super::SqliteCatalog::open`] alone. A file that is not ours, that is damaged or that a
//! newer version wrote is refused and left as it is.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::SqliteOptions;

/// The steps from version n to n + 1, at n. To change the schema, add the next file here; never edit
/// one that was released. The file of a step is run in one transaction, on a catalog that was copied.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema/0001.sql")];

/// "imgr": says in the file's header whose it is.
const APPLICATION_ID: i64 = 0x696d_6772;

/// Catalogs up to this size are checked page by page at each start, which takes some 10 ms a MiB;
/// of larger ones both ends of each table are read, so that a start is quick at any size.
const CHECKED_WHOLE_BYTES: u64 = 4 * 1024 * 1024;

/// Why the catalog's file cannot be used. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum SqliteOpenError {
    /// It is damaged.
    #[error("the catalog `{}` is damaged: {reason}; nothing was changed", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What shows it.
        reason: String,
    },
    /// It is another program's.
    #[error("`{}` is not a catalog of this program; nothing was changed", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this program wrote it.
    #[error(
        "the catalog `{}` is of version {found}, this program knows up to {known}; \
         nothing was changed",
        path.display()
    )]
    Future {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// It cannot be read, made or migrated.
    #[error("cannot open the catalog `{}`: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A file beside another: `catalog.db` and `-wal` are `catalog.db-wal`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens the file as the writer, at the newest version of these migrations.
pub(super) fn writer(
    path: &Path,
    options: &SqliteOptions,
    migrations: &[&str],
) -> Result<Connection, SqliteOpenError> {
    let unusable = |error: &dyn std::error::Error| SqliteOpenError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let has_wal = fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    match read_header(path) {
        Ok(header) => check_header(path, &header, has_wal, migrations)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if has_wal {
                let reason = "it is missing, but its log `-wal` is there".to_owned();
                return Err(SqliteOpenError::Damaged { path: path.to_owned(), reason });
            }
            create(path, migrations).map_err(|error| unusable(&*error))?;
        }
        Err(error) => return Err(unusable(&error)),
    }
    let mut connection = connect(path, false).map_err(|error| unusable(&error))?;
    let checked = check(path, &connection, migrations);
    if let Err(refused) = checked {
        if has_wal {
            // Closing would move the log into the file. Where even this fails nothing can be done.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        return Err(refused);
    }
    let ready = migrate(path, &mut connection, migrations).and_then(|()| {
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A burst's log is cut back to this, four times what a checkpoint is due at.
        connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
        // In WAL mode, only FULL brings a commit through a power cut.
        connection.pragma_update(None, "synchronous", synchronous(options))?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)
    });
    ready.map_err(|error| unusable(&error))?;
    Ok(connection)
}

/// Opens the file as a reader, after the writer.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, true)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

#[cfg(feature = "mutants")]
fn synchronous(options: &SqliteOptions) -> &'static str {
    if options.unsynced { "off" } else { "full" }
}

#[cfg(not(feature = "mutants"))]
fn synchronous(_: &SqliteOptions) -> &'static str {
    "full"
}

fn connect(path: &Path, reads_only: bool) -> rusqlite::Result<Connection> {
    // Without SQLITE_OPEN_CREATE: a file that went away is an error, never an empty catalog. A
    // reader opens for writing too, because the log's index is shared memory.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Only a foreign process (a backup, a curious person) ever holds the file.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // KiB of pages: an idle daemon stays small, and the system caches the file anyway.
    connection.pragma_update(None, "cache_size", if reads_only { -512 } else { -2048 })?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The first 100 bytes of a file, and how long it is.
struct Header {
    bytes: [u8; 100],
    file_bytes: u64,
}

impl Header {
    /// The number at this offset (SQLite file format, section 1.3).
    fn number(&self, offset: usize) -> i64 {
        let bytes = self.bytes.get(offset..offset + 4).and_then(|four| four.try_into().ok());
        i64::from(i32::from_be_bytes(bytes.unwrap_or_default()))
    }
}

fn read_header(path: &Path) -> io::Result<Header> {
    let mut file = File::open(path)?;
    let file_bytes = file.metadata()?.len();
    let mut bytes = [0; 100];
    match file.read_exact(&mut bytes) {
        // A shorter file is no catalog: its header stays zeros.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => bytes = [0; 100],
        read => read?,
    }
    Ok(Header { bytes, file_bytes })
}

/// Looks at the header before SQLite touches the file. It may be of an older version than the log
/// makes it, so `check` looks again; it is never of a newer one.
fn check_header(
    path: &Path,
    header: &Header,
    has_wal: bool,
    migrations: &[&str],
) -> Result<(), SqliteOpenError> {
    let damaged = |reason: String| SqliteOpenError::Damaged { path: path.to_owned(), reason };
    if !header.bytes.starts_with(b"SQLite format 3\0") {
        return Err(damaged("it does not begin as a database does".to_owned()));
    }
    check_version(path, header.number(68), header.number(60), migrations)?;
    let page_bytes = match i64::from(u16::from_be_bytes([header.bytes[16], header.bytes[17]])) {
        1 => 65_536,
        bytes => bytes,
    };
    let expected = header.number(28).saturating_mul(page_bytes);
    if !has_wal && i64::try_from(header.file_bytes).is_ok_and(|is| is < expected) {
        let is = header.file_bytes;
        return Err(damaged(format!("it has {is} bytes where there were {expected}")));
    }
    Ok(())
}

fn check_version(
    path: &Path,
    application_id: i64,
    found: i64,
    migrations: &[&str],
) -> Result<(), SqliteOpenError> {
    let path = || path.to_owned();
    if application_id != APPLICATION_ID {
        return Err(SqliteOpenError::Foreign { path: path() });
    }
    let known = migrations.len() as i64;
    match found {
        found if found > known => Err(SqliteOpenError::Future { path: path(), found, known }),
        1.. => Ok(()),
        _ => Err(SqliteOpenError::Damaged { path: path(), reason: "it has no version".to_owned() }),
    }
}

/// Looks at the catalog through SQLite, its log included, and writes nothing.
fn check(path: &Path, connection: &Connection, migrations: &[&str]) -> Result<(), SqliteOpenError> {
    let damaged = |reason: String| SqliteOpenError::Damaged { path: path.to_owned(), reason };
    let looked = || -> rusqlite::Result<(i64, i64)> {
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
        Ok((pragma("application_id")?, pragma("user_version")?))
    };
    let (application_id, version) = looked().map_err(|error| damaged(error.to_string()))?;
    check_version(path, application_id, version, migrations)?;
    match look_at_tables(connection) {
        Ok(None) => Ok(()),
        Ok(Some(reason)) => Err(damaged(reason)),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// What is wrong with the tables, where something is.
fn look_at_tables(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let pragma = |name: &str| connection.pragma_query_value::<i64, _>(None, name, |row| row.get(0));
    let bytes = pragma("page_count")?.saturating_mul(pragma("page_size")?);
    if u64::try_from(bytes).is_ok_and(|bytes| bytes <= CHECKED_WHOLE_BYTES) {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Ok(Some(found));
        }
    }
    // Both ends of each tree: its root, its inner pages and its first and last leaf.
    for (table, key) in [
        ("meta", "key"),
        ("counter", "name"),
        ("person", "id"),
        ("image", "id"),
        ("dedup", "person"),
        ("tombstone", "person"),
        ("change", "seq"),
        ("staging", "person"),
    ] {
        for order in ["ASC", "DESC"] {
            let sql = format!("SELECT * FROM {table} ORDER BY {key} {order} LIMIT 1");
            connection.prepare(&sql)?.query([])?.next()?;
        }
    }
    connection
        .prepare("SELECT rowid FROM name_search WHERE name_search MATCH '\"jpg\"' LIMIT 1")?
        .query([])?
        .next()?;
    let agrees: bool = connection.query_row(
        "SELECT (SELECT value FROM counter WHERE name = 'seq') = (SELECT coalesce(max(seq), 0) FROM change) \
            AND (SELECT value FROM counter WHERE name = 'image') = (SELECT coalesce(max(id), 0) FROM image)",
        [],
        |row| row.get(0),
    )?;
    Ok((!agrees).then(|| "its counters are not those of its images and changes".to_owned()))
}

/// Makes an empty catalog under another name and puts it in its place whole, so that a half-made one
/// is never taken for a catalog.
fn create(path: &Path, migrations: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let new = beside(path, ".new");
    for leftover in [new.clone(), beside(&new, "-journal")] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let mut connection = Connection::open(&new)?;
    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    for step in migrations {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", migrations.len() as i64)?;
    transaction.execute(
        "INSERT INTO meta (key, value) VALUES ('repository', lower(hex(randomblob(16))))",
        [],
    )?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(&new)?.sync_all()?;
    put(&new, path)?;
    Ok(())
}

/// Renames a file, for good.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    let directory = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

/// Brings an older catalog to the newest version, after a copy of it was put beside it
/// (`catalog.db.v1`).
fn migrate(path: &Path, connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
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
    use super::*;

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
        let old = writer(&path, &options, MIGRATIONS).unwrap();
        old.execute("INSERT INTO meta (key, value) VALUES ('a', 'b')", []).unwrap();
        drop(old);
        let mut steps = MIGRATIONS.to_vec();
        steps.push("UPDATE meta SET value = 'c' WHERE key = 'a'; CREATE TABLE more (a)");
        steps.push("DROP TABLE nothing");
        // A step that fails leaves the catalog as it was, and a copy.
        let error = writer(&path, &options, &steps).unwrap_err();
        assert!(matches!(error, SqliteOpenError::Unusable { .. }), "{error}");
        assert_eq!(version(&writer(&path, &options, MIGRATIONS).unwrap()), 1);
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
        let copy = writer(&beside(&path, ".v1"), &options, MIGRATIONS).unwrap();
        assert_eq!((version(&copy), value(&copy).as_str()), (1, "b"));
        // What an older program does with it now.
        let error = writer(&path, &options, MIGRATIONS).unwrap_err();
        assert!(matches!(error, SqliteOpenError::Future { found: 3, known: 1, .. }), "{error}");
    }

    #[test]
    fn a_newer_version_that_stands_in_the_log_alone_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        let living = writer(&path, &SqliteOptions::default(), MIGRATIONS).unwrap();
        living.pragma_update(None, "user_version", 2).unwrap();
        let left = tempfile::tempdir().unwrap();
        let copy = left.path().join("catalog.db");
        for suffix in ["", "-wal"] {
            fs::copy(beside(&path, suffix), beside(&copy, suffix)).unwrap();
        }
        let before = (fs::read(&copy).unwrap(), fs::read(beside(&copy, "-wal")).unwrap());
        let error = writer(&copy, &SqliteOptions::default(), MIGRATIONS).unwrap_err();
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

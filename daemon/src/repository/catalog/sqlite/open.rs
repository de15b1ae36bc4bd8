//! Opens the catalog's file: makes it, checks it, migrates it; never repairs or replaces it.
//!
//! Called by [`super::SqliteCatalog::open`] alone. A file that is not ours, that is damaged or that a
//! newer version wrote is refused and left as it is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::SqliteOptions;
use super::check::{APPLICATION_ID, SqliteOpenError, check, check_header, read_header};
use super::migrate::migrate;

/// A file beside another: `catalog.db` and `-wal` are `catalog.db-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
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
    let unusable = |error: &dyn std::error::Error| SqliteOpenError::unusable(path, error);
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
pub(super) fn put(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    let directory = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

//! Opens a file: makes it, has it checked and migrated. Called by the rooms that keep one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::check::{check, check_header, read_header};
use super::migrate::migrate;
use super::{DatabaseError, Format};

/// Opens the file to write, at the newest version of its format; every commit is durable. Blocks.
///
/// # Errors
/// A file that cannot be used: it is left as it is.
pub fn open(path: &Path, format: &Format<'_>) -> Result<Connection, DatabaseError> {
    let has_log = fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    match read_header(path) {
        Ok(header) => check_header(path, &header, has_log, format)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if has_log {
                return Err(format.damaged(path, "it is missing, but its log `-wal` is there"));
            }
            create(path, format).map_err(|error| format.unusable(path, &*error))?;
        }
        Err(error) => return Err(format.unusable(path, &error)),
    }
    // Its schema is read here already, which may be what is damaged.
    let mut connection = connect(path, false).map_err(|error| format.looking(path, &error))?;
    if let Err(refused) = check(path, &connection, format) {
        if has_log {
            // Closing would move the log into the file. Where even this fails nothing can be done.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        return Err(refused);
    }
    let ready = migrate(path, &mut connection, format.migrations).and_then(|()| {
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A burst's log is cut back to this, four times what a checkpoint is due at.
        connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
        // In WAL mode, only FULL brings a commit through a power cut.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)
    });
    ready.map_err(|error| format.unusable(path, &error))?;
    Ok(connection)
}

/// Opens the file to read, after it was opened to write. Blocks.
///
/// # Errors
/// The disk's.
pub fn reader(path: &Path, format: &Format<'_>) -> Result<Connection, DatabaseError> {
    let open = || {
        let connection = connect(path, true)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| format.unusable(path, &error))
}

fn connect(path: &Path, reads_only: bool) -> rusqlite::Result<Connection> {
    // Without SQLITE_OPEN_CREATE: a file that went away is an error, never an empty one. A reader
    // opens for writing too, because the log's index is shared memory.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Only a foreign process (a backup, a curious person) ever holds the file.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // KiB of pages: an idle daemon stays small, and the system caches the file anyway.
    connection.pragma_update(None, "cache_size", if reads_only { -512 } else { -2048 })?;
    // A plan holds whatever values are given. Else SQLite, which looks whether others would make another
    // plan better, makes a statement anew each time that a value is given to it: 40 us of a row's 50.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Makes a new file under another name and puts it in its place whole, so that a half-made one is never
/// taken for it.
fn create(path: &Path, format: &Format<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let new = beside(path, ".new");
    remove(&new)?;
    remove(&beside(&new, "-journal"))?;
    let mut connection = Connection::open(&new)?;
    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", format.application_id)?;
    for step in format.migrations {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", format.migrations.len() as i64)?;
    transaction.execute_batch(format.first)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(&new)?.sync_all()?;
    put(&new, path)?;
    Ok(())
}

/// A file beside another: `catalog.db` and `-wal` are `catalog.db-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a file, where it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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

//! Looks whether a file is a catalog that this version can use, and changes nothing.
//!
//! Called by `open`: first over the bare header, before SQLite touches the file, then through SQLite,
//! which sees the log too.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

/// "imgr": says in the file's header whose it is.
pub(super) const APPLICATION_ID: i64 = 0x696d_6772;

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

impl SqliteOpenError {
    pub(super) fn unusable(path: &Path, error: &dyn std::error::Error) -> SqliteOpenError {
        let reason = match is_disk_full(path) {
            true => format!("no room is left on its disk ({error})"),
            false => error.to_string(),
        };
        SqliteOpenError::Unusable { path: path.to_owned(), reason }
    }

    /// What an error of SQLite tells of a file that was only looked at: most that it is damaged, but
    /// not those of its disk or of another program that holds it.
    fn looking(path: &Path, error: &rusqlite::Error) -> SqliteOpenError {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory,
            ) => SqliteOpenError::unusable(path, error),
            _ => SqliteOpenError::Damaged { path: path.to_owned(), reason: error.to_string() },
        }
    }
}

/// Whether the disk of this file has no room for a commit. Where a log or its index cannot grow,
/// SQLite itself does not say why.
pub(super) fn is_disk_full(path: &Path) -> bool {
    // Two steps by which the log's index grows.
    const FULL_BELOW_BYTES: u64 = 64 * 1024;
    rustix::fs::statvfs(path)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_BELOW_BYTES)
}

/// The first 100 bytes of a file, and how long it is.
pub(super) struct Header {
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

pub(super) fn read_header(path: &Path) -> io::Result<Header> {
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
pub(super) fn check_header(
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
pub(super) fn check(
    path: &Path,
    connection: &Connection,
    migrations: &[&str],
) -> Result<(), SqliteOpenError> {
    let damaged = |reason: String| SqliteOpenError::Damaged { path: path.to_owned(), reason };
    let looked = || -> rusqlite::Result<(i64, i64)> {
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
        Ok((pragma("application_id")?, pragma("user_version")?))
    };
    let (application_id, version) =
        looked().map_err(|error| SqliteOpenError::looking(path, &error))?;
    check_version(path, application_id, version, migrations)?;
    match look_at_tables(connection, version) {
        Ok(None) => Ok(()),
        Ok(Some(reason)) => Err(damaged(reason)),
        Err(error) => Err(SqliteOpenError::looking(path, &error)),
    }
}

/// What is wrong with the tables, where something is.
fn look_at_tables(connection: &Connection, version: i64) -> rusqlite::Result<Option<String>> {
    let pragma = |name: &str| connection.pragma_query_value::<i64, _>(None, name, |row| row.get(0));
    let bytes = pragma("page_count")?.saturating_mul(pragma("page_size")?);
    if u64::try_from(bytes).is_ok_and(|bytes| bytes <= CHECKED_WHOLE_BYTES) {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            // The last line says what; those before it head it, as for a terminal.
            return Ok(Some(found.lines().last().unwrap_or_default().to_owned()));
        }
    }
    // Both ends of each tree: its root, its inner pages and its first and last leaf.
    // Each with the version that brought it: what is looked at is not migrated yet.
    for (since, table, key) in [
        (1, "meta", "key"),
        (1, "counter", "name"),
        (1, "person", "id"),
        (1, "image", "id"),
        (1, "dedup", "person"),
        (1, "tombstone", "person"),
        (1, "change", "seq"),
        (1, "staging", "person"),
        (2, "imported", "image"),
    ] {
        for order in ["ASC", "DESC"].into_iter().filter(|_| version >= since) {
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

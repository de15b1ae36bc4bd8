//! Looks whether a file can be used by this version, and changes nothing.
//!
//! Called by `open`: first over the bare header, before SQLite touches the file, then through SQLite,
//! which sees the log too.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rusqlite::Connection;

use super::{DatabaseError, Format};

/// Files up to this size are checked page by page at each start, which takes some 10 ms a MiB; of
/// larger ones both ends of each table are read, so that a start is quick at any size.
const CHECKED_WHOLE_BYTES: i64 = 4 * 1024 * 1024;

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
        // A shorter file is none of ours: its header stays zeros.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => bytes = [0; 100],
        read => read?,
    }
    Ok(Header { bytes, file_bytes })
}

/// Looks at the header before SQLite touches the file. It may be of an older version than the log
/// makes it, so [`check`] looks again; it is never of a newer one.
pub(super) fn check_header(
    path: &Path,
    header: &Header,
    has_log: bool,
    format: &Format<'_>,
) -> Result<(), DatabaseError> {
    if !header.bytes.starts_with(b"SQLite format 3\0") {
        return Err(format.damaged(path, "it does not begin as a database does"));
    }
    check_version(path, header.number(68), header.number(60), format)?;
    let page_bytes = match i64::from(u16::from_be_bytes([header.bytes[16], header.bytes[17]])) {
        1 => 65_536,
        bytes => bytes,
    };
    let expected = header.number(28).saturating_mul(page_bytes);
    if !has_log && i64::try_from(header.file_bytes).is_ok_and(|is| is < expected) {
        let is = header.file_bytes;
        return Err(format.damaged(path, format!("it has {is} bytes where there were {expected}")));
    }
    Ok(())
}

fn check_version(
    path: &Path,
    application_id: i64,
    found: i64,
    format: &Format<'_>,
) -> Result<(), DatabaseError> {
    let (noun, known) = (format.noun.to_owned(), format.migrations.len() as i64);
    if application_id != i64::from(format.application_id) {
        return Err(DatabaseError::Foreign { noun, path: path.to_owned() });
    }
    match found {
        found if found > known => {
            Err(DatabaseError::Future { noun, path: path.to_owned(), found, known })
        }
        1.. => Ok(()),
        _ => Err(format.damaged(path, "it has no version")),
    }
}

/// Looks at the file through SQLite, its log included, and writes nothing.
pub(super) fn check(
    path: &Path,
    connection: &Connection,
    format: &Format<'_>,
) -> Result<(), DatabaseError> {
    let pragma = |name: &str| connection.pragma_query_value::<i64, _>(None, name, |row| row.get(0));
    let looked = || Ok((pragma("application_id")?, pragma("user_version")?));
    let (application_id, version) = looked().map_err(|error| format.looking(path, &error))?;
    check_version(path, application_id, version, format)?;
    let look = || -> rusqlite::Result<Option<String>> {
        if pragma("page_count")?.saturating_mul(pragma("page_size")?) <= CHECKED_WHOLE_BYTES {
            let sql = "PRAGMA quick_check(1)";
            let found: String = connection.query_row(sql, [], |row| row.get(0))?;
            if found != "ok" {
                // The last line says what; those before it head it, as for a terminal.
                return Ok(Some(found.lines().last().unwrap_or_default().to_owned()));
            }
        }
        // Both ends of each tree: its root, its inner pages and its first and last leaf. What is
        // looked at is not migrated yet.
        for (_, table, key) in format.tables.iter().filter(|(since, ..)| version >= *since) {
            for order in ["ASC", "DESC"] {
                let sql = format!("SELECT * FROM {table} ORDER BY {key} {order} LIMIT 1");
                connection.prepare(&sql)?.query([])?.next()?;
            }
        }
        (format.look)(connection)
    };
    match look() {
        Ok(None) => Ok(()),
        Ok(Some(reason)) => Err(format.damaged(path, reason)),
        Err(error) => Err(format.looking(path, &error)),
    }
}

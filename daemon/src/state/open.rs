//! Opens the state's file: makes it, checks it, brings an older one to the newest version. Called by
//! [`super::State::open`] alone. A file that is not ours, is damaged, or that a newer version wrote is
//! refused and left as it is; nothing is ever repaired or replaced.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use imgrepo_proto::{ErrorCode, Refusal};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// "imgq": says in the file's header whose it is.
const APPLICATION_ID: i64 = 0x696d_6771;

/// Files up to this size are checked page by page at each start, some 10 ms a MiB; of larger ones
/// both ends of each table are read.
const CHECKED_WHOLE_BYTES: i64 = 4 * 1024 * 1024;

/// The steps from version n to n + 1, at n. To change the schema, add the next file here and never
/// edit one that was released. A step is run in one transaction, on a file that was copied.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema/0001.sql")];

/// Opens the file at the newest version of these migrations. Blocks.
pub(super) fn open(path: &Path, migrations: &[&str]) -> Result<Connection, Refusal> {
    let has_log = fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    match read_header(path) {
        Ok(header) => check_header(path, &header, has_log, migrations)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if has_log {
                return Err(damaged(path, "it is missing, but its log `-wal` is there"));
            }
            create(path, migrations).map_err(|error| unusable(path, &*error))?;
        }
        Err(error) => return Err(unusable(path, &error)),
    }
    let mut connection = connect(path).map_err(|error| unusable(path, &error))?;
    if let Err(refused) = check(path, &connection, migrations) {
        if has_log {
            // Closing would move the log into the file. Where even this fails nothing can be done.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        return Err(refused);
    }
    let ready = migrate(path, &mut connection, migrations).and_then(|()| {
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A burst's log is cut back to this, four times what a checkpoint is due at.
        connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)
    });
    ready.map_err(|error| unusable(path, &error))?;
    Ok(connection)
}

/// Whether the disk of this file has no room for a commit. Where a log or its index cannot grow,
/// SQLite itself does not say why.
pub(super) fn is_disk_full(path: &Path) -> bool {
    // Two steps by which the log's index grows.
    const FULL_BELOW_BYTES: u64 = 64 * 1024;
    rustix::fs::statvfs(path)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_BELOW_BYTES)
}

/// A file beside another: `queue.db` and `-wal` are `queue.db-wal`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Without SQLITE_OPEN_CREATE: a file that went away is an error, never an empty queue.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Only a foreign process (a backup, a curious person) ever holds the file.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // KiB of pages: the system caches the file anyway.
    connection.pragma_update(None, "cache_size", -2048)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Makes an empty file under another name and puts it in its place whole.
fn create(path: &Path, migrations: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let new = beside(path, ".new");
    remove(&new)?;
    remove(&beside(&new, "-journal"))?;
    let mut connection = Connection::open(&new)?;
    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    for step in migrations {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", migrations.len() as i64)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(&new)?.sync_all()?;
    put(&new, path)?;
    Ok(())
}

/// Brings an older file to the newest version, after a copy of it was put beside it
/// (`queue.db.v1`).
fn migrate(path: &Path, connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(0);
    let Some(next) = steps.get(done..).filter(|next| !next.is_empty()) else { return Ok(()) };
    let failed = |error: io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    let copy = beside(path, &format!(".v{version}"));
    let new = beside(&copy, ".new");
    remove(&new).map_err(failed)?;
    let Some(target) = new.to_str() else { return Err(rusqlite::Error::InvalidPath(new)) };
    connection.execute("VACUUM INTO ?", [target])?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
    put(&new, &copy).map_err(failed)?;

    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction()?;
    for step in next {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    transaction.commit()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Renames a file, for good.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
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
        // A shorter file is none of ours: its header stays zeros.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => bytes = [0; 100],
        read => read?,
    }
    Ok(Header { bytes, file_bytes })
}

/// Looks at the header before SQLite touches the file. It may be of an older version than the log
/// makes it, so [`check`] looks again.
fn check_header(
    path: &Path,
    header: &Header,
    has_log: bool,
    migrations: &[&str],
) -> Result<(), Refusal> {
    if !header.bytes.starts_with(b"SQLite format 3\0") {
        return Err(damaged(path, "it does not begin as a database does"));
    }
    check_version(path, header.number(68), header.number(60), migrations)?;
    let page_bytes = match i64::from(u16::from_be_bytes([header.bytes[16], header.bytes[17]])) {
        1 => 65_536,
        bytes => bytes,
    };
    let expected = header.number(28).saturating_mul(page_bytes);
    if !has_log && i64::try_from(header.file_bytes).is_ok_and(|is| is < expected) {
        let is = header.file_bytes;
        return Err(damaged(path, &format!("it has {is} bytes where there were {expected}")));
    }
    Ok(())
}

fn check_version(
    path: &Path,
    application_id: i64,
    found: i64,
    migrations: &[&str],
) -> Result<(), Refusal> {
    let shown = path.display();
    let known = migrations.len() as i64;
    let refused = |why: String| Err(Refusal::new(ErrorCode::FileError, why));
    if application_id != APPLICATION_ID {
        return refused(format!(
            "cannot use `{shown}`: it is no queue of this program; nothing was changed"
        ));
    }
    if found > known {
        let why = format!(
            "cannot use `{shown}`: it is of version {found}, this program knows up to {known}; \
             nothing was changed"
        );
        return Err(Refusal::new(ErrorCode::FileError, why).hint("start the newer imgrepod"));
    }
    if found < 1 {
        return Err(damaged(path, "it has no version"));
    }
    Ok(())
}

/// Looks at the file through SQLite, its log included, and writes nothing.
fn check(path: &Path, connection: &Connection, migrations: &[&str]) -> Result<(), Refusal> {
    let pragma = |name: &str| connection.pragma_query_value::<i64, _>(None, name, |row| row.get(0));
    let looked = || Ok((pragma("application_id")?, pragma("user_version")?));
    let (application_id, version) = looked().map_err(|error| looking(path, &error))?;
    check_version(path, application_id, version, migrations)?;
    let look = || -> rusqlite::Result<Option<String>> {
        if pragma("page_count")?.saturating_mul(pragma("page_size")?) <= CHECKED_WHOLE_BYTES {
            let sql = "PRAGMA quick_check(1)";
            let found: String = connection.query_row(sql, [], |row| row.get(0))?;
            if found != "ok" {
                return Ok(Some(found.lines().last().unwrap_or_default().to_owned()));
            }
        }
        for (table, key) in
            [("setting", "key"), ("membership", "id"), ("folder", "id"), ("upload", "id")]
        {
            for order in ["ASC", "DESC"] {
                let sql = format!("SELECT * FROM {table} ORDER BY {key} {order} LIMIT 1");
                connection.prepare(&sql)?.query([])?.next()?;
            }
        }
        Ok(None)
    };
    match look() {
        Ok(None) => Ok(()),
        Ok(Some(reason)) => Err(damaged(path, &reason)),
        Err(error) => Err(looking(path, &error)),
    }
}

/// What an error of SQLite tells of a file that was only looked at: most that it is damaged, but not
/// those of its disk or of another program that holds it.
fn looking(path: &Path, error: &rusqlite::Error) -> Refusal {
    use rusqlite::ErrorCode as Sqlite;
    match error.sqlite_error_code() {
        Some(
            Sqlite::SystemIoFailure
            | Sqlite::DiskFull
            | Sqlite::CannotOpen
            | Sqlite::PermissionDenied
            | Sqlite::ReadOnly
            | Sqlite::DatabaseBusy
            | Sqlite::DatabaseLocked
            | Sqlite::OutOfMemory,
        ) => unusable(path, error),
        _ => damaged(path, &error.to_string()),
    }
}

fn damaged(path: &Path, why: &str) -> Refusal {
    let shown = path.display();
    let message = format!("the queue `{shown}` is damaged: {why}; nothing was changed");
    Refusal::new(ErrorCode::FileError, message).hint(
        "put a copy of it back, or move it away to begin anew: then folders have to be watched, and \
         what waited in the queue has to be queued, once more",
    )
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> Refusal {
    let shown = path.display();
    let why = match is_disk_full(path) {
        true => format!("no room is left on its disk ({error})"),
        false => error.to_string(),
    };
    Refusal::new(ErrorCode::FileError, format!("cannot open the queue `{shown}`: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_file_is_copied_and_then_migrated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        let old = open(&path, MIGRATIONS).unwrap();
        old.execute("INSERT INTO setting VALUES ('a', 1)", []).unwrap();
        drop(old);
        let mut steps = MIGRATIONS.to_vec();
        steps.push("UPDATE setting SET value = 2 WHERE key = 'a'");
        steps.push("DROP TABLE nothing");
        assert!(open(&path, &steps).unwrap_err().message.contains("nothing"));
        steps.pop();
        let value = |connection: &Connection| -> i64 {
            let sql = "SELECT value FROM setting WHERE key = 'a'";
            connection.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(value(&open(&path, &steps).unwrap()), 2);
        assert_eq!(value(&open(&beside(&path, ".v1"), MIGRATIONS).unwrap()), 1);
        let before = fs::read(&path).unwrap();
        let refused = open(&path, MIGRATIONS).unwrap_err();
        assert!(refused.message.contains("version 2, this program knows up to 1"), "{refused}");
        assert!(fs::read(&path).unwrap() == before);
    }

    #[test]
    fn a_newer_version_that_stands_in_the_log_alone_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        let living = open(&path, MIGRATIONS).unwrap();
        living.pragma_update(None, "user_version", 2).unwrap();
        let left = tempfile::tempdir().unwrap();
        let copy = left.path().join("queue.db");
        for suffix in ["", "-wal"] {
            fs::copy(beside(&path, suffix), beside(&copy, suffix)).unwrap();
        }
        let read = || (fs::read(&copy).unwrap(), fs::read(beside(&copy, "-wal")).unwrap());
        let before = read();
        let refused = open(&copy, MIGRATIONS).unwrap_err();
        assert!(refused.message.contains("version 2"), "{refused}");
        assert!(read() == before);
    }
}

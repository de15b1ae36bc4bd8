//! A whole copy of a file, made while it is in use, and reading one wherever it lies. Called by rooms
//! whose files are backed up.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::check::{check, check_header, read_header};
use super::{DatabaseError, Format};

/// Pages that are copied before others may take the file's locks: 4 MiB, some milliseconds.
const STEP_PAGES: i32 = 1024;

/// Copies all that the transaction of this connection sees into a new file, which needs no log beside
/// it. In a transaction, so that others who write do not have it begin anew. Not synced: that is the
/// caller's.
///
/// # Errors
/// The disk's; what was written by then stays.
pub fn copy(from: &Connection, to: &Path) -> rusqlite::Result<()> {
    let mut copy = Connection::open(to)?;
    copy.pragma_update(None, "synchronous", "off")?;
    {
        let backup = Backup::new(from, &mut copy)?;
        while backup.step(STEP_PAGES)? != StepResult::Done {}
    }
    // Its header says that there is a log, as in the one that it was copied from.
    copy.pragma_update(None, "journal_mode", "delete")?;
    copy.close().map_err(|(_, error)| error)
}

/// Opens a copy to read it, after a look whether it is whole; its folder may be one that nobody can
/// write to. Blocks.
///
/// # Errors
/// A file that cannot be used.
pub fn look_into(path: &Path, format: &Format<'_>) -> Result<Connection, DatabaseError> {
    let header = read_header(path).map_err(|error| format.unusable(path, &error))?;
    check_header(path, &header, false, format)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags);
    let connection = connection.map_err(|error| format.looking(path, &error))?;
    check(path, &connection, format)?;
    Ok(connection)
}

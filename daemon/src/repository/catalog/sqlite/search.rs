//! The search's index of names: each in pieces of three characters, folded.
//!
//! Called by `write`, in its transactions. Every transaction that adds names leaves a segment of the
//! index, and FTS5 merges them for ever after: at a million images that was half of what an upload cost.
//! So names come to the index many at once, in the order of their images; the counter `searched` says
//! how far, and `walk` looks at the images after it by themselves.

use rusqlite::{Connection, Transaction};

use super::rows::integer;
use crate::repository::catalog::glob::fold;

/// Images that wait for the index at most, as each search looks at all of them, about a microsecond
/// each. Tests of few images shall have some on both sides.
const TOGETHER: u64 = if cfg!(test) { 64 } else { 1000 };

/// Adds the names of all images that wait, up to the last of all, once they are many.
pub(super) fn extend(
    transaction: &Transaction<'_>,
    searched: u64,
    last: u64,
) -> rusqlite::Result<()> {
    if last.saturating_sub(searched) < TOGETHER {
        return Ok(());
    }
    let mut waiting = transaction.prepare_cached(
        "SELECT id, name FROM image WHERE id > ? AND state IN (0, 1) ORDER BY id",
    )?;
    let mut rows = waiting.query([integer(searched)])?;
    while let Some(row) = rows.next()? {
        add(transaction, row.get(0)?, row.get_ref(1)?.as_str()?)?;
    }
    let sql = "UPDATE counter SET value = ? WHERE name = 'searched'";
    transaction.prepare_cached(sql)?.execute([integer(last)])?;
    Ok(())
}

/// Adds the name of an image.
pub(super) fn add(connection: &Connection, id: i64, name: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO name_search (rowid, name) VALUES (?, ?)";
    connection.prepare_cached(sql)?.execute((id, fold(name)))?;
    Ok(())
}

/// Takes the name of an image away. The index keeps no texts: it must be told the one that it was given.
pub(super) fn remove(connection: &Connection, id: i64, name: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO name_search (name_search, rowid, name) VALUES ('delete', ?, ?)";
    connection.prepare_cached(sql)?.execute((id, fold(name)))?;
    Ok(())
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;

//! A copy of the catalog as it was at one place of its history, in a file of its own, and what a backup
//! asks such a copy. Written by the catalog, read by the backup and by who restores one; nothing is
//! ever written to a copy.

use std::path::Path;

use imgrepo_proto::{BlobHash, ImageId, RepositoryId, Seq};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::format::FORMAT;
use super::rows::{counter, number, time};
use crate::database::{self, DatabaseError};

/// Images that are named of a content: enough to recognise it.
const NAMED: u32 = 10;

/// Writes the copy. A reader's connection: whoever writes meanwhile is not held up, and is not in it.
pub(super) fn write(reader: &mut Connection, to: &Path) -> rusqlite::Result<Seq> {
    // From its first look on it sees one state.
    let transaction = reader.transaction()?;
    let seq = Seq(counter(&transaction, "seq")?);
    database::copy(&transaction, to)?;
    transaction.commit()?;
    Ok(seq)
}

/// A copy, open to be read.
#[derive(Debug)]
pub(crate) struct Snapshot {
    connection: Connection,
}

/// What a copy has, all in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Images, listed or in the trash.
    pub(crate) images: u64,
    /// Contents that these have.
    pub(crate) contents: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
}

impl Snapshot {
    /// Opens a copy; its folder may be one that nobody can write to. Blocks.
    ///
    /// # Errors
    /// A file that is damaged, another program's or of a newer version.
    pub(crate) fn open(path: &Path) -> Result<Snapshot, DatabaseError> {
        database::look_into(path, &FORMAT).map(|connection| Snapshot { connection })
    }

    /// Of which repository, and up to which change.
    pub(crate) fn identity(&self) -> rusqlite::Result<(RepositoryId, Seq)> {
        let sql = "SELECT value FROM meta WHERE key = 'repository'";
        let id = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok((RepositoryId(id), Seq(counter(&self.connection, "seq")?)))
    }

    /// When this change was made; None where there is none.
    pub(crate) fn changed_at(&self, seq: Seq) -> rusqlite::Result<Option<Timestamp>> {
        let sql = "SELECT at FROM change WHERE seq = ?";
        let at = self.connection.query_row(sql, [seq.0.cast_signed()], |row| time(0, row.get(0)?));
        at.optional()
    }

    pub(crate) fn totals(&self) -> rusqlite::Result<Totals> {
        let images = counter(&self.connection, "listed")? + counter(&self.connection, "trashed")?;
        let sql = "SELECT count(*), coalesce(sum(bytes), 0) FROM (SELECT max(size_bytes) AS bytes \
                   FROM image INDEXED BY image_blob WHERE state IN (0, 1) GROUP BY blob)";
        self.connection.query_row(sql, [], |row| {
            Ok(Totals { images, contents: number(row, 0)?, bytes: number(row, 1)? })
        })
    }

    /// The contents of all listed and trashed images whose hash begins with this byte, in order, each
    /// with its size.
    pub(crate) fn slice(&self, first_byte: u8) -> rusqlite::Result<Vec<(BlobHash, u64)>> {
        let (mut first, mut last) = ([0; 32], [u8::MAX; 32]);
        (first[0], last[0]) = (first_byte, first_byte);
        let sql = "SELECT blob, max(size_bytes) FROM image INDEXED BY image_blob \
                   WHERE blob BETWEEN ? AND ? AND state IN (0, 1) GROUP BY blob ORDER BY blob";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map((first, last), |row| Ok((BlobHash(row.get(0)?), number(row, 1)?)))?;
        rows.collect()
    }

    /// The first images of a content: number, name, uploader.
    pub(crate) fn images_of(
        &self,
        hash: BlobHash,
    ) -> rusqlite::Result<Vec<(ImageId, String, String)>> {
        let sql = "SELECT image.id, image.name, person.shown FROM image \
                   JOIN person ON person.id = image.person \
                   WHERE image.blob = ? AND image.state IN (0, 1) ORDER BY image.id LIMIT ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map((hash.0, NAMED), |row| {
            Ok((ImageId(number(row, 0)?), row.get(1)?, row.get(2)?))
        })?;
        rows.collect()
    }
}

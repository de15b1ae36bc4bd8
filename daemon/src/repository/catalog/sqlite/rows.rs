//! Rows and the types that they become, and the questions that one row answers.
//!
//! Called by `read`, `write` and the catalog itself, on a reader's or the writer's connection.

use imgrepo_proto::{BlobHash, ImageId, ImageName, ImageRecord, PersonName};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::repository::catalog::rules::Known;
use crate::repository::catalog::{ImageState, Imported, PersonId, PersonKind, StoredImage};

/// What [`stored`] reads, of `image` joined with `person`.
pub(super) const STORED: &str = "image.name, image.id, person.shown, image.size_bytes, image.blob, \
    image.media_type, image.width, image.height, image.uploaded_at, image.taken_at, \
    image.placeholder, image.trashed_at, image.state, image.person, image.orientation";

/// The image of a number, to be read by [`stored`].
pub(super) fn by_id() -> String {
    format!(
        "SELECT {STORED} FROM image CROSS JOIN person ON person.id = image.person \
         WHERE image.id = ?"
    )
}

pub(super) fn stored(row: &Row<'_>) -> rusqlite::Result<StoredImage> {
    let size_bytes = number(row, 3)?;
    let hash = BlobHash(row.get(4)?);
    Ok(StoredImage {
        record: ImageRecord {
            name: row.get(0)?,
            id: ImageId(number(row, 1)?),
            uploader: row.get(2)?,
            size: Some(size_bytes),
            hash: Some(hash),
            media_type: row.get(5)?,
            width: row.get(6)?,
            height: row.get(7)?,
            orientation: row.get(14)?,
            uploaded_at: Some(time(8, row.get(8)?)?),
            taken_at: row.get(9)?,
            placeholder: row.get(10)?,
            trashed_at: row.get::<_, Option<i64>>(11)?.map(|at| time(11, at)).transpose()?,
        },
        hash,
        size_bytes,
        person: PersonId(row.get(13)?),
        state: match row.get(12)? {
            0 => ImageState::Listed,
            1 => ImageState::Trashed,
            2 => ImageState::Purged,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(12, other)),
        },
    })
}

/// A column that is never negative.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// A time from its milliseconds.
pub(super) fn time(column: usize, milliseconds: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(milliseconds).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, Box::new(error))
    })
}

/// The first kept time that is not before this one, in milliseconds.
pub(super) fn first_from(time: Timestamp) -> i64 {
    let before = time.as_millisecond();
    match Timestamp::from_millisecond(before) {
        Ok(kept) if kept < time => before + 1,
        _ => before,
    }
}

/// How the catalog writes a state.
pub(super) fn state_number(state: ImageState) -> i64 {
    match state {
        ImageState::Listed => 0,
        ImageState::Trashed => 1,
        ImageState::Purged => 2,
    }
}

/// How the catalog writes a kind.
pub(super) fn kind_word(kind: PersonKind) -> &'static str {
    match kind {
        PersonKind::Owner => "owner",
        PersonKind::Account => "account",
        PersonKind::Guest => "guest",
        PersonKind::Imported => "imported",
    }
}

/// A number from outside as SQLite keeps numbers. What is beyond them all is the largest, which
/// nothing has.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A kept count; see `counter` in the schema.
pub(super) fn counter(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT value FROM counter WHERE name = ?")?;
    statement.query_row([name], |row| number(row, 0))
}

/// The person of this name and kind.
pub(super) fn person(
    connection: &Connection,
    kind: PersonKind,
    name: &PersonName,
) -> rusqlite::Result<Option<PersonId>> {
    let sql = "SELECT id FROM person WHERE name = ? AND kind = ?";
    let values = (name.as_str(), kind_word(kind));
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row(values, |row| row.get(0)).optional().map(|id| id.map(PersonId))
}

/// The timestamp with which an image was imported.
pub(super) fn imported_timestamp(
    connection: &Connection,
    id: ImageId,
) -> rusqlite::Result<Option<String>> {
    let mut statement =
        connection.prepare_cached("SELECT timestamp FROM imported WHERE image = ?")?;
    statement.query_row([integer(id.0)], |row| row.get(0)).optional()
}

/// What one connection knows, within the transaction that is open on it.
pub(super) struct Lookup<'a>(pub(super) &'a Connection);

impl Lookup<'_> {
    fn one(
        &self,
        condition: &str,
        params: impl rusqlite::Params,
    ) -> rusqlite::Result<Option<StoredImage>> {
        let sql = format!(
            "SELECT {STORED} FROM image CROSS JOIN person ON person.id = image.person WHERE {condition}"
        );
        self.0.prepare_cached(&sql)?.query_row(params, stored).optional()
    }

    fn exists(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<bool> {
        self.0.prepare_cached(sql)?.exists(params)
    }

    /// Whether an image that is not purged has this content.
    pub(super) fn is_referenced(&self, hash: BlobHash) -> rusqlite::Result<bool> {
        self.exists("SELECT 1 FROM image WHERE blob = ? AND state IN (0, 1)", [hash.0])
    }
}

impl Known for Lookup<'_> {
    type Error = rusqlite::Error;

    fn person_name(&self, person: PersonId) -> rusqlite::Result<Option<String>> {
        let mut statement = self.0.prepare_cached("SELECT shown FROM person WHERE id = ?")?;
        statement.query_row([person.0], |row| row.get(0)).optional()
    }

    fn image(&self, id: ImageId) -> rusqlite::Result<Option<StoredImage>> {
        self.one("image.id = ?", [integer(id.0)])
    }

    fn stored_by(&self, person: PersonId, hash: BlobHash) -> rusqlite::Result<Option<StoredImage>> {
        let condition = "image.blob = ? AND image.state IN (0, 1) AND image.person = ? \
            ORDER BY image.state, image.id LIMIT 1";
        self.one(condition, (hash.0, person.0))
    }

    fn listed_as(
        &self,
        person: PersonId,
        hash: BlobHash,
        name: &ImageName,
    ) -> rusqlite::Result<Option<StoredImage>> {
        let condition = "image.blob = ? AND image.state = 0 AND image.person = ? \
            AND image.name = ? ORDER BY image.id LIMIT 1";
        self.one(condition, (hash.0, person.0, name.as_str()))
    }

    fn imported(
        &self,
        person: PersonId,
        name: &ImageName,
        hash: BlobHash,
        entry: &Imported,
    ) -> rusqlite::Result<Option<StoredImage>> {
        let condition = "image.person = ? AND image.blob = ? AND image.id IN ( \
            SELECT image FROM imported WHERE number = ? AND name = ? AND timestamp = ?) \
            ORDER BY image.id LIMIT 1";
        let number = integer(entry.number);
        self.one(condition, (person.0, hash.0, number, name.as_str(), &entry.timestamp))
    }

    fn placeholder(&self, hash: BlobHash) -> rusqlite::Result<Option<String>> {
        let sql = "SELECT placeholder FROM picture WHERE hash = ?";
        let found = self.0.prepare_cached(sql)?.query_row([hash.0], |row| row.get(0)).optional();
        found.map(Option::flatten)
    }

    fn has_tombstone(&self, person: PersonId, hash: BlobHash) -> rusqlite::Result<bool> {
        let sql = "SELECT 1 FROM tombstone WHERE person = ? AND hash = ?";
        self.exists(sql, (person.0, hash.0))
    }
}

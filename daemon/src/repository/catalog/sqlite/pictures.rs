//! What making pictures came to, on disk. Called by the catalog.

use imgrepo_proto::{BlobHash, ImageId};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::rows::{integer, number};
use crate::repository::catalog::{KnownPicture, NewPicture, Unmade};

/// See [`super::super::Catalog::picture`].
pub(super) fn picture(
    connection: &Connection,
    hash: BlobHash,
    pipeline: u32,
) -> rusqlite::Result<Option<KnownPicture>> {
    let sql =
        "SELECT placeholder, fault, display_fault FROM picture WHERE hash = ? AND pipeline = ?";
    let known = |row: &rusqlite::Row<'_>| {
        Ok(KnownPicture {
            placeholder: row.get(0)?,
            fault: row.get(1)?,
            display_fault: row.get(2)?,
        })
    };
    connection.prepare_cached(sql)?.query_row((hash.0, pipeline), known).optional()
}

/// See [`super::super::Catalog::note_pictures`].
pub(super) fn note(
    connection: &mut Connection,
    pictures: &[NewPicture],
    pipeline: u32,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for NewPicture { hash, orientation, known } in pictures {
        // What another pipeline could not show, this one may. Every expression sees the row as it was.
        let mut put = transaction.prepare_cached(
            "INSERT INTO picture (hash, pipeline, placeholder, fault, display_fault) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (hash) DO UPDATE SET pipeline = ?2, \
             placeholder = iif(pipeline = ?2, coalesce(?3, placeholder), ?3), \
             fault = iif(pipeline = ?2, coalesce(?4, fault), ?4), \
             display_fault = iif(pipeline = ?2, coalesce(?5, display_fault), ?5)",
        )?;
        let KnownPicture { placeholder, fault, display_fault } = known;
        put.execute((hash.0, pipeline, placeholder, fault, display_fault))?;
        if placeholder.is_some() || orientation.is_some() {
            let sql = "UPDATE image SET placeholder = coalesce(?1, placeholder), \
                orientation = coalesce(orientation, ?2) WHERE blob = ?3 AND state IN (0, 1)";
            transaction.prepare_cached(sql)?.execute((placeholder, orientation, hash.0))?;
        }
    }
    transaction.commit()
}

/// See [`super::super::Catalog::unmade`].
pub(super) fn unmade(
    connection: &Connection,
    pipeline: u32,
    below: Option<ImageId>,
    limit: u32,
) -> rusqlite::Result<Unmade> {
    let mut statement = connection.prepare_cached(
        "SELECT id, blob, EXISTS (SELECT 1 FROM picture WHERE hash = blob AND pipeline = ?1 \
             AND (placeholder IS NOT NULL OR fault IS NOT NULL)) \
         FROM image INDEXED BY image_page WHERE state = 0 AND id < ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let below = below.map_or(i64::MAX, |id| integer(id.0));
    let mut rows = statement.query((pipeline, below, limit))?;
    let (mut found, mut looked_at, mut last) = (Unmade::default(), 0, None);
    while let Some(row) = rows.next()? {
        looked_at += 1;
        last = Some(ImageId(number(row, 0)?));
        if !row.get::<_, bool>(2)? {
            found.hashes.push(BlobHash(row.get(1)?));
        }
    }
    found.next = last.filter(|_| looked_at == limit);
    Ok(found)
}

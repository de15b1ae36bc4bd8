//! What a check asks: the contents that images have, and whether the parts of the catalog agree. Called
//! by the catalog. All of an inspection is read in one transaction, so that what is committed
//! meanwhile contradicts nothing.

use imgrepo_proto::{BlobHash, Seq};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::rows::{STORED, number, stored};
use crate::repository::catalog::StoredImage;
use crate::repository::catalog::inspection::{Inspection, KeptContent, MOST_FAULTS, WrongCount};

/// See [`super::super::Catalog::contents`].
pub(super) fn contents(
    connection: &Connection,
    first_byte: u8,
) -> rusqlite::Result<Vec<KeptContent>> {
    let mut statement = connection.prepare_cached(
        "SELECT blob, min(size_bytes), max(size_bytes), count(*) FROM image INDEXED BY image_blob \
         WHERE blob BETWEEN ?1 AND ?2 AND state IN (0, 1) GROUP BY blob ORDER BY blob",
    )?;
    let bound = |rest: u8| {
        let mut hash = [rest; 32];
        hash[0] = first_byte;
        hash
    };
    let content = |row: &rusqlite::Row<'_>| {
        Ok(KeptContent {
            hash: BlobHash(row.get(0)?),
            size_bytes: number(row, 1)?,
            most_bytes: number(row, 2)?,
            images: number(row, 3)?,
        })
    };
    statement.query_map((bound(0), bound(u8::MAX)), content)?.collect()
}

/// See [`super::super::Catalog::images_of`].
pub(super) fn images_of(
    connection: &Connection,
    hash: BlobHash,
    limit: u32,
) -> rusqlite::Result<Vec<StoredImage>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {STORED} FROM image CROSS JOIN person ON person.id = image.person \
         WHERE image.blob = ? AND image.state IN (0, 1) ORDER BY image.state, image.id LIMIT ?"
    ))?;
    statement.query_map((hash.0, limit), stored)?.collect()
}

/// See [`super::super::Catalog::inspect`].
pub(super) fn inspect(
    connection: &mut Connection,
    thoroughly: bool,
) -> rusqlite::Result<Inspection> {
    let transaction = connection.transaction()?;
    let mut found =
        Inspection { damage: damage(&transaction, thoroughly)?, ..Inspection::default() };
    let sql = "SELECT coalesce(sum(state IN (0, 1)), 0), \
        coalesce(sum(iif(state IN (0, 1), size_bytes, 0)), 0), \
        (SELECT count(*) FROM change) FROM image";
    (found.images, found.bytes, found.changes) = transaction
        .query_row(sql, [], |row| Ok((number(row, 0)?, number(row, 1)?, number(row, 2)?)))?;
    found.gaps = gaps(&transaction)?;
    found.counts = counts(&transaction)?;
    found.contradictions = contradictions(&transaction)?;
    Ok(found)
}

/// What SQLite finds in its file. Thoroughly, it compares the indexes with their tables too.
fn damage(transaction: &Transaction<'_>, thoroughly: bool) -> rusqlite::Result<Vec<String>> {
    let check = if thoroughly { "integrity_check" } else { "quick_check" };
    let mut statement = transaction.prepare(&format!("PRAGMA {check}({MOST_FAULTS})"))?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    lines.filter(|line| !matches!(line, Ok(line) if line == "ok")).collect()
}

fn gaps(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<(Seq, Seq)>> {
    let mut statement = transaction.prepare(
        "SELECT last + 1, seq - 1 FROM ( \
             SELECT seq, lag(seq, 1, 0) OVER (ORDER BY seq) AS last FROM ( \
                 SELECT seq FROM change \
                 UNION ALL SELECT value + 1 FROM counter WHERE name = 'seq')) \
         WHERE seq > last + 1 LIMIT ?",
    )?;
    let gap = |row: &rusqlite::Row<'_>| Ok((Seq(number(row, 0)?), Seq(number(row, 1)?)));
    statement.query_map([MOST_FAULTS], gap)?.collect()
}

/// What is counted, of everybody and of each: the name of the count, what is kept and what there is.
const COUNTS: &str = "WITH each AS ( \
        SELECT person, sum(state = 0) AS listed, sum(state = 1) AS trashed, \
            sum(iif(state IN (0, 1), size_bytes, 0)) AS bytes \
        FROM image GROUP BY person), \
    everybody (name, counted) AS ( \
        SELECT 'listed', coalesce(sum(listed), 0) FROM each \
        UNION ALL SELECT 'trashed', coalesce(sum(trashed), 0) FROM each \
        UNION ALL SELECT 'bytes', coalesce(sum(bytes), 0) FROM each \
        UNION ALL SELECT 'image', max(coalesce((SELECT max(id) FROM image), 0), \
            (SELECT value FROM counter WHERE name = 'image')) \
        UNION ALL SELECT 'seq', max(coalesce((SELECT max(seq) FROM change), 0), \
            (SELECT value FROM counter WHERE name = 'seq')))";

fn counts(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<WrongCount>> {
    let mut statement = transaction.prepare(&format!(
        "{COUNTS} SELECT name, value, counted FROM everybody JOIN counter USING (name) \
             WHERE value IS NOT counted \
         UNION ALL SELECT 'listed of ' || shown, person.listed, coalesce(each.listed, 0) \
             FROM person LEFT JOIN each ON each.person = id \
             WHERE person.listed IS NOT coalesce(each.listed, 0) \
         UNION ALL SELECT 'trashed of ' || shown, person.trashed, coalesce(each.trashed, 0) \
             FROM person LEFT JOIN each ON each.person = id \
             WHERE person.trashed IS NOT coalesce(each.trashed, 0) \
         UNION ALL SELECT 'bytes of ' || shown, person.bytes, coalesce(each.bytes, 0) \
             FROM person LEFT JOIN each ON each.person = id \
             WHERE person.bytes IS NOT coalesce(each.bytes, 0) \
         LIMIT ?"
    ))?;
    let count = |row: &rusqlite::Row<'_>| {
        Ok(WrongCount { what: row.get(0)?, kept: row.get(1)?, counted: row.get(2)? })
    };
    statement.query_map([MOST_FAULTS], count)?.collect()
}

fn contradictions(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut statement = transaction.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()?
        && found.len() < MOST_FAULTS as usize
    {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        found.push(format!("a row of `{table}` names one of `{parent}` that is not there"));
    }
    let sql = "SELECT value FROM meta WHERE key = 'repository'";
    if transaction.query_row(sql, [], |row| row.get::<_, String>(0)).optional()?.is_none() {
        found.push("the repository has no id".to_owned());
    }
    Ok(found)
}

/// See [`super::super::Catalog::recount`].
pub(super) fn recount(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(&format!(
        "{COUNTS} UPDATE counter SET value = (SELECT counted FROM everybody \
             WHERE everybody.name = counter.name) WHERE name IN (SELECT name FROM everybody); \
         {COUNTS} UPDATE person SET \
             listed = coalesce((SELECT listed FROM each WHERE each.person = id), 0), \
             trashed = coalesce((SELECT trashed FROM each WHERE each.person = id), 0), \
             bytes = coalesce((SELECT bytes FROM each WHERE each.person = id), 0);"
    ))?;
    transaction.commit()
}

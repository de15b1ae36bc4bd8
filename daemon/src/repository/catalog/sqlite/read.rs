//! What the readers' connections answer: pages, the history, what is in the trash.
//!
//! Called by the catalog. A page is looked for along an index ([`super::walk`]), in order, until it is
//! full or enough was looked at: what fits is read in full then, and by its number.

use imgrepo_proto::session::command::Sort;
use imgrepo_proto::session::event::{Event, EventKind};
use imgrepo_proto::session::reply::{EventsReply, ListReply};
use imgrepo_proto::{BlobHash, ImageId, ImageName, ImageRecord, Seq};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params_from_iter};

use super::rows::{
    STORED, by_id, counter, first_from, integer, number, state_number, stored, time,
};
use super::walk::{self, Walk};
use crate::repository::catalog::page::{PagePlan, events_reply};
use crate::repository::catalog::{ImageState, PersonId, StoredImage, SyncedPartial};

/// Ids that are looked up for one question: with a comma each, more than any reply holds, so that
/// one which is cut here is too long and refused.
const MAX_HAVE_IDS: usize = imgrepo_proto::limits::MAX_TEXT_BYTES / 2;

/// A page of records. Within one transaction, so that count and records are of one moment.
pub(super) fn page(connection: &mut Connection, plan: &PagePlan) -> rusqlite::Result<ListReply> {
    let transaction = connection.transaction()?;
    let whose = whose(&transaction, plan)?;
    let mut found: Vec<ImageRecord> = Vec::new();
    let mut looked_to = None;
    let mut total = plan.is_counted().then_some(0);
    let steps = plan.steps / whose.len().max(1) as u64;
    for person in &whose {
        if let Some(total) = &mut total {
            *total += count(&transaction, plan.state, *person)?;
        }
        // Of several people's the one that was looked at least far counts.
        let end = records(&transaction, plan, *person, steps, &mut found)?;
        looked_to = match (plan.sort, looked_to, end) {
            (_, None, end) => end,
            (_, end, None) => end,
            (Sort::Newest, one, other) => one.max(other),
            (Sort::Oldest, one, other) => one.min(other),
        };
    }
    if whose.len() > 1 {
        found.sort_unstable_by_key(|record| record.id);
        if plan.sort == Sort::Newest {
            found.reverse();
        }
        found.truncate(plan.limit + 1);
    }
    Ok(plan.reply(found, looked_to, total))
}

/// Whose images the page is of: everybody's (one None), or those of each of these people. Several
/// people may be shown under one name: an account and one of an imported catalog.
fn whose(connection: &Connection, plan: &PagePlan) -> rusqlite::Result<Vec<Option<PersonId>>> {
    let Some(uploader) = &plan.uploader else { return Ok(vec![plan.person]) };
    let Some(uploader) = uploader else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached("SELECT id FROM person WHERE shown = ?")?;
    let people = statement.query_map([uploader.as_str()], |row| row.get(0).map(PersonId))?;
    let fits = |person: &PersonId| plan.person.is_none_or(|only| only == *person);
    let people = people.filter(|person| person.as_ref().map_or(true, fits));
    people.map(|person| person.map(Some)).collect()
}

/// The kept count of images in this state, of this person or of all.
fn count(
    connection: &Connection,
    state: ImageState,
    person: Option<PersonId>,
) -> rusqlite::Result<u64> {
    let column = match state {
        ImageState::Listed => "listed",
        ImageState::Trashed => "trashed",
        ImageState::Purged => return Ok(0),
    };
    let Some(person) = person else { return counter(connection, column) };
    let sql = format!("SELECT coalesce(sum({column}), 0) FROM person WHERE id = ?");
    connection.prepare_cached(&sql)?.query_row([person.0], |row| number(row, 0))
}

/// The records of a page, of one person or of all, one more than its limit at most; the image that
/// was looked at last, where there was too much to look at.
fn records(
    connection: &Connection,
    plan: &PagePlan,
    person: Option<PersonId>,
    mut steps: u64,
    found: &mut Vec<ImageRecord>,
) -> rusqlite::Result<Option<ImageId>> {
    let held = count(connection, plan.state, person)?;
    let searched = ImageId(counter(connection, "searched")?);
    let mut record = connection.prepare_cached(&by_id())?;
    let mut left = plan.limit + 1;
    for walk in Walk::all(plan, person, held, searched) {
        let mut statement = connection.prepare_cached(&walk.sql)?;
        let mut rows = statement.query(params_from_iter(walk.values))?;
        while let Some(row) = rows.next()? {
            let id = number(row, walk::ID)?;
            steps = steps.saturating_sub(walk.row_steps);
            if let Some(name) = row.get_ref(walk::NAME)?.as_str_or_null()? {
                steps = steps.saturating_sub(plan.steps_for(name));
                if plan.name_fits(name) {
                    found.push(record.query_row([integer(id)], stored)?.record);
                    left -= 1;
                    if left == 0 {
                        return Ok(None);
                    }
                }
            }
            if steps == 0 {
                return Ok(Some(ImageId(id)));
            }
        }
    }
    Ok(None)
}

/// The newest images of exactly this name.
pub(super) fn images_named(
    connection: &Connection,
    name: &ImageName,
    state: ImageState,
    limit: u32,
) -> rusqlite::Result<Vec<StoredImage>> {
    let sql = format!(
        "SELECT {STORED} FROM image INDEXED BY image_name \
         CROSS JOIN person ON person.id = image.person \
         WHERE image.name = ? AND image.state = {} ORDER BY image.id DESC LIMIT ?",
        state_number(state)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map((name.as_str(), limit), stored)?.collect()
}

/// The listed images of each content.
pub(super) fn have(
    connection: &mut Connection,
    hashes: &[BlobHash],
) -> rusqlite::Result<Vec<(BlobHash, Vec<ImageId>)>> {
    let transaction = connection.transaction()?;
    let mut statement = transaction
        .prepare_cached("SELECT id FROM image WHERE blob = ? AND state = 0 ORDER BY id LIMIT ?")?;
    let mut left = MAX_HAVE_IDS;
    let mut listed = |hash: &BlobHash| {
        let ids = statement.query_map((hash.0, left as i64), |row| number(row, 0).map(ImageId))?;
        let ids = ids.collect::<rusqlite::Result<Vec<_>>>()?;
        left -= ids.len();
        Ok((*hash, ids))
    };
    hashes.iter().map(&mut listed).collect()
}

const EVENT: &str = "seq, at, by_name, kind, record";

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let kind: String = row.get(3)?;
    let record = serde_json::from_str(row.get_ref(4)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(4, Type::Text, Box::new(error))
    })?;
    Ok(Event {
        event: EventKind::from(kind),
        seq: Some(Seq(number(row, 0)?)),
        at: Some(time(1, row.get(1)?)?),
        by: Some(row.get(2)?),
        image: Some(record),
        message: None,
    })
}

/// Events after this one.
pub(super) fn changes(
    connection: &Connection,
    since: Seq,
    limit: u32,
) -> rusqlite::Result<EventsReply> {
    let limit = limit.max(1);
    let sql = format!("SELECT {EVENT} FROM change WHERE seq > ? ORDER BY seq LIMIT ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let events = statement.query_map((integer(since.0), i64::from(limit) + 1), event)?;
    Ok(events_reply(events.collect::<rusqlite::Result<_>>()?, limit as usize))
}

/// The newest events of new images, oldest first.
pub(super) fn last_uploads(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<Event>> {
    let sql = format!(
        "SELECT {EVENT} FROM change INDEXED BY change_upload \
         WHERE kind = 'NEW_UPLOAD' ORDER BY seq DESC LIMIT ?"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut events: Vec<Event> =
        statement.query_map([limit], event)?.collect::<rusqlite::Result<_>>()?;
    events.reverse();
    Ok(events)
}

/// Images in the trash, those longest there first.
pub(super) fn trashed(
    connection: &Connection,
    before: Option<Timestamp>,
    person: Option<PersonId>,
    limit: u32,
) -> rusqlite::Result<Vec<ImageId>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM image INDEXED BY image_trash \
         WHERE state = 1 AND trashed_at < ?1 AND (?2 IS NULL OR person = ?2) \
         ORDER BY trashed_at, id LIMIT ?3",
    )?;
    let before = before.map_or(i64::MAX, first_from);
    let values = (before, person.map(|person| person.0), limit);
    statement.query_map(values, |row| number(row, 0).map(ImageId))?.collect()
}

/// Every remembered partial upload.
pub(super) fn partials(connection: &Connection) -> rusqlite::Result<Vec<SyncedPartial>> {
    let sql = "SELECT person, hash, size_bytes, synced_bytes FROM staging \
        ORDER BY person, hash, size_bytes";
    let mut statement = connection.prepare_cached(sql)?;
    let partial = |row: &Row<'_>| {
        Ok(SyncedPartial {
            person: PersonId(row.get(0)?),
            hash: BlobHash(row.get(1)?),
            size_bytes: number(row, 2)?,
            synced_bytes: number(row, 3)?,
        })
    };
    statement.query_map([], partial)?.collect()
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;

//! What the writer's connection does: commits of whole groups, acts on people, partial uploads.
//!
//! Called by the catalog, which holds the writer's lock. Every change is decided (`rules`) before any
//! of it is written, so that one that is refused leaves nothing behind; an error of the disk undoes
//! the whole group.

use std::collections::BTreeMap;

use imgrepo_proto::{BlobHash, ImageId, PersonName, Refusal, Seq};
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::rows::{Lookup, counter, integer, state_number};
use super::search;
use crate::repository::catalog::people::book::Book as _;
use crate::repository::catalog::people::{Act, Acted, By, joining, rules as people};
use crate::repository::catalog::rules::{self, Step, Verdict};
use crate::repository::catalog::{
    Change, Committed, ImageState, NewImage, PersonId, PersonKind, Proposal, StoredImage,
    SyncedPartial,
};

/// Commits a group; see [`super::super::Catalog::commit`].
pub(super) fn commit(
    connection: &mut Connection,
    group: &[Proposal],
    now: Timestamp,
) -> rusqlite::Result<Vec<Result<Committed, Refusal>>> {
    let now = rules::kept_time(now);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut tally = Tally::read(&transaction)?;
    let mut outcomes = Vec::with_capacity(group.len());
    for proposal in group {
        let next = ImageId(tally.image + 1);
        let verdict = match rules::decide(proposal, next, now, &Lookup(&transaction))? {
            Ok(verdict) => verdict,
            Err(refusal) => {
                outcomes.push(Err(refusal));
                continue;
            }
        };
        write_image(&transaction, &verdict, now, tally.searched)?;
        write_imported(&transaction, proposal, &verdict)?;
        tally.count(&verdict);
        if let Change::Store(new) = &proposal.change {
            remove_partial(&transaction, new.person, new.hash, new.size_bytes)?;
        }
        let seq = write_change(&transaction, proposal.by, &verdict, now, &mut tally)?;
        let (record, duplicate) = (verdict.record(proposal), verdict.duplicate);
        if let Some(record) = &record {
            Lookup(&transaction).add_record(record, now)?;
        }
        outcomes.push(Ok(Committed { image: verdict.image.record, seq, duplicate, record }));
    }
    tally.write(&transaction)?;
    search::extend(&transaction, tally.searched, tally.image)?;
    transaction.commit()?;
    Ok(outcomes)
}

/// The kept counts while a group is written.
struct Tally {
    image: u64,
    seq: u64,
    /// The last image that the search knows; see [`search`].
    searched: u64,
    before: (u64, u64),
    /// By how much each person's images grew.
    people: BTreeMap<PersonId, Grown>,
}

#[derive(Default)]
struct Grown {
    listed: i64,
    trashed: i64,
    bytes: i64,
}

impl Tally {
    fn read(transaction: &Transaction<'_>) -> rusqlite::Result<Tally> {
        let (image, seq) = (counter(transaction, "image")?, counter(transaction, "seq")?);
        let searched = counter(transaction, "searched")?;
        Ok(Tally { image, seq, searched, before: (image, seq), people: BTreeMap::new() })
    }

    fn count(&mut self, verdict: &Verdict) {
        let image = &verdict.image;
        let bytes = integer(image.size_bytes);
        let mut add = |state: ImageState, by: i64| {
            let grown = self.people.entry(image.person).or_default();
            match state {
                ImageState::Listed => grown.listed += by,
                ImageState::Trashed => grown.trashed += by,
                ImageState::Purged => return,
            }
            grown.bytes = grown.bytes.saturating_add(by * bytes);
        };
        match verdict.step {
            Step::Nothing | Step::Rename(_) => {}
            Step::Insert => {
                add(image.state, 1);
                // An import brings numbers of its own, some below the last one given.
                self.image = self.image.max(image.record.id.0);
            }
            Step::Turn(before) => {
                add(before, -1);
                add(image.state, 1);
            }
        }
    }

    /// Updates the counters, last of all in the transaction.
    fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        if self.before == (self.image, self.seq) {
            return Ok(());
        }
        let mut person = transaction.prepare_cached(
            "UPDATE person SET listed = listed + ?, trashed = trashed + ?, bytes = bytes + ? \
             WHERE id = ?",
        )?;
        let mut all = Grown::default();
        for (id, grown) in &self.people {
            person.execute((grown.listed, grown.trashed, grown.bytes, id.0))?;
            all.listed += grown.listed;
            all.trashed += grown.trashed;
            all.bytes = all.bytes.saturating_add(grown.bytes);
        }
        let mut grow =
            transaction.prepare_cached("UPDATE counter SET value = value + ? WHERE name = ?")?;
        let grown = [(all.listed, "listed"), (all.trashed, "trashed"), (all.bytes, "bytes")];
        for (by, counter) in grown.into_iter().filter(|(by, _)| *by != 0) {
            grow.execute((by, counter))?;
        }
        let mut set = transaction.prepare_cached("UPDATE counter SET value = ? WHERE name = ?")?;
        set.execute((integer(self.image), "image"))?;
        set.execute((integer(self.seq), "seq"))?;
        Ok(())
    }
}

fn write_image(
    transaction: &Transaction<'_>,
    verdict: &Verdict,
    now: Timestamp,
    searched: u64,
) -> rusqlite::Result<()> {
    let image = &verdict.image;
    // What is not in the search yet comes there as it is then.
    let is_searched = image.record.id.0 <= searched;
    let (id, name) = (integer(image.record.id.0), &image.record.name);
    let owned = (image.person.0, image.hash.0);
    match &verdict.step {
        Step::Nothing => {}
        Step::Insert => {
            insert(transaction, image)?;
            if is_searched {
                search::add(transaction, id, name)?;
            }
            let sql = "DELETE FROM tombstone WHERE person = ? AND hash = ?";
            transaction.prepare_cached(sql)?.execute(owned)?;
        }
        Step::Rename(before) => {
            let sql = "UPDATE image SET name = ? WHERE id = ?";
            transaction.prepare_cached(sql)?.execute((name, id))?;
            if is_searched {
                search::remove(transaction, id, before)?;
                search::add(transaction, id, name)?;
            }
        }
        Step::Turn(_) => {
            let trashed_at = image.record.trashed_at.map(Timestamp::as_millisecond);
            let sql = "UPDATE image SET state = ?, trashed_at = ? WHERE id = ?";
            let values = (state_number(image.state), trashed_at, id);
            transaction.prepare_cached(sql)?.execute(values)?;
            if image.state == ImageState::Purged {
                if is_searched {
                    search::remove(transaction, id, name)?;
                }
                let sql =
                    "INSERT OR REPLACE INTO tombstone (person, hash, purged_at) VALUES (?, ?, ?)";
                let values = (owned.0, owned.1, now.as_millisecond());
                transaction.prepare_cached(sql)?.execute(values)?;
            }
        }
    }
    Ok(())
}

/// Remembers what a new image was in the catalog that it comes from.
fn write_imported(
    transaction: &Transaction<'_>,
    proposal: &Proposal,
    verdict: &Verdict,
) -> rusqlite::Result<()> {
    let Change::Store(NewImage { name, imported: Some(entry), .. }) = &proposal.change else {
        return Ok(());
    };
    if verdict.step == Step::Insert {
        let sql = "INSERT INTO imported (image, number, name, timestamp) VALUES (?, ?, ?, ?)";
        let image = integer(verdict.image.record.id.0);
        let values = (image, integer(entry.number), name.as_str(), &entry.timestamp);
        transaction.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

fn insert(transaction: &Transaction<'_>, image: &StoredImage) -> rusqlite::Result<()> {
    let record = &image.record;
    let mut statement = transaction.prepare_cached(
        "INSERT INTO image (id, person, name, blob, size_bytes, media_type, width, height, \
         uploaded_at, taken_at, placeholder, state, trashed_at, orientation) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute((
        integer(record.id.0),
        image.person.0,
        &record.name,
        image.hash.0,
        integer(image.size_bytes),
        &record.media_type,
        record.width,
        record.height,
        record.uploaded_at.map(Timestamp::as_millisecond),
        &record.taken_at,
        &record.placeholder,
        state_number(image.state),
        record.trashed_at.map(Timestamp::as_millisecond),
        record.orientation,
    ))?;
    Ok(())
}

fn write_change(
    transaction: &Transaction<'_>,
    by: PersonId,
    verdict: &Verdict,
    now: Timestamp,
    tally: &mut Tally,
) -> rusqlite::Result<Option<Seq>> {
    let Some(event) = verdict.event() else { return Ok(None) };
    let record = serde_json::to_string(&verdict.image.record)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    tally.seq += 1;
    let mut statement = transaction.prepare_cached(
        "INSERT INTO change (seq, at, person, by_name, kind, image, record) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute((
        integer(tally.seq),
        now.as_millisecond(),
        by.0,
        &verdict.by,
        event.word(),
        integer(verdict.image.record.id.0),
        record,
    ))?;
    Ok(Some(Seq(tally.seq)))
}

/// The person of this name and kind, made if there is none yet.
pub(super) fn person(
    connection: &mut Connection,
    kind: PersonKind,
    name: &PersonName,
    now: Timestamp,
) -> rusqlite::Result<PersonId> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id = joining::enter(&mut Lookup(&transaction), kind, name, rules::kept_time(now))?;
    transaction.commit()?;
    Ok(id)
}

/// Carries out an act on people; see [`super::super::Catalog::act`].
pub(super) fn act(
    connection: &mut Connection,
    act: &Act,
    by: &By,
    now: Timestamp,
) -> rusqlite::Result<Result<Acted, Refusal>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcome = people::act(&mut Lookup(&transaction), act, by, rules::kept_time(now))?;
    // What is refused wrote nothing.
    if outcome.is_ok() {
        transaction.commit()?;
    }
    Ok(outcome)
}

/// Remembers a partial upload.
pub(super) fn put_partial(
    connection: &Connection,
    partial: &SyncedPartial,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO staging (person, hash, size_bytes, synced_bytes, updated_at) \
         VALUES (?, ?, ?, ?, ?)",
    )?;
    statement.execute((
        partial.person.0,
        partial.hash.0,
        integer(partial.size_bytes),
        integer(partial.synced_bytes),
        now.as_millisecond(),
    ))?;
    Ok(())
}

/// Forgets a partial upload.
pub(super) fn remove_partial(
    connection: &Connection,
    person: PersonId,
    hash: BlobHash,
    size_bytes: u64,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM staging WHERE person = ? AND hash = ? AND size_bytes = ?";
    connection.prepare_cached(sql)?.execute((person.0, hash.0, integer(size_bytes)))?;
    Ok(())
}

//! The queue: uploads by hand, and what a person asks of it. Called by `transfer::queue` alone.

use imgrepo_proto::control::queue::{QueuedUpload, UploadId, Which};
use imgrepo_proto::{ErrorCode, Refusal};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::rows::{QUEUED, place, queued_upload, refusal, signed, unsigned};
use super::worker::Fault;
use super::{MembershipId, NewUpload, QueuedContent, Stamp, State};

/// What a person can have tried again, all at once. What waits is due at once.
const AGAIN: &str = "('failed', 'refused', 'ignored', 'waiting')";

/// What a person can give up.
const UNDONE: &str = "('settling', 'queued', 'sending', 'waiting', 'refused', 'failed')";

impl State {
    /// Queues these, durably: their numbers.
    ///
    /// # Errors
    /// As [`State::join`]; then none of them is queued.
    pub async fn enqueue(
        &self,
        uploads: Vec<NewUpload>,
        now: Timestamp,
    ) -> Result<Vec<UploadId>, Refusal> {
        self.keep(move |db| {
            let sql = "INSERT INTO upload (membership, directory, file, spool, name, \
                 unless_deleted, state, device, inode, size, modified_s, modified_ns, seen_at, \
                 queued_at) VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?12, ?12)";
            let mut insert = db.prepare_cached(sql)?;
            let mut ids = Vec::with_capacity(uploads.len());
            for upload in &uploads {
                let (place, spool) = match &upload.content {
                    QueuedContent::File(path) => (Some(place(path)), None),
                    QueuedContent::Spooled(number) => (None, Some(signed(*number))),
                };
                let Stamp { device, inode, size, modified } = upload.stamp;
                let id = insert.insert(params![
                    upload.membership.0,
                    place.map(|(directory, _)| directory),
                    place.map(|(_, file)| file),
                    spool,
                    upload.name,
                    upload.unless_deleted,
                    signed(device),
                    signed(inode),
                    signed(size),
                    modified.0,
                    modified.1,
                    now.as_millisecond(),
                ])?;
                ids.push(UploadId(id.cast_unsigned()));
            }
            Ok(ids)
        })
        .await
    }

    /// A page of the queue, the oldest first: what is open and what needs a person; with `all`
    /// everything.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn page(
        &self,
        membership: MembershipId,
        all: bool,
        after: Option<UploadId>,
        limit: u32,
    ) -> Result<Vec<QueuedUpload>, Refusal> {
        self.read(move |db| {
            // Of all, most are this membership's: they are gone through by their numbers.
            let which = match all {
                true => "+u.membership = ?".to_owned(),
                false => format!("u.state IN {UNDONE} AND u.membership = ?"),
            };
            let sql = format!(
                "SELECT {QUEUED} FROM upload u LEFT JOIN folder f ON f.id = u.folder \
                 WHERE {which} AND u.id > ? ORDER BY u.id LIMIT ?"
            );
            let after = after.map_or(0, |id| signed(id.0));
            let mut ask = db.prepare_cached(&sql)?;
            let page = ask.query_map((membership.0, after, limit), queued_upload)?;
            Ok(page.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Has what ended without a receipt tried again; named one by one, what this person has deleted
    /// is brought back too, and what was given up is taken up, unless its content was streamed and
    /// is gone. How many there were.
    ///
    /// # Errors
    /// `not_found` where one of them is not there; as [`State::join`].
    pub async fn retry(&self, membership: MembershipId, which: Which) -> Result<u64, Refusal> {
        self.keep(move |db| {
            // Its content may be another though size and time are not: it is read anew.
            let set = "state = 'queued', retry_at = NULL, ended_at = NULL, error = NULL, \
                 refused_by = NULL, faults = 0, hash = NULL, hashed_at = NULL";
            match which {
                Which::All => {
                    let sql = format!(
                        "UPDATE upload SET {set} WHERE membership = ? AND state IN {AGAIN}"
                    );
                    Ok(db.execute(&sql, [membership.0])? as u64)
                }
                Which::These(ids) => {
                    let set = format!(
                        "{set}, unless_deleted = iif(state = 'ignored', 0, unless_deleted)"
                    );
                    each(
                        db,
                        &ids,
                        &format!(
                            "UPDATE upload SET {set} WHERE id = ? AND (state IN {AGAIN} \
                             OR state = 'cancelled' AND spool IS NULL)"
                        ),
                    )
                }
            }
        })
        .await
    }

    /// Gives up what is not done. How many there were.
    ///
    /// # Errors
    /// As [`State::retry`].
    pub async fn cancel(
        &self,
        membership: MembershipId,
        which: Which,
        now: Timestamp,
    ) -> Result<u64, Refusal> {
        self.keep(move |db| {
            let set = format!(
                "state = 'cancelled', retry_at = NULL, ended_at = {}",
                now.as_millisecond()
            );
            match which {
                Which::All => {
                    let sql = format!(
                        "UPDATE upload SET {set} WHERE membership = ? AND state IN {UNDONE}"
                    );
                    Ok(db.execute(&sql, [membership.0])? as u64)
                }
                Which::These(ids) => each(
                    db,
                    &ids,
                    &format!("UPDATE upload SET {set} WHERE id = ? AND state IN {UNDONE}"),
                ),
            }
        })
        .await
    }

    /// Has what another server than this (name and version) refused tried again; where this one takes
    /// uploads of this person now, also what was denied to them. How many there were.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn retry_refused(
        &self,
        membership: MembershipId,
        server: String,
        may_upload: bool,
    ) -> Result<u64, Refusal> {
        self.keep(move |db| {
            let sql = "UPDATE upload SET state = 'queued', ended_at = NULL, refused_by = NULL, faults = 0 \
                 WHERE membership = ? AND state IN ('refused', 'ignored') AND (refused_by <> ? \
                 OR (? AND state = 'refused' AND error ->> 'code' = 'denied'))";
            Ok(db.prepare_cached(sql)?.execute((membership.0, server, may_upload))? as u64)
        })
        .await
    }

    /// Bytes of all uploads of this membership that are open, and how many are open of others.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn left(&self, membership: Option<MembershipId>) -> Result<(u64, u64), Refusal> {
        self.read(move |db| {
            let sql = "SELECT coalesce(sum(iif(membership = ?1, bytes, 0)), 0), \
                     coalesce(sum(iif(membership = ?1, 0, count)), 0) FROM tally \
                 WHERE state IN ('settling', 'queued', 'sending', 'waiting')";
            let mut ask = db.prepare_cached(sql)?;
            let whose = membership.map_or(0, |membership| membership.0);
            Ok(ask.query_row([whose], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)))?)
        })
        .await
    }

    /// Why the upload of this membership that is tried again next was not taken. None where none
    /// waits, or all for the session alone.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn waits(&self, membership: MembershipId) -> Result<Option<Refusal>, Refusal> {
        self.read(move |db| {
            // The first of a stretch of an index for each lane, however many wait.
            let sql = "SELECT error FROM upload WHERE membership = ? AND large = ? \
                 AND state = 'waiting' AND retry_at > 0 ORDER BY retry_at LIMIT 1";
            let mut ask = db.prepare_cached(sql)?;
            for large in [false, true] {
                let mut rows = ask.query((membership.0, large))?;
                if let Some(row) = rows.next()? {
                    return Ok(refusal(row, 0)?);
                }
            }
            Ok(None)
        })
        .await
    }

    /// The spooled contents that are still needed.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn spooled(&self) -> Result<Vec<u64>, Refusal> {
        self.read(|db| {
            let sql = "SELECT spool FROM upload WHERE spool IS NOT NULL \
                 AND state NOT IN ('stored', 'duplicate', 'cancelled')";
            let mut ask = db.prepare(sql)?;
            let numbers = ask.query_map([], |row| unsigned(row, 0))?;
            Ok(numbers.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Forgets what ended before this and is not a file of a watched folder any more.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn prune(&self, before: Timestamp) -> Result<u64, Refusal> {
        self.soon(move |db| {
            let sql = "DELETE FROM upload WHERE ended_at IS NOT NULL AND ended_at < ? \
                 AND (folder IS NULL OR put_away = 1) \
                 AND state IN ('stored', 'duplicate', 'cancelled')";
            Ok(db.execute(sql, [before.as_millisecond()])? as u64)
        })
        .await
    }
}

/// Does this to each; one that is not there undoes all.
fn each(db: &Connection, ids: &[UploadId], sql: &str) -> Result<u64, Fault> {
    let mut change = db.prepare_cached(sql)?;
    let mut is_there = db.prepare_cached("SELECT 1 FROM upload WHERE id = ?")?;
    let mut changed = 0;
    for id in ids {
        if !is_there.exists([signed(id.0)])? {
            let message = format!("the queue has no upload {id}");
            return Err(Refusal::new(ErrorCode::NotFound, message)
                .hint("`imgctl queue ls --all` lists them")
                .into());
        }
        changed += change.execute([signed(id.0)])? as u64;
    }
    Ok(changed)
}

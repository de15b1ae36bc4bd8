//! Whose turn it is, and what came of an attempt. Called by `transfer::queue` alone.

use imgrepo_proto::control::queue::{UploadId, UploadState};
use imgrepo_proto::{BlobHash, Refusal};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::host::{self, Mutant};

use super::rows::{
    STAMP, content, hash, identity, optional_path, refusal_text, signed, stamp, time, unsigned,
};
use super::worker::Fault;
use super::{End, FolderId, FoundIn, Lane, MembershipId, Stamp, State, Turn, Turns};

/// What was under way when the process ended has its turn again.
pub(super) fn begin_anew(db: &Connection) -> rusqlite::Result<()> {
    let sql = "UPDATE upload SET state = 'queued' \
         WHERE membership IN (SELECT id FROM membership) AND state = 'sending'";
    if host::is_mutant(Mutant::ReviveCancelled) {
        db.execute("UPDATE upload SET state = 'queued' WHERE state = 'cancelled'", [])?;
    }
    db.execute(sql, []).map(drop)
}

impl State {
    /// The oldest uploads of a lane whose turn it is, at most so many; they are `sending` now.
    ///
    /// # Errors
    /// As [`State::join`]; then none of them is.
    pub async fn take(
        &self,
        membership: MembershipId,
        lane: Lane,
        limit: u32,
        now: Timestamp,
    ) -> Result<Turns, Refusal> {
        self.soon(move |db| take(db, membership, lane, limit, now)).await
    }

    /// An upload's content was read, and it is offered now.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn hashed(
        &self,
        id: UploadId,
        hash: BlobHash,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.soon(move |db| {
            let sql = "UPDATE upload SET hashed_at = iif(hash IS ?1, hashed_at, ?2), hash = ?1, \
                 sent_at = ?2 WHERE id = ?3 AND state = 'sending'";
            let values = (hash.0, now.as_millisecond(), signed(id.0));
            db.prepare_cached(sql)?.execute(values)?;
            Ok(())
        })
        .await
    }

    /// A file that was queued by hand is another by now, and is taken as it is.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn restamp(&self, id: UploadId, stamp: Stamp) -> Result<(), Refusal> {
        self.soon(move |db| {
            let sql = "UPDATE upload SET device = ?, inode = ?, size = ?, modified_s = ?, \
                 modified_ns = ?, hash = NULL, hashed_at = NULL \
                 WHERE id = ? AND state = 'sending' AND folder IS NULL";
            let Stamp { device, inode, size, modified: (seconds, nanoseconds) } = stamp;
            let values =
                (signed(device), signed(inode), signed(size), seconds, nanoseconds, signed(id.0));
            db.prepare_cached(sql)?.execute(values)?;
            Ok(())
        })
        .await
    }

    /// What an attempt came to. One whose row went away, or was given up, changes nothing; but a
    /// receipt is a receipt.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn ended(&self, id: UploadId, end: End, now: Timestamp) -> Result<(), Refusal> {
        self.keep(move |db| Ok(ended(db, id, &end, now)?)).await
    }

    /// Which of these are still `sending`.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn still_sending(&self, ids: Vec<UploadId>) -> Result<Vec<UploadId>, Refusal> {
        self.read(move |db| {
            let sql = "SELECT 1 FROM upload WHERE id = ? AND state = 'sending'";
            let mut ask = db.prepare_cached(sql)?;
            let mut still = Vec::new();
            for id in ids {
                if ask.exists([signed(id.0)])? {
                    still.push(id);
                }
            }
            Ok(still)
        })
        .await
    }
}

fn take(
    db: &Connection,
    membership: MembershipId,
    lane: Lane,
    limit: u32,
    now: Timestamp,
) -> Result<Turns, Fault> {
    let now = now.as_millisecond();
    let large = lane == Lane::Large;
    let columns = format!(
        "u.id, u.spool, u.directory, u.file, u.folder, f.path, f.root_device, f.root_inode, \
         u.name, u.hash, u.unless_deleted, u.attempts, u.faults, {}",
        STAMP.split(", ").map(|column| format!("u.{column}")).collect::<Vec<_>>().join(", ")
    );
    let from =
        format!("SELECT {columns} FROM upload u LEFT JOIN folder f ON f.id = u.folder WHERE");
    let mut turns = Vec::new();
    // Two stretches of two indexes; the older ones of both are the oldest of all that are due, but
    // for those that wait in numbers: of these the ones that wait longest.
    let queued = format!(
        "{from} u.membership = ? AND u.state = 'queued' AND u.large = ? ORDER BY u.id LIMIT ?"
    );
    let mut ask = db.prepare_cached(&queued)?;
    turns
        .extend(ask.query_map((membership.0, large, limit), turn)?.collect::<Result<Vec<_>, _>>()?);
    // A time that is further away than anything waits (five minutes, `transfer::queue`) is that of a clock
    // that was set since.
    for when in ["BETWEEN 0 AND ?3", "> ?3 + 300000"] {
        let sql = format!(
            "{from} u.membership = ?1 AND u.large = ?2 AND u.state = 'waiting' \
             AND u.retry_at {when} ORDER BY u.retry_at LIMIT ?4"
        );
        let mut ask = db.prepare_cached(&sql)?;
        let waiting = ask.query_map((membership.0, large, now, limit), turn)?;
        turns.extend(waiting.collect::<Result<Vec<_>, _>>()?);
    }
    turns.sort_by_key(|turn| turn.id);
    turns.truncate(limit as usize);

    let sql = "UPDATE upload SET state = 'sending', attempts = attempts + 1, retry_at = NULL, \
         ended_at = NULL WHERE id = ?";
    let mut begin = db.prepare_cached(sql)?;
    for turn in &mut turns {
        begin.execute([signed(turn.id.0)])?;
        turn.attempts = turn.attempts.saturating_add(1);
    }
    let sql = "SELECT min(retry_at) FROM upload \
         WHERE membership = ? AND large = ? AND state = 'waiting' AND retry_at > ?";
    let mut ask = db.prepare_cached(sql)?;
    let retry_at = ask.query_row((membership.0, large, now), |row| time(row, 0)).optional()?;
    Ok(Turns { turns, retry_at: retry_at.flatten() })
}

fn turn(row: &Row<'_>) -> rusqlite::Result<Turn> {
    let folder: Option<i64> = row.get(4)?;
    let root: (Option<i64>, Option<i64>) = (row.get(6)?, row.get(7)?);
    let at = |(id, path)| FoundIn { id: FolderId(id), path, root: identity(root) };
    Ok(Turn {
        id: UploadId(unsigned(row, 0)?),
        content: content(row, 1)?,
        folder: folder.zip(optional_path(row, 5)?).map(at),
        name: row.get(8)?,
        stamp: stamp(row, 13)?,
        hash: hash(row, 9)?,
        unless_deleted: row.get(10)?,
        attempts: row.get(11)?,
        faults: row.get(12)?,
    })
}

fn ended(db: &Connection, id: UploadId, end: &End, now: Timestamp) -> rusqlite::Result<()> {
    let number = signed(id.0);
    let now = now.as_millisecond();
    let (state, error, by) = match end {
        End::Receipt { hash, image, duplicate } => {
            let state = if *duplicate { UploadState::Duplicate } else { UploadState::Stored };
            let sql = "UPDATE upload SET state = ?, hash = ?, image = ?, ended_at = ?, \
                 retry_at = NULL, error = NULL, refused_by = NULL \
                 WHERE id = ? AND state IN ('sending', 'cancelled')";
            let values = (state.word(), hash.0, signed(image.0), now, number);
            db.prepare_cached(sql)?.execute(values)?;
            return Ok(());
        }
        End::Gone => {
            let sql = "DELETE FROM upload WHERE id = ? AND state = 'sending'";
            db.prepare_cached(sql)?.execute([number])?;
            return Ok(());
        }
        End::Settling => {
            let sql = "UPDATE upload SET state = 'settling', queued_at = NULL, hash = NULL, \
                 hashed_at = NULL, sent_at = NULL WHERE id = ? AND state = 'sending'";
            db.prepare_cached(sql)?.execute([number])?;
            return Ok(());
        }
        End::Queued => {
            let sql = "UPDATE upload SET state = 'queued' WHERE id = ? AND state = 'sending'";
            db.prepare_cached(sql)?.execute([number])?;
            return Ok(());
        }
        End::Ignored(why, by) => (UploadState::Ignored, why, by.as_deref()),
        End::Refused(why, by) => (UploadState::Refused, why, Some(by.as_str())),
        End::Failed(why) => (UploadState::Failed, why, None),
        End::Waiting(why, retry_at) => {
            let sql = "UPDATE upload SET state = 'waiting', error = ?, retry_at = ?, \
                 faults = faults + ? WHERE id = ? AND state = 'sending'";
            let at = retry_at.map_or(0, Timestamp::as_millisecond);
            let values = (refusal_text(why), at, retry_at.is_some(), number);
            db.prepare_cached(sql)?.execute(values)?;
            return Ok(());
        }
    };
    let sql = "UPDATE upload SET state = ?, error = ?, retry_at = NULL, refused_by = ?, \
         ended_at = ? WHERE id = ? AND state = 'sending'";
    let values = (state.word(), refusal_text(error), by, now, number);
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

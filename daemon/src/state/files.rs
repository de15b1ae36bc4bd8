//! Files of watched folders: what was seen, what is known, what has its receipt.

use std::path::PathBuf;

use imgrepo_proto::Refusal;
use imgrepo_proto::control::queue::{Counts, QueuedUpload, UploadId, UploadState};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::folders::folders_above;
use super::rows::{
    QUEUED, STAMP, bytes, file, hash, path, place, queued_upload, refusal_text, signed, stamp,
    state, unsigned,
};
use super::{FolderId, How, Known, MembershipId, Receipt, Seen, Stamp, State};

impl State {
    /// What is known of the files that are directly in this directory. What was put away is not
    /// expected there any more.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn known(&self, folder: FolderId, directory: PathBuf) -> Result<Vec<Known>, Refusal> {
        self.read(move |db| {
            let sql = format!(
                "SELECT id, directory, file, state, {STAMP} FROM upload \
                 WHERE folder = ? AND directory = ? AND put_away = 0"
            );
            let mut ask = db.prepare_cached(&sql)?;
            let known = ask.query_map((folder.0, bytes(&directory)), |row| {
                Ok(Known {
                    id: UploadId(unsigned(row, 0)?),
                    path: file(row, 1)?.unwrap_or_default(),
                    stamp: stamp(row, 4)?,
                    state: state(row, 3)?,
                })
            })?;
            Ok(known.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// The directories in which files are known.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn known_directories(&self, folder: FolderId) -> Result<Vec<PathBuf>, Refusal> {
        self.read(move |db| {
            // From one directory to the next: not through all their files.
            let sql = "SELECT min(directory) FROM upload WHERE folder = ? AND directory > ?";
            let mut ask = db.prepare_cached(sql)?;
            let mut all: Vec<PathBuf> = Vec::new();
            let mut last = Vec::new();
            loop {
                let next: Option<Vec<u8>> = ask.query_row((folder.0, &last), |row| row.get(0))?;
                let Some(next) = next else { return Ok(all) };
                all.push(path(next.clone()));
                last = next;
            }
        })
        .await
    }

    /// Files were looked at: a new one, or one that is not as it was, begins anew; one that is as it
    /// was and settling goes on as it is now. At most some thousand at once: others wait meanwhile.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn seen(
        &self,
        folder: FolderId,
        files: Vec<Seen>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.soon(move |db| {
            let sql = "SELECT membership FROM folder WHERE id = ?";
            let whose =
                db.prepare_cached(sql)?.query_row([folder.0], |row| row.get(0)).optional()?;
            // It was removed meanwhile.
            let Some(membership) = whose else { return Ok(()) };
            for file in &files {
                see(db, MembershipId(membership), folder, file, now)?;
            }
            Ok(())
        })
        .await
    }

    /// These files are not there any more. What was put away stays known for its story.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn forget(&self, folder: FolderId, paths: Vec<PathBuf>) -> Result<(), Refusal> {
        let leaving = self.leaving.clone();
        self.soon(move |db| {
            let sql = "SELECT id FROM upload \
                 WHERE folder = ? AND directory = ? AND file = ? AND put_away = 0";
            let mut find = db.prepare_cached(sql)?;
            let mut forget = db.prepare_cached("DELETE FROM upload WHERE id = ?")?;
            for path in &paths {
                let (directory, name) = place(path);
                let found = find.query_row((folder.0, directory, name), |row| unsigned(row, 0));
                if let Some(id) = found.optional()?
                    && !leaving.has(UploadId(id))
                {
                    forget.execute([signed(id)])?;
                }
            }
            Ok(())
        })
        .await
    }

    /// The files that are settling: after a restart they have to be looked at again.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn settling(&self, folder: FolderId) -> Result<Vec<PathBuf>, Refusal> {
        self.read(move |db| {
            let sql = "SELECT directory, file FROM upload WHERE folder = ? AND state = 'settling'";
            let mut ask = db.prepare_cached(sql)?;
            let paths = ask.query_map([folder.0], |row| file(row, 0))?;
            Ok(paths.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Files that the server has and that were not put away, the oldest first.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn receipts(&self, folder: FolderId, limit: u32) -> Result<Vec<Receipt>, Refusal> {
        self.read(move |db| {
            let sql = format!(
                "SELECT id, directory, file, hash, {STAMP} FROM upload \
                 WHERE folder = ? AND state IN ('stored', 'duplicate') AND put_away = 0 \
                 ORDER BY id LIMIT ?"
            );
            let mut ask = db.prepare_cached(&sql)?;
            let receipts = ask.query_map((folder.0, limit), |row| {
                let Some(hash) = hash(row, 3)? else { return Ok(None) };
                Ok(Some(Receipt {
                    id: UploadId(unsigned(row, 0)?),
                    path: file(row, 1)?.unwrap_or_default(),
                    stamp: stamp(row, 4)?,
                    hash,
                }))
            })?;
            Ok(receipts.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// A file was moved there, or to the trash, after its receipt.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn put_away(&self, id: UploadId, moved_to: Option<PathBuf>) -> Result<(), Refusal> {
        self.keep(move |db| {
            let sql = "UPDATE upload SET put_away = 1, moved_to = ? WHERE id = ?";
            let to = moved_to.as_deref().map(bytes);
            db.prepare_cached(sql)?.execute((to, signed(id.0)))?;
            Ok(())
        })
        .await
    }

    /// How many uploads of a membership are in each state; of one folder alone, or all, those by hand
    /// too.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn counts(
        &self,
        folder: Option<FolderId>,
        membership: MembershipId,
    ) -> Result<Counts, Refusal> {
        self.read(move |db| {
            let sql = "SELECT state, count FROM tally \
                 WHERE membership = ?1 AND (?2 IS NULL OR folder = ?2)";
            let mut ask = db.prepare_cached(sql)?;
            let mut rows = ask.query((membership.0, folder.map(|folder| folder.0)))?;
            let mut counts = Counts::default();
            while let Some(row) = rows.next()? {
                *counts.of(state(row, 0)?) += unsigned(row, 1)?;
            }
            Ok(counts)
        })
        .await
    }

    /// Those of a folder that were ignored, refused or failed, the newest first.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn problems(
        &self,
        folder: FolderId,
        limit: u32,
    ) -> Result<Vec<QueuedUpload>, Refusal> {
        self.read(move |db| {
            let sql = format!(
                "SELECT {QUEUED} FROM upload u JOIN folder f ON f.id = u.folder \
                 WHERE u.folder = ? AND u.state IN ('ignored', 'refused', 'failed') \
                 ORDER BY u.id DESC LIMIT ?"
            );
            let mut ask = db.prepare_cached(&sql)?;
            let problems = ask.query_map((folder.0, limit), queued_upload)?;
            Ok(problems.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// The newest upload of the file at this path, whether it was seen or queued by hand.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn story(&self, path: PathBuf) -> Result<Option<QueuedUpload>, Refusal> {
        self.read(move |db| {
            let (directory, name) = place(&path);
            let sql = |folder: &str| {
                format!(
                    "SELECT {QUEUED} FROM upload u LEFT JOIN folder f ON f.id = u.folder \
                     WHERE u.folder {folder} AND u.directory = ? AND u.file = ? \
                     ORDER BY u.id DESC LIMIT 1"
                )
            };
            let mut stories = Vec::new();
            for folder in folders_above(db, &path)? {
                let mut ask = db.prepare_cached(&sql(&format!("= {folder}")))?;
                stories.extend(ask.query_row((directory, name), queued_upload).optional()?);
            }
            let mut ask = db.prepare_cached(&sql("IS NULL"))?;
            stories.extend(ask.query_row((directory, name), queued_upload).optional()?);
            Ok(stories.into_iter().max_by_key(|story| story.id))
        })
        .await
    }
}

/// One file was looked at.
fn see(
    db: &Connection,
    membership: MembershipId,
    folder: FolderId,
    seen: &Seen,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (directory, name) = place(&seen.path);
    let sql = format!(
        "SELECT id, state, put_away, {STAMP} FROM upload \
         WHERE folder = ? AND directory = ? AND file = ?"
    );
    let known = db
        .prepare_cached(&sql)?
        .query_row((folder.0, directory, name), |row| {
            Ok((row.get::<_, i64>(0)?, state(row, 1)?, row.get::<_, bool>(2)?, stamp(row, 3)?))
        })
        .optional()?;
    let now = now.as_millisecond();
    // How a row of it stands from now on: its state, when it was queued, when it ended, and why.
    let (word, queued_at, ended_at, error) = match &seen.how {
        How::Settling => (UploadState::Settling, None, None, None),
        How::Settled => (UploadState::Queued, Some(now), None, None),
        How::Ignored(why) => (UploadState::Ignored, None, Some(now), Some(refusal_text(why))),
    };
    if let Some((id, was, put_away, stamp)) = known {
        let is_same = stamp == seen.stamp && !put_away;
        if is_same {
            use UploadState::{Queued, Settling};
            let moves = match seen.how {
                How::Settling => false,
                How::Settled => was == Settling,
                How::Ignored(_) => matches!(was, Settling | Queued),
            };
            if moves {
                let sql = "UPDATE upload SET state = ?, queued_at = ?, ended_at = ?, error = ? \
                     WHERE id = ?";
                let values = (word.word(), queued_at, ended_at, error, id);
                db.prepare_cached(sql)?.execute(values)?;
            }
            return Ok(());
        }
        if was == UploadState::Settling && !put_away {
            // It is being written: still the same upload, of which nothing was sent.
            let sql = "UPDATE upload SET state = ?, queued_at = ?, ended_at = ?, error = ?, \
                 device = ?, inode = ?, size = ?, modified_s = ?, modified_ns = ?, hash = NULL, \
                 hashed_at = NULL, sent_at = NULL WHERE id = ?";
            let Stamp { device, inode, size, modified } = seen.stamp;
            let values = (
                word.word(),
                queued_at,
                ended_at,
                error,
                signed(device),
                signed(inode),
                signed(size),
                modified.0,
                modified.1,
                id,
            );
            db.prepare_cached(sql)?.execute(values)?;
            return Ok(());
        }
        // Under a new number: what is still said of the old one does not reach it.
        db.prepare_cached("DELETE FROM upload WHERE id = ?")?.execute([id])?;
    }
    let sql = "INSERT INTO upload (membership, folder, directory, file, name, unless_deleted, \
         state, queued_at, ended_at, error, device, inode, size, modified_s, modified_ns, seen_at) \
         VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let Stamp { device, inode, size, modified } = seen.stamp;
    db.prepare_cached(sql)?.execute((
        membership.0,
        folder.0,
        directory,
        name,
        &seen.name,
        word.word(),
        queued_at,
        ended_at,
        error,
        signed(device),
        signed(inode),
        signed(size),
        modified.0,
        modified.1,
        now,
    ))?;
    Ok(())
}

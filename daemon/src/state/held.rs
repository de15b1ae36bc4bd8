//! Files that may still have contents that the server had once and lost: what is known of them here,
//! and their uploads once more. Called by `transfer::queue` alone.

use std::path::PathBuf;

use imgrepo_proto::control::queue::UploadId;
use imgrepo_proto::{BlobHash, Refusal};
use jiff::Timestamp;

use super::rows::{STAMP, file, hash, optional_path, signed, stamp, unsigned};
use super::{MembershipId, Stamp, State};

/// A file whose upload had its receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its upload.
    pub id: UploadId,
    /// Where it is, or was moved to after the receipt.
    pub path: PathBuf,
    /// Whether it was moved: then the upload's own place is another file's, if anybody's.
    pub is_moved: bool,
    /// The name that its image got.
    pub name: String,
    /// As it was when it was uploaded.
    pub stamp: Stamp,
    /// The content that the server had.
    pub hash: BlobHash,
}

impl State {
    /// The files of this membership that had these contents; where several did, all of them.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn held(
        &self,
        membership: MembershipId,
        hashes: Vec<BlobHash>,
    ) -> Result<Vec<Held>, Refusal> {
        self.read(move |db| {
            // Once through all that is done: there is no index for what is asked in years.
            let wanted: Vec<String> = hashes.iter().map(BlobHash::to_string).collect();
            let wanted = serde_json::to_string(&wanted).unwrap_or_default();
            let sql = format!(
                "SELECT id, directory, file, moved_to, put_away, name, hash, {STAMP} FROM upload \
                 WHERE membership = ? AND state IN ('stored', 'duplicate') \
                     AND directory IS NOT NULL AND (put_away = 0 OR moved_to IS NOT NULL) \
                     AND hash IN (SELECT unhex(value) FROM json_each(?)) ORDER BY id"
            );
            let mut ask = db.prepare_cached(&sql)?;
            let held = ask.query_map((membership.0, wanted), |row| {
                let is_moved = row.get(4)?;
                let path = if is_moved { optional_path(row, 3)? } else { file(row, 1)? };
                let Some((path, hash)) = path.zip(hash(row, 6)?) else { return Ok(None) };
                let (id, name) = (UploadId(unsigned(row, 0)?), row.get(5)?);
                Ok(Some(Held { id, path, is_moved, name, stamp: stamp(row, 7)?, hash }))
            })?;
            Ok(held.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// This upload, which had its receipt, is queued once more; what was deleted there since stays
    /// deleted. Whether it was so.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn once_more(&self, id: UploadId, now: Timestamp) -> Result<bool, Refusal> {
        self.keep(move |db| {
            let sql = "UPDATE upload SET state = 'queued', queued_at = ?, ended_at = NULL, \
                 unless_deleted = 1, retry_at = NULL, error = NULL, refused_by = NULL \
                 WHERE id = ? AND state IN ('stored', 'duplicate') AND put_away = 0";
            let values = (now.as_millisecond(), signed(id.0));
            Ok(db.prepare_cached(sql)?.execute(values)? > 0)
        })
        .await
    }
}

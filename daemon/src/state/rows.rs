//! Values as SQLite keeps them, and rows as the rooms above see them. Used by this room's other
//! files.

use std::path::{Path, PathBuf};

use imgrepo_proto::control::queue::{QueuedUpload, UploadId, UploadState};
use imgrepo_proto::{BlobHash, ImageId, Refusal};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Error, Row};

use super::{QueuedContent, Stamp};

/// The columns that [`stamp`] reads, in its order.
pub(super) const STAMP: &str = "device, inode, size, modified_s, modified_ns";

/// The columns that [`queued_upload`] reads, in its order; of `upload` as `u` beside its `folder`
/// as `f`.
pub(super) const QUEUED: &str = "u.id, u.directory, u.file, f.path, u.name, u.state, u.size, \
     u.hash, u.image, u.seen_at, u.queued_at, u.hashed_at, u.sent_at, u.ended_at, u.attempts, \
     u.retry_at, u.error, u.moved_to";

/// A number that SQLite keeps signed: the same bits.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// Such a number back.
pub(super) fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(at)?.cast_unsigned())
}

/// The bytes of a path.
pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// A file's directory and its name there.
pub(super) fn place(path: &Path) -> (&[u8], &[u8]) {
    let directory = path.parent().map_or(&[][..], bytes);
    (directory, path.file_name().map_or(&[][..], |name| name.as_encoded_bytes()))
}

/// A path of these bytes.
pub(super) fn path(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// A path in this column, where there is one.
pub(super) fn optional_path(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<PathBuf>> {
    Ok(row.get::<_, Option<Vec<u8>>>(at)?.map(path))
}

/// A file's path: its directory in this column, its name in the next.
pub(super) fn file(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<PathBuf>> {
    let directory = optional_path(row, at)?;
    let name = optional_path(row, at + 1)?;
    Ok(directory.zip(name).map(|(directory, name)| directory.join(name)))
}

/// A time in this column, where there is one.
pub(super) fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    let read = |ms| Timestamp::from_millisecond(ms).map_err(|error| bad(at, Type::Integer, error));
    row.get::<_, Option<i64>>(at)?.map(read).transpose()
}

/// A hash in this column, where there is one.
pub(super) fn hash(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<BlobHash>> {
    Ok(row.get::<_, Option<[u8; 32]>>(at)?.map(BlobHash))
}

/// The state in this column.
pub(super) fn state(row: &Row<'_>, at: usize) -> rusqlite::Result<UploadState> {
    use UploadState::{
        Cancelled, Duplicate, Failed, Ignored, Queued, Refused, Sending, Settling, Stored, Waiting,
    };
    let word: String = row.get(at)?;
    let all = [
        Settling, Queued, Sending, Waiting, Stored, Duplicate, Ignored, Refused, Failed, Cancelled,
    ];
    let unknown = || bad(at, Type::Text, std::io::Error::other("an unknown state"));
    all.into_iter().find(|state| state.word() == word).ok_or_else(unknown)
}

/// A directory's device and inode.
pub(super) fn identity((device, inode): (Option<i64>, Option<i64>)) -> Option<(u64, u64)> {
    device.zip(inode).map(|(device, inode)| (device.cast_unsigned(), inode.cast_unsigned()))
}

/// A stamp in this column and the next four.
pub(super) fn stamp(row: &Row<'_>, at: usize) -> rusqlite::Result<Stamp> {
    Ok(Stamp {
        device: unsigned(row, at)?,
        inode: unsigned(row, at + 1)?,
        size: unsigned(row, at + 2)?,
        modified: (row.get(at + 3)?, row.get(at + 4)?),
    })
}

/// Where an upload's content is: the spool's number in this column, the file's place in the next
/// two.
pub(super) fn content(row: &Row<'_>, at: usize) -> rusqlite::Result<QueuedContent> {
    if let Some(spool) = row.get::<_, Option<i64>>(at)? {
        return Ok(QueuedContent::Spooled(spool.cast_unsigned()));
    }
    let lost = || bad(at, Type::Null, std::io::Error::other("an upload without a content"));
    file(row, at + 1)?.map(QueuedContent::File).ok_or_else(lost)
}

/// A refusal as it is kept.
pub(super) fn refusal_text(refusal: &Refusal) -> String {
    // Two texts and a word: this does not fail.
    serde_json::to_string(refusal).unwrap_or_default()
}

/// What [`refusal_text`] wrote.
pub(super) fn refusal(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Refusal>> {
    let Some(text) = row.get::<_, Option<String>>(at)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| bad(at, Type::Text, error))
}

/// An upload's story, by the columns [`QUEUED`].
pub(super) fn queued_upload(row: &Row<'_>) -> rusqlite::Result<QueuedUpload> {
    let seen_at = time(row, 9)?.unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(QueuedUpload {
        id: UploadId(unsigned(row, 0)?),
        path: file(row, 1)?,
        folder: optional_path(row, 3)?,
        name: row.get(4)?,
        state: state(row, 5)?,
        size: unsigned(row, 6)?,
        done: None,
        hash: hash(row, 7)?,
        image: row.get::<_, Option<i64>>(8)?.map(|image| ImageId(image.cast_unsigned())),
        seen_at,
        queued_at: time(row, 10)?,
        hashed_at: time(row, 11)?,
        sent_at: time(row, 12)?,
        ended_at: time(row, 13)?,
        attempts: row.get(14)?,
        retry_at: time(row, 15)?.filter(|at| *at != Timestamp::UNIX_EPOCH),
        error: refusal(row, 16)?,
        moved_to: optional_path(row, 17)?,
    })
}

fn bad(at: usize, kind: Type, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(at, kind, Box::new(error))
}

//! Uploads of the queue as people and programs see them: a row of a table, a line, a document, and
//! how many are in which state. Pure; shared by the verbs that show any of it.

use std::path::Path;

use imgrepo_proto::control::queue::{Counts, QueueStatus, QueuedUpload, UploadId, UploadState};
use imgrepo_proto::name::shown;
use imgrepo_proto::{BlobHash, ImageId};
use jiff::Timestamp;
use serde::Serialize;

use crate::output::{Output, Problem, Style};
use crate::table;

/// An upload in a document.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    id: UploadId,
    path: Option<String>,
    folder: Option<String>,
    name: &'a str,
    state: UploadState,
    size: u64,
    done: Option<u64>,
    hash: Option<BlobHash>,
    image: Option<ImageId>,
    seen_at: Timestamp,
    queued_at: Option<Timestamp>,
    hashed_at: Option<Timestamp>,
    sent_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    attempts: u32,
    retry_at: Option<Timestamp>,
    error: Option<Problem>,
    moved_to: Option<String>,
}

impl<'a> From<&'a QueuedUpload> for Document<'a> {
    fn from(upload: &'a QueuedUpload) -> Self {
        Document {
            id: upload.id,
            path: upload.path.as_deref().map(table::lossy),
            folder: upload.folder.as_deref().map(table::lossy),
            name: &upload.name,
            state: upload.state,
            size: upload.size,
            done: upload.done,
            hash: upload.hash,
            image: upload.image,
            seen_at: upload.seen_at,
            queued_at: upload.queued_at,
            hashed_at: upload.hashed_at,
            sent_at: upload.sent_at,
            ended_at: upload.ended_at,
            attempts: upload.attempts,
            retry_at: upload.retry_at,
            error: upload.error.as_ref().map(Problem::from),
            moved_to: upload.moved_to.as_deref().map(table::lossy),
        }
    }
}

/// The queue in a document.
#[derive(Serialize)]
pub(crate) struct QueueDocument {
    #[serde(flatten)]
    status: QueueStatus,
    /// As in the status, in the form of all documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<Problem>,
}

impl From<&QueueStatus> for QueueDocument {
    fn from(status: &QueueStatus) -> Self {
        let waits = status.waits.as_ref().map(Problem::from);
        QueueDocument { status: QueueStatus { waits: None, ..status.clone() }, waits }
    }
}

/// The file of an upload, or the image's name where there is no file.
pub(crate) fn what(upload: &QueuedUpload) -> String {
    upload.path.as_deref().map_or_else(|| shown(&upload.name), table::path)
}

/// An upload that a person should know of, and why, in one line.
pub(crate) fn line(upload: &QueuedUpload) -> String {
    format!("{:<9}  {}", upload.state.word(), with_cause(upload))
}

/// The same below its watched folder, which is said already.
pub(crate) fn line_in(folder: &Path, upload: &QueuedUpload) -> String {
    let below = upload.path.as_deref().and_then(|path| path.strip_prefix(folder).ok());
    let what = below.map_or_else(|| what(upload), table::path);
    let cause = cause(upload).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{:<9}  {what}{cause}", upload.state.word())
}

/// The file, and what went wrong with it.
pub(crate) fn with_cause(upload: &QueuedUpload) -> String {
    match cause(upload) {
        Some(cause) => format!("{}: {cause}", what(upload)),
        None => what(upload),
    }
}

/// What went wrong, without the name where the file is said anyway.
pub(crate) fn cause(upload: &QueuedUpload) -> Option<String> {
    let message = &upload.error.as_ref()?.message;
    let acts = [("store", shown(&upload.name)), ("upload", what(upload)), ("read", what(upload))];
    let mut acts = acts.iter().map(|(act, what)| format!("cannot {act} `{what}`: "));
    Some(shown(acts.find_map(|act| message.strip_prefix(&act)).unwrap_or(message)))
}

/// Its state, with what is to be known beside.
pub(crate) fn state(upload: &QueuedUpload) -> String {
    let word = upload.state.word();
    match (upload.state, upload.done) {
        (UploadState::Sending, Some(done)) => format!("{word} {}%", percent(done, upload.size)),
        _ => word.to_owned(),
    }
}

/// So many of a hundred; all only when it is all.
pub(crate) fn percent(done: u64, total: u64) -> u64 {
    match total {
        0 => 100,
        _ => (u128::from(done.min(total)) * 100 / u128::from(total)) as u64,
    }
}

/// The colour of a state.
pub(crate) fn style(state: UploadState) -> Option<Style> {
    match state {
        UploadState::Stored => Some(Style::Green),
        UploadState::Refused | UploadState::Failed => Some(Style::Red),
        UploadState::Waiting => Some(Style::Yellow),
        UploadState::Duplicate | UploadState::Ignored | UploadState::Cancelled => Some(Style::Dim),
        UploadState::Settling | UploadState::Queued | UploadState::Sending => None,
    }
}

/// A text in the colour of a state.
pub(crate) fn painted(out: &Output, of: UploadState, text: &str) -> String {
    style(of).map_or_else(|| text.to_owned(), |style| out.styled(style, text))
}

/// How many are in each state that any is in, those under way first: `1 sending, 7 stored`.
pub(crate) fn counted(counts: &Counts) -> String {
    let parts = [
        (counts.sending, UploadState::Sending),
        (counts.queued, UploadState::Queued),
        (counts.settling, UploadState::Settling),
        (counts.waiting, UploadState::Waiting),
        (counts.refused, UploadState::Refused),
        (counts.failed, UploadState::Failed),
        (counts.stored, UploadState::Stored),
        (counts.duplicate, UploadState::Duplicate),
        (counts.ignored, UploadState::Ignored),
        (counts.cancelled, UploadState::Cancelled),
    ];
    let said = parts.iter().filter(|(count, _)| *count > 0);
    said.map(|(count, state)| format!("{count} {}", state.word())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_say_only_what_there_is() {
        let counts = Counts { stored: 7, sending: 1, failed: 2, ..Counts::default() };
        assert_eq!(counted(&counts), "1 sending, 2 failed, 7 stored");
        assert_eq!(counted(&Counts::default()), "");
    }

    #[test]
    fn what_went_wrong_does_not_say_the_file_again() {
        let mut upload = QueuedUpload {
            id: UploadId(1),
            path: Some("/w/a/b.jpg".into()),
            folder: Some("/w".into()),
            name: "b.jpg".to_owned(),
            state: UploadState::Failed,
            size: 1,
            done: None,
            hash: None,
            image: None,
            seen_at: Timestamp::UNIX_EPOCH,
            queued_at: None,
            hashed_at: None,
            sent_at: None,
            ended_at: None,
            attempts: 1,
            retry_at: None,
            error: None,
            moved_to: None,
        };
        assert_eq!(line_in(Path::new("/w"), &upload), "failed     a/b.jpg");
        for message in ["cannot store `b.jpg`: it is so", "cannot read `/w/a/b.jpg`: it is so"] {
            upload.error =
                Some(imgrepo_proto::Refusal::new(imgrepo_proto::ErrorCode::FileError, message));
            assert_eq!(line(&upload), "failed     /w/a/b.jpg: it is so");
            assert_eq!(line_in(Path::new("/w"), &upload), "failed     a/b.jpg: it is so");
        }
    }

    #[test]
    fn a_hundred_percent_is_all_of_it() {
        let cases =
            [(0, 0, 100), (0, 9, 0), (999, 1000, 99), (5, 4, 100), (u64::MAX, u64::MAX, 100)];
        for (done, total, said) in cases {
            assert_eq!(percent(done, total), said);
        }
    }
}

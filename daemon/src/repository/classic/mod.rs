//! The old system's folder: `metadata.json` and, in `imagens/`, the images. Taken over into a
//! repository ([`Repository::import_classic`]), and written from one ([`Repository::export_classic`])
//! so that the old server runs on it.
//!
//! Called by the program's command line, with a repository that nobody else has open. It never
//! changes a folder that it reads, and never follows a path of it to anywhere else.
//!
//! `metadata.json` is a list of entries, in the order of the uploads:
//!
//! ```json
//! {"id": 7, "filename": "a.jpg", "uploader": "ana", "path": "imagens/7_a.jpg",
//!  "thumb_path": "imagens/thumb_7_a.jpg", "timestamp": "2024-05-01T12:34:56.789"}
//! ```
//!
//! `timestamp` is a text in one of several forms, or the seconds since 1970; whatever it is, it is
//! kept as it stands. `thumb_path` may be null or missing. The images are `{id}_{filename}` and
//! `thumb_{id}_{filename}`, in an export with the file's name encoded where it would be dangerous or
//! too long ([`imgrepo_proto::name::file_name`]); `path` says which.

use std::path::Path;

use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, ImageId, Refusal};
use serde::Serialize;

mod export;
mod folder;
mod import;
mod metadata;
mod plan;
mod timestamp;

pub use folder::Folder;

#[cfg(doc)]
use super::Repository;

/// The old catalog's file.
const METADATA: &str = "metadata.json";

/// The folder of the old catalog's images.
const IMAGES: &str = "imagens";

/// What is told while it goes on.
#[derive(Debug)]
pub enum Told<'a> {
    /// So many of all are done.
    Progress {
        /// Done, whatever became of them.
        done: usize,
        /// Of so many; None where that is not known yet.
        total: Option<u64>,
    },
    /// An image got another number.
    Renumbered(&'a Renumbered),
    /// An image was left out.
    LeftOut(&'a LeftOut),
}

/// An image that is not here under its old number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renumbered {
    /// The place of its entry in the list, from 1.
    pub entry: usize,
    /// Its number there.
    pub number: u64,
    /// Its number here.
    pub image: ImageId,
}

/// An image that was not taken, or not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The place of its entry in the list that is read, from 1; None for an export.
    pub entry: Option<usize>,
    /// Its number, where it has one that can be read.
    pub number: Option<u64>,
    /// Why.
    pub error: Refusal,
}

/// What an import came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportSummary {
    /// Images that were taken.
    pub imported: usize,
    /// Images that were here already.
    pub present: usize,
    /// Those of both that have another number here.
    pub renumbered: Vec<Renumbered>,
    /// Entries that were not taken.
    pub left_out: Vec<LeftOut>,
}

/// What an export came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExportSummary {
    /// Images that were written.
    pub exported: usize,
    /// Those of them without a thumbnail: of a kind, or a size, that is not decoded here.
    pub without_thumbnail: usize,
    /// Images that could not be written.
    pub left_out: Vec<LeftOut>,
}

/// A refusal that names a file or folder.
fn file_error(act: &str, path: &Path, why: &dyn std::fmt::Display) -> Refusal {
    let (path, why) = (shown(&path.to_string_lossy()), shown(&why.to_string()));
    Refusal::new(ErrorCode::FileError, format!("cannot {act} `{path}`: {why}"))
}

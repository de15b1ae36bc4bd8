//! A look at one file: is it written, do its first bytes say that it is an image, and is its end there?
//! Opens it, reads its first [`DECIDING_BYTES`] and mostly as few of its last, and closes it. Called by the scan and for hints; blocks.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;

use imgrepo_proto::{ErrorCode, ImageName, Refusal};

use crate::repository::picture::{DECIDING_BYTES, Ending, Guess, ending_of, kind_of};
use crate::state::{How, Seen, Stamp};

use super::lease::{Writer, writer_of};
use super::root::Folder;
use super::settle::{Look, Verdict};

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// The file's name in its folder.
    pub(super) name: OsString,
    pub(super) stamp: Stamp,
    pub(super) writer: Writer,
    /// Its end is missing.
    pub(super) torn: bool,
    /// Why it is not to be uploaded, as far as one can tell without reading it.
    unfit: Option<Refusal>,
}

/// Looks at a file; None where it is no regular file any more.
pub(super) fn probe(folder: &Folder, name: &OsStr, stamp: Stamp) -> Option<Probe> {
    let found = |stamp, writer, unfit| {
        Some(Probe { name: name.to_owned(), stamp, writer, torn: false, unfit })
    };
    let mut file = match folder.file(name) {
        Ok(file) => file,
        // Another program has a lease of its own, to be told before someone else opens it: a file
        // server, whose client may write at any time.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return found(stamp, Writer::Some, None);
        }
        // The upload will say so, where a person sees it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return found(stamp, Writer::Unknown, None);
        }
        Err(_) => return None,
    };
    let writer = writer_of(&file);
    // After the lease: with nobody writing, this is what was written.
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let mut first = [0; DECIDING_BYTES];
    let mut len = 0;
    while len < first.len() {
        match file.read_at(&mut first[len..], len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The upload will say so.
            Err(_) => return found(Stamp::of(&metadata), writer, None),
        }
    }
    let stamp = Stamp::of(&metadata);
    let unfit = match kind_of(&first[..len]) {
        Guess::Image(kind) => {
            // While it is written its end is missing anyway. A fault of the disk the upload will say.
            let torn = writer != Writer::Some
                && ending_of(&mut file, stamp.size, kind).is_ok_and(|end| end == Ending::Torn);
            return Some(Probe { torn, ..found(stamp, writer, None)? });
        }
        Guess::NotAnImage | Guess::NeedMore => {
            Some(Refusal::new(ErrorCode::NotAnImage, "it is not an image, by its first bytes"))
        }
    };
    found(stamp, writer, unfit)
}

impl Probe {
    /// For [`super::settle`].
    pub(super) fn look(&self, renamed: bool) -> Look {
        Look { stamp: self.stamp, writer: self.writer, renamed, torn: self.torn }
    }

    /// What is to be remembered of it, where that is new.
    pub(super) fn seen(self, folder: &std::path::Path, verdict: Verdict) -> Option<Seen> {
        let path = folder.join(&self.name);
        // A name is shown even where no image could bear it.
        let name = ImageName::from_disk(self.name.as_bytes());
        let shown = || self.name.to_string_lossy().into_owned();
        let (name, bad_name) = match name {
            Ok(name) => (name.to_string(), None),
            Err(error) => {
                (shown(), Some(Refusal::new(ErrorCode::BadName, format!("its name: {error}"))))
            }
        };
        let how = match verdict {
            Verdict::Wait { is_news: true } => How::Settling,
            Verdict::Wait { is_news: false } | Verdict::Later => return None,
            Verdict::Empty => How::Ignored(Refusal::new(ErrorCode::NotAnImage, "it is empty")),
            Verdict::Take => match self.unfit.or(bad_name) {
                Some(refusal) => How::Ignored(refusal),
                None => How::Settled,
            },
        };
        Some(Seen { path, name, stamp: self.stamp, how })
    }
}

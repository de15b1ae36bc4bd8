//! Looking through folders: what is known against what is there. A scan is the truth that hints only
//! hasten; what it finds to be as it was known is neither opened nor read.
//!
//! The folder's task runs it. One folder at a time and in pieces, so that neither memory nor a
//! blocking thread is held for long, and it may be given up between any two pieces. Links are never
//! followed, what the rules pass over is never entered, and nothing is forgotten unless its folder
//! was read to its end.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use imgrepo_proto::Refusal;
use imgrepo_proto::name::shown;
use tokio::task::spawn_blocking;

use crate::state::{FolderId, Stamp, State};

use super::finder::Finder;
use super::notifier::{Blind, Eye};
use super::reading::{End, Opened, Reading};
use super::root::{Found, Identity, Root};

/// A watched folder, as far as looking through it needs to know.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) id: FolderId,
    pub(super) path: PathBuf,
    /// Which folder it must be.
    pub(super) identity: Option<Identity>,
    /// Whether files keep their number there: else only size and time tell that one is known.
    pub(super) keeps_inodes: bool,
}

/// What a person should know of a scan: folders that cannot be looked into, rules that are none. The
/// first few.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Remarks(Vec<String>);

impl Remarks {
    /// As many as fit in a status; the others are of the same kind.
    const MOST: usize = 3;

    pub(super) fn add(&mut self, remark: impl FnOnce() -> String) {
        if self.0.len() < Remarks::MOST {
            self.0.push(remark());
        }
    }

    /// In one text; None where there are none.
    pub(super) fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join("; "))
    }
}

/// What a scan came to.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// The folders that it went through.
    pub(super) been: HashSet<PathBuf>,
    pub(super) remarks: Remarks,
}

/// Why a scan ended before its end.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The watched folder is not there, or not the one that was meant.
    Vanished(String),
    /// No more folders can be watched.
    Blind(Blind),
    /// What is known cannot be read or written.
    State(Refusal),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Stopped::State(refusal)
    }
}

/// Looks through this folder and all below it.
pub(super) async fn scan(
    place: &Place,
    start: &Path,
    eye: Option<&Eye>,
    state: &State,
    finder: &mut Finder<'_>,
) -> Result<Scanned, Stopped> {
    let Scanned { mut been, mut remarks } = Scanned::default();
    let mut closed = Vec::new();
    let mut stack = vec![(start.to_owned(), None)];
    while let Some((path, above)) = stack.pop() {
        let known = state.known(place.id, path.clone()).await?;
        let (place, eye, here) = (place.clone(), eye.cloned(), path.clone());
        let opening = blocking(move || Reading::open(&place, &here, above, known, eye.as_ref()));
        let mut reading = match opening.await? {
            Opened::Reading(reading) => reading,
            Opened::Gone => continue,
            Opened::Closed(why) => {
                remarks.add(|| format!("cannot look into `{}`: {why}", show(&path)));
                closed.push(path);
                continue;
            }
        };
        loop {
            let (back, piece) = blocking(move || {
                let piece = reading.piece();
                Ok((reading, piece))
            })
            .await?;
            reading = back;
            if !piece.probes.is_empty() {
                finder.found(&path, piece.probes).await?;
            }
            match piece.end {
                End::More => {}
                End::Whole => {
                    let gone = reading.gone();
                    if !gone.is_empty() {
                        finder.gone(gone).await?;
                    }
                    break;
                }
                End::Broken(why) => {
                    remarks.add(|| format!("cannot read `{}` to its end: {why}", show(&path)));
                    closed.push(path.clone());
                    break;
                }
            }
        }
        reading.remarks.0.drain(..).for_each(|remark| remarks.add(|| remark));
        let rules = reading.rules.clone();
        stack.extend(reading.below.into_iter().map(|name| (path.join(name), Some(rules.clone()))));
        been.insert(path);
    }
    // Folders that are gone took their files with them; what could not be looked into did not.
    for path in state.known_directories(place.id).await? {
        let is_closed = || closed.iter().any(|closed| path.starts_with(closed));
        if path.starts_with(start) && !been.contains(&path) && !is_closed() {
            let known = state.known(place.id, path).await?;
            finder.gone(known.into_iter().map(|file| file.path).collect()).await?;
        }
    }
    Ok(Scanned { been, remarks })
}

fn show(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// Runs what waits for the disk where that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Stopped> + Send + 'static,
) -> Result<T, Stopped> {
    spawn_blocking(act).await.unwrap_or_else(|error| {
        let message = format!("looking through a folder failed: {error}");
        Err(Refusal::new(imgrepo_proto::ErrorCode::Internal, message).into())
    })
}

impl Place {
    /// Opens the watched folder. Blocks.
    pub(super) fn open(&self) -> Result<Root, Stopped> {
        match Root::open(&self.path, self.identity) {
            Found::Here(root) => Ok(root),
            Found::Vanished(why) => Err(Stopped::Vanished(why)),
        }
    }

    /// Whether a file is as it was known.
    pub(super) fn is_same(&self, known: &Stamp, now: &Stamp) -> bool {
        known.size == now.size
            && known.modified == now.modified
            && (known.inode == now.inode || !self.keeps_inodes)
    }
}

/// Whether a folder is not there any more, or was replaced by something that is none.
pub(super) fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let Some(code) = error.raw_os_error() else { return error.kind() == io::ErrorKind::NotFound };
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].contains(&Errno::from_raw_os_error(code))
}

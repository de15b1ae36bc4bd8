//! Looking through folders: what is known against what is there. A scan is the truth that hints only
//! hasten; what it finds to be as it was known is neither opened nor read.
//!
//! The folder's task runs it. One folder at a time and in pieces, so that neither memory nor a
//! blocking thread is held for long, and it may be given up between any two pieces. Links are never
//! followed, what the rules pass over is never entered, and nothing is forgotten unless its folder
//! was read to its end.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgrepo_proto::Refusal;
use imgrepo_proto::control::queue::UploadState;
use rustix::fs::{Dir, FileType};
use tokio::task::spawn_blocking;

use crate::state::{FolderId, Known, Stamp, State};

use super::notifier::{Blind, Eye};
use super::probe::{Probe, probe};
use super::root::{Entry, Folder, Found, Identity, Root};
use super::rules::{self, Rules};

/// Files that are opened in one piece: some 20 ms, after which they are remembered together.
const PIECE: usize = 1_000;

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

/// What takes what a scan finds.
pub(super) trait Finder {
    /// New and changed files of this folder.
    fn found(
        &mut self,
        folder: &Path,
        probes: Vec<Probe>,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// These files are not there any more.
    fn gone(&mut self, paths: Vec<PathBuf>) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// Looks through this folder and all below it. Gives the folders that it went through.
pub(super) async fn scan(
    place: &Place,
    start: &Path,
    eye: Option<&Eye>,
    state: &State,
    finder: &mut (impl Finder + Send),
) -> Result<HashSet<PathBuf>, Stopped> {
    let mut been = HashSet::new();
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
                tracing::warn!("cannot look into `{}`: {why}", path.display());
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
                    tracing::warn!("cannot read `{}` to its end: {why}", path.display());
                    closed.push(path.clone());
                    break;
                }
            }
        }
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
    Ok(been)
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
    fn is_same(&self, known: &Stamp, now: &Stamp) -> bool {
        known.size == now.size
            && known.modified == now.modified
            && (known.inode == now.inode || !self.keeps_inodes)
    }
}

/// The rules for a folder, from the watched one down to it; None where it is passed over itself.
/// Blocks.
pub(super) fn rules_of(root: &Root, place: &Place, path: &Path) -> io::Result<Option<Arc<Rules>>> {
    let mut here = place.path.clone();
    let mut rules = with_own(&root.folder(&here)?, &Rules::built_in(&here));
    let below = path.strip_prefix(&place.path).map_err(|_| io::ErrorKind::NotFound)?;
    for step in below.components() {
        here.push(step);
        if rules.passes_over(&here, true).is_some() {
            return Ok(None);
        }
        rules = with_own(&root.folder(&here)?, &rules);
    }
    Ok(Some(rules))
}

/// The rules with those that stand in this folder.
fn with_own(folder: &Folder, above: &Arc<Rules>) -> Arc<Rules> {
    let name = OsStr::new(rules::FILE);
    let read = || -> io::Result<Option<String>> {
        match folder.entry(name)? {
            None => return Ok(None),
            Some(Entry::File(stamp)) if stamp.size <= rules::MAX_BYTES => {}
            Some(_) => return Err(io::Error::other("it is no file of at most 1 MiB")),
        }
        let mut text = Vec::new();
        folder.file(name)?.take(rules::MAX_BYTES).read_to_end(&mut text)?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    };
    let shown = || folder.path().join(name).display().to_string();
    match read() {
        Ok(None) => above.clone(),
        Ok(Some(text)) => {
            let (rules, faults) = above.below(folder.path(), &text);
            for fault in faults {
                tracing::warn!("a line of `{}` is no rule: {fault}", shown());
            }
            rules
        }
        Err(why) => {
            tracing::warn!("cannot read `{}`: {why}; nothing beside it is taken", shown());
            above.closed(folder.path())
        }
    }
}

/// How a folder could be opened.
enum Opened {
    Reading(Box<Reading>),
    /// It is not there any more, or is no folder, or is passed over.
    Gone,
    /// It is there, but what is in it cannot be told.
    Closed(io::Error),
}

/// A folder that is being read.
struct Reading {
    place: Place,
    folder: Folder,
    entries: Dir,
    rules: Arc<Rules>,
    known: HashMap<OsString, (Stamp, UploadState)>,
    below: Vec<OsString>,
}

/// What one piece of it has.
struct Piece {
    probes: Vec<Probe>,
    end: End,
}

enum End {
    More,
    Whole,
    Broken(io::Error),
}

impl Reading {
    /// Watches the folder, then opens it: what comes between the two is read, what comes later is
    /// hinted at.
    fn open(
        place: &Place,
        path: &Path,
        above: Option<Arc<Rules>>,
        known: Vec<Known>,
        eye: Option<&Eye>,
    ) -> Result<Opened, Stopped> {
        let root = place.open()?;
        let opened = root.folder(path).and_then(|folder| {
            let rules = match &above {
                Some(above) => Some(with_own(&folder, above)),
                None => rules_of(&root, place, path)?,
            };
            Ok((folder, rules))
        });
        let (folder, rules) = match opened {
            Ok((folder, Some(rules))) => (folder, rules),
            Ok((_, None)) => return Ok(Opened::Gone),
            Err(error) if is_gone(&error) => return Ok(Opened::Gone),
            Err(error) => return Ok(Opened::Closed(error)),
        };
        if let Some(eye) = eye {
            eye.watch(path).map_err(Stopped::Blind)?;
        }
        let entries = match folder.entries() {
            Ok(entries) => entries,
            Err(error) => return Ok(Opened::Closed(error)),
        };
        let known = known
            .into_iter()
            .filter_map(|file| Some((file.path.file_name()?.to_owned(), (file.stamp, file.state))));
        let known = known.collect();
        let place = place.clone();
        Ok(Opened::Reading(Box::new(Reading {
            place,
            folder,
            entries,
            rules,
            known,
            below: Vec::new(),
        })))
    }

    /// Reads on until enough files were opened, or to its end.
    fn piece(&mut self) -> Piece {
        let mut probes = Vec::new();
        while probes.len() < PIECE {
            let entry = match self.entries.read() {
                None => return Piece { probes, end: End::Whole },
                Some(Err(error)) => return Piece { probes, end: End::Broken(error.into()) },
                Some(Ok(entry)) => entry,
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            // Most file systems tell the kind with the name, which saves a call for each folder.
            let is_folder = entry.file_type() == FileType::Directory;
            match self.entry(name, is_folder) {
                Ok(found) => probes.extend(found),
                Err(error) => return Piece { probes, end: End::Broken(error) },
            }
        }
        Piece { probes, end: End::More }
    }

    /// One entry: a folder is kept for later, a file that is as it was known is ticked off.
    fn entry(&mut self, name: &OsStr, is_folder: bool) -> io::Result<Option<Probe>> {
        let path = self.folder.path().join(name);
        if is_folder {
            if self.rules.passes_over(&path, true).is_none() {
                self.below.push(name.to_owned());
            }
            return Ok(None);
        }
        let stamp = match self.folder.entry(name)? {
            Some(Entry::File(stamp)) => stamp,
            Some(Entry::Folder) => return self.entry(name, true),
            Some(Entry::Other(_)) | None => return Ok(None),
        };
        // What is known was not passed over then, but the rules may have changed.
        if self.rules.passes_over(&path, false).is_some() {
            return Ok(None);
        }
        let known = self.known.remove(name);
        if let Some((known, state)) = known
            && state != UploadState::Settling
            && self.place.is_same(&known, &stamp)
        {
            return Ok(None);
        }
        Ok(probe(&self.folder, name, stamp))
    }

    /// What was known and not found. After its end.
    fn gone(&mut self) -> Vec<PathBuf> {
        let folder = self.folder.path();
        std::mem::take(&mut self.known).into_keys().map(|name| folder.join(name)).collect()
    }
}

/// Whether a folder is not there any more, or was replaced by something that is none.
pub(super) fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let Some(code) = error.raw_os_error() else { return error.kind() == io::ErrorKind::NotFound };
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].contains(&Errno::from_raw_os_error(code))
}

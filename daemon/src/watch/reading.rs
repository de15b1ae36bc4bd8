//! One folder that a scan reads, in pieces: its rules, its entries, and what is known of them. Every
//! call blocks.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgrepo_proto::control::queue::UploadState;
use imgrepo_proto::name::shown;
use rustix::fs::{Dir, FileType};

use crate::state::{Known, Stamp};

use super::notifier::Eye;
use super::probe::{Probe, probe};
use super::root::{Entry, Folder, Root};
use super::rules::{self, Rule, Rules};
use super::scan::{Place, Remarks, Stopped, is_gone};

/// Files that are opened in one piece: some 20 ms, after which they are remembered together.
const PIECE: usize = 1_000;

/// Linux's PATH_MAX, with the NUL at its end.
const MAX_PATH_BYTES: usize = 4096;

/// A folder that is passed over, and by which rule.
pub(super) type PassedOver = (PathBuf, Rule);

/// How a folder could be opened.
pub(super) enum Opened {
    Reading(Box<Reading>),
    /// It is not there any more, or is no folder, or is passed over.
    Gone,
    /// It is there, but what is in it cannot be told.
    Closed(io::Error),
}

/// A folder that is being read.
pub(super) struct Reading {
    place: Place,
    folder: Folder,
    entries: Dir,
    pub(super) rules: Arc<Rules>,
    known: HashMap<OsString, (Stamp, UploadState)>,
    pub(super) below: Vec<OsString>,
    pub(super) remarks: Remarks,
}

/// What one piece of it has.
pub(super) struct Piece {
    pub(super) probes: Vec<Probe>,
    pub(super) end: End,
}

pub(super) enum End {
    More,
    Whole,
    Broken(io::Error),
}

impl Reading {
    /// Watches the folder, then opens it: what comes between the two is read, what comes later is
    /// hinted at.
    pub(super) fn open(
        place: &Place,
        path: &Path,
        above: Option<Arc<Rules>>,
        known: Vec<Known>,
        eye: Option<&Eye>,
    ) -> Result<Opened, Stopped> {
        let root = place.open()?;
        // The system takes no longer one: such a folder can be neither watched nor named by anyone, and
        // must not be the end of watching all others.
        if path.as_os_str().len() >= MAX_PATH_BYTES {
            return Ok(Opened::Closed(rustix::io::Errno::NAMETOOLONG.into()));
        }
        let mut remarks = Remarks::default();
        let opened = root.folder(path).and_then(|folder| {
            let rules = match &above {
                Some(above) => Ok(with_own(&folder, above, &mut remarks)),
                None => rules_of(&root, place, path, &mut remarks)?,
            };
            Ok((folder, rules))
        });
        let (folder, rules) = match opened {
            Ok((folder, Ok(rules))) => (folder, rules),
            Ok((_, Err(_))) => return Ok(Opened::Gone),
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
            remarks,
        })))
    }

    /// Reads on until enough files were opened, or to its end.
    pub(super) fn piece(&mut self) -> Piece {
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
    pub(super) fn gone(&mut self) -> Vec<PathBuf> {
        let folder = self.folder.path();
        std::mem::take(&mut self.known).into_keys().map(|name| folder.join(name)).collect()
    }
}

/// The rules for a folder, from the watched one down to it; or which folder in between, itself
/// included, is passed over by which rule. Blocks.
pub(super) fn rules_of(
    root: &Root,
    place: &Place,
    path: &Path,
    remarks: &mut Remarks,
) -> io::Result<Result<Arc<Rules>, PassedOver>> {
    let mut here = place.path.clone();
    let mut rules = with_own(&root.folder(&here)?, &Rules::built_in(&here), remarks);
    let below = path.strip_prefix(&place.path).map_err(|_| io::ErrorKind::NotFound)?;
    for step in below.components() {
        here.push(step);
        if let Some(rule) = rules.passes_over(&here, true) {
            return Ok(Err((here, rule)));
        }
        rules = with_own(&root.folder(&here)?, &rules, remarks);
    }
    Ok(Ok(rules))
}

/// The rules with those that stand in this folder.
fn with_own(folder: &Folder, above: &Arc<Rules>, remarks: &mut Remarks) -> Arc<Rules> {
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
    let file = || show(&folder.path().join(name));
    match read() {
        Ok(None) => above.clone(),
        Ok(Some(text)) => {
            let (rules, faults) = above.below(folder.path(), &text);
            for fault in faults {
                remarks.add(|| format!("a line of `{}` is no rule: {fault}", file()));
            }
            rules
        }
        Err(why) => {
            remarks.add(|| format!("nothing beside `{}` is taken: cannot read it: {why}", file()));
            above.closed(folder.path())
        }
    }
}

fn show(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

//! What is remembered of repositories: the last event seen of each, and which one a server's
//! address led to. One small JSON file with a version, replaced atomically.
//!
//! The keeper alone owns it. What cannot be read is kept aside and reported, never overwritten.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use imgrepo_proto::{RepositoryId, Seq};
use serde::{Deserialize, Serialize};

/// The version of the file that this build writes and reads.
const VERSION: u32 = 1;

/// Repositories that are remembered though no address leads to them: a person comes back to a few.
const UNREACHED: usize = 16;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Contents {
    v: u32,
    #[serde(default)]
    seen: BTreeMap<RepositoryId, Seq>,
    #[serde(default)]
    servers: BTreeMap<String, RepositoryId>,
}

/// What is remembered, and where.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    path: PathBuf,
    contents: Contents,
    dirty: bool,
    /// Nothing is written where something lies that could neither be read nor moved.
    blocked: bool,
}

impl Seen {
    /// Reads the file; the text says what a person should know of what was wrong with it. Blocks.
    pub(crate) fn open(path: PathBuf) -> (Seen, Option<String>) {
        let empty = Contents { v: VERSION, seen: BTreeMap::new(), servers: BTreeMap::new() };
        let read = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Contents>(&bytes)
                .map_err(|error| error.to_string())
                .and_then(|contents| match contents.v {
                    VERSION => Ok(contents),
                    v => Err(format!("it has version {v}, this program reads {VERSION}")),
                }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(empty.clone()),
            Err(error) => Err(error.to_string()),
        };
        let (contents, blocked, notice) = match read {
            Ok(contents) => (contents, false, None),
            Err(why) => {
                let (moved, report) = keep_aside(&path, &why);
                (empty, !moved, Some(report))
            }
        };
        (Seen { path, contents, dirty: false, blocked }, notice)
    }

    /// The repository that this address led to, and the last event seen of it.
    pub(crate) fn at(&self, server: &str) -> Option<(RepositoryId, Seq)> {
        let repository = self.contents.servers.get(server)?;
        let seq = self.contents.seen.get(repository)?;
        Some((repository.clone(), *seq))
    }

    /// This address leads to this repository, of which all to `seq` was seen.
    pub(crate) fn saw(&mut self, server: &str, repository: &RepositoryId, seq: Seq) {
        if self.contents.servers.get(server) != Some(repository) {
            self.contents.servers.insert(server.to_owned(), repository.clone());
            self.dirty = true;
        }
        if self.contents.seen.insert(repository.clone(), seq) != Some(seq) {
            self.dirty = true;
        }
    }

    /// This address leads to this repository now; what was seen of the one before stays.
    pub(crate) fn leads_to(&mut self, server: &str, repository: &RepositoryId) {
        self.contents.servers.insert(server.to_owned(), repository.clone());
        self.dirty = true;
        self.bound();
    }

    /// The repository at this address is in an older state than was seen.
    pub(crate) fn forget(&mut self, server: &str) {
        if let Some(repository) = self.contents.servers.remove(server) {
            self.contents.seen.remove(&repository);
            self.dirty = true;
        }
    }

    /// Forgets repositories that no address leads to any more, where they are too many: a server
    /// that names another each time would fill the file.
    fn bound(&mut self) {
        let Contents { seen, servers, .. } = &mut self.contents;
        while seen.len() > servers.len() + UNREACHED {
            let unreached =
                |repository: &&RepositoryId| !servers.values().any(|id| id == *repository);
            let Some(one) = seen.keys().find(unreached).cloned() else { return };
            seen.remove(&one);
        }
    }

    /// What is to be written, once, if anything is new.
    pub(crate) fn take_unsaved(&mut self) -> Option<Seen> {
        (std::mem::take(&mut self.dirty) && !self.blocked).then(|| self.clone())
    }

    /// Replaces the file. Blocks.
    pub(crate) fn save(&self) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&self.contents).map_err(io::Error::other)?)?;
        file.sync_data()?;
        fs::rename(&new, &self.path)
    }
}

/// Moves a file that cannot be used to a free name beside it: whether it did, and a report.
fn keep_aside(path: &Path, why: &str) -> (bool, String) {
    let shown = |path: &Path| imgrepo_proto::name::shown(&path.to_string_lossy());
    let free = (1..100)
        .map(|number| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".unreadable-{number}"));
            PathBuf::from(name)
        })
        .find(|aside| !aside.exists());
    let moved = free.and_then(|aside| fs::rename(path, &aside).is_ok().then_some(aside));
    let report = match &moved {
        Some(aside) => format!(
            "cannot read `{}`: {why}; it was kept as `{}` and events are followed from now on",
            shown(path),
            shown(aside)
        ),
        None => {
            format!("cannot read `{}`: {why}; events are followed from now on", shown(path))
        }
    };
    tracing::error!("{report}");
    (moved.is_some(), report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_remembered_and_what_is_unreadable_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/session.json");
        let repository = RepositoryId("r1".to_owned());
        let (mut seen, notice) = Seen::open(path.clone());
        assert_eq!((seen.at("ws://a/"), notice), (None, None));
        seen.saw("ws://a/", &repository, Seq(7));
        seen.take_unsaved().unwrap().save().unwrap();
        assert!(seen.take_unsaved().is_none(), "nothing new");

        let (mut seen, notice) = Seen::open(path.clone());
        assert_eq!((seen.at("ws://a/"), notice), (Some((repository, Seq(7))), None));
        seen.forget("ws://a/");
        assert_eq!(seen.at("ws://a/"), None);
        for number in 0..1000 {
            let repository = RepositoryId(number.to_string());
            seen.leads_to("ws://a/", &repository);
            seen.saw("ws://a/", &repository, Seq(7));
        }
        assert!(seen.contents.seen.len() <= UNREACHED + 2, "{}", seen.contents.seen.len());

        for (number, text) in ["{", "{\"v\":2}"].iter().enumerate() {
            fs::write(&path, text).unwrap();
            let (seen, notice) = Seen::open(path.clone());
            assert_eq!(seen.at("ws://a/"), None);
            assert!(notice.unwrap().contains("kept as"));
            let aside = folder.path().join(format!("state/session.json.unreadable-{}", number + 1));
            assert_eq!(fs::read_to_string(aside).unwrap(), *text);
        }
    }
}

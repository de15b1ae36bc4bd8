//! What hints and scans have found, on its way to the state: each file's look is judged, and what is
//! new of it is remembered. The folder's task makes one for each piece of work.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use imgrepo_proto::Refusal;
use jiff::Timestamp;

use crate::state::State;

use super::probe::Probe;
use super::scan::Place;
use super::settle::{Unsettled, Verdict};

/// Files that are told to the state at once: it does so in one transaction.
pub(super) const TOLD: usize = 1_000;

/// Takes what is found to the state.
pub(super) struct Finder<'a> {
    pub(super) place: &'a Place,
    pub(super) state: &'a State,
    pub(super) wake: &'a (dyn Fn() + Send + Sync),
    pub(super) unsettled: &'a mut Unsettled,
    pub(super) is_crowded: &'a mut bool,
}

impl Finder<'_> {
    /// Files that were looked at, with their folder; true for those that were renamed to their name.
    pub(super) async fn take(
        &mut self,
        probes: Vec<(PathBuf, Probe, bool)>,
    ) -> Result<(), Refusal> {
        let now = Instant::now();
        let mut seen = Vec::new();
        for (folder, probe, renamed) in probes {
            let path = folder.join(&probe.name);
            let verdict = self.unsettled.look(&path, probe.look(renamed), now);
            *self.is_crowded |= verdict == Verdict::Later;
            seen.extend(probe.seen(&folder, verdict));
        }
        let is_news = !seen.is_empty();
        while !seen.is_empty() {
            let rest = seen.split_off(seen.len().min(TOLD));
            self.state.seen(self.place.id, seen, Timestamp::now()).await?;
            seen = rest;
        }
        if is_news {
            (self.wake)();
        }
        Ok(())
    }

    /// Folders are gone, and all that was below them.
    pub(super) async fn gone_below(&mut self, folders: &HashSet<PathBuf>) -> Result<(), Refusal> {
        for path in self.state.known_directories(self.place.id).await? {
            if path.ancestors().any(|above| folders.contains(above)) {
                let known = self.state.known(self.place.id, path).await?;
                self.gone(known.into_iter().map(|file| file.path).collect()).await?;
            }
        }
        Ok(())
    }

    /// New and changed files of this folder.
    pub(super) async fn found(&mut self, folder: &Path, probes: Vec<Probe>) -> Result<(), Refusal> {
        self.take(probes.into_iter().map(|probe| (folder.to_owned(), probe, false)).collect()).await
    }

    /// These files are not there any more.
    pub(super) async fn gone(&mut self, mut paths: Vec<PathBuf>) -> Result<(), Refusal> {
        while !paths.is_empty() {
            let rest = paths.split_off(paths.len().min(TOLD));
            for path in &paths {
                self.unsettled.forget(path);
            }
            self.state.forget(self.place.id, paths).await?;
            paths = rest;
        }
        Ok(())
    }
}

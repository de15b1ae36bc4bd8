//! A repository without threads: whoever has its [`Steps`] says when it appends and when it commits.
//!
//! For a simulation, in which time and order are chosen. What is done in a step is what the threads
//! of an ordinary repository do, and nothing here knows how.

use std::sync::Arc;

use super::appending::Appender;
use super::blobs::BlobStore;
use super::catalog::Catalog;
use super::commit::{Committer, Stepped};
use super::lock::Before;
use super::open::{OpenError, assemble};
use super::{Repository, Settings};

/// What the threads of a repository would do.
pub struct Steps {
    committer: Committer,
    appender: Appender,
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}

impl Repository {
    /// As [`Repository::with`], of which nothing is committed but by its steps. `lengths_hold` says that
    /// what was written to staging before is there, synced or not: the process ended, not the power.
    ///
    /// # Errors
    /// The disk's.
    pub fn stepped(
        catalog: Arc<dyn Catalog>,
        blobs: Arc<dyn BlobStore>,
        settings: Settings,
        lengths_hold: bool,
    ) -> Result<(Repository, Steps), OpenError> {
        let before = Before { lengths_hold, closed_at: None };
        let (repository, committer, appender) = assemble(catalog, blobs, settings, before, None)?;
        Ok((repository, Steps { committer, appender }))
    }
}

impl Steps {
    /// Makes a group of small contents durable, if some wait; whether some did.
    pub fn append(&mut self) -> bool {
        self.appender.step()
    }

    /// Commits a group of changes or removes garbage, if some wait; whether some did.
    pub fn commit(&mut self) -> bool {
        self.committer.step(true) == Stepped::Worked
    }
}

//! The thread that owns the state's connection: takes what is asked, as much as waits, does it in one
//! transaction, and answers after the commit. What only reads goes first and by itself: it does not
//! fail with what cannot be written. Started by [`super::State::open`], ended by
//! [`super::State::close`].
//!
//! What must not be lost is synced, and shares the sync with all that came with it. What a scan or a
//! second attempt finds again is committed without waiting for the disk: it costs no drop of a file
//! its milliseconds, and the log is a prefix, so nothing that was synced stands on what was lost.

use std::path::{Path, PathBuf};

use imgrepo_proto::{ErrorCode, Refusal};
use rusqlite::{Connection, ErrorCode as Sqlite};
use tokio::sync::{mpsc, oneshot, watch};

use crate::database::is_disk_full;

/// Jobs in one transaction: enough to share its sync, short enough not to hold up a single one.
const GROUP: usize = 128;

/// Whether an answer waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Nothing is written.
    Read,
    /// It survives a power cut.
    Synced,
    /// It survives the process; after a power cut it is found again by other means.
    Soon,
}

/// Why a job was not done.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Refused(Refusal),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Fault::Refused(refusal)
    }
}

/// Answers who asked, after the commit.
type Tell = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// Does it, unless it cannot be done; the first tells whether its changes are to be kept.
type Act = Box<dyn FnOnce(Result<&Connection, Refusal>, &Path) -> (bool, Tell) + Send>;

/// Something for the thread.
pub(super) enum Job {
    Do(Durability, Act),
    /// End; answered when the file is closed.
    Close(oneshot::Sender<()>),
}

impl Job {
    /// A job, and where its answer comes.
    pub(super) fn new<T: Send + 'static>(
        durability: Durability,
        act: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> (Job, oneshot::Receiver<Result<T, Refusal>>) {
        let (answer, answered) = oneshot::channel();
        let act: Act = Box::new(move |connection, path| {
            let done = connection.map_err(Fault::Refused).and_then(act);
            let outcome = done.map_err(|fault| match fault {
                Fault::Sql(error) => cannot(path, &error),
                Fault::Refused(refusal) => refusal,
            });
            let keep = outcome.is_ok();
            // Who asked may be gone; that is all right.
            let tell: Tell = Box::new(move |committed| drop(answer.send(committed.and(outcome))));
            (keep, tell)
        });
        (Job::Do(durability, act), answered)
    }
}

/// The thread's own.
pub(super) struct Worker {
    connection: Connection,
    path: PathBuf,
    /// Device and inode of the file that is open.
    identity: Option<(u64, u64)>,
    jobs: mpsc::Receiver<Job>,
    /// Grows with each commit that changed something.
    changed: watch::Sender<u64>,
    is_synced: bool,
    /// Whether the last group failed as a whole.
    is_failing: bool,
}

impl Worker {
    pub(super) fn new(
        connection: Connection,
        path: PathBuf,
        jobs: mpsc::Receiver<Job>,
        changed: watch::Sender<u64>,
    ) -> Worker {
        let identity = identity(&path);
        Worker { connection, path, identity, jobs, changed, is_synced: true, is_failing: false }
    }

    /// Works until it is told to close, or nobody can ask any more.
    pub(super) fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            if let Some(closed) = self.work(first) {
                return self.close(closed);
            }
        }
    }

    /// As [`Worker::run`], on a simulated computer.
    pub(super) async fn run_as_task(mut self) {
        while let Some(first) = self.jobs.recv().await {
            if let Some(closed) = self.work(first) {
                return self.close(closed);
            }
        }
    }

    /// Does what waits; whom to answer where it is told to close.
    fn work(&mut self, first: Job) -> Option<oneshot::Sender<()>> {
        let mut group = Vec::new();
        let mut closing = None;
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Do(durability, act) => group.push((durability, act)),
                Job::Close(answer) => closing = Some(answer),
            }
            let is_full = group.len() >= GROUP || closing.is_some();
            next = if is_full { None } else { self.jobs.try_recv().ok() };
        }
        let is_read = |(durability, _): &(Durability, Act)| *durability == Durability::Read;
        let (reads, writes): (Vec<_>, Vec<_>) = group.into_iter().partition(is_read);
        if !reads.is_empty() {
            self.read(reads);
        }
        if !writes.is_empty() {
            self.commit(writes);
        }
        closing
    }

    /// Answers what only reads. Nobody has heard yet of what came with it, so it need not see that.
    fn read(&self, reads: Vec<(Durability, Act)>) {
        let before = self.connection.total_changes();
        let ready = self.undo().map_err(|error| cannot(&self.path, &error));
        for (_, act) in reads {
            let connection = ready.as_ref().map(|()| &self.connection).map_err(Clone::clone);
            let (_, tell) = act(connection, &self.path);
            tell(Ok(()));
        }
        debug_assert_eq!(self.connection.total_changes(), before, "what only reads has written");
    }

    fn close(self, closed: oneshot::Sender<()>) {
        drop(self.connection);
        let _ = closed.send(());
    }

    fn commit(&mut self, group: Vec<(Durability, Act)>) {
        let before = self.connection.total_changes();
        let synced = group.iter().any(|(durability, _)| *durability == Durability::Synced);
        let mut told = Vec::with_capacity(group.len());
        let outcome = self.carry_out(group, synced, &mut told);
        let has_changed = self.connection.total_changes() != before;
        match &outcome {
            // Once: a full disk may stay so for a week, and is asked every second.
            Err(refusal) if !self.is_failing => tracing::error!("{refusal}"),
            Ok(()) if self.is_failing && has_changed => {
                tracing::info!("the queue can be written again");
            }
            _ => {}
        }
        // What only reads succeeds on a full disk too.
        self.is_failing = outcome.is_err() || (self.is_failing && !has_changed);
        // First: who has an answer finds the number grown.
        if has_changed {
            self.changed.send_modify(|number| *number += 1);
        }
        for tell in told {
            tell(outcome.clone());
        }
    }

    /// All of a group in one transaction. One that fails is undone alone, and so told. What a
    /// transaction that failed left open the next one undoes first.
    fn carry_out(
        &mut self,
        group: Vec<(Durability, Act)>,
        synced: bool,
        told: &mut Vec<Tell>,
    ) -> Result<(), Refusal> {
        // What is said to be durable has to be found by the next start.
        let is_there = !synced || identity(&self.path) == self.identity;
        let mut lost = match is_there {
            true => self.begin(synced).map_err(|error| cannot(&self.path, &error)).err(),
            false => Some(removed(&self.path)),
        };
        for (_, act) in group {
            let connection = match &lost {
                None => Ok(&self.connection),
                Some(refusal) => Err(refusal.clone()),
            };
            let (keep, tell) = act(connection, &self.path);
            told.push(tell);
            if lost.is_some() {
                continue;
            }
            let step = if keep { "RELEASE job; SAVEPOINT job" } else { "ROLLBACK TO job" };
            // A full disk may have undone the whole transaction.
            if self.connection.is_autocommit() || self.connection.execute_batch(step).is_err() {
                lost = Some(gone(&self.path));
            }
        }
        if let Some(refusal) = lost {
            return Err(refusal);
        }
        let committed = self.connection.execute_batch("RELEASE job; COMMIT");
        committed.map_err(|error| cannot(&self.path, &error))
    }

    /// Undoes what a transaction that failed left open.
    fn undo(&self) -> rusqlite::Result<()> {
        match self.connection.is_autocommit() {
            true => Ok(()),
            false => self.connection.execute_batch("ROLLBACK"),
        }
    }

    fn begin(&mut self, synced: bool) -> rusqlite::Result<()> {
        self.undo()?;
        if self.is_synced != synced {
            let level = if synced { "full" } else { "normal" };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.is_synced = synced;
        }
        self.connection.execute_batch("BEGIN; SAVEPOINT job")
    }
}

/// Device and inode of what is at this path. SQLite, which writes a log, does not notice that its file
/// was removed: all that is written then goes with the process.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let there = rustix::fs::stat(path).ok()?;
    Some((there.st_dev, there.st_ino))
}

fn removed(path: &Path) -> Refusal {
    let path = path.display();
    let message =
        format!("cannot write the queue `{path}`: it was removed or replaced while it was in use");
    Refusal::new(ErrorCode::Internal, message)
        .hint("put it back, or begin anew: imgctl stop && imgrepod")
}

/// What an error of SQLite means to who asked.
fn cannot(path: &Path, error: &rusqlite::Error) -> Refusal {
    let is_full = match error.sqlite_error_code() {
        Some(Sqlite::DiskFull) => true,
        Some(Sqlite::SystemIoFailure) => is_disk_full(path),
        _ => false,
    };
    match is_full {
        true => no_room(path),
        false => {
            let message = format!("cannot write the queue `{}`: {error}", path.display());
            Refusal::new(ErrorCode::Internal, message)
        }
    }
}

/// The transaction is no more: SQLite undoes it by itself where the disk fails it.
fn gone(path: &Path) -> Refusal {
    match is_disk_full(path) {
        true => no_room(path),
        false => Refusal::new(
            ErrorCode::Internal,
            format!("cannot write the queue `{}`: its disk failed", path.display()),
        ),
    }
}

fn no_room(path: &Path) -> Refusal {
    let message =
        format!("cannot write the queue `{}`: no room is left on its disk", path.display());
    Refusal::new(ErrorCode::StorageFull, message).hint("make room; what is queued stays queued")
}

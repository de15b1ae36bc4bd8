//! Watched folders: what is put into one is uploaded, whole and once.
//!
//! The system's notices are hints, a scan is the truth; both lead to a look at a file, and when it is
//! whole (`settle`) to a row in the [`state`](crate::state), from where the queue takes it. Whether
//! a content was uploaded before, or deleted in the repository, the server says: nothing of that is
//! decided here. One task keeps the folders (`keeper`), one looks after each.
//!
//! | file | owns |
//! | --- | --- |
//! | `keeper` | which folders are watched, for whom; what can be asked |
//! | `running` | a folder's tasks: ended, and started anew where they fail |
//! | `folder` | one folder's task: hints, looks, scans, how it is |
//! | `scan`, `reading`, `hints` | what is there against what is known; what is behind hints |
//! | `finder` | what they found, on its way to the state |
//! | `probe`, `lease`, `settle` | a look at one file, and whether it is whole |
//! | `rules` | what is passed over by its name |
//! | `root`, `mounts` | the folder as the disk has it; its file system, and what is mounted |
//! | `notifier` | the system's notices |
//! | `after`, `carry` | what becomes of a file that has its receipt |

mod adding;
mod after;
mod carry;
mod finder;
mod folder;
mod hints;
mod keeper;
mod lease;
pub(crate) mod mounts;
mod notifier;
mod probe;
mod reading;
mod root;
mod rules;
mod running;
mod scan;
mod settle;
mod story;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use imgrepo_proto::control::queue::Counts;
use imgrepo_proto::control::watch::{After, FileStory, FolderState, FolderStatus};
use imgrepo_proto::{ErrorCode, Refusal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::state::{Folder, FolderId, MembershipId, State};
use crate::transfer::queue::Queue;

use folder::Live;
use keeper::{Ask, Keeper};

/// Files of a folder's status that were ignored, refused or failed: what a screen shows.
const PROBLEMS: u32 = 10;

/// Requests that wait for the keeper.
const ASKS: usize = 64;

/// What the watch is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long a file must stay as it is where nothing better is known.
    pub settle: Duration,
    /// How long where its end is missing.
    pub torn: Duration,
    /// How often everything is looked at, whatever was hinted at.
    pub rescan: Duration,
    /// How often where no hints come, and how often it is seen whether a vanished folder is back.
    pub poll: Duration,
    /// Folders to watch from the first membership on that is met.
    pub flags: Vec<PathBuf>,
    /// The daemon's own directories, in which nothing is watched.
    pub own: Vec<PathBuf>,
}

/// What the queue gives to the watch.
pub struct QueueSide {
    /// Whose folders are active.
    pub membership: watch::Receiver<Option<MembershipId>>,
    /// Tells the queue that there is something to upload.
    pub wake: Arc<dyn Fn() + Send + Sync>,
    /// Watched files that had changed when their turn came.
    pub unsettled: Option<mpsc::Receiver<(FolderId, PathBuf)>>,
    /// Grows when a watched file got its receipt.
    pub receipts: watch::Receiver<u64>,
}

/// The handle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watch {
    asks: mpsc::Sender<Ask>,
    state: State,
    /// Folders of the command line, until it is known whose they are.
    flags: Arc<[PathBuf]>,
    /// As in [`Settings`].
    torn: Duration,
    membership: watch::Receiver<Option<MembershipId>>,
    end: CancellationToken,
}

impl QueueSide {
    /// Of the queue. There is one watch: what comes to another is lost.
    #[must_use]
    pub fn of(queue: &Queue) -> QueueSide {
        let woken = queue.clone();
        QueueSide {
            membership: queue.membership(),
            wake: Arc::new(move || woken.wake()),
            unsettled: queue.unsettled(),
            receipts: queue.receipts(),
        }
    }
}

impl fmt::Debug for QueueSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueSide").field("membership", &self.membership).finish_non_exhaustive()
    }
}

impl Watch {
    /// Begins to watch. The task ends by [`Watch::end`], and is for the caller to join.
    #[must_use]
    pub fn start(state: State, queue: QueueSide, settings: Settings) -> (Watch, JoinHandle<()>) {
        let (asks, asked) = mpsc::channel(ASKS);
        let end = CancellationToken::new();
        let flags = settings.flags.iter().map(|path| adding::plain(path)).collect();
        let (membership, torn) = (queue.membership.clone(), settings.torn);
        let keeper = Keeper::new(state.clone(), queue, settings);
        let task = tokio::spawn(keeper.run(asked, end.clone()));
        (Watch { asks, state, flags, torn, membership, end }, task)
    }

    /// Ends it; what it was about is taken up by the next start.
    pub fn end(&self) {
        self.end.cancel();
    }

    /// Watches a folder and all below it; one that is watched gets the new `after`, and is taken for
    /// the right one as it is now.
    ///
    /// # Errors
    /// `not_connected` before any membership is known, `not_found` where it is no folder, `conflict`
    /// where it is within another or the other way round.
    pub async fn add(&self, path: PathBuf, after: After) -> Result<FolderStatus, Refusal> {
        let folder = self.ask(|reply| Ask::Add { path, after, reply }).await??;
        self.status(folder.id).await
    }

    /// Watches a folder no longer.
    ///
    /// # Errors
    /// `not_found` where it is not watched.
    pub async fn rm(&self, path: PathBuf) -> Result<(), Refusal> {
        self.ask(|reply| Ask::Rm { path, reply }).await?
    }

    /// All watched folders, those of other memberships too.
    ///
    /// # Errors
    /// The state's.
    pub async fn list(&self) -> Result<Vec<FolderStatus>, Refusal> {
        let mut list = Vec::new();
        for (folder, live) in self.ask(|reply| Ask::List { reply }).await?? {
            list.push(self.told(folder, live).await?);
        }
        if self.membership.borrow().is_none() {
            let is_new = |path: &&PathBuf| !list.iter().any(|folder| folder.path == **path);
            let waiting: Vec<_> = self.flags.iter().filter(is_new).cloned().map(waiting).collect();
            list.extend(waiting);
        }
        Ok(list)
    }

    /// Stops looking for new files, in one folder or all, across restarts too.
    ///
    /// # Errors
    /// `not_found` where it is not watched.
    pub async fn pause(&self, path: Option<PathBuf>) -> Result<Vec<FolderStatus>, Refusal> {
        let only = path.clone();
        self.ask(|reply| Ask::Pause { path, paused: true, reply }).await??;
        self.list_of(only).await
    }

    /// Goes on.
    ///
    /// # Errors
    /// `not_found` where it is not watched.
    pub async fn resume(&self, path: Option<PathBuf>) -> Result<Vec<FolderStatus>, Refusal> {
        let only = path.clone();
        self.ask(|reply| Ask::Pause { path, paused: false, reply }).await??;
        self.list_of(only).await
    }

    /// Looks at every file again, in one folder or all; returns when that is done. A folder that is
    /// paused, vanished or not this membership's is passed over.
    ///
    /// # Errors
    /// `not_found` where it is not watched.
    pub async fn rescan(&self, path: Option<PathBuf>) -> Result<Vec<FolderStatus>, Refusal> {
        let only = path.clone();
        for done in self.ask(|reply| Ask::Rescan { path, reply }).await?? {
            // A folder that ended meanwhile is done too; what is wrong with it is in its status.
            let _ = done.await;
        }
        self.list_of(only).await
    }

    /// Looks at everything once: from here on all that is there now is known.
    ///
    /// # Errors
    /// The state's, of any folder: then it is not known.
    pub async fn look(&self) -> Result<(), Refusal> {
        for done in self.ask(|reply| Ask::Rescan { path: None, reply }).await?? {
            // A folder that ended meanwhile is done too.
            done.await.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    /// What is known of a file.
    ///
    /// # Errors
    /// The state's.
    pub async fn story(&self, path: PathBuf) -> Result<FileStory, Refusal> {
        let path = adding::plain(&path);
        let folders = self.ask(|reply| Ask::List { reply }).await??;
        let upload = self.state.story(path.clone()).await?;
        Ok(story::tell(path, folders, upload, self.torn).await)
    }

    /// Those of this path, or all.
    async fn list_of(&self, path: Option<PathBuf>) -> Result<Vec<FolderStatus>, Refusal> {
        let mut list = self.list().await?;
        if let Some(path) = path.map(|path| adding::plain(&path)) {
            list.retain(|folder| folder.path == path);
        }
        Ok(list)
    }

    async fn status(&self, id: FolderId) -> Result<FolderStatus, Refusal> {
        let list = self.ask(|reply| Ask::List { reply }).await??;
        let found = list.into_iter().find(|(folder, _)| folder.id == id);
        let (folder, live) = found.ok_or_else(ended)?;
        self.told(folder, live).await
    }

    /// A folder's status, with its counts. One that stands in no table yet has none.
    async fn told(&self, folder: Folder, live: Live) -> Result<FolderStatus, Refusal> {
        let counts = self.state.counts(Some(folder.id), folder.membership).await?;
        let problems = self.state.problems(folder.id, PROBLEMS).await?;
        let Live { state, why, hint, file_system, scanned_at } = live;
        let Folder { path, after, .. } = folder;
        let scanned_at = scanned_at.or(folder.scanned_at);
        Ok(FolderStatus {
            path,
            after,
            state,
            why,
            hint,
            file_system,
            scanned_at,
            counts,
            problems,
        })
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

/// A folder of the command line before it is known whose it is.
fn waiting(path: PathBuf) -> FolderStatus {
    FolderStatus {
        path,
        after: After::Keep,
        state: FolderState::Elsewhere,
        why: Some("it is watched when it is known for which repository".to_owned()),
        hint: Some("imgctl connect HOST".to_owned()),
        file_system: None,
        scanned_at: None,
        counts: Counts::default(),
        problems: Vec::new(),
    }
}

fn ended() -> Refusal {
    Refusal::new(ErrorCode::ShuttingDown, "the daemon is about to end")
}

impl Live {
    /// Of a folder without a task.
    fn still(state: FolderState, why: Option<&str>, hint: Option<&str>) -> Live {
        Live {
            state,
            why: why.map(str::to_owned),
            hint: hint.map(str::to_owned),
            file_system: None,
            scanned_at: None,
        }
    }
}

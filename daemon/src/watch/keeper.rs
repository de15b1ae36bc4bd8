//! Keeps the watched folders: one task for each that is active, and answers what is asked of them.
//!
//! Active are those of the membership that the queue names, unless they are paused; the others wait.
//! Whatever changes, [`Keeper::sync`] brings the tasks in line with the state, so that there is one
//! place that starts and ends them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use imgrepo_proto::control::watch::{After, FolderState};
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::state::{Folder, FolderId, MembershipId, State};

use super::folder::{Command, Live, Task};
use super::mounts::Mounts;
use super::root::{Found, Root};
use super::running::{Failed, Running, spawn_until};
use super::scan::Place;
use super::{QueueSide, Settings, adding, after};

/// Commands that wait for a folder's task. More files that changed than this are found by a scan.
const COMMANDS: usize = 1_024;

/// Failed tasks that wait to be started anew; others wait to say so.
const FAILURES: usize = 16;

/// What can be asked.
#[derive(Debug)]
pub(super) enum Ask {
    Add { path: PathBuf, after: After, reply: oneshot::Sender<Result<Folder, Refusal>> },
    Rm { path: PathBuf, reply: oneshot::Sender<Result<(), Refusal>> },
    List { reply: oneshot::Sender<Result<Vec<(Folder, Live)>, Refusal>> },
    Pause { path: Option<PathBuf>, paused: bool, reply: oneshot::Sender<Result<(), Refusal>> },
    Rescan { path: Option<PathBuf>, reply: oneshot::Sender<Result<Waits, Refusal>> },
}

/// Scans that were asked for; each tells when it is done, and what the state refused.
type Waits = Vec<oneshot::Receiver<Result<(), Refusal>>>;

pub(super) struct Keeper {
    state: State,
    queue: QueueSide,
    settings: Arc<Settings>,
    running: HashMap<FolderId, Running>,
    /// Says which folder's task has failed.
    failed: mpsc::Sender<FolderId>,
    failures: Option<mpsc::Receiver<FolderId>>,
    /// The flags were given to a membership.
    is_flagged: bool,
}

impl Keeper {
    pub(super) fn new(state: State, queue: QueueSide, settings: Settings) -> Keeper {
        let (failed, failures) = mpsc::channel(FAILURES);
        Keeper {
            state,
            queue,
            settings: Arc::new(settings),
            running: HashMap::new(),
            failed,
            failures: Some(failures),
            is_flagged: false,
        }
    }

    /// Until told to end; then all tasks have ended.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>, end: CancellationToken) {
        let mut unsettled = self.queue.unsettled.take();
        let mut membership = self.queue.membership.clone();
        self.sync_or_say().await;
        let mut failures = self.failures.take();
        let mounts = Mounts::new(self.settings.poll);
        loop {
            // Dropping any branch is safe: what was not taken stays in its channel.
            tokio::select! {
                () = end.cancelled() => break,
                Some(folder) = next(&mut failures) => self.revive(folder).await,
                () = mounts.changed() => self.check(),
                ask = asks.recv() => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => break,
                },
                changed = membership.changed() => match changed {
                    Ok(()) => self.sync_or_say().await,
                    // The queue has ended, so the daemon is about to.
                    Err(_) => break,
                },
                Some((folder, path)) = next(&mut unsettled) => self.look(folder, path),
            }
        }
        for (_, running) in self.running.drain() {
            running.stop().await;
        }
    }

    fn membership(&self) -> Option<MembershipId> {
        *self.queue.membership.borrow()
    }

    async fn answer(&mut self, ask: Ask) {
        // Who asked may be gone: what was done stays done.
        match ask {
            Ask::Add { path, after, reply } => drop(reply.send(self.add(path, after).await)),
            Ask::Rm { path, reply } => drop(reply.send(self.rm(path).await)),
            Ask::List { reply } => drop(reply.send(self.list().await)),
            Ask::Pause { path, paused, reply } => {
                drop(reply.send(self.pause(path, paused).await));
            }
            Ask::Rescan { path, reply } => drop(reply.send(self.rescan(path).await)),
        }
    }

    async fn add(&mut self, path: PathBuf, after: After) -> Result<Folder, Refusal> {
        let path = adding::plain(&path);
        let Some(membership) = self.membership() else {
            let shown = shown(&path.to_string_lossy());
            let message =
                format!("cannot watch `{shown}`: it is not known yet for which repository");
            return Err(Refusal::new(ErrorCode::NotConnected, message).hint("imgctl connect HOST"));
        };
        let mut others = self.state.folders().await?;
        // Those of another membership are its own matter: they are never active together.
        others.retain(|other| other.membership == membership && other.path != path);
        let (checked, settings) = ((path.clone(), after.clone()), self.settings.clone());
        let identity = spawn_blocking(move || {
            let (path, after) = &checked;
            adding::is_there(path)?;
            adding::is_a_persons(path)?;
            after::check(after)?;
            adding::is_apart(path, after, &others, &settings.own)?;
            match Root::open(path, None) {
                Found::Here(root) => Ok(root.identity()),
                Found::Vanished(why) => {
                    let shown = shown(&path.to_string_lossy());
                    let message = format!("cannot watch `{shown}`: {why}");
                    Err(Refusal::new(ErrorCode::FileError, message))
                }
            }
        });
        let identity = identity.await.map_err(|error| internal(&error))??;
        let mut folder = self.state.add_folder(membership, path, after).await?;
        if folder.root != Some(identity) {
            self.state.folder_root(folder.id, identity).await?;
            folder.root = Some(identity);
            // Begins anew with what is there now.
            self.stop(folder.id).await;
        }
        self.sync().await?;
        Ok(folder)
    }

    async fn rm(&mut self, path: PathBuf) -> Result<(), Refusal> {
        for folder in self.named(Some(path)).await? {
            self.stop(folder.id).await;
            self.state.remove_folder(folder.id).await?;
        }
        self.sync().await
    }

    async fn pause(&mut self, path: Option<PathBuf>, paused: bool) -> Result<(), Refusal> {
        for folder in self.named(path).await? {
            self.state.pause_folder(folder.id, paused).await?;
        }
        self.sync().await
    }

    async fn rescan(&mut self, path: Option<PathBuf>) -> Result<Waits, Refusal> {
        let mut waits = Vec::new();
        for folder in self.named(path).await? {
            let Some(running) = self.running.get(&folder.id) else { continue };
            let (done, wait) = oneshot::channel();
            // As many rescans as commands fit in wait already: those do.
            if running.commands.try_send(Command::Rescan(done)).is_ok() {
                waits.push(wait);
            }
        }
        Ok(waits)
    }

    async fn list(&self) -> Result<Vec<(Folder, Live)>, Refusal> {
        let folders = self.state.folders().await?;
        Ok(folders.into_iter().map(|folder| (folder.clone(), self.live(&folder))).collect())
    }

    /// How a folder is.
    fn live(&self, folder: &Folder) -> Live {
        if self.membership().is_none() {
            let why = "it is watched again when its repository is connected to";
            return Live::still(FolderState::Elsewhere, Some(why), Some("imgctl connect HOST"));
        }
        if self.membership() != Some(folder.membership) {
            let why = "it belongs to another repository, or to another person there";
            return Live::still(FolderState::Elsewhere, Some(why), None);
        }
        let Some(running) = self.running.get(&folder.id) else {
            return Live::still(FolderState::Paused, None, None);
        };
        let mut live = running.live.borrow().clone();
        if let Some(trouble) = &*running.trouble.borrow() {
            live.why.get_or_insert_with(|| trouble.message.clone());
        }
        live
    }

    /// The folder of this path, or all, of the active membership.
    async fn named(&self, path: Option<PathBuf>) -> Result<Vec<Folder>, Refusal> {
        let mut folders = self.state.folders().await?;
        let membership = self.membership();
        folders.retain(|folder| Some(folder.membership) == membership);
        let Some(path) = path else { return Ok(folders) };
        let path = adding::plain(&path);
        folders.retain(|folder| folder.path == path);
        if folders.is_empty() {
            let message = format!("`{}` is not watched", shown(&path.to_string_lossy()));
            return Err(Refusal::new(ErrorCode::NotFound, message).hint("imgctl watch ls"));
        }
        Ok(folders)
    }

    /// A file had changed when its turn came.
    fn look(&self, folder: FolderId, path: PathBuf) {
        let Some(running) = self.running.get(&folder) else { return };
        if running.commands.try_send(Command::Look(path)).is_err() {
            running.lost.notify_one();
        }
    }

    /// Something was mounted or unmounted, maybe at or above a watched folder.
    fn check(&self) {
        for running in self.running.values() {
            if running.commands.try_send(Command::Check).is_err() {
                running.lost.notify_one();
            }
        }
    }

    /// Starts anew what has failed: a folder must not be left alone without anyone noticing.
    async fn revive(&mut self, folder: FolderId) {
        self.stop(folder).await;
        self.sync_or_say().await;
    }

    async fn sync_or_say(&mut self) {
        if let Err(error) = self.sync().await {
            tracing::error!("cannot watch folders: {error}");
        }
    }

    /// Ends the tasks of folders that are not to be watched, and starts those that are.
    async fn sync(&mut self) -> Result<(), Refusal> {
        let Some(membership) = self.membership() else {
            return self.only(&[]).await;
        };
        if !self.is_flagged {
            self.is_flagged = true;
            self.add_flags(membership).await?;
        }
        let mut folders = self.state.folders().await?;
        folders.retain(|folder| folder.membership == membership && !folder.paused);
        self.only(&folders).await?;
        for folder in folders {
            if !self.running.contains_key(&folder.id) {
                let running = self.start(folder);
                self.running.insert(running.folder.id, running);
            }
        }
        Ok(())
    }

    /// Gives the folders of the command line to this membership, but for those that are another's.
    /// One that is not there yet, or not mounted, is watched from then on.
    async fn add_flags(&mut self, membership: MembershipId) -> Result<(), Refusal> {
        for path in self.settings.flags.clone() {
            let path = adding::plain(&path);
            let mut others = self.state.folders().await?;
            match others.iter().find(|folder| folder.path == path) {
                Some(folder) if folder.membership == membership => continue,
                Some(_) => {
                    let path = path.display();
                    tracing::warn!("`{path}` is watched for another repository or person");
                    continue;
                }
                None => others.retain(|other| other.membership == membership),
            }
            let (checked, settings) = (path.clone(), self.settings.clone());
            let apart = spawn_blocking(move || {
                adding::is_a_persons(&checked)?;
                adding::is_apart(&checked, &After::Keep, &others, &settings.own)
            });
            match apart.await.map_err(|error| internal(&error))? {
                Ok(()) => drop(self.state.add_folder(membership, path, After::Keep).await?),
                Err(refusal) => tracing::error!("{refusal}"),
            }
        }
        Ok(())
    }

    /// Ends the tasks of all but these, as they are here.
    async fn only(&mut self, folders: &[Folder]) -> Result<(), Refusal> {
        let is_same = |running: &Folder| {
            folders.iter().any(|folder| folder.id == running.id && folder.after == running.after)
        };
        let over: Vec<_> = self.running.values().map(|running| &running.folder).collect();
        let over = over.into_iter().filter(|folder| !is_same(folder)).map(|folder| folder.id);
        for id in over.collect::<Vec<_>>() {
            self.stop(id).await;
        }
        Ok(())
    }

    async fn stop(&mut self, id: FolderId) {
        if let Some(running) = self.running.remove(&id) {
            running.stop().await;
        }
    }

    fn start(&self, folder: Folder) -> Running {
        let place = Place {
            id: folder.id,
            path: folder.path.clone(),
            identity: folder.root,
            keeps_inodes: true,
        };
        let (commands, told) = mpsc::channel(COMMANDS);
        let mut scanning = Live::still(FolderState::Scanning, None, None);
        scanning.scanned_at = folder.scanned_at;
        let (live, seen) = watch::channel(scanning);
        let (trouble, troubled) = watch::channel(None);
        let (end, lost) = (CancellationToken::new(), Arc::new(Notify::new()));
        let task = Task::new(
            place.clone(),
            self.state.clone(),
            self.settings.clone(),
            self.queue.wake.clone(),
            live,
            lost.clone(),
        );
        let failed = Failed {
            id: folder.id,
            path: folder.path.clone(),
            told: self.failed.clone(),
            pause: self.settings.poll,
        };
        let mut tasks = vec![spawn_until(&end, failed.clone(), task.run(told))];
        if folder.after != After::Keep {
            let (state, receipts) = (self.state.clone(), self.queue.receipts.clone());
            let after = after::run(state, place, folder.after.clone(), receipts, trouble);
            tasks.push(spawn_until(&end, failed, after));
        }
        Running { folder, commands, lost, live: seen, trouble: troubled, end, tasks }
    }
}

/// The next of what comes, where anything does. Cancel-safe.
async fn next<T>(coming: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match coming {
        Some(coming) => coming.recv().await,
        None => std::future::pending().await,
    }
}

fn internal(error: &tokio::task::JoinError) -> Refusal {
    Refusal::new(ErrorCode::Internal, format!("looking at a folder failed: {error}"))
}

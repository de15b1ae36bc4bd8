//! One watched folder: its task, which hears of changes, looks at files, scans, and says how it is.
//!
//! [`super::Watch`] starts one for each folder that is active and ends it by its token. What it does
//! may be given up at any point: a scan at the next start finds what was left. The folder itself is
//! opened for each piece of work anew, so that it can be unmounted at any time. While nothing happens
//! there and events tell of it, it sleeps until the next scan.

mod standing;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgrepo_proto::Refusal;
use imgrepo_proto::control::watch::FolderState;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::state::State;

use super::Settings;
use super::finder::{Finder, TOLD};
use super::hints::{Looked, look_at};
use super::mounts;
use super::notifier::{Blind, Hint, Notifier};
use super::scan::{Place, Remarks, Stopped, blocking, scan};
use super::settle::Unsettled;

/// Hints that are taken up together, at most.
const BATCH: usize = 4_096;

/// Between two scans after lost hints: while they keep being lost, another scan at once would find
/// the same crowd of files half-way.
const LOST_PAUSE: Duration = Duration::from_secs(1);

/// How long after a change it is seen whether a file is settling that nobody waits for: one that the
/// queue gave back when too many were on their way here. No shorter than the longest pause between
/// two looks.
const LEFT_EVERY: Duration = Duration::from_secs(30);

/// A poll takes at most a twentieth of the time.
const POLL_SHARE: u32 = 20;

/// What can be told to the task.
#[derive(Debug)]
pub(super) enum Command {
    /// Look at everything; answered when it is done, with what the state refused.
    Rescan(oneshot::Sender<Result<(), Refusal>>),
    /// Look at this file: it changed while it was to be uploaded.
    Look(PathBuf),
    /// See whether the folder is there: something was mounted or unmounted.
    Check,
}

/// How the folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) state: FolderState,
    pub(super) why: Option<String>,
    pub(super) hint: Option<String>,
    pub(super) file_system: Option<String>,
    pub(super) scanned_at: Option<Timestamp>,
}

/// What the task has.
pub(super) struct Task {
    place: Place,
    state: State,
    settings: Arc<Settings>,
    /// Tells that there is something to upload.
    wake: Arc<dyn Fn() + Send + Sync>,
    live: watch::Sender<Live>,
    lost: Arc<Notify>,
    unsettled: Unsettled,
    notifier: Option<Notifier>,
    /// Why there is none, where there should be.
    blind: Option<Blind>,
    /// When the system is asked once more to tell of changes.
    see_again: Instant,
    /// Folders that the last scan went through, and later ones.
    been: HashSet<PathBuf>,
    is_vanished: bool,
    /// More files are settling than are kept.
    is_crowded: bool,
    next_scan: Instant,
    /// Where no event tells that it is gone, or back.
    next_check: Instant,
    /// None while nothing has changed.
    next_left: Option<Instant>,
    last_scan: Duration,
    remarks: Remarks,
}

/// What woke the task.
enum Woken {
    Command(Option<Command>),
    Hint(Option<Hint>),
    Lost,
    /// Rows are not as they were.
    Changed,
    Time,
}

impl Task {
    pub(super) fn new(
        place: Place,
        state: State,
        settings: Arc<Settings>,
        wake: Arc<dyn Fn() + Send + Sync>,
        live: watch::Sender<Live>,
        lost: Arc<Notify>,
    ) -> Task {
        let now = Instant::now();
        let unsettled = Unsettled::new(settings.settle, settings.torn);
        Task {
            place,
            state,
            settings,
            wake,
            live,
            lost,
            unsettled,
            notifier: None,
            blind: None,
            see_again: now,
            been: HashSet::new(),
            is_vanished: false,
            is_crowded: false,
            next_scan: now,
            next_check: now,
            next_left: None,
            last_scan: Duration::ZERO,
            remarks: Remarks::default(),
        }
    }

    /// Until the last command is told. Dropping it loses nothing.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut changed = self.state.changed();
        self.scan_or_say().await;
        loop {
            let wake_at = tokio::time::Instant::from_std(self.next_due());
            // Dropping any branch is safe: what it waits for stays where it is.
            let woken = tokio::select! {
                command = commands.recv() => Woken::Command(command),
                hint = next_hint(&mut self.notifier) => Woken::Hint(hint),
                () = self.lost.notified() => Woken::Lost,
                Ok(()) = changed.changed(), if self.next_left.is_none() => Woken::Changed,
                () = tokio::time::sleep_until(wake_at) => Woken::Time,
            };
            match woken {
                Woken::Command(None) => return,
                Woken::Command(Some(Command::Rescan(done))) => {
                    let scanned = self.scan().await;
                    // Who asked may be gone.
                    let _ = done.send(scanned);
                }
                Woken::Command(Some(Command::Look(path))) => {
                    self.look(BTreeMap::from([(path, false)])).await;
                }
                Woken::Hint(Some(first)) => self.hinted(first).await,
                Woken::Command(Some(Command::Check)) => self.check().await,
                // Its thread has ended, which it never does by itself.
                Woken::Hint(None) => {
                    self.notifier = None;
                    self.next_scan = Instant::now();
                }
                Woken::Lost => {
                    let pause = LOST_PAUSE.max(self.last_scan * 2);
                    self.next_scan = self.next_scan.min(Instant::now() + pause);
                }
                Woken::Changed => self.next_left = Some(Instant::now() + LEFT_EVERY),
                Woken::Time => self.on_time().await,
            }
        }
    }

    fn next_due(&self) -> Instant {
        let due = self.unsettled.next_due().unwrap_or(self.next_scan);
        let check = self.is_unheard().then_some(self.next_check);
        [self.next_left, check].into_iter().flatten().fold(due.min(self.next_scan), Instant::min)
    }

    /// No event tells what becomes of the folder itself.
    fn is_unheard(&self) -> bool {
        self.notifier.is_none()
    }

    async fn on_time(&mut self) {
        let now = Instant::now();
        let due = self.unsettled.due(now, TOLD);
        if !due.is_empty() {
            self.look(due.into_iter().map(|path| (path, false)).collect()).await;
        }
        if self.is_crowded && self.unsettled.has_room() {
            self.next_scan = self.next_scan.min(now + self.settings.settle);
            self.is_crowded = false;
        }
        if self.next_scan <= now {
            return self.scan_or_say().await;
        }
        if self.next_left.is_some_and(|left| left <= now) {
            self.next_left = None;
            // When it is back all of it is looked at.
            if !self.is_vanished {
                self.look_at_left().await;
            }
        }
        if self.is_unheard() && self.next_check <= now {
            self.check().await;
        }
    }

    /// Sees whether it is there.
    async fn check(&mut self) {
        self.next_check = Instant::now() + self.settings.poll;
        let place = self.place.clone();
        match blocking(move || place.open().map(drop)).await {
            Ok(()) if self.is_vanished => self.scan_or_say().await,
            Ok(()) => {}
            Err(stopped) => self.stopped(stopped),
        }
    }

    /// Looks at files that are settling by their rows, and that nobody waits for.
    async fn look_at_left(&mut self) {
        match self.state.settling(self.place.id).await {
            Ok(paths) => {
                let left = paths.into_iter().filter(|path| !self.unsettled.has(path));
                let left: BTreeMap<_, _> = left.take(TOLD).map(|path| (path, false)).collect();
                if !left.is_empty() {
                    self.next_left = Some(Instant::now() + LEFT_EVERY);
                    self.look(left).await;
                }
            }
            Err(refusal) => self.stopped(refusal.into()),
        }
    }

    /// A hint came: it and all that came with it.
    async fn hinted(&mut self, first: Hint) {
        let mut hints = BTreeMap::from([(first.path, first.renamed)]);
        while hints.len() < BATCH
            && let Some(hint) = self.notifier.as_mut().and_then(Notifier::try_next)
        {
            *hints.entry(hint.path).or_default() |= hint.renamed;
        }
        self.look(hints).await;
    }

    /// Looks at these files and folders; true for those that were renamed to their name.
    async fn look(&mut self, hints: BTreeMap<PathBuf, bool>) {
        if let Err(stopped) = self.try_look(hints).await {
            self.stopped(stopped);
        }
    }

    async fn try_look(&mut self, hints: BTreeMap<PathBuf, bool>) -> Result<(), Stopped> {
        let place = self.place.clone();
        let Looked { probes, gone, folders, passed } =
            blocking(move || look_at(&place, &hints)).await?;
        let been: HashSet<PathBuf> =
            gone.iter().filter(|path| self.been.remove(*path)).cloned().collect();
        for path in &passed {
            self.unsettled.forget(path);
        }
        let mut finder = self.finder();
        finder.take(probes).await?;
        finder.gone(gone).await?;
        if !been.is_empty() {
            finder.gone_below(&been).await?;
        }
        let eye = self.notifier.as_ref().map(|notifier| notifier.eye().clone());
        let (place, state) = (self.place.clone(), self.state.clone());
        for folder in folders {
            let mut finder = self.finder();
            let scanned = scan(&place, &folder, eye.as_ref(), &state, &mut finder).await?;
            self.been.extend(scanned.been);
        }
        Ok(())
    }

    fn finder(&mut self) -> Finder<'_> {
        Finder {
            place: &self.place,
            state: &self.state,
            wake: &*self.wake,
            unsettled: &mut self.unsettled,
            is_crowded: &mut self.is_crowded,
        }
    }

    /// Looks at everything; what keeps it from that is in its status.
    async fn scan_or_say(&mut self) {
        let _ = self.scan().await;
    }

    /// Looks at everything, where it is there.
    ///
    /// # Errors
    /// The state's: then nobody knows what is in it.
    async fn scan(&mut self) -> Result<(), Refusal> {
        let begun = Instant::now();
        if self.notifier.is_some() || self.live.borrow().scanned_at.is_none() {
            self.live.send_modify(|live| live.state = FolderState::Scanning);
        }
        let mut scanned = self.try_scan().await;
        if let Err(Stopped::Blind(blind)) = scanned {
            self.go_blind(blind);
            scanned = self.try_scan().await;
        }
        self.last_scan = begun.elapsed();
        let now = Instant::now();
        self.next_check = now + self.settings.poll;
        match scanned {
            Err(stopped) => {
                let refused = match &stopped {
                    Stopped::State(refusal) => Err(refusal.clone()),
                    Stopped::Vanished(_) | Stopped::Blind(_) => Ok(()),
                };
                self.stopped(stopped);
                refused
            }
            Ok(file_system) => {
                self.is_vanished = false;
                let pause = match self.notifier {
                    Some(_) => self.settings.rescan,
                    None => self.settings.poll.max(self.last_scan * POLL_SHARE),
                };
                self.next_scan = now + pause;
                self.say(file_system);
                Ok(())
            }
        }
    }

    async fn try_scan(&mut self) -> Result<Option<String>, Stopped> {
        let place = self.place.clone();
        let (identity, file_system) = blocking(move || {
            let root = place.open()?;
            Ok((root.identity(), mounts::kind_of(&place.path)))
        })
        .await?;
        if self.place.identity != Some(identity) {
            self.state.folder_root(self.place.id, identity).await?;
            self.place.identity = Some(identity);
        }
        let kind = file_system.as_deref();
        self.place.keeps_inodes = kind.is_none_or(mounts::keeps_inodes);
        let is_told = !kind.is_some_and(mounts::is_shared);
        // A new one for each scan: it knows nothing of folders that were moved away meanwhile, and
        // one that died unnoticed is replaced.
        self.notifier = None;
        if is_told && self.see_again <= Instant::now() {
            let lost = self.lost.clone();
            let notifier = blocking(move || Notifier::new(lost).map_err(Stopped::Blind)).await?;
            self.notifier = Some(notifier);
        }
        let eye = self.notifier.as_ref().map(|notifier| notifier.eye().clone());
        let (place, state) = (self.place.clone(), self.state.clone());
        let mut finder = self.finder();
        let scanned = scan(&place, &place.path, eye.as_ref(), &state, &mut finder).await?;
        self.been = scanned.been;
        if self.remarks != scanned.remarks {
            self.remarks = scanned.remarks;
            if let Some(text) = self.remarks.text() {
                tracing::warn!("of `{}`: {text}", self.place.path.display());
            }
        }
        if self.notifier.is_some() {
            self.blind = None;
        }
        let now = Timestamp::now();
        self.state.folder_scanned(self.place.id, now).await?;
        self.live.send_modify(|live| live.scanned_at = Some(now));
        Ok(file_system)
    }
}

/// The next hint, where there is a notifier.
async fn next_hint(notifier: &mut Option<Notifier>) -> Option<Hint> {
    match notifier {
        Some(notifier) => notifier.next().await,
        None => std::future::pending().await,
    }
}

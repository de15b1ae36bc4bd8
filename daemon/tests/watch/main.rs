//! Watched folders on a real disk, up to the queue's rows: what is put there is taken whole, once,
//! and nothing else is.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test fails so; figures are printed.

mod after;
mod arriving;
mod changing;
mod crowds;
mod folders;
mod limits;
mod special;
mod whole;

#[path = "../repository/small_disk.rs"]
mod small_disk;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use imgrepo_proto::control::queue::{QueuedUpload, UploadState};
use imgrepo_proto::control::watch::{After, FolderState, FolderStatus};
use imgrepo_proto::{BlobHash, ImageId, PersonName};
use imgrepod::state::{End, FolderId, Lane, MembershipId, QueuedContent, State};
use imgrepod::watch::{QueueSide, Settings, Watch};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Longer than anything takes here; a test that waits for so long fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A watch with a folder, and a queue that is played by the test.
struct Scene {
    home: TempDir,
    folder: PathBuf,
    state: State,
    ana: MembershipId,
    watch: Watch,
    task: JoinHandle<()>,
    queue: Queue,
}

/// The other ends of what the watch has of the queue.
struct Queue {
    membership: watch::Sender<Option<MembershipId>>,
    unsettled: mpsc::Sender<(FolderId, PathBuf)>,
    receipts: watch::Sender<u64>,
    wakes: Arc<AtomicU64>,
}

fn settings() -> Settings {
    Settings {
        settle: Duration::from_millis(300),
        torn: Duration::from_secs(600),
        // What a test sees must come from hints.
        rescan: Duration::from_secs(3600),
        poll: Duration::from_millis(100),
        flags: Vec::new(),
        own: Vec::new(),
    }
}

fn start(
    state: &State,
    membership: Option<MembershipId>,
    settings: Settings,
) -> (Watch, JoinHandle<()>, Queue) {
    let wakes = Arc::new(AtomicU64::new(0));
    let woken = wakes.clone();
    let (unsettled, taken) = mpsc::channel(8);
    let queue = Queue {
        membership: watch::Sender::new(membership),
        unsettled,
        receipts: watch::Sender::new(0),
        wakes,
    };
    let side = QueueSide {
        membership: queue.membership.subscribe(),
        wake: Arc::new(move || {
            woken.fetch_add(1, Ordering::Relaxed);
        }),
        unsettled: Some(taken),
        receipts: queue.receipts.subscribe(),
    };
    let (watch, task) = Watch::start(state.clone(), side, settings);
    (watch, task, queue)
}

async fn member(state: &State, name: &str) -> MembershipId {
    let person = PersonName::parse(name).unwrap();
    state.join("repository".to_owned(), person, "ws://host/".to_owned()).await.unwrap()
}

impl Scene {
    /// With a folder that is watched, and looked at once.
    async fn new() -> Scene {
        let scene = Scene::bare(settings()).await;
        scene.add(After::Keep).await;
        scene
    }

    /// With an empty folder that is not watched yet.
    async fn bare(settings: Settings) -> Scene {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("watched");
        std::fs::create_dir(&folder).unwrap();
        let state = State::open(&home.path().join("queue.db")).unwrap();
        let ana = member(&state, "ana").await;
        let (watch, task, queue) = start(&state, Some(ana), settings);
        Scene { home, folder, state, ana, watch, task, queue }
    }

    async fn add(&self, after: After) -> FolderStatus {
        self.watch.add(self.folder.clone(), after).await.unwrap();
        self.watch.look().await.unwrap();
        self.status().await
    }

    /// Starts another watch on the same state, after the end of the one before.
    fn begin(&mut self) {
        let (watch, task, queue) = start(&self.state, Some(self.ana), settings());
        (self.watch, self.task, self.queue) = (watch, task, queue);
    }

    async fn end(&mut self) {
        self.watch.end();
        (&mut self.task).await.unwrap();
    }

    async fn status(&self) -> FolderStatus {
        let list = self.watch.list().await.unwrap();
        list.into_iter().find(|status| status.path == self.folder).unwrap()
    }

    async fn status_is(&self, state: FolderState) -> FolderStatus {
        let wait = async {
            loop {
                let status = self.status().await;
                if status.state == state {
                    return status;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never {state:?}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file in one go.
    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Makes a file elsewhere and renames it into the folder.
    fn drop_in(&self, name: &str, content: &[u8]) -> PathBuf {
        let made = self.home.path().join("made");
        std::fs::write(&made, content).unwrap();
        let path = self.path(name);
        std::fs::rename(made, &path).unwrap();
        path
    }

    async fn row(&self, path: &Path) -> Option<QueuedUpload> {
        self.state.story(path.to_owned()).await.unwrap()
    }

    /// Waits until this holds of a file's row.
    async fn until(&self, path: &Path, holds: impl Fn(Option<&QueuedUpload>) -> bool) {
        let mut changed = self.state.changed();
        let wait = async {
            while !holds(self.row(path).await.as_ref()) {
                changed.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("`{}` is {:?}", path.display(), self.row(path).await);
        }
    }

    async fn until_is(&self, path: &Path, state: UploadState) -> QueuedUpload {
        self.until(path, |row| row.is_some_and(|row| row.state == state)).await;
        self.row(path).await.unwrap()
    }

    async fn queued(&self, path: &Path) -> QueuedUpload {
        self.until_is(path, UploadState::Queued).await
    }

    /// All that was there before this is looked at when it returns: a file that came later is.
    async fn caught_up(&self) {
        let path = self.drop_in("sentinel.png", &png(u32::MAX));
        self.queued(&path).await;
        std::fs::remove_file(&path).unwrap();
        self.until(&path, |row| row.is_none()).await;
    }

    /// Plays the server: whatever is queued gets its receipt.
    async fn receive(&self) {
        let now = Timestamp::now();
        let turns = self.state.take(self.ana, Lane::Small, 10_000, now).await.unwrap().turns;
        // All at once: they share their syncs.
        let mut ends = JoinSet::new();
        for turn in turns {
            let state = self.state.clone();
            ends.spawn(async move {
                let QueuedContent::File(path) = turn.content else { panic!() };
                let hash = BlobHash(*blake3::hash(&std::fs::read(path).unwrap()).as_bytes());
                let end = End::Receipt { hash, image: ImageId(turn.id.0), duplicate: false };
                state.hashed(turn.id, hash, now).await.unwrap();
                state.ended(turn.id, end, now).await.unwrap();
            });
        }
        ends.join_all().await;
        self.queue.receipts.send_modify(|number| *number += 1);
    }

    /// The names of all rows, sorted.
    async fn names(&self) -> Vec<String> {
        let page = self.state.page(self.ana, true, None, 1_000).await.unwrap();
        let mut names: Vec<_> = page.into_iter().map(|row| row.name).collect();
        names.sort();
        names
    }
}

/// A PNG of one pixel, and a number behind it that makes it another image.
fn png(number: u32) -> Vec<u8> {
    let mut png =
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
        \0\0\0\rIDATx\x9cc\xf8\xff\xff?\0\x05\xfe\x02\xfe\xa7\x35\x81\x84\
        \0\0\0\0IEND\xaeB`\x82"
            .to_vec();
    png.extend(number.to_be_bytes());
    png
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn not_proven(why: &str) {
    println!("*** NOT PROVEN HERE: {why}");
}

/// Runs one ignored test of this program in a process of its own, behind such a command.
fn in_process(command: &mut Command, test: &str) -> std::process::Output {
    let this = std::env::current_exe().unwrap();
    command.arg(this).args(["--exact", test, "--ignored", "--nocapture"]).output().unwrap()
}

//! What a client's daemon said to be queued arrives, and once, however often the daemon or its server
//! is killed (SIGKILL) and however often the power is cut from the daemon's state.
//!
//! `IMGREPO_KILLS` says how often each is killed, `IMGREPO_POWER_CUTS` how often the power goes, which
//! needs root.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use imgrepo_proto::BlobHash;
use imgrepo_proto::control::{Outcome, Request};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::control::{control, status, try_control, upload_of};
use crate::cutter::{Cutter, Mode};
use crate::picture::{Picture, Random, count};
use crate::process::Daemon;
use crate::session::V2;
use crate::volume::{Switch, Volume};

/// The longest that a life lasts: long enough to start sending, and short enough to be killed at it.
const LIFE_MS: u64 = 150;

/// Where no server is: the port of a service that nobody has any more.
const NOBODY: &str = "ws://127.0.0.1:9/";

/// How long the rest of a queue may take.
const TO_DRAIN: Duration = Duration::from_secs(300);

/// A person who queues pictures, and the daemons that are to bring them in.
struct Sender {
    random: Random,
    directory: TempDir,
    /// The client daemon's.
    home: PathBuf,
    line: Cutter,
    server: Option<Daemon>,
    daemon: Option<Daemon>,
    /// All of which the daemon said that they are queued.
    queued: HashMap<BlobHash, String>,
    /// The one whose answer was lost: it may be queued or not, and is asked for again.
    unsure: Option<Picture>,
    made: u64,
    /// Lives of the client's daemon, or of its server, that began with something left to send.
    left_over: u64,
    /// The power is gone: what is heard from now on no real computer would have said. A sync that is
    /// under way then may be reported as done, and is not.
    dark: Arc<AtomicBool>,
}

impl Sender {
    async fn new(directory: TempDir, home: PathBuf) -> Sender {
        let mut random = Random::from_environment();
        let server = Daemon::serve(&directory.path().join("server")).expect("a server");
        let line = Cutter::start(&server.url(), random.fork(), Mode::Whole).await;
        let server = Some(server);
        let (queued, unsure) = (HashMap::new(), None);
        let (made, left_over, daemon) = (0, 0, None);
        let dark = Arc::default();
        let mut sender = Sender {
            dark,
            random,
            directory,
            home,
            line,
            server,
            daemon,
            queued,
            unsure,
            made,
            left_over,
        };
        sender.start_daemon();
        sender
    }

    /// Starts the client's daemon. A third of its lives find no server: there the queue grows. Not
    /// the first: it has yet to learn whose queue it is.
    fn start_daemon(&mut self) {
        let server = self.server.as_ref().expect("it runs").url();
        let is_away = self.made > 0 && self.random.between(0, 2) == 0;
        self.line.lead_to(if is_away { NOBODY } else { &server });
        let log = self.directory.path().join("client.log");
        let arguments = ["--connect", &self.line.url, "--user", "ana"];
        let program = crate::process::imgrepod();
        let started = block_in_place(|| Daemon::start(&program, &self.home, &log, &arguments, &[]));
        self.daemon = Some(started.expect("it starts with whatever was left"));
    }

    fn start_server(&mut self) {
        let started = block_in_place(|| Daemon::serve(&self.directory.path().join("server")));
        let server = started.expect("it starts with whatever was left");
        self.line.lead_to(&server.url());
        self.server = Some(server);
    }

    /// Half of them small, half larger than a window, so that they are cut in their middle.
    fn next_picture(&mut self) -> Picture {
        self.unsure.take().unwrap_or_else(|| {
            self.made += 1;
            let (least, most) =
                if self.made.is_multiple_of(2) { (1 << 20, 4 << 20) } else { (1000, 200_000) };
            let size = self.random.between(least, most);
            Picture::new(format!("{}.bmp", self.made), self.random.next(), size as usize)
        })
    }

    /// Whether another blow is due: after so many, only while none has left anything over, which a few
    /// may do by chance. Ten times as many never do.
    fn goes_on(&self, fallen: u64, blows: u64) -> bool {
        fallen < blows || (self.left_over == 0 && fallen < 10 * blows)
    }

    /// Queues pictures until `strike` has fallen, at a point of its own.
    fn live(&mut self, strike: impl FnOnce(&mut Sender) + Send) {
        let queue = block_in_place(|| status(&mut control(&self.home))).queue;
        self.left_over += u64::from(queue.counts.open() > 0);
        let pictures: Vec<Picture> = (0..8).map(|_| self.next_picture()).collect();
        let pause = Duration::from_micros(self.random.between(0, 1000 * LIFE_MS));
        let (home, directory) = (self.home.clone(), self.directory.path().to_owned());
        let dark = Arc::clone(&self.dark);
        block_in_place(|| {
            let queueing =
                std::thread::spawn(move || queue_all(&home, &directory, pictures, &dark));
            // Not to wait for anything: so that the blow falls anywhere.
            std::thread::sleep(pause);
            strike(self);
            let (queued, unsure) = queueing.join().expect("it queues");
            self.queued.extend(queued);
            self.unsure = unsure;
        });
    }

    /// Everything that was queued is in the repository, once, and nothing else is.
    async fn check(mut self, blows: u64) {
        self.line.lead_to(&self.server.as_ref().expect("it runs").url());
        let last: Vec<Picture> = self.unsure.take().into_iter().collect();
        let (home, directory) = (self.home.clone(), self.directory.path().to_owned());
        let (queued, unsure) = block_in_place(|| queue_all(&home, &directory, last, &self.dark));
        assert!(unsure.is_none(), "nobody is killed any more");
        self.queued.extend(queued);
        let outcome = block_in_place(|| {
            let mut client = control(&self.home);
            client.set_timeout(Some(TO_DRAIN));
            client.call(&Request::Wait)
        });
        let Ok(Outcome::Queue(queue)) = outcome else { panic!("{outcome:?} for a wait") };
        assert_eq!((queue.counts.open(), queue.counts.faults()), (0, 0), "{queue:?}");
        let server = self.server.take().expect("it runs");
        let session = V2::open(&server.url(), "checker").await.expect("a session");
        let mut there = HashMap::<BlobHash, u64>::new();
        for record in session.list().await.expect("a list") {
            *there.entry(record.hash.expect("it is known")).or_default() += 1;
        }
        for (hash, name) in &self.queued {
            assert_eq!(there.remove(hash), Some(1), "`{name}` is to be there once");
        }
        assert!(there.is_empty(), "nobody queued {there:?}");
        println!(
            "{blows} times: {} files were queued, each arrived once; {} times some were left over",
            self.queued.len(),
            self.left_over
        );
        assert!(self.left_over > 0, "the test proves nothing");
        let daemon = self.daemon.take().expect("it runs");
        assert!(daemon.stop().success() && server.stop().success(), "both end in order");
    }
}

/// Queues pictures one by one until the daemon is gone: those of which it said that they are queued,
/// and the one that it was asked for last.
fn queue_all(
    home: &Path,
    directory: &Path,
    pictures: Vec<Picture>,
    dark: &AtomicBool,
) -> (Vec<(BlobHash, String)>, Option<Picture>) {
    let mut queued = Vec::new();
    for picture in pictures {
        let upload = upload_of(directory, &picture);
        let Ok(mut client) = try_control(home) else { return (queued, Some(picture)) };
        match client.call(&Request::Enqueue(upload)) {
            _ if dark.load(Ordering::SeqCst) => return (queued, Some(picture)),
            Ok(Outcome::Queued(_)) => queued.push((picture.hash, picture.name)),
            Ok(other) => panic!("{other:?} for an upload to the queue"),
            Err(_) => return (queued, Some(picture)),
        }
    }
    (queued, None)
}

/// A scene whose files are all in one temporary directory.
async fn sender() -> Sender {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("client");
    Sender::new(directory, home).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_client_brings_in_what_it_queued() {
    let mut sender = sender().await;
    let (kills, mut fallen) = (count("IMGREPO_KILLS", 10), 0);
    while sender.goes_on(fallen, kills) {
        fallen += 1;
        sender.live(|sender| drop(sender.daemon.take()));
        sender.start_daemon();
    }
    sender.check(fallen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_gets_what_was_queued_once() {
    let mut sender = sender().await;
    let (kills, mut fallen) = (count("IMGREPO_KILLS", 10), 0);
    while sender.goes_on(fallen, kills) {
        fallen += 1;
        sender.live(|sender| drop(sender.server.take()));
        sender.start_server();
    }
    sender.check(fallen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_outlives_power_cuts() {
    // It outlives the volume that is mounted in it.
    let outside = tempfile::tempdir().expect("a temporary directory");
    let volume = match Volume::new(outside.path(), "state") {
        Ok(volume) => volume,
        Err(why) => return println!("*** NOT PROVEN HERE: {why}"),
    };
    let home = volume.mounted_at.join("client");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut sender = Sender::new(directory, home).await;
    let (cuts, mut fallen) = (count("IMGREPO_POWER_CUTS", 5), 0);
    let mut volumes = [volume];
    while sender.goes_on(fallen, cuts) {
        fallen += 1;
        let switch = Switch::of(&volumes);
        sender.live(|sender| {
            sender.dark.store(true, Ordering::SeqCst);
            switch.cut();
            drop(sender.daemon.take());
        });
        sender.dark.store(false, Ordering::SeqCst);
        volumes[0].unmount().expect("nobody uses it");
        volumes[0].mount().expect("its journal is replayed");
        sender.start_daemon();
    }
    sender.check(fallen).await;
}

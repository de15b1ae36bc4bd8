//! Peers that are gone without a word, between real processes: a line that goes silent, a cable that is
//! pulled, a computer that sleeps. Both ends notice within a minute, and five seconds after the line or
//! the computer is back there is a session again; what was under way goes on.
//!
//! Silence takes its time, so these run in `make torture` only. `tests/session/silence.rs` shows the
//! same within one process, on a clock of its own.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use imgrepo_proto::ImageId;
use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::limits::WINDOW_BYTES;
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::cable::{Cable, FAR};
use crate::control::{control, download, status, upload, upload_of};
use crate::cutter::{Cutter, Mode};
use crate::picture::{Picture, Random};
use crate::process::Daemon;

const TO_NOTICE: Duration = Duration::from_secs(60);
const TO_BE_BACK: Duration = Duration::from_secs(5);

/// Large enough that a transfer of it is cut in its middle.
const SIZE: usize = 100_000_000;

/// Looks again and again until it is so: how long after the start that is.
fn until(start: Instant, limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    while !is_so() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// A server and a client's daemon, with who asks them.
struct Scene {
    directory: TempDir,
    server: Daemon,
    ask_server: Client,
    daemon: Daemon,
    ask_daemon: Client,
    picture: Picture,
}

impl Scene {
    /// `url` is where the client finds the server.
    fn new(
        directory: TempDir,
        server: Daemon,
        start: impl FnOnce(&Path) -> Result<Daemon, String>,
        seed: u64,
    ) -> Scene {
        let home = directory.path().join("client");
        let daemon = start(&home).expect("a daemon");
        let (ask_server, ask_daemon) = (control(&directory.path().join("server")), control(&home));
        let picture = Picture::new("a.bmp", seed, SIZE);
        let mut scene = Scene { directory, server, ask_server, daemon, ask_daemon, picture };
        scene.is_back("no session yet");
        scene
    }

    fn has_client(&mut self) -> bool {
        // Its own session counts too.
        status(&mut self.ask_server).server.expect("it is a server").sessions > 1
    }

    fn state(&mut self) -> SessionState {
        status(&mut self.ask_daemon).session.state
    }

    fn client_notices(&mut self, gone: Instant, what: &str) {
        let is_waiting = || self.state() == SessionState::Waiting;
        let took = until(gone, TO_NOTICE, "the client notices", is_waiting);
        println!("{what}: the client noticed after {:.1} s", took.as_secs_f32());
    }

    fn server_notices(&mut self, gone: Instant, what: &str) {
        let took = until(gone, TO_NOTICE, "the server notices", || !self.has_client());
        println!("{what}: the server noticed after {:.1} s", took.as_secs_f32());
    }

    fn is_back(&mut self, what: &str) {
        // Whoever wakes up believes for a moment that nothing has happened.
        let is_up = || self.state() == SessionState::Connected && self.has_client();
        let took = until(Instant::now(), TO_BE_BACK, "a session", is_up);
        println!("{what}: a session {:.1} s after that was over", took.as_secs_f32());
    }

    /// Stores the picture; the daemon has a connection for it alone.
    fn start_upload(&self) -> JoinHandle<ImageId> {
        let directory = self.directory.path().to_owned();
        let (mut client, picture) = (control(&directory.join("client")), self.picture.clone());
        std::thread::spawn(move || match upload(&mut client, &directory, &picture) {
            Ok(Outcome::Stored { image, .. }) if image.hash == Some(picture.hash) => image.id,
            other => panic!("{other:?} for an upload"),
        })
    }

    fn start_download(&self, id: ImageId) -> JoinHandle<ImageId> {
        let mut client = control(&self.directory.path().join("client"));
        let hash = self.picture.hash;
        std::thread::spawn(move || {
            let (record, _, came) = download(&mut client, id).expect("it comes");
            assert_eq!(came, hash);
            record.id
        })
    }

    fn end(self) {
        assert!(self.daemon.stop().success() && self.server.stop().success(), "both end in order");
    }
}

/// A scene whose line can go silent.
async fn scene() -> (Scene, Cutter) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Daemon::serve(&directory.path().join("server")).expect("a server");
    let mut random = Random::from_environment();
    let cutter = Cutter::start(&server.url(), random.fork(), Mode::Whole).await;
    let start = |home: &Path| Daemon::client(home, &cutter.url, "ana");
    (block_in_place(|| Scene::new(directory, server, start, random.next())), cutter)
}

/// Waits until a transfer is well under way.
fn is_under_way(sent: impl Fn() -> u64) {
    until(Instant::now(), TO_NOTICE, "bytes on the line", || sent() > SIZE as u64 / 10);
    assert!(sent() < SIZE as u64, "it is over already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes three minutes of silence: make torture"]
async fn a_silent_line_is_noticed_and_one_that_is_back_is_used() {
    let (mut scene, line) = scene().await;
    block_in_place(|| {
        let mut stored = None;
        for work in ["idle", "upload", "download"] {
            let total = SIZE as u64;
            let transfer = match work {
                "upload" => {
                    line.expect(total, 0);
                    let upload = scene.start_upload();
                    is_under_way(|| line.counted().up.sent);
                    Some(upload)
                }
                "download" => {
                    line.expect(0, total);
                    let download = scene.start_download(stored.expect("it was uploaded"));
                    is_under_way(|| line.counted().down.sent);
                    Some(download)
                }
                _ => None,
            };
            line.set(Mode::Silent);
            let gone = Instant::now();
            scene.client_notices(gone, work);
            scene.server_notices(gone, work);
            line.set(Mode::Whole);
            scene.is_back(work);
            stored = transfer.map(|transfer| transfer.join().expect("it goes on"));
            let counted = line.counted();
            let again = counted.up.most_again + counted.down.most_again;
            println!("{work}: {again} bytes were sent again");
            assert!(again <= WINDOW_BYTES, "more than a window was sent again");
        }
        scene.end();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes three minutes of sleep: make torture"]
async fn a_computer_that_slept_goes_on_where_it_was() {
    let (mut scene, line) = scene().await;
    block_in_place(|| {
        line.expect(SIZE as u64, 0);
        let upload = scene.start_upload();
        is_under_way(|| line.counted().up.sent);
        scene.daemon.freeze();
        let gone = Instant::now();
        scene.server_notices(gone, "the client sleeps");
        // The two minutes are what is tried.
        std::thread::sleep(Duration::from_secs(120).saturating_sub(gone.elapsed()));
        scene.daemon.thaw();
        scene.is_back("the client sleeps");
        let id = upload.join().expect("it goes on");

        // The server's turn: it finds the old session, and attempts that were given up, all at once.
        line.expect(0, SIZE as u64);
        let download = scene.start_download(id);
        is_under_way(|| line.counted().down.sent);
        scene.server.freeze();
        let gone = Instant::now();
        scene.client_notices(gone, "the server sleeps");
        // Until several attempts have come and gone.
        std::thread::sleep(Duration::from_secs(80).saturating_sub(gone.elapsed()));
        scene.server.thaw();
        scene.is_back("the server sleeps");
        download.join().expect("it goes on");
        let again = line.counted().down.most_again;
        println!("{again} bytes were sent again");
        assert!(again <= WINDOW_BYTES, "more than a window was sent again");
        scene.end();
    });
}

#[test]
#[ignore = "takes a minute without a network: make torture"]
fn a_pulled_cable_is_noticed_and_one_that_is_back_is_used() {
    let cable = match Cable::new() {
        Ok(cable) => cable,
        Err(why) => return println!("*** NOT PROVEN HERE: {why}"),
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let listen = format!("{FAR}:0");
    let told = ["--serve", "--listen", &listen, "--allow-guests"];
    let server = cable.start(&cable.far, &directory.path().join("server"), &told);
    let server = server.expect("a server");
    let url = server.url();
    let start = |home: &Path| cable.start(&cable.near, home, &["--connect", &url]);
    let mut scene = Scene::new(directory, server, start, 7);
    // Under way once anything was acknowledged.
    let (sender, progress) = std::sync::mpsc::channel();
    let (directory, picture) = (scene.directory.path().to_owned(), scene.picture.clone());
    let upload = std::thread::spawn(move || {
        let mut client = control(&directory.join("client"));
        let request = Request::Upload(upload_of(&directory, &picture));
        client.call_with(&request, &mut |reply| {
            if matches!(reply, Reply::Progress(now) if now.done > 0 && now.done < now.total) {
                let _ = sender.send(());
            }
            Ok(())
        })
    });
    progress.recv_timeout(TO_NOTICE).expect("it is under way");
    cable.set(false);
    let gone = Instant::now();
    assert!(!upload.is_finished(), "it is over already");
    scene.client_notices(gone, "a pulled cable");
    scene.server_notices(gone, "a pulled cable");
    cable.set(true);
    scene.is_back("a pulled cable");
    match upload.join().expect("it goes on") {
        Ok(Outcome::Stored { image, .. }) => assert_eq!(image.hash, Some(scene.picture.hash)),
        other => panic!("{other:?}"),
    }
    scene.end();
}

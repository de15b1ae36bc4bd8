//! A backup that is made while two hundred uploads are under way has every one that was acknowledged
//! before it began, byte for byte; also where others delete and purge meanwhile, and where backup and
//! server are killed (SIGKILL) in the middle. `IMGREPO_BACKUPS` says how many rounds.
//!
//! What a restore must have is told by the history of the server that goes on: all of it up to the
//! change that the backup names, and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use imgrepo_proto::session::EventKind;
use imgrepo_proto::session::command::{Command, Purge, Target};
use imgrepo_proto::session::reply::{ImageReply, PurgeReply};
use imgrepo_proto::{BlobHash, ImageId, Seq};
use tokio::task::{JoinSet, block_in_place};

use crate::control::{control, status, try_control};
use crate::picture::{Picture, Random, count};
use crate::process::{Daemon, imgrepod};
use crate::session::{Ended, V2};

/// Sessions, and uploads at once in each.
const SESSIONS: u64 = 8;
const AT_ONCE: u64 = 25;

/// Uploads of each in a round: enough that many come during the backup, and an end to what is compared.
const EACH: u64 = 4;

/// The longest pause before somebody is killed: about what a backup takes here.
const LIFE_MS: u64 = 400;

/// People who upload, and now and then delete and purge, until they have had enough, are told to stop or
/// the server is gone.
struct Crowd {
    acknowledged: Arc<Mutex<Vec<ImageId>>>,
    stop: Arc<AtomicBool>,
    people: JoinSet<()>,
}

impl Crowd {
    async fn start(
        url: &str,
        random: &mut Random,
        acknowledged: &Arc<Mutex<Vec<ImageId>>>,
    ) -> Crowd {
        let stop = Arc::<AtomicBool>::default();
        let mut people = JoinSet::new();
        for person in 0..SESSIONS {
            let session = V2::open(url, &format!("person{person}")).await.expect("a session");
            let session = Arc::new(session);
            for _ in 0..AT_ONCE {
                let (session, random, stop) = (session.clone(), random.fork(), stop.clone());
                people.spawn(upload(session, random, stop, acknowledged.clone()));
            }
        }
        Crowd { acknowledged: acknowledged.clone(), stop, people }
    }

    fn acknowledged(&self) -> Vec<ImageId> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.people.join_next().await {
            ended.expect("nobody was refused what is theirs to do");
        }
    }
}

async fn upload(
    session: Arc<V2>,
    mut random: Random,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<ImageId>>>,
) {
    for _ in 0..EACH {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // Most for the journal, some for files of their own.
        let size = match random.between(0, 19) {
            0 => random.between(1 << 20, 3 << 20),
            1..=4 => random.between(256 << 10, 700 << 10),
            _ => random.between(100, 40 << 10),
        };
        let seed = random.next();
        let picture = Picture::new(format!("{seed}.bmp"), seed, size as usize);
        let id = match session.upload(&picture, |_| {}).await {
            Ok(reply) => reply.image.id,
            Err(Ended::Cut) => return,
            Err(Ended::Refused(refusal)) => panic!("{refusal}"),
        };
        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        let (deletes, purges) = (seed.is_multiple_of(4), seed.is_multiple_of(8));
        if deletes {
            let delete = Command::Delete(Target::id(id));
            match session.call::<ImageReply>(delete).await {
                Ok(_) => {}
                Err(Ended::Cut) => return,
                Err(Ended::Refused(refusal)) => panic!("{refusal}"),
            }
        }
        if purges {
            match session.call::<PurgeReply>(Command::Purge(Purge { image: Some(id) })).await {
                Ok(_) => {}
                Err(Ended::Cut) => return,
                Err(Ended::Refused(refusal)) => panic!("{refusal}"),
            }
        }
    }
}

fn command(home: &Path, arguments: &[&str]) -> Child {
    Process::new(imgrepod())
        .args(arguments)
        .env("IMGREPO_HOME", home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Runs a command to its end; its document.
fn run(home: &Path, arguments: &[&str]) -> Result<serde_json::Value, String> {
    let output = command(home, arguments).wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    let document = String::from_utf8_lossy(&output.stdout);
    match output.status.success() {
        true => serde_json::from_str(&document).map_err(|error| format!("{error}: {document}")),
        false => Err(format!("{:?}: {document}{errors}", output.status)),
    }
}

/// What a history comes to up to one of its changes: the content of each image that is listed, and of
/// each that is in the trash.
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    listed: BTreeMap<ImageId, BlobHash>,
    trashed: BTreeMap<ImageId, BlobHash>,
}

impl State {
    async fn of(url: &str, to: Seq) -> State {
        let session = V2::open(url, "historian").await.expect("a session");
        let mut state = State::default();
        for event in session.events().await.expect("the history") {
            if event.seq.expect("its place") > to {
                break;
            }
            let record = event.image.expect("its image");
            let hash = record.hash.expect("its hash");
            state.listed.remove(&record.id);
            state.trashed.remove(&record.id);
            match event.event {
                EventKind::Deleted => drop(state.trashed.insert(record.id, hash)),
                EventKind::Purged => {}
                _ => drop(state.listed.insert(record.id, hash)),
            }
        }
        state
    }
}

/// Restores, serves, and compares with the history of the original up to the backup's change.
async fn check(folder: &Path, home: &Path, url: &str, least: Seq) -> Seq {
    let folder = folder.to_str().expect("a plain name");
    let done = block_in_place(|| run(home, &["restore", folder, "--json"])).expect("a restore");
    let seq = Seq(done["seq"].as_u64().expect("its change"));
    assert!(seq >= least, "the backup has changes up to {seq}, and {least} was in one before");
    assert_eq!((&done["missing"], &done["finished"]), (&0.into(), &true.into()), "{done}");
    let expected = State::of(url, seq).await;
    let server = Daemon::serve(home).expect("it serves");
    assert_eq!(State::of(&server.url(), Seq(u64::MAX)).await, expected);
    let session = V2::open(&server.url(), "checker").await.expect("a session");
    let listed = session.list().await.expect("a list");
    let told: BTreeMap<_, _> =
        listed.iter().map(|record| (record.id, record.hash.expect("its hash"))).collect();
    assert!(told == expected.listed, "what is listed is not what the history tells");
    for record in &listed {
        let (hash, size) = session.download(record.id).await.expect("its content");
        assert_eq!((Some(hash), Some(size)), (record.hash, record.size), "image {}", record.id);
    }
    for hash in expected.trashed.values() {
        let name = hash.to_string();
        let path = home.join("data/blobs").join(&name[..2]).join(&name);
        let content = std::fs::read(&path).expect("the trash is there too");
        assert_eq!(blake3::hash(&content).as_bytes(), &hash.0);
    }
    assert!(server.stop().success());
    seq
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_has_all_that_was_acknowledged_before_it() {
    let mut random = Random::from_environment();
    let rounds = count("IMGREPO_BACKUPS", 3);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    let folder = directory.path().join("backup");
    let folder_name = folder.to_str().expect("a plain name").to_owned();
    let acknowledged = Arc::<Mutex<Vec<ImageId>>>::default();
    let mut server = Daemon::serve(&home).expect("the first start");
    let (mut least, mut held, mut killed) = (Seq(0), 0, 0);
    for round in 0..rounds {
        let crowd = Crowd::start(&server.url(), &mut random, &acknowledged).await;
        // All are at it.
        let before = crowd.acknowledged().len();
        while crowd.acknowledged().len() < before + 100 {
            tokio::task::yield_now().await;
        }
        let must = crowd.acknowledged();
        let pause = Duration::from_millis(random.between(0, LIFE_MS));
        let mut backup = command(&home, &["backup", &folder_name, "--json"]);
        // In turn: left alone, itself killed, the server killed.
        let is_done = match round % 3 {
            0 => block_in_place(|| {
                let output = backup.wait_with_output().expect("it ends");
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(output.status.success(), "{text} {:?}", output);
                true
            }),
            victim => block_in_place(|| {
                std::thread::sleep(pause);
                killed += 1;
                if victim == 1 {
                    let _ = backup.kill();
                } else {
                    server.kill();
                }
                backup.wait_with_output().expect("it ends").status.success()
            }),
        };
        let after = crowd.acknowledged().len();
        crowd.stop().await;
        if round % 3 == 2 {
            server = Daemon::serve(&home).expect("the next start");
        }
        let url = server.url();
        let new_home = directory.path().join(format!("home{round}"));
        let mut seq = check(&folder, &new_home, &url, least).await;
        std::fs::remove_dir_all(&new_home).expect("it was there");
        if !is_done {
            // What was cut short is taken up again.
            block_in_place(|| run(&home, &["backup", &folder_name, "--json"])).expect("a backup");
            seq = check(&folder, &new_home, &url, seq).await;
            std::fs::remove_dir_all(&new_home).expect("it was there");
        }
        let session = V2::open(&url, "historian").await.expect("a session");
        let mut stored = BTreeMap::new();
        for event in session.events().await.expect("the history") {
            if event.event == EventKind::NewUpload {
                stored.insert(event.image.expect("its image").id, event.seq.expect("its place"));
            }
        }
        for id in &must {
            assert!(stored[id] <= seq, "image {id} was acknowledged before the backup began");
        }
        held += must.len();
        least = seq;
        println!(
            "round {round}: backup {}, up to change {seq}; {} acknowledged before it, {} during it",
            if is_done { "done" } else { "cut short, taken up again" },
            must.len(),
            after - must.len()
        );
    }
    println!("{rounds} rounds, {killed} kills: {held} times an upload was there that had to be");
    assert!(held > 0, "the test proves nothing");
    // Nothing that was held for a backup stays for ever.
    let url = server.url();
    let state = State::of(&url, Seq(u64::MAX)).await;
    assert!(server.stop().success());
    let server = Daemon::serve(&home).expect("it starts");
    assert_eq!(State::of(&server.url(), Seq(u64::MAX)).await, state);
    assert!(server.stop().success());
    let needed: std::collections::BTreeSet<String> =
        state.listed.values().chain(state.trashed.values()).map(ToString::to_string).collect();
    assert_eq!(names(&home.join("data/blobs")), needed);
}

/// The names of all files two folders down.
fn names(root: &Path) -> std::collections::BTreeSet<String> {
    let entries = |path: PathBuf| std::fs::read_dir(path).expect("a folder").flatten();
    entries(root.to_owned())
        .flat_map(|folder| entries(folder.path()))
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_seen_more_than_was_restored_goes_on() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (home, again) = (directory.path().join("server"), directory.path().join("again"));
    let folder = directory.path().join("backup");
    let folder = folder.to_str().expect("a plain name");
    let server = Daemon::serve(&home).expect("a server");
    let url = server.url();
    let client_home = directory.path().join("client");
    let client = Daemon::client(&client_home, &url, "ana").expect("a client");
    let store = |seed: u64| {
        let picture = Picture::new(format!("{seed}.bmp"), seed, 5_000);
        let mut control = control(&client_home);
        crate::control::upload(&mut control, directory.path(), &picture).expect("it is stored");
    };
    block_in_place(|| {
        until_connected(&client_home);
        store(1);
        run(&home, &["backup", folder, "--json"]).expect("a backup");
        store(2);
        store(3);
    });
    // The disk is gone; what was backed up serves at the same place.
    assert!(server.stop().success());
    block_in_place(|| run(&again, &["restore", folder, "--json"])).expect("a restore");
    let listen = url.trim_start_matches("ws://").trim_end_matches('/').to_owned();
    let arguments = ["--serve", "--listen", &listen];
    let log = directory.path().join("again.log");
    let server = Daemon::start(&imgrepod(), &again, &log, &arguments, &[]).expect("it serves");
    block_in_place(|| {
        until_connected(&client_home);
        // Its own number comes anew, for another image: what it had seen of it is forgotten.
        store(4);
    });
    let session = V2::open(&server.url(), "checker").await.expect("a session");
    let names: Vec<String> =
        session.list().await.expect("a list").into_iter().map(|image| image.name).collect();
    assert_eq!(names, ["1.bmp", "4.bmp"]);
    assert!(client.stop().success());
    assert!(server.stop().success());
}

/// Waits until the daemon of this home has its session.
fn until_connected(home: &Path) {
    let begun = std::time::Instant::now();
    loop {
        if try_control(home).is_ok()
            && let Ok(status) = serde_json::to_value(status(&mut control(home)).session.state)
            && status == "connected"
        {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not connect");
        std::thread::sleep(Duration::from_millis(20));
    }
}

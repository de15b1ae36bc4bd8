//! Programs that are not ours: old clients, an old server and the client of `PROTOCOL.md`, written in
//! Python with the library `websockets`, which shares nothing with this one.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::reply::{Outcome, Reply, SessionState};
use imgrepo_proto::control::request::Request;
use imgrepo_proto::session::command::List;
use imgrepo_proto::{ErrorCode, ImageRef, Refusal};

use crate::control::{control, upload};
use crate::picture::Picture;
use crate::process::Daemon;

/// The Python with the libraries, in the venv that `make setup` makes.
fn python() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in the workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), |target| workspace.join(target));
    let python = target.join("venv/bin/python");
    assert!(python.exists(), "{} is missing; make it with: make setup", python.display());
    python
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name)
}

/// The client that `PROTOCOL.md` shows.
fn client() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/examples/client.py")
}

/// Runs a program to its end and gives what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}\n{errors}", output.status);
    said.into_owned()
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_old_client_finds_the_whole_classic_table() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Daemon::serve(&directory.path().join("home")).expect("a server");
    let said = run(Command::new(python())
        .args([script("classic_client.py"), PathBuf::from(server.url()), client()])
        .current_dir(directory.path()));
    assert_eq!(said, "the classic table holds\n");
    assert!(server.stop().success());
}

#[test]
fn the_client_of_the_protocols_page_works() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Daemon::serve(&directory.path().join("home")).expect("a server");
    let url = server.url();
    let ask = |words: &[&str]| {
        let mut command = Command::new(python());
        command.arg(client()).args([url.as_str(), "ana"]).args(words).current_dir(directory.path());
        command
    };
    // Larger than the window, so that the client must heed its acknowledgements.
    let large = Picture::new("large.bmp", 1, 5_000_001);
    let small = Picture::new("small.bmp", 2, 54);
    for picture in [&large, &small] {
        std::fs::write(directory.path().join(&picture.name), &picture.content).expect("room");
    }
    let stored = run(&mut ask(&["upload", "large.bmp"]));
    assert!(stored.contains(&large.hash.to_string()) && stored.contains("\"id\": 1,"), "{stored}");
    let again = run(&mut ask(&["upload", "large.bmp"]));
    assert_eq!(again, stored, "a duplicate is the image that is there");

    // Without the library for BLAKE3 it works too.
    let without = directory.path().join("without");
    std::fs::create_dir(&without).expect("room");
    std::fs::write(without.join("blake3.py"), "raise ImportError\n").expect("room");
    run(ask(&["upload", "small.bmp"]).env("PYTHONPATH", &without));

    let listed = run(&mut ask(&["list"]));
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let listed = run(&mut ask(&["list", "LARGE*"]));
    assert!(listed.lines().count() == 1 && listed.contains("large.bmp"), "{listed}");

    run(&mut ask(&["download", "1", "copy.bmp"]));
    let copy = std::fs::read(directory.path().join("copy.bmp")).expect("it is there");
    assert!(large.content == copy, "the copy is the original");
    let missing = ask(&["download", "7", "none.bmp"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&missing.stderr).starts_with("not_found: "), "{missing:?}");

    // The history from its beginning, then what happens.
    let mut events = ask(&["events", "0"]);
    let mut events = Running(events.stdout(Stdio::piped()).spawn().expect("it runs"));
    let mut lines = BufReader::new(events.0.stdout.take().expect("it is piped")).lines();
    let mut next = || lines.next().expect("an event").expect("it reads");
    assert!(next().contains("\"seq\": 1, "));
    assert!(next().contains("\"seq\": 2, "));
    std::fs::write(directory.path().join("live.bmp"), &Picture::new("", 3, 1000).content)
        .expect("room");
    run(&mut ask(&["upload", "live.bmp"]));
    let live = next();
    assert!(live.contains("\"seq\": 3, ") && live.contains("live.bmp"), "{live}");
}

/// An old server, which ends when its input does.
pub(crate) struct OldServer {
    process: Running,
    pub(crate) url: String,
}

impl OldServer {
    pub(crate) fn start(arguments: &[&str]) -> OldServer {
        let mut child = Command::new(python())
            .arg(script("classic_server.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut url = String::new();
        let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
        said.read_line(&mut url).expect("it says where it is");
        OldServer { process: Running(child), url: url.trim().to_owned() }
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) {
        drop(self.process.0.stdin.take());
        let _ = self.process.0.wait();
    }
}

pub(crate) fn list(client: &mut Client) -> Vec<(u64, String, String)> {
    match client.call(&Request::List(List::default())) {
        Ok(Outcome::Images(page)) => page
            .images
            .into_iter()
            .map(|record| (record.id.0, record.name, record.uploader))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_daemon_works_with_an_old_server() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    let old = OldServer::start(&[]);
    let daemon = Daemon::client(&home, &old.url, "ana").expect("a daemon");
    let mut client = control(&home);

    // `connect` answers once the session is up, in the dialect that it found by itself.
    let connect = Request::Connect { url: old.url.clone(), user: Some("ana".to_owned()) };
    match client.call(&connect) {
        Ok(Outcome::Status(status)) => {
            assert_eq!(status.session.state, SessionState::Connected);
            assert_eq!(status.session.dialect.as_deref(), Some("v1"));
            assert!(status.session.notice.is_some(), "delivery is at least once, and it is said");
        }
        other => panic!("{other:?}"),
    }

    let mut watcher = control(&home);
    let watching = std::thread::spawn(move || {
        let mut heard = None;
        let follow = Request::Events { since: None, follow: true };
        let _ = watcher.call_with(&follow, &mut |reply| match reply {
            Reply::Event(event) => {
                heard = Some(event);
                Err(Refusal::new(ErrorCode::Cancelled, "enough"))
            }
            _ => Ok(()),
        });
        heard
    });

    let small = Picture::new("small.bmp", 1, 200_000);
    match upload(&mut client, directory.path(), &small) {
        Ok(Outcome::Stored { image, duplicate }) => {
            assert_eq!((image.id.0, image.name.as_str(), duplicate), (1, "small.bmp", false));
            assert_eq!(
                (image.hash, image.uploaded_at),
                (None, None),
                "the old server told neither"
            );
        }
        other => panic!("{other:?}"),
    }
    // Uploads go on until the watcher, which may have come later than the first, has heard of one.
    let mut extra = 0;
    while !watching.is_finished() {
        extra += 1;
        let picture = Picture::new(format!("extra-{extra}.bmp"), 100 + extra, 1000);
        upload(&mut client, directory.path(), &picture).expect("it is stored");
    }
    let event = watching.join().expect("it ends").expect("an event");
    assert_eq!(event.seq, None);
    assert!(event.message.expect("its words").contains("Novo arquivo"));

    // Above the old library's 1 MiB: refused for good, in words that say why, and nothing else suffers.
    let large = Picture::new("large.bmp", 2, 2 << 20);
    match upload(&mut client, directory.path(), &large) {
        Err(refusal) => {
            assert_eq!(refusal.code, ErrorCode::TooLarge, "{refusal:?}");
            let hint = refusal.hint.clone().unwrap_or_default();
            assert!(format!("{refusal}; {hint}").contains("1 MiB"), "{refusal:?}");
        }
        other => panic!("{other:?}"),
    }
    let listed = list(&mut client);
    assert!(listed.contains(&(1, "small.bmp".to_owned(), "ana".to_owned())), "{listed:?}");
    assert_eq!(listed.len() as u64, 1 + extra);

    let mut copy = Vec::new();
    let image = ImageRef::parse("small.bmp").expect("a name");
    let download = client.call_with(&Request::Download { image, offset: 0 }, &mut |reply| {
        if let Reply::Data(bytes) = reply {
            copy.extend(bytes);
        }
        Ok(())
    });
    assert!(matches!(download, Ok(Outcome::Image(_))), "{download:?}");
    assert!(small.content == copy);
    let image = ImageRef::parse("small.bmp").expect("a name");
    match client.call(&Request::Delete(image)) {
        Err(refusal) => assert_eq!(refusal.code, ErrorCode::Unsupported, "{refusal:?}"),
        other => panic!("{other:?}"),
    }
    assert!(daemon.stop().success());
    old.end();
}

#[test]
fn an_old_server_with_a_raised_limit_takes_large_images() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    let old = OldServer::start(&["50000000"]);
    let daemon = Daemon::client(&home, &old.url, "ana").expect("a daemon");
    let mut client = control(&home);
    let large = Picture::new("large.bmp", 1, 30_000_000);
    match upload(&mut client, directory.path(), &large) {
        Ok(Outcome::Stored { image, .. }) => assert_eq!(image.id.0, 1),
        other => panic!("{other:?}"),
    }
    let mut copy = Vec::new();
    let image = ImageRef::parse("1").expect("an id");
    let download = client.call_with(&Request::Download { image, offset: 0 }, &mut |reply| {
        if let Reply::Data(bytes) = reply {
            copy.extend(bytes);
        }
        Ok(())
    });
    assert!(matches!(download, Ok(Outcome::Image(_))), "{download:?}");
    assert!(large.content == copy);
    assert!(daemon.stop().success());
}

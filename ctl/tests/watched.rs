//! What is said of watched folders, to the letter, and in the status of all that goes on by itself.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use std::fs;

use imgrepo_proto::control::queue::{
    Counts, Direction, QueueStatus, QueuedUpload, Rates, TransferStatus, UploadState,
};
use imgrepo_proto::control::reply::{DaemonStatus, Phase, SessionState, Status};
use imgrepo_proto::control::watch::{After, FileStory, FolderState, FolderStatus, WatchRequest};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, Refusal};
use jiff::Timestamp;
use stub::{Say, Stub, done, folder, queued, refused, status, transcripts};

fn at(second: u32) -> Option<Timestamp> {
    Some(format!("2026-11-23T06:20:{second:02}Z").parse().unwrap())
}

fn folders() -> Vec<FolderStatus> {
    let counts = Counts { stored: 1200, duplicate: 4, sending: 1, queued: 2, ..Counts::default() };
    let why = Refusal::new(ErrorCode::NotAnImage, "it is no image by its bytes");
    let problem = QueuedUpload {
        error: Some(why),
        folder: Some("/net/b".into()),
        ..queued(3, "/net/b/notes.txt", UploadState::Ignored)
    };
    vec![
        FolderStatus { counts, ..folder("/home/ana/Pictures", FolderState::Watching) },
        FolderStatus {
            after: After::Move("/net/done".into()),
            why: Some("nfs tells no changes: it is looked at every 5 s".into()),
            hint: Some("mount it where the files are made".into()),
            counts: Counts { ignored: 1, failed: 1, ..Counts::default() },
            problems: vec![problem],
            ..folder("/net/b", FolderState::Polling)
        },
    ]
}

fn story(state: UploadState) -> FileStory {
    let upload = QueuedUpload {
        folder: Some("/home/ana".into()),
        hash: Some(BlobHash([1; 32])),
        queued_at: at(3),
        hashed_at: at(3),
        sent_at: at(4),
        attempts: 2,
        ..queued(7, "/home/ana/a.jpg", state)
    };
    let why = Some(Refusal::new(ErrorCode::Busy, "the server is full"));
    let upload = match state {
        UploadState::Waiting => QueuedUpload { error: why, retry_at: at(59), ..upload },
        UploadState::Stored => QueuedUpload {
            image: Some(ImageId(12)),
            ended_at: at(5),
            moved_to: Some("/done/a.jpg".into()),
            ..upload
        },
        _ => QueuedUpload { ended_at: at(5), error: why, ..upload },
    };
    FileStory {
        path: "/home/ana/a.jpg".into(),
        folder: Some("/home/ana".into()),
        upload: Some(upload),
        note: None,
    }
}

fn watch(request: &Request, _: &[u8]) -> Vec<Say> {
    let Request::Watch(request) = request else { panic!("not asked here: {request:?}") };
    match request {
        WatchRequest::Add { path, .. } if path.ends_with("early") => {
            let refusal = Refusal::new(ErrorCode::NotConnected, "no repository is known yet");
            refused(refusal.hint("imgctl connect HOST"))
        }
        WatchRequest::Add { path, after } => {
            let state = FolderState::Scanning;
            let folder = folder(path.to_str().unwrap(), state);
            done(Outcome::Folders(vec![FolderStatus { after: after.clone(), ..folder }]))
        }
        WatchRequest::Rm { path } if path.ends_with("gone") => {
            refused(Refusal::new(ErrorCode::NotFound, "`gone` is not watched"))
        }
        WatchRequest::Rm { .. } => done(Outcome::Nothing),
        WatchRequest::Ls => done(Outcome::Folders(folders())),
        WatchRequest::Pause { path: Some(path) } | WatchRequest::Rescan { path: Some(path) } => {
            let folder = folder(path.to_str().unwrap(), FolderState::Paused);
            done(Outcome::Folders(vec![folder]))
        }
        WatchRequest::Resume { path: None } => done(Outcome::Folders(folders())),
        WatchRequest::Rescan { path: None } => done(Outcome::Folders(vec![])),
        WatchRequest::Status { path } => {
            let story = match path.file_name().unwrap().to_str().unwrap() {
                "stored.jpg" => story(UploadState::Stored),
                "waiting.jpg" => story(UploadState::Waiting),
                "refused.jpg" => story(UploadState::Refused),
                _ => FileStory {
                    path: path.clone(),
                    folder: None,
                    upload: None,
                    note: Some("it is in no watched folder".into()),
                },
            };
            done(Outcome::File(Box::new(story)))
        }
        other => panic!("not asked here: {other:?}"),
    }
}

#[test]
fn watched_folders() {
    let stub = Stub::new(watch);
    for name in ["in", "done"] {
        fs::create_dir(stub.home.path().join(name)).unwrap();
    }
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["watch", "add", "in"],
            &["watch", "add", "in", "--after", "move", "--to", "done", "--json"],
            &["watch", "add", "in", "--after", "move"],
            &["watch", "add", "in", "--to", "done"],
            &["watch", "add", "in/../early"],
            &["watch", "rm", "in"],
            &["watch", "rm", "in", "--json"],
            &["watch", "rm", "gone"],
            &["watch", "ls"],
            &["watch", "ls", "--json"],
            &["watch", "pause", "in"],
            &["watch", "resume"],
            &["watch", "rescan"],
            &["watch", "rescan", "in"],
            &["watch", "status", "stored.jpg"],
            &["watch", "status", "stored.jpg", "--json"],
            &["watch", "status", "waiting.jpg"],
            &["watch", "status", "refused.jpg"],
            &["watch", "status", "other.jpg"],
            &["watch", "status", "other.jpg", "--json"],
        ]
    ));
}

/// With everything that goes on by itself.
fn busy() -> Status {
    let counts = Counts { sending: 1, queued: 2, failed: 1, stored: 1200, ..Counts::default() };
    let status = status(SessionState::Connected);
    let transfer = |name: &str, direction, phase, done| TransferStatus {
        name: name.into(),
        direction,
        phase,
        done,
        total: 2_000_000,
        queued: None,
    };
    let why = Refusal::new(ErrorCode::NotAnImage, "it is no image by its bytes");
    let problem = |id| QueuedUpload {
        error: Some(why.clone()),
        ..queued(id, &format!("/home/ana/Pictures/{id}.txt"), UploadState::Ignored)
    };
    Status {
        daemon: DaemonStatus { autostart: Some("systemd".into()), ..status.daemon },
        queue: QueueStatus {
            counts,
            bytes_left: 3_000_000,
            paused: true,
            elsewhere: 1,
            waits: None,
        },
        folders: vec![
            FolderStatus {
                counts: Counts { ignored: 4, ..counts },
                problems: (1..=4).map(problem).collect(),
                ..folder("/home/ana/Pictures", FolderState::Watching)
            },
            FolderStatus {
                why: Some("it is not there".into()),
                hint: Some("mount it".into()),
                ..folder("/media/usb", FolderState::Vanished)
            },
        ],
        transfers: vec![
            transfer("a\u{1b}[31m\u{202e}gpj.写真", Direction::Up, Phase::Sending, 900_000),
            transfer("b.jpg", Direction::Down, Phase::Waiting, 2_000_000),
        ],
        rates: Rates { up: Some(512_000), down: None },
        ..status
    }
}

#[test]
fn the_status_of_what_goes_on_by_itself() {
    let stub = Stub::new(|_, _| done(Outcome::Status(Box::new(busy()))));
    insta::assert_snapshot!(transcripts(&stub, &[&["status"], &["status", "--json"]]));
}

#[test]
fn what_waits_says_why() {
    let why = "cannot store `a.jpg`: `ana` has 1.0 GiB of images here, this one has 2.0 MiB, the limit is 1.0 GiB";
    let why = Refusal::new(ErrorCode::StorageFull, why).hint("make room: imgctl rm IMAGE...");
    for (waiting, begins) in [(1, "waits: "), (3, "3 wait, the first: ")] {
        let counts = Counts { waiting, ..Counts::default() };
        let queue = QueueStatus { counts, waits: Some(why.clone()), ..QueueStatus::default() };
        let told = Status { queue, ..status(SessionState::Connected) };
        let stub = Stub::new(move |_, _| done(Outcome::Status(Box::new(told.clone()))));
        let said = stub.transcript(&["status"]);
        let lines = format!("          {begins}{}\n          hint: make room", why.message);
        assert!(said.contains(&lines), "{said}");
        let document = stub.transcript(&["status", "--json"]);
        assert!(document.contains(r#""waits":{"code":"storage_full","message":"cannot store"#));
    }
}

#[test]
fn a_state_that_cannot_be_read_is_no_empty_queue() {
    let why = Refusal::new(ErrorCode::Internal, "cannot read `queue.db`: a page is damaged");
    let told = Status { unread: Some(why), ..status(SessionState::Connected) };
    let stub = Stub::new(move |_, _| done(Outcome::Status(Box::new(told.clone()))));
    let said =
        |args: &[&str]| String::from_utf8(stub.imgctl(args).output().unwrap().stdout).unwrap();
    let lines = said(&["status"]);
    assert!(lines.contains("queue     cannot be read: cannot read `queue.db`"), "{lines}");
    let document = said(&["status", "--json"]);
    assert!(document.contains("\"queue\":null"), "{document}");
    assert!(document.contains("\"unread\":{\"code\":\"internal\""), "{document}");
}

#[test]
fn a_state_file_that_was_corrupt_is_told_with_what_to_do() {
    let why = Refusal::new(ErrorCode::FileError, "it is kept as `credentials.json.corrupt`");
    let told = Status { aside: vec![why.hint("imgctl join")], ..status(SessionState::Connected) };
    let stub = Stub::new(move |_, _| done(Outcome::Status(Box::new(told.clone()))));
    let said =
        |args: &[&str]| String::from_utf8(stub.imgctl(args).output().unwrap().stdout).unwrap();
    let lines = said(&["status"]);
    assert!(lines.contains("state     it is kept as `credentials.json.corrupt`"), "{lines}");
    assert!(lines.contains("hint: imgctl join"), "{lines}");
    let document = said(&["status", "--json"]);
    assert!(document.contains("\"aside\":[{\"code\":\"file_error\""), "{document}");
}

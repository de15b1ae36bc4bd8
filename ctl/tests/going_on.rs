//! What the commands for that which goes on by itself say, to the letter: queue, watched folders,
//! waiting, verifying, limits, doctor.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use imgrepo_proto::control::finding::{Finding, FindingState};
use imgrepo_proto::control::queue::{
    Counts, QueueRequest, QueueStatus, QueuedUpload, Rates, UploadId, UploadState, Which,
};
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::watch::{After, FileStory, FolderState, FolderStatus, WatchRequest};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::session::reply::{HaveReply, ListReply};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, Refusal};
use jiff::Timestamp;
use stub::{Say, Stub, done, folder, image, imgctl, queued, refused, transcript};

fn transcripts(stub: &Stub, lines: &[&[&str]]) -> String {
    lines.iter().map(|args| stub.transcript(args)).collect()
}

fn at(second: u32) -> Option<Timestamp> {
    Some(format!("2026-11-23T06:20:{second:02}Z").parse().unwrap())
}

/// One in every state that is worth telling apart.
fn uploads() -> Vec<QueuedUpload> {
    let one = |id, state| queued(id, &format!("/home/ana/{id}.jpg"), state);
    let why = |text: &str| Some(Refusal::new(ErrorCode::FileError, text));
    vec![
        QueuedUpload { done: Some(617_283), attempts: 1, ..one(7, UploadState::Sending) },
        QueuedUpload {
            path: Some("/home/ana/a\u{1b}[31m\u{202e}gpj.写真".into()),
            ..one(8, UploadState::Queued)
        },
        QueuedUpload {
            error: why("the server takes at most 9 bytes"),
            retry_at: at(59),
            ..one(9, UploadState::Waiting)
        },
        QueuedUpload { path: None, error: why("it went away"), ..one(10, UploadState::Failed) },
    ]
}

/// The queue in two pages.
fn ls(all: bool, after: Option<UploadId>, limit: u32) -> Vec<Say> {
    let mut uploads = uploads();
    if all {
        uploads.push(queued(11, "/home/ana/11.jpg", UploadState::Stored));
    }
    uploads.retain(|upload| after.is_none_or(|after| upload.id > after));
    let page = uploads.len().min(limit as usize).min(3);
    let next = (page < uploads.len()).then(|| uploads[page - 1].id);
    uploads.truncate(page);
    done(Outcome::Uploads { uploads, next })
}

fn queue(request: &Request, streamed: &[u8]) -> Vec<Say> {
    match request {
        Request::Queue(QueueRequest::Ls { all, after, limit }) => ls(*all, *after, *limit),
        Request::Queue(QueueRequest::Retry(Which::All)) => done(Outcome::Changed(3)),
        Request::Queue(QueueRequest::Retry(Which::These(ids))) if ids.contains(&UploadId(99)) => {
            refused(Refusal::new(ErrorCode::NotFound, "no upload of the queue is 99"))
        }
        Request::Queue(QueueRequest::Retry(Which::These(ids))) => {
            done(Outcome::Changed(ids.len() as u64))
        }
        Request::Queue(QueueRequest::Cancel(_)) => done(Outcome::Changed(0)),
        Request::Queue(QueueRequest::Pause | QueueRequest::Resume) => done(Outcome::Nothing),
        Request::Limit { up, down } => {
            let set = |given: &Option<u64>, was| {
                given.map_or(was, |rate| Some(rate).filter(|rate| *rate > 0))
            };
            done(Outcome::Rates(Rates { up: set(up, None), down: set(down, Some(2 << 20)) }))
        }
        Request::Enqueue(Upload { name, content, .. }) => match (name.as_str(), content) {
            ("far.jpg", Content::Path(_)) => done(Outcome::OutOfReach),
            ("notes.txt", _) => {
                refused(Refusal::new(ErrorCode::NotAnImage, "it is no image by its bytes"))
            }
            ("far.jpg", Content::Stream) if streamed == b"far" => {
                done(Outcome::Queued(UploadId(8)))
            }
            ("stdin.jpg", Content::Stream) if streamed.is_empty() => {
                done(Outcome::Queued(UploadId(9)))
            }
            (_, Content::Path(_)) => done(Outcome::Queued(UploadId(7))),
            other => panic!("{other:?}"),
        },
        other => panic!("not asked here: {other:?}"),
    }
}

#[test]
fn the_queue() {
    let stub = Stub::new(queue);
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["queue", "ls"],
            &["queue", "ls", "--json"],
            &["queue", "ls", "--all", "--limit", "1"],
            &["queue", "ls", "--limit", "1", "--after", "9", "--json"],
            &["queue", "retry", "7"],
            &["queue", "retry", "7", "9", "--json"],
            &["queue", "retry", "99"],
            &["queue", "retry", "--all"],
            &["queue", "retry"],
            &["queue", "cancel", "--all"],
            &["queue", "cancel", "7", "--all"],
            &["queue", "pause"],
            &["queue", "resume", "--json"],
        ]
    ));
}

#[test]
fn uploads_that_go_on_by_themselves() {
    let stub = Stub::new(queue);
    let file = |name: &str, content: &str| fs::write(stub.home.path().join(name), content).unwrap();
    fs::create_dir(stub.home.path().join("album")).unwrap();
    for (name, content) in
        [("a.jpg", "near"), ("far.jpg", "far"), ("album/notes.txt", "text"), ("album/b.jpg", "b")]
    {
        file(name, content);
    }
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["upload", "--queue", "a.jpg", "far.jpg", "album"],
            &["upload", "--queue", "a.jpg", "album", "gone.jpg", "--json"],
            &["upload", "--queue", "-", "--name", "stdin.jpg"],
            &["upload", "--queue", "album/notes.txt"],
        ]
    ));
}

#[test]
fn limits() {
    let stub = Stub::new(queue);
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["limit"],
            &["limit", "--json"],
            &["limit", "up", "500k"],
            &["limit", "down", "off", "--json"],
            &["limit", "up"],
            &["limit", "up", "fast"],
        ]
    ));
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

#[test]
fn waiting() {
    let round = AtomicU64::new(0);
    let stub = Stub::new(move |request, streamed| match request {
        Request::Wait => {
            let state = |queued, stored, failed, paused| QueueStatus {
                counts: Counts { queued, stored, failed, ..Counts::default() },
                bytes_left: queued * 1_234_567,
                paused,
                elsewhere: 0,
            };
            let (failed, paused) = match round.fetch_add(1, Ordering::Relaxed) / 2 {
                0 => (0, false),
                _ => (1, true),
            };
            let item = Reply::Queue(Box::new(state(1, 4, failed, paused)));
            let mut says = vec![Say::Item(item.clone()), Say::Item(item)];
            says.extend(done(Outcome::Queue(state(0, 5, failed, false))));
            says
        }
        other => queue(other, streamed),
    });
    let lines: [&[&str]; 2] = [&["wait"], &["wait", "--json"]];
    insta::assert_snapshot!(transcripts(&stub, &[lines, lines].concat()));
}

#[test]
fn waiting_has_an_end() {
    let stub = Stub::new(|_, _| vec![Say::Hang]);
    let output = stub.imgctl(&["wait", "--timeout", "0.05"]).output().unwrap();
    assert_eq!(output.status.code(), Some(9));
}

#[test]
fn verifying() {
    let stub = Stub::new(|request, _| match request {
        Request::Have(hashes) => {
            assert!(hashes.len() <= 1000);
            let kept = BlobHash(*blake3::hash(b"kept").as_bytes());
            let have: BTreeMap<_, _> = hashes
                .iter()
                .map(|hash| (*hash, if *hash == kept { vec![ImageId(7)] } else { vec![] }))
                .collect();
            done(Outcome::Have(HaveReply { have }))
        }
        Request::List(list) => {
            let name = list.filter.exact_name.as_deref().unwrap();
            let images = if name == "other.jpg" { vec![image(9, name)] } else { vec![] };
            done(Outcome::Images(ListReply { images, next: None, total: None }))
        }
        other => panic!("not asked here: {other:?}"),
    });
    let file = |name: &str, content: &str| fs::write(stub.home.path().join(name), content).unwrap();
    for name in ["good", "bad"] {
        fs::create_dir(stub.home.path().join(name)).unwrap();
    }
    file("good/a.jpg", "kept");
    file("good/b.jpg", "kept");
    file("bad/a.jpg", "kept");
    file("bad/new.jpg", "nowhere");
    file("bad/other.jpg", "changed");
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["verify", "good"],
            &["verify", "good", "--json"],
            &["verify", "bad"],
            &["-q", "verify", "bad"],
            &["verify", "bad", "--json"],
            &["verify", "gone.jpg"],
            &["verify", "good", "gone.jpg", "--json"],
            &["verify", "-"],
        ]
    ));
    // More than one question holds.
    fs::create_dir(stub.home.path().join("many")).unwrap();
    for number in 0..1001 {
        file(&format!("many/{number}"), &number.to_string());
    }
    file("many/kept", "kept");
    let output = stub.imgctl(&["verify", "many"]).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "1 stored, 1001 missing, 0 different\n");
}

#[test]
fn verifying_needs_a_repository_that_can_tell() {
    let stub = Stub::new(|_, _| {
        refused(Refusal::new(ErrorCode::Unsupported, "an old server cannot tell its contents"))
    });
    insta::assert_snapshot!(transcripts(&stub, &[&["verify", "."], &["verify", ".", "--json"]]));
}

#[test]
fn a_look_at_everything() {
    let finding = |check: &str, state, message: &str, hint: Option<&str>| Finding {
        check: check.into(),
        state,
        message: message.into(),
        hint: hint.map(str::to_owned),
    };
    let found = move |bad: bool| {
        let mut found = vec![
            finding("socket", FindingState::Ok, "/run/user/7/imgrepo/control.sock", None),
            finding("inotify", FindingState::Warning, "8192 watches", Some("raise them")),
        ];
        if bad {
            found.push(finding("space", FindingState::Problem, "the disk is full", Some("rm")));
        }
        done(Outcome::Findings(found))
    };
    let fine = Stub::new(move |_, _| found(false));
    let bad = Stub::new(move |_, _| found(true));
    let old = Stub::new(|_, _| {
        refused(Refusal::new(ErrorCode::Unsupported, "the daemon does not know this request"))
    });
    let mut said = transcripts(&fine, &[&["doctor"], &["doctor", "--json"]]);
    said += &transcripts(&bad, &[&["doctor"], &["doctor", "--json"]]);
    said += &transcripts(&old, &[&["doctor"]]);
    insta::assert_snapshot!(said);
}

#[test]
fn a_look_where_there_is_no_daemon() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    // Not beside any imgrepod: the one in PATH is asked.
    let own = home.path().join("imgctl");
    fs::copy(assert_cmd::cargo::cargo_bin!("imgctl"), &own).unwrap();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(&own);
        let set = imgctl(home.path(), args);
        for (name, value) in set.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.args(args).env("PATH", home.path()).current_dir(home.path());
        transcript(command, args, home.path())
    };
    let mut said = run(&["doctor"]);
    let fake = home.path().join("imgrepod");
    let service = r#"{"v":1,"service":{"installed":false,"enabled":false,"running":false,"manager":"systemd","unit":null,"lingering":null,"program":"/p","problems":[]}}"#;
    fs::write(&fake, format!("#!/bin/sh\necho '{service}'\n")).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    said += &run(&["doctor"]);
    said += &run(&["doctor", "--json"]);
    insta::assert_snapshot!(said);
}

#[test]
fn where_a_unit_is_installed_it_starts_the_daemon() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("config/systemd/user");
    fs::create_dir_all(&folder).unwrap();
    let unit = format!("Environment=IMGREPO_HOME={}\n", home.path().display());
    fs::write(folder.join("imgrepod.service"), unit).unwrap();
    let args = ["list"];
    let said = transcript(imgctl(home.path(), &args), &args, home.path());
    assert!(said.contains("stderr| hint: start it: imgrepod service start\nexit 3"), "{said}");
}

//! What is said of uploads that go on by themselves, to the letter: the queue, waiting for it, its
//! limits.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use imgrepo_proto::control::queue::{
    Counts, QueueRequest, QueueStatus, QueuedUpload, Rates, UploadId, UploadState, Which,
};
use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::watch::{FileStory, FolderState, WatchRequest};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::{ErrorCode, Refusal};
use jiff::Timestamp;
use stub::{Say, Stub, done, folder, queued, refused, status, transcripts};

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
        QueuedUpload {
            path: None,
            error: why("cannot store `10.jpg`: it went away"),
            ..one(10, UploadState::Failed)
        },
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
fn what_is_queued_together_is_queued_in_its_order() {
    const SLOW: Duration = Duration::from_millis(300);
    let done: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
    let stub = Stub::new({
        let done = Arc::clone(&done);
        move |request, _| {
            let Request::Enqueue(Upload { name, .. }) = request else { panic!("{request:?}") };
            let (names, more) = &*done;
            let mut names = names.lock().unwrap();
            if name == "00.jpg" {
                // As long as others overtake it, for a while.
                let overtaken = |names: &mut Vec<String>| names.len() < 20;
                names = more.wait_timeout_while(names, SLOW, overtaken).unwrap().0;
            }
            names.push(name.clone());
            more.notify_all();
            stub::done(Outcome::Queued(UploadId(1)))
        }
    });
    let names: Vec<_> = (0..30).map(|number| format!("{number:02}.jpg")).collect();
    for name in &names {
        fs::write(stub.home.path().join(name), name).unwrap();
    }
    let args: Vec<_> =
        ["upload", "--queue"].into_iter().chain(names.iter().map(|n| &**n)).collect();
    assert!(stub.imgctl(&args).output().unwrap().status.success());
    let mut done = done.0.lock().unwrap();
    // Eight at a time.
    done.chunks_mut(8).for_each(|round| round.sort());
    assert_eq!(*done, names);
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
                waits: None,
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
        Request::Status => {
            let mut told = status(SessionState::Connected);
            if round.load(Ordering::Relaxed) > 2 {
                told.folders = vec![
                    folder("/home/ana/Pictures", FolderState::Watching),
                    folder("/home/ana/later", FolderState::Paused),
                    folder("/media/usb", FolderState::Vanished),
                ];
            }
            done(Outcome::Status(Box::new(told)))
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
fn waiting_ends_where_the_server_lets_in_no_more() {
    let told = |request: &Request| match request {
        Request::Wait => {
            let counts = Counts { queued: 1, ..Counts::default() };
            let queue =
                QueueStatus { counts, bytes_left: 9, paused: false, elsewhere: 0, waits: None };
            vec![Say::Item(Reply::Queue(Box::new(queue))), Say::Hang]
        }
        Request::Status => done(Outcome::Status(Box::new(status(SessionState::Refused)))),
        other => panic!("not asked here: {other:?}"),
    };
    let stub = Stub::new(move |request, _| told(request));
    let output = stub.imgctl(&["wait"]).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{words}");
    assert!(words.contains("the server takes no guests"), "{words}");
    let refusal = Refusal::new(ErrorCode::Denied, "not for you").hint("ask an admin");
    let stub = Stub::new(move |_, _| refused(refusal.clone()));
    let output = stub.imgctl(&["wait", "--json"]).output().unwrap();
    let document = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{document}");
    assert!(document.contains("\"code\":\"denied\""), "{document}");
    assert!(document.contains("ask an admin"), "{document}");
}

/// A queue of one file whose end is missing, that goes on for ever.
fn torn(request: &Request) -> Vec<Say> {
    let upload = || queued(7, "/home/ana/w/a.jpg", UploadState::Settling);
    match request {
        Request::Wait => {
            let counts = Counts { settling: 1, ..Counts::default() };
            let queue =
                QueueStatus { counts, bytes_left: 9, paused: false, elsewhere: 0, waits: None };
            vec![Say::Item(Reply::Queue(Box::new(queue))), Say::Hang]
        }
        Request::Queue(QueueRequest::Ls { .. }) => {
            let uploads = vec![queued(6, "/home/ana/6.jpg", UploadState::Queued), upload()];
            done(Outcome::Uploads { uploads, next: None })
        }
        Request::Watch(WatchRequest::Status { path }) => done(Outcome::File(Box::new(FileStory {
            path: path.clone(),
            folder: Some("/home/ana/w".into()),
            upload: Some(upload()),
            note: Some("its end is missing".to_owned()),
        }))),
        other => panic!("not asked here: {other:?}"),
    }
}

#[test]
fn what_settles_is_named_when_the_waiting_ends() {
    let stub = Stub::new(|request, _| torn(request));
    let output = stub.imgctl(&["wait", "--timeout", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(9));
    let words = String::from_utf8(output.stderr).unwrap();
    let first = words.lines().next();
    assert_eq!(first, Some("still settling: /home/ana/w/a.jpg: its end is missing"), "{words}");
    assert!(words.contains("the time given by `--timeout` is over"), "{words}");
}

#[test]
fn what_settles_for_long_is_named_meanwhile() {
    let stub = Stub::new(|request, _| torn(request));
    let mut waiting = stub.imgctl(&["wait"]).stderr(Stdio::piped()).spawn().unwrap();
    let words = BufReader::new(waiting.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert_eq!(words, "still settling: /home/ana/w/a.jpg: its end is missing");
}

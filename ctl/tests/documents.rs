//! What every command says to people and as JSON, and how it ends, to the letter.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use std::fs;

use imgrepo_proto::control::reply::{
    Info, PicturesStatus, ServerStatus, SessionState, Size, Status,
};
use imgrepo_proto::control::request::Content;
use imgrepo_proto::control::window::{Opened, WindowRequest};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::session::command::State;
use imgrepo_proto::session::event::{Event, EventKind};
use imgrepo_proto::session::reply::ListReply;
use imgrepo_proto::{BlobHash, ErrorCode, ImageRecord, ImageRef, Refusal, Seq};
use stub::{Say, Stub, done, image, imgctl, old_image, refused, status, transcript, transcripts};

/// A name that would act on a terminal and turn the text around.
const EVIL: &str = "a\x1b[31m\u{202e}gpj.写真.exe";

/// Answers like a repository with images 1 (`beach.jpg`), 2 (an evil name), 3 (of an old server).
fn repository(request: &Request, streamed: &[u8]) -> Vec<Say> {
    let found = |image: &ImageRef| match image {
        ImageRef::Id(id) if id.0 == 1 => Ok(image_of(1)),
        ImageRef::Id(id) if id.0 == 2 => Ok(image_of(2)),
        ImageRef::Name(name) if name.as_str() == "beach.jpg" => Ok(image_of(1)),
        ImageRef::Name(name) if name.as_str() == "twice.jpg" => {
            Err(Refusal::new(ErrorCode::Ambiguous, "several images are named `twice.jpg`: 4, 5")
                .hint("say which by its id"))
        }
        other => Err(Refusal::new(ErrorCode::NotFound, format!("there is no image {other}"))),
    };
    let image_reply = |image: Result<ImageRecord, Refusal>| match image {
        Ok(image) => done(Outcome::Image(image)),
        Err(refusal) => refused(refusal),
    };
    match request {
        Request::Status => done(Outcome::Status(Box::new(status(SessionState::Connected)))),
        Request::Connect { url, .. } if url == "closed.lan" => {
            done(Outcome::Status(Box::new(status(SessionState::Refused))))
        }
        Request::Connect { url, .. } if url == "slow.lan" => {
            done(Outcome::Status(Box::new(status(SessionState::Waiting))))
        }
        Request::Connect { .. } => done(Outcome::Status(Box::new(status(SessionState::Connected)))),
        Request::Disconnect => done(Outcome::Status(Box::new(status(SessionState::Offline)))),
        Request::Stop => done(Outcome::Nothing),
        Request::List(list) if list.filter.state == State::Trashed => {
            let trashed_at = Some("2026-11-23T06:30:00Z".parse().unwrap());
            page(vec![ImageRecord { trashed_at, ..image_of(1) }], None)
        }
        Request::List(list) => match (list.limit, list.cursor.as_deref()) {
            (Some(1), None) => page(vec![image_of(3)], Some("c3")),
            (_, None) => page(vec![image_of(3), image_of(2)], Some("c2")),
            (_, Some("c2")) => page(vec![image_of(1)], None),
            _ => refused(Refusal::new(ErrorCode::BadRequest, "the cursor is no cursor")),
        },
        Request::Info(image) | Request::Delete(image) | Request::Restore(image) => {
            image_reply(found(image))
        }
        Request::Rename { image, name } => {
            image_reply(found(image).map(|image| ImageRecord { name: name.clone(), ..image }))
        }
        Request::Exif(_) => done(Outcome::Exif(Box::new(None))),
        Request::Download { image, .. } | Request::View { image, .. } => match found(image) {
            Ok(image) => content(image, CONTENT),
            Err(refusal) => refused(refusal),
        },
        Request::People(_) => refused(Refusal::new(ErrorCode::Denied, "only an admin may do that")),
        Request::Purge { .. } => done(Outcome::Purged(3)),
        Request::Events { .. } => events(),
        Request::Upload(upload) => {
            let content = match &upload.content {
                Content::Path(path) => fs::read(path).unwrap(),
                Content::Stream => streamed.to_vec(),
            };
            let image = ImageRecord { name: upload.name.clone(), ..image_of(1) };
            match &content[..] {
                b"seen" => done(Outcome::Stored { image, duplicate: true }),
                b"text" => {
                    refused(Refusal::new(ErrorCode::NotAnImage, "it is no image by its bytes"))
                }
                _ => done(Outcome::Stored { image, duplicate: false }),
            }
        }
        Request::Window(WindowRequest::Open { image, wait: false }) => {
            match image.as_ref().map(found).transpose() {
                Ok(image) => done(Outcome::Window(Box::new(Opened { image, is_shown: true }))),
                Err(refusal) => refused(refusal),
            }
        }
        Request::Window(_)
        | Request::Have(_)
        | Request::Enqueue(_)
        | Request::Queue(_)
        | Request::Watch(_)
        | Request::Wait
        | Request::Limit { .. }
        | Request::Leave
        | Request::Maintenance(_)
        | Request::Examine => panic!("not asked here: {request:?}"),
        Request::Data(_) | Request::End => vec![],
    }
}

/// What every image holds.
const CONTENT: &[u8] = b"every byte of it";

fn image_of(id: u64) -> ImageRecord {
    let hash = Some(BlobHash(*blake3::hash(CONTENT).as_bytes()));
    match id {
        1 => ImageRecord { hash, ..image(1, "beach.jpg") },
        2 => ImageRecord { hash, ..image(2, EVIL) },
        _ => old_image(3, "old 3.jpg"),
    }
}

fn page(images: Vec<ImageRecord>, next: Option<&str>) -> Vec<Say> {
    done(Outcome::Images(ListReply { images, next: next.map(str::to_owned), total: Some(3) }))
}

fn content(image: ImageRecord, bytes: &[u8]) -> Vec<Say> {
    let info = Info {
        size: bytes.len() as u64,
        name: image.name.clone(),
        hash: image.hash,
        media_type: image.media_type.clone(),
    };
    let mut says = vec![Say::Item(Reply::Size(Size { image: image.id, info }))];
    says.extend(bytes.chunks(5).map(|piece| Say::Item(Reply::Data(piece.to_vec()))));
    says.extend(done(Outcome::Image(image)));
    says
}

fn events() -> Vec<Say> {
    let event = |seq: u64, event: EventKind, image: ImageRecord| Event {
        event,
        seq: Some(Seq(seq)),
        at: Some("2026-11-23T06:20:01.5Z".parse().unwrap()),
        by: Some("ana".into()),
        image: Some(image),
        message: None,
    };
    let old = Event {
        event: EventKind::NewUpload,
        seq: None,
        at: None,
        by: None,
        image: None,
        message: Some("Novo arquivo 'a.jpg' enviado por ana".into()),
    };
    let all = [
        event(1041, EventKind::NewUpload, image_of(1)),
        event(1042, EventKind::Renamed, image_of(2)),
        old,
    ];
    let mut says: Vec<Say> =
        all.into_iter().map(|event| Say::Item(Reply::Event(Box::new(event)))).collect();
    says.extend(done(Outcome::Nothing));
    says
}

#[test]
fn status_connect_disconnect_and_stop() {
    let stub = Stub::new(repository);
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["status"],
            &["status", "--json"],
            &["connect", "photos.lan"],
            &["connect", "photos.lan", "--user", "ana", "--json"],
            &["connect", "closed.lan"],
            &["connect", "closed.lan", "--json"],
            &["connect", "slow.lan"],
            &["disconnect"],
            &["disconnect", "--json"],
            &["stop"],
            &["stop", "--json"],
        ]
    ));
}

#[test]
fn the_status_of_a_server() {
    let stub = Stub::new(|_, _| {
        let server = ServerStatus {
            listen: "127.0.0.1:8765".into(),
            guests: true,
            guests_may: "upload".into(),
            fingerprint: None,
            addresses: Vec::new(),
            limits: Vec::new(),
            sessions: 3,
            images: 1200,
            pictures: Some(PicturesStatus { waiting: 12, is_searching: true }),
            data: "/home/ana/.local/share/imgrepo".into(),
        };
        done(Outcome::Status(Box::new(Status {
            server: Some(server),
            ..status(SessionState::Refused)
        })))
    });
    insta::assert_snapshot!(transcripts(&stub, &[&["status"], &["status", "--json"]]));
}

#[test]
fn lists() {
    let stub = Stub::new(repository);
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["list"],
            &["list", "--long"],
            &["list", "--json"],
            &["list", "--limit", "1"],
            &["list", "--limit", "1", "--json"],
            &["list", "*.jpg", "--user", "ana", "--after", "c2"],
            &["list", "--after", "nonsense"],
            &["list", "--after", "nonsense", "--json"],
            &["trash", "ls"],
            &["trash", "ls", "--json"],
            &["trash", "empty"],
            &["trash", "empty", "--json"],
            &["trash", "empty", "--yes"],
        ]
    ));
}

#[test]
fn a_list_that_breaks_off_is_still_a_document() {
    let stub = Stub::new(|request, _| match request {
        Request::List(list) if list.cursor.is_some() => {
            refused(Refusal::new(ErrorCode::NotConnected, "the session is away"))
        }
        _ => page(vec![image_of(1)], Some("c1")),
    });
    insta::assert_snapshot!(transcripts(&stub, &[&["list", "--json"], &["list"]]));
}

#[test]
fn one_image_and_its_changes() {
    let stub = Stub::new(repository);
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["info", "1"],
            &["info", "beach.jpg", "--json"],
            &["info", "2"],
            &["info", "2", "--json"],
            &["info", "twice.jpg"],
            &["info", "twice.jpg", "--json"],
            &["info", "a/b"],
            &["rename", "1", "shore.jpg"],
            &["rename", "1", "shore.jpg", "--json"],
            &["rm", "1", "beach.jpg"],
            &["rm", "1", "--json"],
            &["rm", "1", "9"],
            &["rm", "1", "9", "--json"],
            &["rm", "8", "9"],
            &["rm", "9", "twice.jpg", "-v"],
            &["restore", "1"],
            &["restore", "1", "--json"],
            &["-q", "rm", "1"],
        ]
    ));
}

#[test]
fn a_window_that_is_open_is_steered() {
    let stub = Stub::new(repository);
    let lines: &[&[&str]] = &[
        &["view"],
        &["view", "--json"],
        &["view", "beach.jpg"],
        &["view", "2"],
        &["view", "1", "--json"],
        &["view", "nothing.jpg"],
        &["view", "twice.jpg", "--json"],
        &["-q", "view", "1"],
    ];
    insta::assert_snapshot!(transcripts(&stub, lines));
}

#[test]
fn history() {
    let stub = Stub::new(repository);
    insta::assert_snapshot!(transcripts(
        &stub,
        &[&["events"], &["events", "--json"], &["events", "-f", "--since", "1040"],]
    ));
}

#[test]
fn uploads() {
    let stub = Stub::new(repository);
    let file = |name: &str, content: &str| fs::write(stub.home.path().join(name), content).unwrap();
    fs::create_dir(stub.home.path().join("album")).unwrap();
    file("new.jpg", "new");
    file("old.jpg", "seen");
    file("notes.txt", "text");
    file("album/notes.txt", "text");
    file("album/one.jpg", "new");
    file("album/two.jpg", "seen");
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["upload", "new.jpg", "old.jpg"],
            &["upload", "new.jpg", "--name", "other.jpg", "--json"],
            &["upload", "album"],
            &["upload", "album", "--json"],
            &["upload", "notes.txt"],
            &["upload", "notes.txt", "--json"],
            &["upload", "gone.jpg", "new.jpg"],
            &["upload", "gone.jpg", "notes.txt"],
            &["upload", "-", "--name", "stdin.jpg"],
            &["upload", "-"],
            &["upload", "album", "--name", "x"],
            &["upload", "new.jpg", "--name", "a/b"],
            &["-q", "upload", "album"],
        ]
    ));
}

#[test]
fn downloads() {
    let stub = Stub::new(repository);
    let at = |name: &str| stub.home.path().join(name);
    fs::create_dir(at("into")).unwrap();
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["download", "1"],
            &["download", "1"],
            &["download", "1", "--json"],
            &["download", "1", "--force"],
            &["download", "1", "2", "beach.jpg", "-o", "into"],
            &["download", "1", "-o", "as.jpg", "--json"],
            &["download", "1", "-o", "-"],
            &["download", "1", "-o", "-", "--json"],
            &["download", "1", "2", "-o", "as.jpg"],
            &["download", "1", "-o", "missing/"],
            &["download", "1", "-o", "missing/a.jpg"],
            &["download", "9", "twice.jpg"],
            &["download", "9", "1", "-o", "into"],
        ]
    ));
    let mut names: Vec<_> = fs::read_dir(at("into"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["a%1B[31m%E2%80%AEgpj.写真.exe", "beach (1).jpg", "beach.jpg"]);
    assert_eq!(fs::read(at("beach.jpg")).unwrap(), b"every byte of it");
}

#[test]
fn usage_and_no_daemon() {
    let home = tempfile::tempdir().unwrap();
    let lines: [&[&str]; 14] = [
        &["--help"],
        &["list", "-h"],
        &["download", "-h"],
        &["upload", "-h"],
        &["demo", "-h"],
        &["--version"],
        &["--json"],
        &["view", "--json"],
        &["upload", "--queue", "a.jpg"],
        &["watch", "add", "-h"],
        &["queue", "-h"],
        &["--timeout", "0", "list", "--json"],
        &["list"],
        &["list", "--json"],
    ];
    let said: String =
        lines.iter().map(|args| transcript(imgctl(home.path(), args), args, home.path())).collect();
    insta::assert_snapshot!(said);
}

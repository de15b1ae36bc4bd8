//! The bytes of the control protocol: one frame of each kind, as every released version reads it.
//! A change here means a new version of the protocol.

#![allow(clippy::unwrap_used)] // A test fails so.

use std::fmt::Write as _;
use std::path::PathBuf;

use imgrepo_proto::control::finding::{Finding, FindingState};
use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::control::queue::{
    Counts, Direction, QueueRequest, QueueStatus, QueuedUpload, Rates, TransferStatus, UploadId,
    UploadState, Which,
};
use imgrepo_proto::control::reply::{
    DaemonStatus, Info, Left, LimitStatus, Phase, PicturesStatus, Progress, ServerStatus,
    SessionState, SessionStatus, Size, Status,
};
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::watch::{After, FileStory, FolderState, FolderStatus, WatchRequest};
use imgrepo_proto::control::window::{Opened, WindowItem, WindowRequest};
use imgrepo_proto::control::{Hello, Outcome, Reply, Request, frame};
use imgrepo_proto::session::command::{
    Audit, Devices, Disable, Filter, Invite, List, People, Program, Revoke, SetRole, Sort,
    Uninvite, Variant,
};
use imgrepo_proto::session::event::{Event, EventKind};
use imgrepo_proto::session::people::{AccountRole, DeviceId, InvitationId};
use imgrepo_proto::session::reply::{HaveReply, ListReply};
use imgrepo_proto::{
    BlobHash, ErrorCode, ImageId, ImageName, ImageRecord, ImageRef, Refusal, RepositoryId, Secret,
    Seq,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn record() -> ImageRecord {
    ImageRecord {
        id: ImageId(7),
        name: "a.jpg".to_owned(),
        uploader: "ana".to_owned(),
        size: Some(70_000),
        hash: Some(BlobHash([0xab; 32])),
        media_type: Some("image/jpeg".to_owned()),
        width: Some(640),
        height: Some(480),
        orientation: Some(6),
        uploaded_at: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        taken_at: None,
        placeholder: None,
        trashed_at: None,
    }
}

fn queued_upload() -> QueuedUpload {
    QueuedUpload {
        id: UploadId(7),
        path: Some("/p/a.jpg".into()),
        folder: Some("/p".into()),
        name: "a.jpg".to_owned(),
        state: UploadState::Waiting,
        size: 5,
        done: Some(1),
        hash: Some(BlobHash([0xab; 32])),
        image: Some(ImageId(7)),
        seen_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        queued_at: None,
        hashed_at: None,
        sent_at: None,
        ended_at: None,
        attempts: 2,
        retry_at: Some("2026-01-02T03:04:06Z".parse().unwrap()),
        error: Some(Refusal::new(ErrorCode::Busy, "busy")),
        moved_to: Some("/done/a.jpg".into()),
    }
}

fn name(text: &str) -> ImageRef {
    ImageRef::Name(ImageName::parse(text).unwrap())
}

fn line<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    lines: &mut String,
    what: &str,
    value: &T,
) {
    let bytes = frame::encode(value).unwrap();
    assert_eq!(&frame::decode::<T>(&bytes[4..]).unwrap(), value);
    let _ = write!(lines, "{what}: ");
    for byte in bytes {
        // Text stays readable, everything else is hex.
        let _ = match byte {
            b'!'..=b'~' if byte != b'\\' => write!(lines, "{}", char::from(byte)),
            _ => write!(lines, "\\{byte:02x}"),
        };
    }
    lines.push('\n');
}

#[test]
fn hello() {
    let mut lines = String::new();
    let program = Program { name: "imgctl".to_owned(), version: "0.1.0".to_owned() };
    line(&mut lines, "hello", &Hello { lowest: 1, highest: 1, program });
    insta::assert_snapshot!(lines);
}

#[test]
fn requests() {
    let mut lines = String::new();
    let mut add = |what: &str, request: Request| line(&mut lines, what, &request);
    add("status", Request::Status);
    add("connect", Request::Connect { url: "ws://h:1/".to_owned(), user: None });
    add("connect as", Request::Connect { url: "h".to_owned(), user: Some("ana".to_owned()) });
    add("disconnect", Request::Disconnect);
    add("leave", Request::Leave);
    add("stop", Request::Stop);
    let upload = |content| Upload { name: "a.jpg".to_owned(), content, unless_deleted: false };
    add("upload path", Request::Upload(upload(Content::Path("/p/a.jpg".into()))));
    add("upload stream", Request::Upload(upload(Content::Stream)));
    let filter = Filter { name: Some("*.jpg".to_owned()), ..Filter::default() };
    add("list", Request::List(List { filter, sort: Sort::Newest, limit: Some(50), cursor: None }));
    add("info", Request::Info(ImageRef::Id(ImageId(7))));
    add("download", Request::Download { image: ImageRef::Last, offset: 0 });
    let variant = Variant::Display;
    add("view", Request::View { image: ImageRef::Id(ImageId(7)), variant });
    add("exif", Request::Exif(name("a.jpg")));
    add("rename", Request::Rename { image: name("a.jpg"), name: "b.jpg".to_owned() });
    add("delete", Request::Delete(name("a.jpg")));
    add("restore", Request::Restore(name("a.jpg")));
    add("purge all", Request::Purge { image: None });
    add("purge one", Request::Purge { image: Some(ImageId(7)) });
    add("events", Request::Events { since: Some(Seq(41)), follow: true });
    add("data", Request::Data(b"\0\xffbytes".to_vec()));
    add("end", Request::End);
    add("enqueue", Request::Enqueue(upload(Content::Path("/p/a.jpg".into()))));
    let queue = |request| Request::Queue(request);
    add("queue ls", queue(QueueRequest::Ls { all: true, after: Some(UploadId(7)), limit: 50 }));
    add("queue retry", queue(QueueRequest::Retry(Which::All)));
    add("queue cancel", queue(QueueRequest::Cancel(Which::These(vec![UploadId(7)]))));
    add("queue pause", queue(QueueRequest::Pause));
    add("queue resume", queue(QueueRequest::Resume));
    let watch = |request| Request::Watch(request);
    let path = PathBuf::from("/p");
    let after = After::Move("/done".into());
    add("watch add", watch(WatchRequest::Add { path: path.clone(), after }));
    add("watch rm", watch(WatchRequest::Rm { path: path.clone() }));
    add("watch ls", watch(WatchRequest::Ls));
    add("watch pause", watch(WatchRequest::Pause { path: Some(path.clone()) }));
    add("watch resume", watch(WatchRequest::Resume { path: None }));
    add("watch rescan", watch(WatchRequest::Rescan { path: None }));
    add("watch status", watch(WatchRequest::Status { path }));
    add("wait", Request::Wait);
    add("have", Request::Have(vec![BlobHash([0xab; 32])]));
    add("limit", Request::Limit { up: Some(0), down: None });
    add("examine", Request::Examine);
    insta::assert_snapshot!(lines);
}

#[test]
fn replies() {
    let mut lines = String::new();
    let mut add = |what: &str, reply: Reply| line(&mut lines, what, &reply);
    let done = |outcome| Reply::Done(Box::new(outcome));
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    add("progress", Reply::Progress(Progress { phase: Phase::Sending, done: 1, total: 70_000 }));
    let info = Info { size: 5, name: "a.jpg".to_owned(), hash: None, media_type: None };
    add("size", Reply::Size(Size { image: ImageId(7), info }));
    add("data", Reply::Data(b"\0\xffbytes".to_vec()));
    let event = Event {
        event: EventKind::NewUpload,
        seq: Some(Seq(42)),
        at: Some(at),
        by: Some("ana".to_owned()),
        image: Some(record()),
        message: None,
    };
    add("event", Reply::Event(Box::new(event)));
    add("nothing", done(Outcome::Nothing));
    let session = SessionStatus {
        state: SessionState::Waiting,
        url: Some("ws://h:1/".to_owned()),
        user: "ana".to_owned(),
        dialect: None,
        server: None,
        repository: Some(RepositoryId("r".to_owned())),
        role: None,
        can: vec!["list".to_owned()],
        transport: None,
        seq: None,
        since: at,
        retry_at: Some(at),
        error: Some(Refusal::new(ErrorCode::NotConnected, "no")),
        notice: None,
    };
    let daemon = DaemonStatus {
        version: "0.1.0".to_owned(),
        pid: 9,
        started_at: at,
        config: "/c/config.toml".into(),
        transfers: 0,
        autostart: None,
    };
    let server = ServerStatus {
        listen: "127.0.0.1:8765".to_owned(),
        guests: false,
        guests_may: "no".to_owned(),
        fingerprint: Some("AAEC".to_owned()),
        addresses: vec!["10.0.0.7:8765".to_owned()],
        limits: vec![LimitStatus {
            key: "max_sessions".to_owned(),
            value: "10,000".to_owned(),
            used: Some("1".to_owned()),
            fixed: false,
            in_file: true,
        }],
        sessions: 1,
        images: 2,
        pictures: Some(PicturesStatus { waiting: 12, is_searching: true }),
        data: "/d".into(),
    };
    let status = Status {
        daemon,
        session,
        server: Some(server),
        queue: QueueStatus::default(),
        folders: Vec::new(),
        transfers: vec![TransferStatus {
            name: "a.jpg".to_owned(),
            direction: Direction::Up,
            phase: Phase::Sending,
            done: 1,
            total: 5,
            queued: Some(UploadId(7)),
        }],
        rates: Rates::default(),
        unread: None,
        aside: Vec::new(),
    };
    add("status", done(Outcome::Status(Box::new(status))));
    let left =
        Left { url: "wss://h:1/".to_owned(), user: "ana".to_owned(), device: None, revoked: false };
    add("left", done(Outcome::Left(left)));
    add("image", done(Outcome::Image(record())));
    add("stored", done(Outcome::Stored { image: record(), duplicate: true }));
    let page = ListReply { images: vec![record()], next: Some("c".to_owned()), total: Some(2) };
    add("images", done(Outcome::Images(page)));
    add("purged", done(Outcome::Purged(3)));
    add("out_of_reach", done(Outcome::OutOfReach));
    add("queued", done(Outcome::Queued(UploadId(7))));
    let uploads = vec![queued_upload()];
    add("uploads", done(Outcome::Uploads { uploads, next: Some(UploadId(7)) }));
    add("changed", done(Outcome::Changed(3)));
    let counts = Counts { queued: 2, ..Counts::default() };
    let queue = QueueStatus { counts, bytes_left: 9, paused: true, elsewhere: 1, waits: None };
    add("queue item", Reply::Queue(Box::new(queue.clone())));
    add("queue", done(Outcome::Queue(queue)));
    let folder = FolderStatus {
        path: "/p".into(),
        after: After::Trash,
        state: FolderState::Polling,
        why: Some("why".to_owned()),
        hint: Some("hint".to_owned()),
        file_system: Some("nfs".to_owned()),
        scanned_at: Some(at),
        counts,
        problems: vec![queued_upload()],
    };
    add("folders", done(Outcome::Folders(vec![folder])));
    let story = FileStory {
        path: "/p/a.jpg".into(),
        folder: Some("/p".into()),
        upload: Some(queued_upload()),
        note: Some("note".to_owned()),
    };
    add("file", done(Outcome::File(Box::new(story))));
    let have = HaveReply { have: [(BlobHash([0xab; 32]), vec![ImageId(7)])].into() };
    add("have", done(Outcome::Have(have)));
    add("rates", done(Outcome::Rates(Rates { up: Some(1), down: None })));
    let finding = Finding {
        check: "clock".to_owned(),
        state: FindingState::Warning,
        message: "it is late".to_owned(),
        hint: Some("set it".to_owned()),
    };
    add("findings", done(Outcome::Findings(vec![finding])));
    add("refused", Reply::Refused(Refusal::new(ErrorCode::NotFound, "no `a`").hint("look")));
    insta::assert_snapshot!(lines);
}

#[test]
fn people() {
    let mut lines = String::new();
    let mut ask = |what: &str, request| line(&mut lines, what, &Request::People(request));
    let link = Secret::parse("imgrepo://h:1/#s,ca").unwrap();
    ask("join", PeopleRequest::Join { link: link.clone(), user: None, device: None });
    let (user, device) = (Some("ana".to_owned()), Some("laptop".to_owned()));
    ask("join as", PeopleRequest::Join { link, user, device });
    ask("invite", PeopleRequest::Invite(Invite::default()));
    let ana = || Some("ana".to_owned());
    let (role, person, guest) = (Some(AccountRole::Admin), ana(), ana());
    let invite = Invite { role, person, guest, uses: Some(1), seconds: Some(600) };
    ask("invite as", PeopleRequest::Invite(invite));
    ask("invitations", PeopleRequest::Invitations);
    ask("uninvite", PeopleRequest::Uninvite(Uninvite { invitation: InvitationId(3) }));
    ask("people", PeopleRequest::Ls(People { cursor: Some("c".to_owned()) }));
    let role = SetRole { person: "ana".to_owned(), role: AccountRole::Viewer };
    ask("role", PeopleRequest::Role(role));
    let disable = Disable { person: "ana".to_owned(), disabled: true };
    ask("disable", PeopleRequest::Disable(disable));
    ask("devices", PeopleRequest::Devices(Devices { person: ana() }));
    ask("revoke", PeopleRequest::Revoke(Revoke { device: DeviceId(7) }));
    ask("audit", PeopleRequest::Audit(Audit { before: Some(41), limit: Some(50) }));

    /// The first `data` of this command among the frozen replies of the session.
    fn data<T: DeserializeOwned>(id: u32) -> T {
        let begin = format!("{{\"id\":{id},\"status\":\"SUCCESS\",\"data\":");
        let mut replies = include_str!("golden/replies.jsonl").lines();
        let data = replies.find_map(|line| line.strip_prefix(&begin)?.strip_suffix('}'));
        serde_json::from_str(data.unwrap()).unwrap()
    }
    let mut told = |what: &str, outcome: PeopleOutcome| {
        line(&mut lines, what, &Reply::Done(Box::new(Outcome::People(Box::new(outcome)))));
    };
    told("invited", PeopleOutcome::Invited(data(13)));
    told("told invitations", PeopleOutcome::Invitations(data(14)));
    told("told invitation", PeopleOutcome::Invitation(data(15)));
    told("told people", PeopleOutcome::People(data(16)));
    told("told person", PeopleOutcome::Person(data(17)));
    told("told devices", PeopleOutcome::Devices(data(19)));
    told("told device", PeopleOutcome::Device(data(20)));
    told("told audit", PeopleOutcome::Audit(data(21)));
    insta::assert_snapshot!(lines);
}

#[test]
fn windows() {
    let mut lines = String::new();
    let mut ask = |what: &str, request| line(&mut lines, what, &Request::Window(request));
    ask("attach", WindowRequest::Attach);
    ask("open", WindowRequest::Open { image: None, wait: false });
    ask("open one", WindowRequest::Open { image: Some(ImageRef::Id(ImageId(7))), wait: true });
    let since = "2026-01-02T03:04:05Z".parse().unwrap();
    let session = SessionStatus::new(SessionState::Offline, None, "ana".to_owned(), since);
    let mut told = |what: &str, item| line(&mut lines, what, &Reply::Window(item));
    told("session", WindowItem::Session(Box::new(session)));
    told("show", WindowItem::Show(None));
    told("show one", WindowItem::Show(Some(ImageId(7))));
    let opened = Opened { image: Some(record()), is_shown: true };
    let done = Reply::Done(Box::new(Outcome::Window(Box::new(opened))));
    line(&mut lines, "opened", &done);
    insta::assert_snapshot!(lines);
}

#[cfg(unix)]
#[test]
fn a_path_need_not_be_text() {
    use std::os::unix::ffi::OsStringExt as _;
    let path = std::ffi::OsString::from_vec(b"/p/\xff\xfe.jpg".to_vec());
    let mut lines = String::new();
    let content = Content::Path(path.into());
    let upload = Upload { name: "a".to_owned(), content, unless_deleted: true };
    line(&mut lines, "upload path", &Request::Upload(upload));
    insta::assert_snapshot!(lines);
}

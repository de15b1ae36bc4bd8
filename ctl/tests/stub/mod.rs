//! A daemon of a few lines, whose every answer the test decides: what `imgctl` makes of each answer
//! is tested to the letter, with ids, times and errors that a real daemon gives only now and then.

#![allow(dead_code)] // Each test file uses what it needs of it.

pub(crate) mod admin;
#[cfg(target_os = "linux")]
pub(crate) mod screen;

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use imgrepo_proto::control::frame::{self, Decoder};
use imgrepo_proto::control::queue::{
    Counts, QueueStatus, QueuedUpload, Rates, UploadId, UploadState,
};
use imgrepo_proto::control::reply::{DaemonStatus, SessionState, SessionStatus, Status};
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::watch::{After, FolderState, FolderStatus};
use imgrepo_proto::control::{Hello, Outcome, Reply, Request};
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageRecord, Refusal, RepositoryId, Seq};

/// What it says to a request.
pub(crate) enum Say {
    Item(Reply),
    /// It keeps the connection open and says no more.
    Hang,
    /// It closes the connection, as a daemon does that ends.
    Close,
}

/// How it answers: the request, and the bytes that were streamed with it.
type Answer = dyn Fn(&Request, &[u8]) -> Vec<Say> + Send + Sync;

pub(crate) struct Stub {
    pub(crate) home: tempfile::TempDir,
}

impl Stub {
    pub(crate) fn new(
        answer: impl Fn(&Request, &[u8]) -> Vec<Say> + Send + Sync + 'static,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("run");
        std::fs::create_dir(&run).unwrap();
        std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o700)).unwrap();
        let listener = UnixListener::bind(run.join("control.sock")).unwrap();
        let answer: Arc<Answer> = Arc::new(answer);
        // Both end with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let answer = Arc::clone(&answer);
                thread::spawn(move || serve(stream.unwrap(), &*answer));
            }
        });
        Stub { home }
    }

    /// An `imgctl` of this home.
    pub(crate) fn imgctl(&self, args: &[&str]) -> Command {
        imgctl(self.home.path(), args)
    }

    /// What it says, to the letter, without the temporary folder's name.
    pub(crate) fn transcript(&self, args: &[&str]) -> String {
        transcript(self.imgctl(args), args, self.home.path())
    }
}

/// An `imgctl` of this home, whose words do not depend on where it runs.
pub(crate) fn imgctl(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("imgctl"));
    command.args(args).env("IMGREPO_HOME", home).env("TZ", "UTC").current_dir(home);
    // The unit of whoever runs the tests is not ours.
    command.env("XDG_CONFIG_HOME", home.join("config")).env("HOME", home);
    for name in ["NO_COLOR", "IMAGES", "KEEP", "CLICOLOR_FORCE", "LC_ALL", "LC_MESSAGES", "LANG"] {
        command.env_remove(name);
    }
    command
}

/// A command, what it says and how it ends.
pub(crate) fn transcript(mut command: Command, args: &[&str], home: &Path) -> String {
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace(&home.display().to_string(), "HOME")
    };
    let mut said = format!("$ imgctl {}\n{}", args.join(" "), text(output.stdout));
    for line in text(output.stderr).lines() {
        said += &format!("stderr| {line}\n");
    }
    said + &format!("exit {}\n\n", output.status.code().unwrap())
}

/// One transcript of several command lines.
pub(crate) fn transcripts(stub: &Stub, lines: &[&[&str]]) -> String {
    lines.iter().map(|args| stub.transcript(args)).collect()
}

pub(crate) fn done(outcome: Outcome) -> Vec<Say> {
    vec![Say::Item(Reply::Done(Box::new(outcome)))]
}

pub(crate) fn refused(refusal: Refusal) -> Vec<Say> {
    vec![Say::Item(Reply::Refused(refusal))]
}

fn serve(mut stream: UnixStream, answer: &Answer) {
    let mut decoder = Decoder::new();
    let Some(hello) = next::<Hello>(&mut stream, &mut decoder) else { return };
    assert_eq!(hello.program.name, "imgctl");
    say(&mut stream, &Hello::new(Program { name: "stub".into(), version: "0.0.0".into() }));
    while let Some(request) = next::<Request>(&mut stream, &mut decoder) {
        let mut streamed = Vec::new();
        if let Request::Upload(Upload { content: Content::Stream, .. })
        | Request::Enqueue(Upload { content: Content::Stream, .. }) = &request
        {
            while let Some(Request::Data(bytes)) = next(&mut stream, &mut decoder) {
                streamed.extend(bytes);
            }
        }
        let stops = request == Request::Stop;
        for words in answer(&request, &streamed) {
            match words {
                Say::Item(reply) => say(&mut stream, &reply),
                // Until the other end has gone.
                Say::Hang => drop(stream.read_to_end(&mut Vec::new())),
                Say::Close => return,
            }
        }
        if stops {
            // As a daemon does by its end.
            return;
        }
    }
}

fn say<T: serde::Serialize>(stream: &mut UnixStream, value: &T) {
    // A client that has gone is what some tests are about.
    let _ = stream.write_all(&frame::encode(value).unwrap());
}

fn next<T: serde::de::DeserializeOwned>(
    stream: &mut UnixStream,
    decoder: &mut Decoder,
) -> Option<T> {
    loop {
        if let Some(value) = decoder.next().unwrap() {
            return Some(value);
        }
        match stream.read(decoder.space()) {
            Ok(0) | Err(_) => return None,
            Ok(read) => decoder.filled(read),
        }
    }
}

/// A record of which everything is known.
pub(crate) fn image(id: u64, name: &str) -> ImageRecord {
    ImageRecord {
        id: ImageId(id),
        name: name.into(),
        uploader: "ana".into(),
        size: Some(1_234_567),
        hash: Some(BlobHash([id as u8; 32])),
        media_type: Some("image/jpeg".into()),
        width: Some(4000),
        height: Some(3000),
        orientation: None,
        uploaded_at: Some("2026-11-23T06:20:01.5Z".parse().unwrap()),
        taken_at: Some("2021-07-04T18:30:00+02:00".into()),
        placeholder: None,
        trashed_at: None,
    }
}

/// An upload of the queue of which nothing is known but this.
pub(crate) fn queued(id: u64, path: &str, state: UploadState) -> QueuedUpload {
    QueuedUpload {
        id: UploadId(id),
        path: Some(path.into()),
        folder: None,
        name: Path::new(path).file_name().unwrap().to_str().unwrap().to_owned(),
        state,
        size: 1_234_567,
        done: None,
        hash: None,
        image: None,
        seen_at: "2026-11-23T06:20:01Z".parse().unwrap(),
        queued_at: None,
        hashed_at: None,
        sent_at: None,
        ended_at: None,
        attempts: 0,
        retry_at: None,
        error: None,
        moved_to: None,
    }
}

/// A watched folder with nothing in it.
pub(crate) fn folder(path: &str, state: FolderState) -> FolderStatus {
    FolderStatus {
        path: path.into(),
        after: After::Keep,
        state,
        why: None,
        hint: None,
        file_system: Some("ext4".into()),
        scanned_at: Some("2026-11-23T06:20:01Z".parse().unwrap()),
        counts: Counts::default(),
        problems: Vec::new(),
    }
}

/// A record as an old server gives it.
pub(crate) fn old_image(id: u64, name: &str) -> ImageRecord {
    let image = image(id, name);
    ImageRecord::bare(image.id, image.name, image.uploader)
}

/// The status of a daemon with nothing to do.
pub(crate) fn status(state: SessionState) -> Status {
    let at = |text: &str| text.parse().unwrap();
    let connected = state == SessionState::Connected;
    let refusal = || Refusal::new(ErrorCode::Denied, "the server takes no guests");
    Status {
        daemon: DaemonStatus {
            version: "0.1.0".into(),
            pid: 0,
            started_at: at("2026-11-23T06:00:00Z"),
            config: "/home/ana/.config/imgrepo/config.toml".into(),
            transfers: 1,
            autostart: None,
        },
        session: SessionStatus {
            state,
            url: (state != SessionState::Offline).then(|| "ws://photos.lan:8765/".into()),
            user: "ana".into(),
            dialect: connected.then(|| "v2".into()),
            server: connected.then(|| Program { name: "imgrepod".into(), version: "0.1.0".into() }),
            repository: connected.then(|| RepositoryId("8f1c".into())),
            role: connected.then(|| "guest".into()),
            can: Vec::new(),
            transport: None,
            seq: connected.then_some(Seq(1042)),
            since: at("2026-11-23T06:10:00Z"),
            retry_at: (state == SessionState::Waiting).then(|| at("2026-11-23T06:20:04Z")),
            error: (state == SessionState::Refused).then(refusal),
            notice: None,
        },
        server: None,
        queue: QueueStatus::default(),
        folders: Vec::new(),
        transfers: Vec::new(),
        rates: Rates::default(),
        unread: None,
        aside: Vec::new(),
    }
}

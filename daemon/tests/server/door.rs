//! The browser's door, knocked at: requests as a browser sends them, and what came back.

use std::time::Duration;

use imgrepo_proto::session::people::Invite;
use imgrepod::config::Guests;
use imgrepod::server::Settings;
use imgrepod::tls::{self, Identity};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::Stage;

/// A server that encrypts, and lets in nobody without an account.
pub(crate) struct Door {
    pub(crate) stage: Stage,
    pub(crate) identity: Identity,
    _folder: tempfile::TempDir,
}

/// What came back, and who it was asked of.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The cookie that a browser would send from now on.
    pub(crate) fn cookie(&self) -> Option<&str> {
        header(&self.head, "set-cookie")?.split(';').next()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

impl Door {
    pub(crate) async fn new() -> Door {
        Door::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Door {
        let (folder, identity) = Door::identity();
        let stage = Stage::with(Door::closed(&identity, change)).await;
        Door { stage, identity, _folder: folder }
    }

    /// One that makes pictures.
    pub(crate) async fn making() -> Door {
        let (folder, identity) = Door::identity();
        let stage = Stage::making(Door::closed(&identity, |_| {})).await;
        Door { stage, identity, _folder: folder }
    }

    pub(crate) fn identity() -> (tempfile::TempDir, Identity) {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::own(folder.path(), None).unwrap();
        (folder, identity)
    }

    pub(crate) fn closed(
        identity: &Identity,
        change: impl FnOnce(&mut Settings),
    ) -> impl FnOnce(&mut Settings) {
        let identity = identity.clone();
        move |settings| {
            settings.identity = Some(identity);
            settings.guests = Guests::No;
            change(settings);
        }
    }

    pub(crate) fn host(&self) -> String {
        self.stage.server.address().to_string()
    }

    pub(crate) async fn plain(&self, request: &str) -> Reply {
        let stream = TcpStream::connect(self.stage.server.address()).await.unwrap();
        ask(stream, request).await
    }

    pub(crate) async fn encrypted(&self, request: &str) -> Reply {
        let stream = TcpStream::connect(self.stage.server.address()).await.unwrap();
        let stream = tls::connect(stream, "127.0.0.1", &self.identity.trust()).await.unwrap();
        ask(stream, request).await
    }

    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Reply {
        let host = self.host();
        let cookie = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n");
        self.encrypted(&cookie).await
    }

    /// What our own page posts.
    pub(crate) async fn post(&self, path: &str, cookie: &str, body: &Value) -> Reply {
        let host = self.host();
        let head = format!(
            "Host: {host}\r\nOrigin: https://{host}\r\nCookie: {cookie}\r\n\
             Content-Type: application/json\r\n"
        );
        self.encrypted(&post(path, &head, &body.to_string())).await
    }

    /// A new invitation's secret.
    pub(crate) async fn invite(&self, invite: Invite) -> String {
        let repository = &self.stage.repository;
        let (_, secret) = repository.invite(&repository.owner(), &invite).await.unwrap();
        secret.expose().to_owned()
    }

    /// The cookie of a new account.
    pub(crate) async fn joined(&self, user: &str) -> String {
        let secret = self.invite(Invite::default()).await;
        let body = json!({"secret": secret, "user": user, "device": "a browser"});
        let reply = self.post("/api/join", "", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.cookie().unwrap().to_owned()
    }
}

pub(crate) fn post(path: &str, head: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}")
}

/// Sends a request; its answer. The connection may go on.
pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> Reply {
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(&mut stream, request.starts_with("HEAD ")).await
}

/// Reads one answer: its head, and as much of a body as that says.
pub(crate) async fn answer<S: AsyncRead + Unpin>(stream: &mut S, is_head: bool) -> Reply {
    let reply = bytes_of_answer(stream, is_head).await;
    let (status, head) = (reply.status, reply.head);
    Reply { status, head, body: String::from_utf8(reply.body).unwrap() }
}

/// What came back, whatever it is.
pub(crate) struct RawReply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl RawReply {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(": ")).find(|(it, _)| *it == name).map(|it| it.1)
}

/// As [`answer`], of any bytes.
pub(crate) async fn bytes_of_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    is_head: bool,
) -> RawReply {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(error) => panic!("no HTTP ({error}): {}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = header(&head, "content-length").map(|length| length.parse::<usize>().unwrap());
        let mut body = Vec::new();
        if is_head || matches!(status, 101 | 304) {
            // What is said of its length is of what would have come.
        } else if let Some(length) = length {
            body.resize(length, 0);
            stream.read_exact(&mut body).await.unwrap();
        } else {
            // A refusal may come with a reset when not all of the request was read.
            let _ = stream.read_to_end(&mut body).await;
        }
        RawReply { status, head, body }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer")
}

/// How long a test waits for what must come. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

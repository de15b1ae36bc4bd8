//! A server in a temporary directory, and a client that says exactly what a test wants said.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use imgrepo_proto::PersonName;
use imgrepo_proto::session::DataHeader;
use imgrepod::repository::{self, Making, Repository};
use imgrepod::server::{Server, Settings};

/// How long a test waits for what must come. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with its repository.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) repository: Repository,
    data: TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Stage {
        Stage::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Stage {
        Stage::open(tempfile::tempdir().unwrap(), change, false).await
    }

    /// One that makes pictures.
    pub(crate) async fn making(change: impl FnOnce(&mut Settings)) -> Stage {
        Stage::open(tempfile::tempdir().unwrap(), change, true).await
    }

    /// The same repository after a restart.
    pub(crate) async fn reopened(self, makes_pictures: bool) -> Stage {
        let Stage { server, repository, data } = self;
        server.stop().await;
        repository.close().await;
        drop(repository);
        Stage::open(data, |_| {}, makes_pictures).await
    }

    /// The repository's directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.path().join("data")
    }

    async fn open(
        data: TempDir,
        change: impl FnOnce(&mut Settings),
        makes_pictures: bool,
    ) -> Stage {
        let owner = PersonName::parse("owner").unwrap();
        let mut keep = repository::Settings::new(data.path().join("data"), owner);
        keep.reserve_bytes = 0;
        keep.making = makes_pictures.then(|| Making {
            program: env!("CARGO_BIN_EXE_imgrepod").into(),
            threads: 2,
            budget_bytes: 64 << 20,
        });
        let mut settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
        change(&mut settings);
        keep.max_image_bytes = settings.limits.max_image_size;
        let repository =
            tokio::task::spawn_blocking(|| Repository::open(keep)).await.unwrap().unwrap();
        let server = Server::start(settings, repository.clone()).await.unwrap();
        Stage { server, repository, data }
    }

    /// A v2 session before AUTH.
    pub(crate) async fn stranger(&self) -> Client<TcpStream> {
        self.dial(Some("imgrepo.v2")).await.unwrap()
    }

    /// A v2 session of this person.
    pub(crate) async fn guest(&self, user: &str) -> Client<TcpStream> {
        let mut client = self.stranger().await;
        client.ok("AUTH", json!({"user": user})).await;
        client
    }

    /// A v1 session.
    pub(crate) async fn old(&self) -> Client<TcpStream> {
        self.dial(None).await.unwrap()
    }

    /// The owner's session.
    pub(crate) async fn owner(&self) -> Client<tokio::io::DuplexStream> {
        let stream = self.server.local().open();
        let config = Some(big());
        let mut client =
            Client::new(WebSocketStream::from_raw_socket(stream, Role::Client, config).await);
        client.ok("AUTH", json!({})).await;
        client
    }

    pub(crate) async fn dial(&self, subprotocol: Option<&str>) -> Result<Client<TcpStream>, Error> {
        dial(self.server.address(), subprotocol).await
    }

    /// Waits until so many sessions are open: each leaves a moment after its client.
    pub(crate) async fn sessions(&self, count: u32) {
        let wait = async {
            while self.server.sessions() != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the sessions to come to that number");
    }
}

/// A session of a server that listens there.
pub(crate) async fn dial(
    address: SocketAddr,
    subprotocol: Option<&str>,
) -> Result<Client<TcpStream>, Error> {
    let mut request = format!("ws://{address}/").into_client_request()?;
    if let Some(subprotocol) = subprotocol {
        let value = subprotocol.parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", value);
    }
    let stream = TcpStream::connect(address).await?;
    upgrade(request, stream).await
}

/// A session on this stream.
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    request: Request,
    stream: S,
) -> Result<Client<S>, Error> {
    let (socket, _) =
        tokio_tungstenite::client_async_with_config(request, stream, Some(big())).await?;
    Ok(Client::new(socket))
}

fn big() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(None).max_frame_size(None)
}

/// What a client sees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Text(Value),
    Data { id: u32, offset: u64, bytes: Bytes },
    Whole(Bytes),
    Closed(u16),
    Cut,
}

/// A client.
pub(crate) struct Client<S> {
    pub(crate) socket: WebSocketStream<S>,
    pub(crate) next_id: u32,
    /// Binary messages are v1 contents.
    pub(crate) old: bool,
    put_back: VecDeque<Seen>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(socket: WebSocketStream<S>) -> Self {
        Client { socket, next_id: 1, old: false, put_back: VecDeque::new() }
    }

    pub(crate) async fn raw(&mut self, message: Message) {
        // What is lost on a closed session shows in what is read next.
        let _ = self.socket.send(message).await;
    }

    pub(crate) async fn text(&mut self, value: Value) {
        self.raw(Message::text(value.to_string())).await;
    }

    /// Sends a request; its id.
    pub(crate) async fn send(&mut self, cmd: &str, args: Value) -> u32 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.text(json!({"id": id, "cmd": cmd, "args": args})).await;
        id
    }

    pub(crate) async fn data(&mut self, id: u32, offset: u64, bytes: &[u8]) {
        self.raw(Message::Binary(DataHeader { id, offset }.message(bytes))).await;
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Seen {
        if let Some(seen) = self.put_back.pop_front() {
            return seen;
        }
        self.fresh().await
    }

    async fn fresh(&mut self) -> Seen {
        let next = tokio::time::timeout(PATIENCE, async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Seen::Text(serde_json::from_str(text.as_str()).unwrap());
                    }
                    Some(Ok(Message::Binary(bytes))) if self.old => return Seen::Whole(bytes),
                    Some(Ok(Message::Binary(bytes))) => {
                        let (header, bytes) = DataHeader::decode(bytes).unwrap();
                        return Seen::Data { id: header.id, offset: header.offset, bytes };
                    }
                    Some(Ok(Message::Close(frame))) => {
                        let code = frame.map_or(1005, |frame| frame.code.into());
                        return Seen::Closed(code);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Seen::Cut,
                }
            }
        });
        next.await.expect("a message of the server")
    }

    /// The next message that `wanted` takes; the others wait for their turn.
    pub(crate) async fn find(&mut self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        if let Some(at) = self.put_back.iter().position(&wanted) {
            return self.put_back.remove(at).unwrap();
        }
        loop {
            let seen = self.fresh().await;
            if wanted(&seen) {
                return seen;
            }
            assert!(!matches!(seen, Seen::Cut | Seen::Closed(_)), "the session ended: {seen:?}");
            self.put_back.push_back(seen);
        }
    }

    /// The next message of this request with one of these statuses.
    pub(crate) async fn status(&mut self, id: u32, statuses: &[&str]) -> Value {
        let seen = self
            .find(|seen| match seen {
                Seen::Text(text) => {
                    text["id"] == id && statuses.iter().any(|status| text["status"] == *status)
                }
                _ => false,
            })
            .await;
        let Seen::Text(text) = seen else { unreachable!() };
        text
    }

    /// The final reply of a request.
    pub(crate) async fn reply(&mut self, id: u32) -> Value {
        self.status(id, &["SUCCESS", "ERROR", "BYE"]).await
    }

    /// A request that succeeds: its `data`.
    pub(crate) async fn ok(&mut self, cmd: &str, args: Value) -> Value {
        let id = self.send(cmd, args).await;
        let reply = self.reply(id).await;
        assert_eq!(reply["status"], "SUCCESS", "{cmd}: {reply}");
        reply["data"].clone()
    }

    /// A request that is refused: its code.
    pub(crate) async fn refused(&mut self, cmd: &str, args: Value) -> String {
        let id = self.send(cmd, args).await;
        code(&self.reply(id).await)
    }

    /// A request: its code where it is refused, else nothing.
    pub(crate) async fn refused_or_ok(&mut self, cmd: &str, args: Value) -> String {
        let id = self.send(cmd, args).await;
        let reply = self.reply(id).await;
        if reply["status"] == "SUCCESS" { String::new() } else { code(&reply) }
    }

    /// An ERROR that belongs to no request: its code.
    pub(crate) async fn complaint(&mut self) -> String {
        let no_reply = |seen: &Seen| matches!(seen, Seen::Text(text) if text["status"] == "ERROR" && text.get("id").is_none());
        let Seen::Text(text) = self.find(no_reply).await else { unreachable!() };
        code(&text)
    }

    /// The next event: its word, its seq, the image's name.
    pub(crate) async fn event(&mut self) -> (String, u64, String) {
        let event = |seen: &Seen| matches!(seen, Seen::Text(text) if text.get("event").is_some());
        let Seen::Text(event) = self.find(event).await else { unreachable!() };
        let word = event["event"].as_str().unwrap().to_owned();
        let name = event["image"]["name"].as_str().unwrap().to_owned();
        (word, event["seq"].as_u64().unwrap(), name)
    }

    /// Uploads a content within the windows; the final reply.
    pub(crate) async fn upload(&mut self, name: &str, content: &[u8]) -> Value {
        let id = self.announce(name, content).await;
        self.pour(id, content).await
    }

    pub(crate) async fn announce(&mut self, name: &str, content: &[u8]) -> u32 {
        let hash = blake3::hash(content).to_string();
        self.send("UPLOAD", json!({"name": name, "size": content.len(), "hash": hash})).await
    }

    /// Sends the content of an announced upload from where READY says; the final reply.
    pub(crate) async fn pour(&mut self, id: u32, content: &[u8]) -> Value {
        const WINDOW: u64 = 1024 * 1024;
        let mut acked;
        let mut at = 0;
        loop {
            let text = self.status(id, &["READY", "ACK", "SUCCESS", "ERROR"]).await;
            match text["status"].as_str().unwrap() {
                "READY" => {
                    at = text["offset"].as_u64().unwrap();
                    acked = at;
                }
                "ACK" => acked = text["offset"].as_u64().unwrap(),
                _ => return text,
            }
            let limit = (acked + WINDOW).min(content.len() as u64);
            while at < limit {
                let end = (at + 64 * 1024).min(limit);
                self.data(id, at, &content[at as usize..end as usize]).await;
                at = end;
            }
        }
    }

    /// Downloads with acknowledgements; the bytes and the final reply.
    pub(crate) async fn download(&mut self, args: Value) -> (Value, Vec<u8>, Value) {
        self.fetch("DOWNLOAD", args).await
    }

    /// The same for any command that a content answers.
    pub(crate) async fn fetch(&mut self, cmd: &str, args: Value) -> (Value, Vec<u8>, Value) {
        let id = self.send(cmd, args.clone()).await;
        let info = self.status(id, &["SIZE_INFO", "ERROR"]).await;
        if info["status"] == "ERROR" {
            return (info.clone(), Vec::new(), info);
        }
        let start = args["offset"].as_u64().unwrap_or(0);
        let mut content = Vec::new();
        loop {
            let ours = |seen: &Seen| match seen {
                Seen::Data { id: of, .. } => *of == id,
                Seen::Text(text) => text["id"] == id && text["status"] != "SIZE_INFO",
                _ => false,
            };
            match self.find(ours).await {
                Seen::Data { offset, bytes, .. } => {
                    assert_eq!(offset, start + content.len() as u64);
                    content.extend_from_slice(&bytes);
                    let offset = start + content.len() as u64;
                    self.text(json!({"id": id, "cmd": "ACK", "offset": offset})).await;
                }
                Seen::Text(reply) => return (info, content, reply),
                _ => unreachable!(),
            }
        }
    }
}

/// The code of an ERROR.
pub(crate) fn code(reply: &Value) -> String {
    assert_eq!(reply["status"], "ERROR", "{reply}");
    assert!(!reply["message"].as_str().unwrap().is_empty());
    reply["code"].as_str().unwrap().to_owned()
}

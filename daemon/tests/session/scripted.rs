//! A server that does what a test says, one connection after the other.

use std::net::SocketAddr;

use bytes::Bytes;
use imgrepo_proto::invitation::{HostPort, Trust};
use imgrepo_proto::limits::SessionLimits;
use imgrepo_proto::session::command::{Auth, Command, Program, Request};
use imgrepo_proto::session::reply::{AuthReply, encode_success};
use imgrepo_proto::session::{DataHeader, SUBPROTOCOL, v1};
use imgrepo_proto::{RepositoryId, Seq};
use imgrepod::link::{self, Activity, EndKind, Inbox, Incoming, LinkSettings, Outbox, Watched};
use imgrepod::tls::Identity;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Upgrade, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

pub(crate) struct Server {
    listener: TcpListener,
    /// Its key, where it speaks TLS.
    identity: Option<Identity>,
}

/// One connection of the client's.
pub(crate) struct Conn {
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    pub(crate) limits: SessionLimits,
    pub(crate) repository: String,
    pub(crate) version: String,
}

impl Server {
    pub(crate) async fn start() -> Server {
        Server { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), identity: None }
    }

    /// One that speaks TLS, with a key of its own.
    pub(crate) async fn start_tls() -> Server {
        let mut server = Server::start().await;
        server.renew();
        server
    }

    /// Another key from now on.
    pub(crate) fn renew(&mut self) {
        let folder = tempfile::tempdir().unwrap();
        self.be(Identity::own(folder.path(), None).unwrap());
    }

    /// This key and certificate from now on.
    pub(crate) fn be(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    /// Its place as a link names it.
    pub(crate) fn place(&self) -> HostPort {
        self.address().to_string().parse().unwrap()
    }

    /// By what it is known.
    pub(crate) fn trust(&self) -> Trust {
        self.identity.as_ref().unwrap().trust()
    }

    /// Somebody comes, finds that it is another server than the one that is meant, and goes: true
    /// where not a byte of a session came.
    pub(crate) async fn is_shunned(&self) -> bool {
        let (stream, _) = self.listener.accept().await.unwrap();
        match self.identity.as_ref().unwrap().accept(stream).await {
            // It may be told only after it has ended its own part of the handshake.
            Ok(mut stream) => !matches!(stream.read(&mut [0; 1]).await, Ok(1..)),
            Err(_) => true,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) async fn accept_v2(&self) -> Conn {
        self.accept(true).await.expect("the client goes on in v2")
    }

    /// An old server: the client asks for v2, gets no word of it, takes its leave, and comes once
    /// more without.
    pub(crate) async fn accept_v1_twice(&self) -> Conn {
        let mut first = self.accept(false).await.expect("the client asks for v2");
        let end = first.inbox.next().await.expect_err("it does not say a word");
        assert_eq!(end.kind, EndKind::Closed(1000));
        self.accept(false).await.expect("the client comes back")
    }

    /// An old server's part of the upgrade.
    pub(crate) async fn accept_old(&self) -> Conn {
        self.accept(false).await.expect("the client comes")
    }

    async fn accept(&self, v2: bool) -> Option<Conn> {
        let (stream, _) = self.listener.accept().await.unwrap();
        let (stream, activity) = Watched::new(stream);
        match &self.identity {
            Some(identity) => upgraded(identity.accept(stream).await.ok()?, activity, v2).await,
            None => upgraded(stream, activity, v2).await,
        }
    }

    /// Answers one upgrade with this.
    pub(crate) async fn refuse(&self, answer: &str) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

async fn upgraded<S>(stream: S, activity: Activity, v2: bool) -> Option<Conn>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let large = LinkSettings { max_message_bytes: 1 << 26, ..LinkSettings::default() };
    #[allow(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
    let choose = |upgrade: &Upgrade, mut response: Response| {
        let wants = upgrade.headers().get("sec-websocket-protocol");
        if v2 {
            assert_eq!(wants.unwrap(), SUBPROTOCOL);
            let chosen = HeaderValue::from_static(SUBPROTOCOL);
            response.headers_mut().insert("sec-websocket-protocol", chosen);
        }
        Ok(response)
    };
    let websocket = Some(large.websocket());
    let socket = accept_hdr_async_with_config(stream, choose, websocket).await.ok()?;
    let (outbox, inbox) = link::open(socket, activity, large);
    let limits = SessionLimits::default();
    let (repository, version) = ("repository".to_owned(), "1".to_owned());
    Some(Conn { outbox, inbox, limits, repository, version })
}

impl Conn {
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.outbox.push(text.into());
    }

    /// Answers AUTH, and gives what the client said.
    pub(crate) async fn greet(&mut self, seq: Seq) -> Auth {
        let request = self.request().await;
        let Command::Auth(auth) = request.command else { panic!("{request:?}") };
        let reply = AuthReply {
            server: Program { name: "scripted".to_owned(), version: self.version.clone() },
            repository: RepositoryId(self.repository.clone()),
            limits: self.limits,
            role: if auth.credential.is_some() { "member" } else { "guest" }.to_owned(),
            can: vec![],
            seq,
            lost: false,
        };
        self.say(encode_success(request.id, &reply));
        auth
    }

    pub(crate) async fn request(&mut self) -> Request {
        self.try_request().await.expect("the client goes on")
    }

    /// The next request; None once the client is gone.
    pub(crate) async fn try_request(&mut self) -> Option<Request> {
        match self.inbox.next().await {
            Ok(Incoming::Text(text)) => Some(Request::decode(&text).expect("a request")),
            Ok(Incoming::Data(_)) => panic!("content where a request was due"),
            Err(_) => None,
        }
    }

    pub(crate) async fn request_skipping_content(&mut self) -> Request {
        loop {
            if let Incoming::Text(text) = self.inbox.next().await.expect("the client goes on") {
                return Request::decode(&text).expect("a request");
            }
        }
    }

    /// Takes the next piece of an upload, which has to follow what is held.
    pub(crate) async fn content(&mut self, id: u32, held: &mut Vec<u8>) {
        let data = self.whole().await;
        let (header, bytes) = DataHeader::decode(data).unwrap();
        assert_eq!((header.id, header.offset), (id, held.len() as u64));
        held.extend_from_slice(&bytes);
    }

    /// The next message, which has to be a binary one.
    pub(crate) async fn whole(&mut self) -> Bytes {
        match self.inbox.next().await {
            Ok(Incoming::Data(data)) => data,
            other => panic!("content was due: {other:?}"),
        }
    }

    pub(crate) async fn command(&mut self) -> v1::Command {
        match self.inbox.next().await {
            Ok(Incoming::Text(text)) => v1::Command::decode(&text).expect("a command"),
            other => panic!("a command was due: {other:?}"),
        }
    }

    /// Waits until what was queued is written: five more contents have passed the queue of four.
    pub(crate) async fn drained(&mut self) {
        for _ in 0..5 {
            self.outbox.data(Bytes::new()).await.unwrap();
        }
    }

    /// The code of the client's close.
    pub(crate) async fn end(&mut self) -> Option<u16> {
        match self.inbox.next().await {
            Err(end) => match end.kind {
                EndKind::Closed(code) => Some(code),
                _ => None,
            },
            Ok(message) => panic!("an end was due: {message:?}"),
        }
    }
}

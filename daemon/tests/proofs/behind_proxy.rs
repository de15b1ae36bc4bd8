//! A server behind a router, by the recipe of `SECURITY.md`: a server that is told what the page says,
//! and a real nginx before it that runs the page's block. Where there is no nginx (`make setup` fetches
//! one) nothing is proven, and that is said.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::control::reply::{SessionState, SessionStatus, Transport};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::invitation::{HostPort, Link, Trust};
use imgrepo_proto::session::SUBPROTOCOL;
use imgrepo_proto::session::command::{Audit, Invite};
use imgrepo_proto::session::event::Event;
use imgrepo_proto::session::people::InviteReply;
use imgrepo_proto::{ErrorCode, Refusal, Secret, Seq};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, WebSocket, client};

use crate::control::{control, download, status, upload};
use crate::nginx::{self, Authority, NAME, Nginx};
use crate::picture::Picture;
use crate::process::{Daemon, imgrepod};

/// Larger than all windows and nginx's buffers together.
const SIZE: usize = 30_000_000;

/// A server and nginx before it.
struct Scene {
    // First, so that nobody asks a server that is gone.
    nginx: Nginx,
    server: Daemon,
    owner: Client,
    authority: Authority,
    directory: TempDir,
}

impl Scene {
    /// None where there is no nginx.
    fn new() -> Option<Scene> {
        let Some(program) = Nginx::find() else {
            println!("*** NOT PROVEN HERE: a server behind a proxy, without nginx: make setup");
            return None;
        };
        let directory = tempfile::tempdir().expect("a temporary directory");
        let home = directory.path().join("server");
        let config = nginx::with(&nginx::block("toml"), "127.0.0.1:8765", "127.0.0.1:0");
        std::fs::create_dir_all(home.join("config")).expect("room");
        std::fs::write(home.join("config/config.toml"), config).expect("room");
        let log = home.with_extension("log");
        let server = Daemon::start(&imgrepod(), &home, &log, &["--serve"], &[]).expect("a server");
        let authority = Authority::new(directory.path(), "authority");
        let url = server.url();
        let listens = url.trim_start_matches("ws://").trim_end_matches('/');
        let nginx = Nginx::start(&program, directory.path(), listens, &authority);
        Some(Scene { nginx, server, owner: control(&home), authority, directory })
    }

    fn people(&mut self, request: PeopleRequest) -> PeopleOutcome {
        match self.owner.call(&Request::People(request)) {
            Ok(Outcome::People(outcome)) => *outcome,
            other => panic!("{other:?}"),
        }
    }

    fn invite(&mut self) -> (InviteReply, Link) {
        let PeopleOutcome::Invited(reply) = self.people(PeopleRequest::Invite(Invite::default()))
        else {
            panic!("no invitation")
        };
        let link = reply.link.expose().parse().expect("it is a link");
        (reply, link)
    }

    /// A client's daemon that knows this authority alone, and who asks it.
    fn daemon(&self, name: &str, authority: &Authority) -> (Daemon, Client) {
        let home = self.directory.path().join(name);
        let log = home.with_extension("log");
        let told = ["--user", name];
        let daemon = Daemon::start(&imgrepod(), &home, &log, &told, &authority.environment());
        (daemon.expect("a daemon"), control(&home))
    }

    /// Takes up an invitation, through nginx: this system knows no name but its own.
    fn join(&self, client: &mut Client, link: &Link) -> Result<SessionStatus, Refusal> {
        let here = HostPort { host: "localhost".to_owned(), port: self.nginx.https };
        let link = Link { addresses: vec![here], ..link.clone() };
        let link = Secret::parse(&link.expose()).expect("it is a link");
        let join = PeopleRequest::Join { link, user: None, device: None };
        match client.call(&Request::People(join))? {
            Outcome::Status(status) => Ok(status.session),
            other => panic!("{other:?}"),
        }
    }

    /// Somebody who was invited and has joined.
    fn member(&mut self, name: &str) -> (Daemon, Client) {
        let (_, link) = self.invite();
        let (daemon, mut client) = self.daemon(name, &self.authority);
        let session = self.join(&mut client, &link).expect("it joins");
        assert_eq!((session.state, session.user.as_str()), (SessionState::Connected, name));
        assert_eq!(session.transport, Some(Transport::Authorities));
        (daemon, client)
    }

    /// An encrypted stream from an address that is not the proxy's own, to the page's name.
    fn elsewhere(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((ELSEWHERE, 0)).into()).expect("the loopback has it");
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, self.nginx.https));
        socket.connect(&to.into()).expect("nginx listens");
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.root()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = NAME.try_into().expect("a name");
        let tls = ClientConnection::new(Arc::new(config), name).expect("a connection");
        StreamOwned::new(tls, socket.into())
    }

    /// A session from there with these headers; or HTTP's word against it.
    fn try_session(&self, headers: &[(&'static str, &str)]) -> Result<Session, u16> {
        let url = format!("wss://{NAME}:{}/", self.nginx.https);
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in [("sec-websocket-protocol", SUBPROTOCOL)].iter().chain(headers) {
            request.headers_mut().append(*name, value.parse().expect("text"));
        }
        match client::client(request, self.elsewhere()) {
            Ok((socket, _)) => Ok(Session(socket)),
            Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    fn session(&self, headers: &[(&'static str, &str)]) -> Session {
        self.try_session(headers).expect("an upgrade")
    }

    /// What a browser is answered there that shows one of the server's own pages.
    fn browser(&self, method: &str, path: &str, cookie: &str, body: &str) -> String {
        let (place, len) = (format!("{NAME}:{}", self.nginx.https), body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {place}\r\nOrigin: https://{place}\r\n\
             Cookie: {cookie}\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        let mut stream = self.elsewhere();
        stream.write_all(request.as_bytes()).expect("it is open");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    /// What a request in the clear is told at this port.
    fn in_the_clear(port: u16) -> String {
        let mut page = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("nginx listens");
        let request = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        page.write_all(request.as_bytes()).expect("it is open");
        let mut text = String::new();
        page.read_to_string(&mut text).expect("an answer");
        text
    }

    fn end(mut self) {
        assert!(self.nginx.is_running(), "nginx runs to the end");
        assert!(self.server.stop().success(), "the server ends in order");
    }
}

/// An address of this computer that is not the proxy's.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// One request after the other.
struct Session(WebSocket<StreamOwned<ClientConnection, TcpStream>>);

impl Session {
    fn ask(&mut self, command: &str, args: &Value) -> Value {
        let text = json!({"id": 1, "cmd": command, "args": args}).to_string();
        self.0.send(Message::text(text)).expect("it is open");
        loop {
            if let Message::Text(text) = self.0.read().expect("an answer") {
                return serde_json::from_str(&text).expect("it is JSON");
            }
        }
    }
}

/// The next event after this one.
fn next_event(mut client: Client, since: Option<Seq>) -> Box<Event> {
    let mut heard = None;
    let follow = Request::Events { since: Some(since.unwrap_or(Seq(0))), follow: true };
    let _ = client.call_with(&follow, &mut |reply| match reply {
        Reply::Event(event) => {
            heard = Some(event);
            Err(Refusal::new(ErrorCode::Cancelled, "enough"))
        }
        _ => Ok(()),
    });
    heard.expect("an event")
}

#[test]
fn the_recipe_lets_in_who_was_invited_and_nobody_else() {
    let Some(mut scene) = Scene::new() else { return };

    // The link leads to nginx, which an authority knows by that name.
    let (reply, link) = scene.invite();
    assert_eq!(link.addresses, [format!("{NAME}:443").parse().expect("a place")]);
    assert_eq!((&link.trust, reply.notice), (&Trust::Authorities, None));
    assert!(reply.page.expose().starts_with(&format!("https://{NAME}:443/join#")));

    // Who comes without anything, or in the clear.
    let guest = scene.session(&[]).ask("AUTH", &json!({"user": "eve"}));
    assert_eq!((&guest["status"], &guest["code"]), (&json!("ERROR"), &json!("denied")), "{guest}");
    let told = Scene::in_the_clear(scene.nginx.http);
    assert!(told.starts_with("HTTP/1.1 426") && told.contains("imgctl join"), "{told}");
    let told = Scene::in_the_clear(scene.nginx.https);
    assert!(told.starts_with("HTTP/1.1 400") && told.contains("HTTPS port"), "{told}");
    // Pages: the server's own, by name and port, and others.
    let page = |name: &str, port| {
        let page = format!("https://{name}:{port}");
        scene.try_session(&[("origin", &page)]).map(drop)
    };
    let port = scene.nginx.https;
    assert_eq!(page(NAME, port), Ok(()));
    for (name, port) in [("evil.example", port), (NAME, scene.nginx.http), ("127.0.0.1", port)] {
        assert_eq!(page(name, port), Err(403), "{name}:{port}");
    }
    // Past nginx there is no way to be somebody by a word of one's own.
    let past = scene.server.url();
    let past = past.trim_start_matches("ws://127.0.0.1:").trim_end_matches('/');
    let told = Scene::in_the_clear(past.parse().expect("a port"));
    assert!(told.starts_with("HTTP/1.1 403") && told.contains("X-Forwarded-Proto"), "{told}");

    // Whose system does not know the authority says nothing there: the invitation is still good.
    let unknown = Authority::new(scene.directory.path(), "unknown");
    let (daemon, mut client) = scene.daemon("carla", &unknown);
    let refused = scene.join(&mut client, &link).expect_err("nobody vouches for it");
    assert!(refused.message.contains("no certificate authority"), "{refused}");
    assert!(daemon.stop().success());

    // Headers of the client's own do not make it come from elsewhere.
    let lie = "192.0.2.66";
    let for_lie = format!("for={lie}");
    let lies = [
        ("x-forwarded-for", lie),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-real-ip", lie),
        ("forwarded", &for_lie),
    ];
    let join = json!({"secret": link.secret.expose(), "user": "dora", "device": "forger"});
    let joined = scene.session(&lies).ask("JOIN", &join);
    assert_eq!(joined["status"], "SUCCESS", "{joined}");
    let PeopleOutcome::Audit(audit) = scene.people(PeopleRequest::Audit(Audit::default())) else {
        panic!("no record")
    };
    let join = audit.entries.iter().find(|entry| entry.act == "join").expect("it is recorded");
    assert_eq!((join.from.as_str(), join.by.as_str()), ("127.0.0.2", "dora"));

    // A browser takes up a link, and is known by its cookie from then on.
    let (_, link) = scene.invite();
    let join = json!({"secret": link.secret.expose(), "user": "fia", "device": "a browser"});
    let joined = scene.browser("POST", "/api/join", "", &join.to_string());
    let cookie = joined.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.unwrap_or_else(|| panic!("{joined}")).split(';').next();
    let known = scene.browser("GET", "/api/me", cookie.unwrap_or_default(), "");
    assert!(known.starts_with("HTTP/1.1 200") && known.contains("\"fia\""), "{known}");

    // Two who were invited share a picture.
    let (ana, mut ask_ana) = scene.member("ana");
    let (bruno, mut ask_bruno) = scene.member("bruno");
    let heard = control(&scene.directory.path().join("bruno"));
    let heard = std::thread::spawn(move || next_event(heard, None));
    let picture = Picture::new("a.bmp", 1, SIZE);
    let stored = upload(&mut ask_ana, scene.directory.path(), &picture).expect("it is stored");
    let Outcome::Stored { image, duplicate: false } = stored else { panic!("{stored:?}") };
    let event = heard.join().expect("it comes");
    assert_eq!((event.event.word(), event.by.as_deref()), ("NEW_UPLOAD", Some("ana")));
    let (record, len, hash) = download(&mut ask_bruno, image.id).expect("it comes");
    assert_eq!((record.uploader.as_str(), len, hash), ("ana", picture.size(), picture.hash));

    assert!(ana.stop().success() && bruno.stop().success());
    scene.end();
}

#[test]
#[ignore = "takes a minute and a half of silence: make torture"]
fn the_recipe_cuts_nobody_who_is_quiet() {
    let Some(mut scene) = Scene::new() else { return };
    let (ana, mut ask_ana) = scene.member("ana");
    let (bruno, mut ask_bruno) = scene.member("bruno");
    let before = status(&mut ask_bruno).session;
    // The silence is what is tried: longer than the 60 s after which nginx gives up a quiet server.
    std::thread::sleep(Duration::from_secs(90));
    let after = status(&mut ask_bruno).session;
    assert_eq!((after.state, after.since), (SessionState::Connected, before.since), "the same");
    let heard = control(&scene.directory.path().join("bruno"));
    let heard = std::thread::spawn(move || next_event(heard, before.seq));
    let picture = Picture::new("a.bmp", 1, 100_000);
    upload(&mut ask_ana, scene.directory.path(), &picture).expect("it is stored");
    assert_eq!(heard.join().expect("it comes").by.as_deref(), Some("ana"));
    let after = status(&mut ask_bruno).session;
    assert_eq!(after.since, before.since, "the same session still");
    assert!(ana.stop().success() && bruno.stop().success());
    scene.end();
}

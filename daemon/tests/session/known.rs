//! Servers that were joined: reached by TLS at any of their addresses, and no other server ever hears
//! a word of the session.

use std::net::SocketAddr;

use imgrepo_proto::control::reply::{SessionState, Transport};
use imgrepo_proto::invitation::{HostPort, Link, Trust};
use imgrepo_proto::session::command::{Command, Program};
use imgrepo_proto::session::people::{DeviceId, JoinReply};
use imgrepo_proto::session::reply::{ServerMessage, encode_success};
use imgrepo_proto::{ErrorCode, PersonName, Refusal, RepositoryId, Secret, Seq};
use imgrepod::session::{Address, Route, ServerUrl};
use tokio::net::TcpListener;

use crate::scripted::Server;
use crate::{Daemon, daemon};

const CREDENTIAL: &str = "c4nary-credential";

fn route(places: &[HostPort], trust: Trust) -> Address {
    let credential = Secret::parse(CREDENTIAL).unwrap();
    Address::Route(Route::new(places, trust, Some(credential)).unwrap())
}

impl Daemon {
    fn connect_known(&self, places: &[HostPort], trust: Trust) {
        self.session.connect(route(places, trust), ana());
    }

    fn error(&self) -> Refusal {
        self.session.status().borrow().error.clone().unwrap()
    }
}

fn ana() -> PersonName {
    PersonName::parse("ana").unwrap()
}

/// A place at which nobody listens.
async fn nowhere() -> HostPort {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    address.to_string().parse().unwrap()
}

#[tokio::test]
async fn a_known_server_is_told_the_credential_and_nobody_else() {
    let server = Server::start_tls().await;
    let daemon = daemon();
    daemon.connect_known(&[server.place()], server.trust());
    let mut conn = server.accept_v2().await;
    let auth = conn.greet(Seq(3)).await;
    assert_eq!(auth.credential.as_ref().map(Secret::expose), Some(CREDENTIAL));
    assert_eq!(auth.user.as_deref(), Some("ana"));
    daemon.state(SessionState::Connected).await;
    let status = daemon.session.status().borrow().clone();
    assert_eq!(status.transport, Some(Transport::Pinned));
    assert_eq!(status.url, Some(format!("wss://{}/", server.place())));
    assert_eq!(status.role.as_deref(), Some("member"));
    assert!(!format!("{status:?} {:?} {auth:?}", daemon.session).contains(CREDENTIAL));
}

#[tokio::test]
async fn another_key_is_a_hard_stop_that_says_what_to_check() {
    let mut server = Server::start_tls().await;
    let trust = server.trust();
    let daemon = daemon();
    daemon.connect_known(&[server.place()], trust.clone());
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    daemon.state(SessionState::Connected).await;

    server.renew();
    drop(conn);
    assert!(server.is_shunned().await);
    daemon.state(SessionState::Refused).await;
    let error = daemon.error();
    assert_eq!(error.code, ErrorCode::Denied);
    assert!(error.message.contains(&trust.to_string()), "{error}");
    assert!(error.message.contains(&server.trust().to_string()), "{error}");
    let hint = error.hint.unwrap();
    assert!(hint.contains("fingerprint") && hint.contains("new invitation"), "{hint}");
    assert_eq!(daemon.session.status().borrow().retry_at, None, "it is not tried again");
}

#[tokio::test]
async fn the_right_one_of_many_addresses_is_found_and_the_key_stays_the_first() {
    let (dead, wrong, right) =
        (nowhere().await, Server::start_tls().await, Server::start_tls().await);
    let daemon = daemon();
    daemon.connect_known(&[dead.clone(), wrong.place(), right.place()], right.trust());
    let (shunned, mut conn) = tokio::join!(wrong.is_shunned(), right.accept_v2());
    assert!(shunned);
    conn.greet(Seq(7)).await;
    daemon.state(SessionState::Connected).await;
    let url = format!("wss://{dead}/");
    assert_eq!(daemon.session.status().borrow().url.as_ref(), Some(&url));

    // The one that worked is tried first after a cut; what was seen is known by the one URL.
    drop(conn);
    let mut conn = right.accept_v2().await;
    let auth = conn.greet(Seq(7)).await;
    assert_eq!(auth.events_since, Some(Seq(7)));
    daemon.state(SessionState::Connected).await;
    let leaving = tokio::spawn({
        let session = daemon.session.clone();
        async move { session.end().await }
    });
    let bye = conn.request().await;
    conn.say(ServerMessage::Bye { id: bye.id, message: String::new() }.encode());
    conn.end().await;
    drop(conn);
    leaving.await.unwrap();
    daemon.keeper.await.unwrap();
    let seen = std::fs::read_to_string(daemon.folder.path().join("session.json")).unwrap();
    assert!(seen.contains(&url), "{seen}");
    assert!(!seen.contains(&right.place().to_string()), "{seen}");
}

#[tokio::test]
async fn only_where_every_address_is_a_wrong_server_it_is_given_up() {
    let (one, two) = (Server::start_tls().await, Server::start_tls().await);
    let trust = Server::start_tls().await.trust();
    let daemon = daemon();
    let dead = nowhere().await;
    // Away from home somebody else has the private address, and the public one may be back soon.
    daemon.connect_known(&[one.place(), dead.clone()], trust.clone());
    assert!(one.is_shunned().await);
    daemon.state(SessionState::Waiting).await;
    let error = daemon.error();
    assert_eq!(error.code, ErrorCode::NotConnected);
    for told in [one.place().to_string(), dead.to_string(), "key".to_owned()] {
        assert!(error.message.contains(&told), "{error}");
    }

    daemon.connect_known(&[one.place(), two.place()], trust);
    let shunned = async |server: &Server| {
        loop {
            assert!(server.is_shunned().await);
        }
    };
    // Whoever still comes for the first wish is answered too.
    tokio::select! {
        () = daemon.state(SessionState::Refused) => {}
        () = shunned(&one) => {}
        () = shunned(&two) => {}
    }
    assert_eq!(daemon.error().code, ErrorCode::Denied);
}

#[tokio::test]
async fn a_certificate_that_no_authority_has_issued_is_refused_before_auth() {
    let server = Server::start_tls().await;
    let daemon = daemon();
    let url = ServerUrl::parse(&format!("wss://{}", server.address())).unwrap();
    daemon.session.connect(Address::Url(url), ana());
    assert!(server.is_shunned().await);
    daemon.state(SessionState::Refused).await;
    let error = daemon.error();
    assert_eq!(error.code, ErrorCode::Denied);
    assert!(error.message.contains("certificate"), "{error}");
    assert!(error.hint.unwrap().contains("invitation"));
}

#[tokio::test]
async fn a_device_that_is_let_in_no_more_says_why_and_stays_out() {
    let server = Server::start_tls().await;
    let daemon = daemon();
    daemon.connect_known(&[server.place()], server.trust());
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    daemon.state(SessionState::Connected).await;
    conn.outbox.close(1008, "this device was revoked");
    conn.end().await;
    drop(conn);
    daemon.state(SessionState::Refused).await;
    let error = daemon.error();
    assert_eq!(error.code, ErrorCode::Denied);
    assert!(error.message.contains("this device was revoked"), "{error}");
    assert!(error.hint.unwrap().contains("imgctl join"));

    // And where the person asks for it all the same.
    daemon.connect_known(&[server.place()], server.trust());
    let mut conn = server.accept_v2().await;
    let auth = conn.request().await;
    let refusal = Refusal::new(ErrorCode::Unauthenticated, "this device was revoked");
    conn.say(ServerMessage::Error { id: Some(auth.id), refusal }.encode());
    daemon.state(SessionState::Refused).await;
    let error = daemon.error();
    assert_eq!(error.code, ErrorCode::Unauthenticated);
    assert!(error.hint.unwrap().contains("imgctl join"));
}

#[tokio::test]
async fn a_known_server_never_turns_into_an_old_one() {
    let server = Server::start_tls().await;
    let daemon = daemon();
    daemon.connect_known(&[server.place()], server.trust());
    let mut conn = server.accept_old().await;
    conn.end().await;
    daemon.state(SessionState::Refused).await;
    assert_eq!(daemon.error().code, ErrorCode::Unsupported);
}

#[tokio::test]
async fn a_server_that_takes_nobody_in_the_clear_says_how_to_go_on() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let answer = "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 19\r\n\r\nthis needs its TLS\n";
    server.refuse(answer).await;
    daemon.state(SessionState::Refused).await;
    let error = daemon.error();
    assert_eq!(error.code, ErrorCode::Denied);
    assert!(error.message.contains("this needs its TLS"), "{error}");
    assert!(error.hint.unwrap().contains("imgctl join"));
}

fn link(server: &Server, trust: Trust) -> Link {
    Link { addresses: vec![server.place()], secret: Secret::parse("s3cret").unwrap(), trust }
}

async fn join(link: &Link) -> Result<JoinReply, Refusal> {
    let program = Program { name: "test".to_owned(), version: "1".to_owned() };
    imgrepod::session::join(link, &ana(), "laptop".to_owned(), &program).await
}

#[tokio::test]
async fn an_invitation_is_told_to_the_server_that_it_names_alone() {
    let (server, other) = (Server::start_tls().await, Server::start_tls().await);
    let wrong = link(&server, other.trust());
    let (joined, shunned) = tokio::join!(join(&wrong), server.is_shunned());
    let refusal = joined.unwrap_err();
    assert_eq!((refusal.code, shunned), (ErrorCode::Denied, true));
    assert!(refusal.message.contains("is not the server of this invitation"), "{refusal}");
    assert!(!format!("{refusal:?}").contains("changed"), "nothing was known before: {refusal:?}");
    assert!(!format!("{refusal:?}").contains("s3cret"));

    let right = link(&server, server.trust());
    let reply = JoinReply {
        repository: RepositoryId("r".to_owned()),
        user: "ana".to_owned(),
        role: "member".to_owned(),
        device: DeviceId(4),
        credential: Secret::parse(CREDENTIAL).unwrap(),
    };
    let serve = async {
        let mut conn = server.accept_v2().await;
        let request = conn.request().await;
        let Command::Join(join) = request.command else { panic!("{request:?}") };
        assert_eq!(join.secret.expose(), "s3cret");
        assert_eq!((join.user.as_deref(), join.device.as_str()), (Some("ana"), "laptop"));
        conn.say(encode_success(request.id, &reply));
        assert_eq!(conn.end().await, Some(1000), "it takes its leave");
    };
    let (joined, ()) = tokio::join!(join(&right), serve);
    assert_eq!(joined.unwrap(), reply);

    let refuse = async {
        let mut conn = server.accept_v2().await;
        let request = conn.request().await;
        let refusal = Refusal::new(ErrorCode::Denied, "this invitation has expired");
        conn.say(ServerMessage::Error { id: Some(request.id), refusal }.encode());
        conn.end().await;
    };
    let (joined, ()) = tokio::join!(join(&right), refuse);
    let refusal = joined.unwrap_err();
    assert_eq!(refusal.message, "this invitation has expired");

    let cut = async {
        let mut conn = server.accept_v2().await;
        conn.request().await;
    };
    let (joined, ()) = tokio::join!(join(&right), cut);
    let refusal = joined.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NotConnected);
    assert!(refusal.message.contains("nobody knows"), "{refusal}");
}

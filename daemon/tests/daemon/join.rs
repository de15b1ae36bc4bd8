//! An invitation is taken up by a whole daemon: what lets in is kept, the server remembered, and the
//! session opened, now and at the next start.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use imgrepo_proto::control::people::PeopleRequest;
use imgrepo_proto::control::queue::QueueRequest;
use imgrepo_proto::control::reply::{SessionState, Transport};
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::invitation::{HostPort, Link};
use imgrepo_proto::session::command::{Command, Join};
use imgrepo_proto::session::people::{DeviceId, JoinReply};
use imgrepo_proto::session::reply::{ServerMessage, encode_success};
use imgrepo_proto::{ErrorCode, Refusal, RepositoryId, Secret, Seq};

use crate::scripted::Server;
use crate::{Home, png};

const CREDENTIAL: &str = "c4nary-credential";

impl Home {
    fn credentials(&self) -> PathBuf {
        self.directory.path().join("state/credentials.json")
    }
}

fn link(server: &Server, secret: &str) -> Secret {
    // First an address that leads nowhere: port 1 of this computer.
    let nowhere: HostPort = "127.0.0.1:1".parse().unwrap();
    let addresses = vec![nowhere, server.place()];
    let link = Link { addresses, secret: Secret::parse(secret).unwrap(), trust: server.trust() };
    Secret::parse(&link.expose()).unwrap()
}

fn join(link: Secret, user: Option<&str>) -> Request {
    let user = user.map(str::to_owned);
    Request::People(PeopleRequest::Join { link, user, device: None })
}

/// Answers one JOIN.
async fn answer_join(server: &Server, answer: Result<(), Refusal>) -> Join {
    let mut conn = server.accept_v2().await;
    let request = conn.request().await;
    let Command::Join(join) = request.command else { panic!("{request:?}") };
    let user = join.user.clone().unwrap();
    match answer {
        Ok(()) => conn.say(encode_success(
            request.id,
            &JoinReply {
                repository: RepositoryId("repository".to_owned()),
                user,
                role: "member".to_owned(),
                device: DeviceId(4),
                credential: Secret::parse(CREDENTIAL).unwrap(),
            },
        )),
        Err(refusal) => conn.say(ServerMessage::Error { id: Some(request.id), refusal }.encode()),
    }
    conn.end().await;
    join
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_invited_joins_once_and_is_known_from_then_on() {
    let server = Server::start_tls().await;
    let mut home = Home::start(&[]).await;
    let first = format!("wss://{}/", "127.0.0.1:1");

    let taken = Refusal::new(ErrorCode::Conflict, "somebody has that name here");
    let (refused, said) =
        tokio::join!(home.call(join(link(&server, "one"), None)), answer_join(&server, Err(taken)));
    assert_eq!(said.user.as_deref(), Some("ana"), "the login name");
    assert!(!said.device.is_empty());
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert!(refused.hint.unwrap().contains("--user"));
    assert_eq!(home.status(Request::Status).await.session.state, SessionState::Offline);

    let serve = async {
        let said = answer_join(&server, Ok(())).await;
        let mut conn = server.accept_v2().await;
        // On the disk before the session begins.
        let kept = fs::read_to_string(home.credentials()).unwrap();
        let auth = conn.greet(Seq(0)).await;
        (said, kept, auth, conn)
    };
    let (status, (said, kept, auth, conn)) =
        tokio::join!(home.status(join(link(&server, "two"), Some("bia"))), serve);
    assert_eq!((said.secret.expose(), said.user.as_deref()), ("two", Some("bia")));
    assert!(kept.contains(CREDENTIAL) && !kept.contains("two"));
    assert_eq!(auth.credential.as_ref().map(Secret::expose), Some(CREDENTIAL));
    let session = status.session;
    assert_eq!((session.state, session.user.as_str()), (SessionState::Connected, "bia"));
    assert_eq!((session.url, session.transport), (Some(first.clone()), Some(Transport::Pinned)));
    let rights = fs::metadata(home.credentials()).unwrap().permissions().mode();
    assert_eq!(rights & 0o777, 0o600);
    let folder = home.directory.path().join("state");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let remembered = fs::read_to_string(folder.join("session.json")).unwrap();
    assert!(remembered.contains(&first) && !remembered.contains(CREDENTIAL));

    // At the next start by itself, and offline its queue is known by the one URL.
    drop(conn);
    home.stop().await;
    let (daemon, mut conn) = tokio::join!(home.run(&[]), server.accept_v2());
    home.daemon = Some(daemon.unwrap());
    assert_eq!(
        home.daemon.as_ref().unwrap().ready(),
        format!("imgrepod is ready: session to {first} as bia")
    );
    let auth = conn.greet(Seq(0)).await;
    assert_eq!(auth.credential.as_ref().map(Secret::expose), Some(CREDENTIAL));
    let (offline, ()) = tokio::join!(home.status(Request::Disconnect), async {
        let bye = conn.request().await;
        conn.say(ServerMessage::Bye { id: bye.id, message: String::new() }.encode());
        conn.end().await;
    });
    assert_eq!(offline.session.state, SessionState::Offline);

    // By any of its addresses, in any spelling, and without a name.
    let plain = Request::Connect { url: server.place().to_string(), user: None };
    let (status, auth) = tokio::join!(home.status(plain), async {
        let mut conn = server.accept_v2().await;
        let auth = conn.greet(Seq(0)).await;
        // What is queued stays when the device is let in no more.
        let path = home.file("a.png", &png(1, 100));
        let content = Content::Path(path);
        let upload = Upload { name: "a.png".to_owned(), content, unless_deleted: false };
        let queued = home.call(Request::Enqueue(upload)).await;
        assert!(matches!(queued, Ok(Outcome::Queued(_))), "{queued:?}");
        conn.outbox.close(1008, "this device was revoked");
        while conn.inbox.next().await.is_ok() {}
        auth
    });
    assert_eq!(status.session.user, "bia");
    assert_eq!(auth.credential.as_ref().map(Secret::expose), Some(CREDENTIAL));
    let refused = home.call(Request::People(PeopleRequest::Invitations)).await.unwrap_err();
    assert!(refused.message.contains("this device was revoked"), "{refused}");
    let ls = Request::Queue(QueueRequest::Ls { all: false, after: None, limit: 10 });
    let Ok(Outcome::Uploads { uploads, .. }) = home.call(ls).await else { panic!() };
    assert_eq!(uploads.len(), 1);
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joined_hears_so_though_there_is_no_place_for_a_session() {
    let server = Server::start_tls().await;
    let mut home = Home::start(&[]).await;
    let why = Refusal::new(ErrorCode::Busy, "`ana` has 1 session here already");
    let serve = async {
        answer_join(&server, Ok(())).await;
        let mut conn = server.accept_v2().await;
        let id = Some(conn.request().await.id);
        conn.say(ServerMessage::Error { id, refusal: why.clone() }.encode());
        conn.outbox.close(1013, "too much at once");
        conn
    };
    let (status, mut conn) = tokio::join!(home.status(join(link(&server, "one"), None)), serve);
    let session = status.session;
    assert_eq!((session.user.as_str(), session.error), ("ana", Some(why)));
    assert_ne!(session.state, SessionState::Connected);
    assert!(fs::read_to_string(home.credentials()).unwrap().contains(CREDENTIAL));
    conn.end().await;

    // It goes on by itself.
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_kept_is_not_asked_for() {
    let server = Server::start_tls().await;
    let mut home = Home::start(&[]).await;
    // Where the file would be is a directory.
    fs::create_dir_all(home.credentials().join("in the way")).unwrap();
    let refused = home.call(join(link(&server, "one"), None)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::FileError);
    assert!(refused.message.contains("credentials.json"), "{refused}");
    home.stop().await;

    let mut server = Home::server().await;
    let conflict = server.call(join(Secret::parse("imgrepo://h:1/#s,ca").unwrap(), None)).await;
    assert_eq!(conflict.unwrap_err().code, ErrorCode::Conflict);
    server.stop().await;
    let mut home = Home::start(&[]).await;
    let refused = home.call(join(Secret::parse("imgrepo://h:1/#s3cret").unwrap(), None)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, ErrorCode::BadRequest);
    assert!(!format!("{refused:?}").contains("s3cret"));
    home.stop().await;
}

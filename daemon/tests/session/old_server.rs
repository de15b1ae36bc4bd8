//! The daemon as the client of an old (v1) server.

use bytes::Bytes;
use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::session::command::{List, Target};
use imgrepo_proto::session::v1;
use imgrepo_proto::{ErrorCode, ImageId};
use imgrepod::transfer::Transfers;

use crate::scripted::{Conn, Server};
use crate::{Collected, content, daemon};

pub(crate) async fn old_server(server: &Server) -> Conn {
    // It answers the first upgrade without the subprotocol, and is dialed once more.
    let mut conn = server.accept_v1_twice().await;
    assert_eq!(conn.command().await, v1::Command::Auth(Some("ana".to_owned())));
    conn.say(v1::Reply::Success("welcome".to_owned()).encode());
    conn
}

pub(crate) fn entries(names: &[&str]) -> String {
    let entry = |name: &&str| {
        let (filename, uploader) = ((*name).to_owned(), "ana".to_owned());
        v1::Entry { filename, uploader }
    };
    v1::Reply::List(names.iter().map(entry).collect()).encode()
}

#[tokio::test]
async fn an_old_server_is_spoken_to_in_its_own_way() {
    let server = Server::start().await;
    let daemon = daemon();
    let mut follower = daemon.session.follow(None);
    daemon.connect(&server);
    let mut conn = old_server(&server).await;
    let history = v1::Reply::History(vec!["one".to_owned(), "two".to_owned()]);
    conn.say(history.encode());
    daemon.state(SessionState::Connected).await;
    let status = daemon.session.status().borrow().clone();
    assert_eq!(status.dialect.as_deref(), Some("v1"));
    assert!(status.notice.unwrap().contains("old server"));
    for text in ["one", "two"] {
        let event = follower.next().await.unwrap();
        assert_eq!((event.message.as_deref(), event.seq), (Some(text), None));
    }
    let peer = daemon.session.peer().await.unwrap();
    let error = peer.delete(Target::id(ImageId(1))).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported);

    // Two at once: one waits for the other.
    let (one, two) = (peer.clone(), peer);
    let one = tokio::spawn(async move { one.list(List::default()).await });
    let two = tokio::spawn(async move { two.info(Target::id(ImageId(2))).await });
    for _ in 0..2 {
        assert_eq!(conn.command().await, v1::Command::List);
        conn.say(v1::Reply::NewUpload("three".to_owned()).encode());
        conn.say(entries(&["a.png", "b.png", "a.png"]));
    }
    assert_eq!(one.await.unwrap().unwrap().images.len(), 3);
    assert_eq!(two.await.unwrap().unwrap().image.name, "b.png");
    assert_eq!(follower.next().await.unwrap().message.as_deref(), Some("three"));

    let sink = Collected::default();
    let fetching = tokio::spawn({
        let (session, sink) = (daemon.session.clone(), sink.clone());
        async move { Transfers::new(session.clone()).download(Target::id(ImageId(1)), 0, sink).await }
    });
    let image = content(300_000);
    for _ in 0..2 {
        assert_eq!(conn.command().await, v1::Command::List);
        conn.say(entries(&["a.png", "b.png", "a.png"]));
    }
    assert_eq!(conn.command().await, v1::Command::Download("a.png".to_owned()));
    let size = v1::Reply::SizeInfo { size: 300_000, filename: "a.png".to_owned(), view: false };
    conn.say(size.encode());
    conn.outbox.data(Bytes::from(image.clone())).await.unwrap();
    conn.drained().await;
    conn.say(v1::Reply::Success("sent".to_owned()).encode());
    assert_eq!(fetching.await.unwrap().unwrap().id, ImageId(1));
    assert!(sink.0.lock().unwrap().1 == image);

    // After a cut HISTORY is not told again.
    drop(conn);
    let conn = old_server(&server).await;
    conn.say(history.encode());
    conn.say(v1::Reply::NewUpload("four".to_owned()).encode());
    for text in ["three", "four"] {
        assert_eq!(follower.next().await.unwrap().message.as_deref(), Some(text));
    }
}

#[tokio::test]
async fn an_upload_to_an_old_server_is_looked_for_before_it_is_sent_again() {
    let content = content(5000);
    let server = Server::start().await;
    let daemon = daemon();
    let path = daemon.file(&content);
    daemon.connect(&server);
    let mut conn = old_server(&server).await;
    let uploading = daemon.upload(&path);
    assert_eq!(conn.command().await, v1::Command::List);
    conn.say(entries(&["a.png"]));
    let offer = v1::Command::Upload { name: "a.png".to_owned(), size: 5000 };
    assert_eq!(conn.command().await, offer);
    conn.say(v1::Reply::Ready.encode());
    assert!(conn.whole().await == content);
    drop(conn);
    // It was not stored: it is sent again. Then the reply is lost, but the list has it.
    let mut conn = old_server(&server).await;
    assert_eq!(conn.command().await, v1::Command::List);
    conn.say(entries(&["a.png"]));
    assert_eq!(conn.command().await, offer);
    conn.say(v1::Reply::Ready.encode());
    conn.whole().await;
    drop(conn);
    let mut conn = old_server(&server).await;
    assert_eq!(conn.command().await, v1::Command::List);
    conn.say(entries(&["a.png", "x.png", "a.png"]));
    assert_eq!(uploading.await.unwrap().unwrap().image.id, ImageId(3));

    // One that finds it too large says so by its close.
    let uploading = daemon.upload(&path);
    assert_eq!(conn.command().await, v1::Command::List);
    conn.say(entries(&[]));
    conn.command().await;
    conn.say(v1::Reply::Ready.encode());
    conn.whole().await;
    conn.outbox.close(1009, "");
    // It hears the answer to its close and hangs up, as a server does.
    conn.end().await;
    drop(conn);
    let error = uploading.await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::TooLarge);
    assert!(error.hint.unwrap().contains("1 MiB"));
}

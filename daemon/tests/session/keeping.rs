//! One session, kept: requests, cuts, refusals, events.

use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::session::command::{Auth, Command, List, Target};
use imgrepo_proto::session::event::{Event, EventKind};
use imgrepo_proto::session::reply::{
    EventsReply, ImageReply, ListReply, ServerMessage, encode_success,
};
use imgrepo_proto::{ErrorCode, ImageId, Refusal, Seq};

use crate::scripted::Server;
use crate::{daemon, daemon_in, record};

fn event(seq: u64) -> Event {
    Event {
        event: EventKind::NewUpload,
        seq: Some(Seq(seq)),
        at: None,
        by: Some("bia".to_owned()),
        image: Some(record(seq)),
        message: None,
    }
}

#[tokio::test]
async fn many_requests_are_answered_in_any_order() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    let peer = daemon.session.peer().await.unwrap();
    let one = tokio::spawn({
        let peer = peer.clone();
        async move { peer.info(Target::id(ImageId(1))).await }
    });
    let first = conn.request().await;
    let two = tokio::spawn(async move { peer.list(List::default()).await });
    let second = conn.request().await;
    assert!(matches!((&first.command, &second.command), (Command::Info(_), Command::List(_))));
    assert!(first.id > 1 && second.id > first.id);
    conn.say("{\"id\":99,\"status\":\"WHATEVER\"}");
    conn.say("no json");
    conn.say(encode_success(second.id, &ListReply::default()));
    assert_eq!(two.await.unwrap().unwrap(), ListReply::default());
    conn.say(encode_success(first.id, &ImageReply { image: record(1) }));
    assert_eq!(one.await.unwrap().unwrap().image, record(1));
    assert_eq!(daemon.session.status().borrow().state, SessionState::Connected);

    let leaving = tokio::spawn({
        let session = daemon.session.clone();
        async move { session.end().await }
    });
    let bye = conn.request().await;
    assert_eq!(bye.command, Command::Disconnect);
    conn.say(ServerMessage::Bye { id: bye.id, message: String::new() }.encode());
    assert_eq!(conn.end().await, Some(1000), "closed in order");
    drop(conn);
    leaving.await.unwrap();
    daemon.keeper.await.unwrap();
    assert_eq!(daemon.session.peer().await.unwrap_err().code, ErrorCode::ShuttingDown);
}

#[tokio::test]
async fn a_read_is_asked_again_after_a_cut_and_a_change_is_not() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    let peer = daemon.session.peer().await.unwrap();
    let list = tokio::spawn({
        let peer = peer.clone();
        async move { peer.list(List::default()).await }
    });
    let delete = tokio::spawn(async move { peer.delete(Target::id(ImageId(1))).await });
    conn.request().await;
    conn.request().await;
    drop(conn);
    let error = delete.await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::NotConnected);
    assert!(error.message.contains("may or may not"), "{error}");
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    let again = conn.request().await;
    assert!(matches!(again.command, Command::List(_)));
    conn.say(encode_success(again.id, &ListReply::default()));
    list.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_is_refused_is_not_tried_again_and_offline_says_so() {
    let server = Server::start().await;
    let daemon = daemon();
    assert_eq!(daemon.session.peer().await.unwrap_err().code, ErrorCode::NotConnected);
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    let auth = conn.request().await;
    let refusal = Refusal::new(ErrorCode::Denied, "no guests here");
    conn.say(ServerMessage::Error { id: Some(auth.id), refusal: refusal.clone() }.encode());
    daemon.state(SessionState::Refused).await;
    assert_eq!(daemon.session.peer().await.unwrap_err(), refusal);
    assert_eq!(daemon.session.status().borrow().retry_at, None);

    // The person may ask for it again. A close for policy is a refusal too.
    daemon.connect(&server);
    assert_eq!(daemon.session.status().borrow().state, SessionState::Connecting);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    daemon.state(SessionState::Connected).await;
    conn.outbox.close(1008, "go away");
    // It hears the answer to its close and hangs up, as a server does.
    conn.end().await;
    drop(conn);
    daemon.state(SessionState::Refused).await;
    // And so is an upgrade that is.
    daemon.connect(&server);
    server.refuse("HTTP/1.1 403 Forbidden\r\ncontent-length: 8\r\n\r\nnot you\n").await;
    daemon.state(SessionState::Refused).await;
    let error = daemon.session.peer().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Denied);
    assert!(error.message.contains("403"), "{error}");

    // Any other fault is tried again.
    daemon.connect(&server);
    server.refuse("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    daemon.state(SessionState::Connected).await;
    drop(conn);
    daemon.session.disconnect().await;
    assert_eq!(daemon.session.status().borrow().state, SessionState::Offline);
}

#[tokio::test]
async fn events_are_followed_through_cuts_and_restarts() {
    let server = Server::start().await;
    let first = daemon();
    let mut follower = first.session.follow(Some(Seq(3)));
    first.connect(&server);
    let mut conn = server.accept_v2().await;
    assert_eq!(conn.greet(Seq(5)).await.events_since, None, "nothing is remembered yet");
    // 4 and 5 are read, 6 comes live.
    conn.say(ServerMessage::Event(Box::new(event(6))).encode());
    let following = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.last() != Some(&9) {
            seen.push(follower.next().await.unwrap().seq.unwrap().0);
        }
        seen
    });
    let ask = conn.request().await;
    let Command::Events(events) = &ask.command else { panic!("{ask:?}") };
    assert_eq!(events.since, Seq(3));
    let page = EventsReply { events: vec![event(4), event(5)], next: Some(Seq(5)) };
    conn.say(encode_success(ask.id, &page));
    let mut status = first.session.status();
    status.wait_for(|status| status.seq == Some(Seq(6))).await.unwrap();
    // A cut; 7 happens meanwhile, and the server replays it.
    drop(conn);
    let mut conn = server.accept_v2().await;
    assert_eq!(conn.greet(Seq(7)).await.events_since, Some(Seq(6)));
    for seq in 7..=9 {
        conn.say(ServerMessage::Event(Box::new(event(seq))).encode());
    }
    // Whether the follower asks or waits for the replay is its own affair.
    let answering = tokio::spawn(async move {
        while let Some(request) = conn.try_request().await {
            if let Command::Events(events) = &request.command {
                let events = (events.since.0 + 1..=9).map(event).collect();
                conn.say(encode_success(request.id, &EventsReply { events, next: None }));
            } else if request.command == Command::Disconnect {
                conn.say(ServerMessage::Bye { id: request.id, message: String::new() }.encode());
            }
        }
    });
    assert_eq!(following.await.unwrap(), [4, 5, 6, 7, 8, 9]);
    status.wait_for(|status| status.seq == Some(Seq(9))).await.unwrap();
    first.session.end().await;
    first.keeper.await.unwrap();
    answering.await.unwrap();

    // A new process remembers; a server restored from a backup is followed from its newest on.
    let second = daemon_in(first.folder);
    second.connect(&server);
    let mut conn = server.accept_v2().await;
    let auth = conn.request().await;
    let Command::Auth(Auth { events_since, .. }) = auth.command else { panic!() };
    assert_eq!(events_since, Some(Seq(9)));
    let refusal = Refusal::new(ErrorCode::Ahead, "there is no event 9");
    conn.say(ServerMessage::Error { id: Some(auth.id), refusal }.encode());
    let mut conn = server.accept_v2().await;
    assert_eq!(conn.greet(Seq(2)).await.events_since, None);
    second.state(SessionState::Connected).await;
    let error = second.session.follow(Some(Seq(9))).next().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Ahead);
}

#[tokio::test]
async fn another_repository_at_the_same_address_is_greeted_anew() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(5)).await;
    daemon.state(SessionState::Connected).await;
    let mut follower = daemon.session.follow(None);
    drop(conn);
    let mut conn = server.accept_v2().await;
    conn.repository = "another".to_owned();
    assert_eq!(conn.greet(Seq(9)).await.events_since, Some(Seq(5)));
    let mut conn = server.accept_v2().await;
    conn.repository = "another".to_owned();
    assert_eq!(conn.greet(Seq(9)).await.events_since, None);
    let mut status = daemon.session.status();
    status.wait_for(|status| status.seq == Some(Seq(9))).await.unwrap();
    let error = follower.next().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
}

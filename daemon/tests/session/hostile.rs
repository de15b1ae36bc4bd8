//! Servers that say what no server should: the request fails, and nothing else does.

use imgrepo_proto::control::reply::{SessionState, SessionStatus};
use imgrepo_proto::session::command::List;
use imgrepo_proto::session::event::{Event, EventKind};
use imgrepo_proto::session::reply::{EventsReply, ServerMessage, encode_success};
use imgrepo_proto::session::v1;
use imgrepo_proto::{ErrorCode, Refusal, Seq};

use crate::daemon;
use crate::old_server::old_server;
use crate::scripted::Server;

fn event(seq: Option<u64>) -> Event {
    let (event, seq) = (EventKind::NewUpload, seq.map(Seq));
    Event { event, seq, at: None, by: None, image: None, message: None }
}

#[tokio::test]
async fn an_old_servers_answer_that_cannot_be_read_ends_its_command() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = old_server(&server).await;
    let peer = daemon.session.peer().await.unwrap();
    for answer in [
        r#"{"status":"SUCCESS","cmd":"LIST","data":[{"filename":7}]}"#,
        r#"{"status":"SUCCESS","cmd":"LIST","data":"none"}"#,
        r#"{"status":"SIZE_INFO","size":-1}"#,
        r#"{"status":"PERHAPS"}"#,
    ] {
        let peer = peer.clone();
        let listing = tokio::spawn(async move { peer.list(List::default()).await });
        assert_eq!(conn.command().await, v1::Command::List);
        // What is not known and answers nothing is passed over.
        conn.say(r#"{"event":"NOVELTY","data":[]}"#);
        conn.say("no JSON");
        conn.say(answer);
        let refusal = listing.await.unwrap().unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Internal, "{answer}");
        assert!(refusal.message.contains("the old server broke the protocol"), "{refusal}");
    }
}

#[tokio::test]
async fn an_old_servers_latest_notices_are_its_events() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let conn = old_server(&server).await;
    let mut follower = daemon.session.follow(Some(Seq(0)));
    for number in 1..=30 {
        conn.say(v1::Reply::NewUpload(number.to_string()).encode());
    }
    for _ in 1..=30 {
        follower.next().await.unwrap();
    }
    let peer = daemon.session.peer().await.unwrap();
    let events = peer.events(Seq(0), 20).await.unwrap().events;
    let told: Vec<_> = events.iter().filter_map(|event| event.message.clone()).collect();
    assert_eq!((told.len(), told[0].as_str(), told[19].as_str()), (20, "11", "30"));
}

#[tokio::test]
async fn the_newest_event_is_an_older_one_after_a_restore_from_a_backup() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(100)).await;
    let mut status = daemon.session.status();
    status.wait_for(|status| status.seq == Some(Seq(100))).await.unwrap();
    drop(conn);
    let mut conn = server.accept_v2().await;
    let auth = conn.request().await;
    let refusal = Refusal::new(ErrorCode::Ahead, "there is no event 100");
    conn.say(ServerMessage::Error { id: Some(auth.id), refusal }.encode());
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(50)).await;
    status.wait_for(|status| status.state == SessionState::Connected).await.unwrap();
    assert_eq!(status.borrow().seq, Some(Seq(50)));
}

#[tokio::test]
async fn a_page_that_leads_nowhere_is_not_asked_for_again() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(9)).await;
    let mut follower = daemon.session.follow(Some(Seq(3)));
    let following = tokio::spawn(async move { follower.next().await });
    let ask = conn.request().await;
    let page = EventsReply { events: vec![event(Some(2)), event(None)], next: Some(Seq(3)) };
    conn.say(encode_success(ask.id, &page));
    tokio::select! {
        outcome = following => assert_eq!(outcome.unwrap().unwrap_err().code, ErrorCode::Internal),
        again = conn.request() => panic!("asked again: {again:?}"),
    }
}

#[tokio::test]
async fn an_event_without_a_place_is_passed_over() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    daemon.state(SessionState::Connected).await;
    let mut follower = daemon.session.follow(Some(Seq(0)));
    for seq in [Some(1), None, Some(2), Some(3)] {
        conn.say(ServerMessage::Event(Box::new(event(seq))).encode());
    }
    let mut status = daemon.session.status();
    status.wait_for(|status| status.seq == Some(Seq(3))).await.unwrap();
    for seq in 1..=3 {
        assert_eq!(follower.next().await.unwrap().seq, Some(Seq(seq)));
    }
}

#[tokio::test]
async fn each_repository_has_its_own_last_event() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut status = daemon.session.status();
    // One address leads to two repositories in turn: a name that two networks understand.
    let greetings = [("home", 5, [None].as_slice()), ("lab", 7, &[Some(5), None])];
    let back = [("home", 6, [Some(7), Some(5)].as_slice()), ("lab", 8, &[Some(6), Some(7)])];
    for (repository, newest, asked) in greetings.into_iter().chain(back) {
        let mut conns = Vec::new();
        for since in asked {
            let mut conn = server.accept_v2().await;
            conn.repository = repository.to_owned();
            assert_eq!(conn.greet(Seq(newest)).await.events_since, since.map(Seq), "{repository}");
            conns.push(conn);
        }
        let missed = ServerMessage::Event(Box::new(event(Some(newest))));
        conns.last().unwrap().say(missed.encode());
        let there = |status: &SessionStatus| {
            status.repository.as_ref().is_some_and(|id| id.0 == repository)
                && status.seq == Some(Seq(newest))
        };
        status.wait_for(there).await.unwrap();
        // All are cut.
    }
}

//! Servers that say exactly what a test wants: no room, no, and another version.

use imgrepo_proto::control::queue::UploadState::{Duplicate, Refused, Sending, Stored, Waiting};
use imgrepo_proto::session::command::{Command, Request, Upload};
use imgrepo_proto::session::reply::{ServerMessage, UploadReply, encode_success};
use imgrepo_proto::session::v1;
use imgrepo_proto::{ErrorCode, ImageId, ImageRecord, Refusal, Seq};

use crate::scripted::{Conn, Server};
use crate::{Client, bounded, picture, refusal_of};

fn offer(request: &Request) -> &Upload {
    match &request.command {
        Command::Upload(upload) => upload,
        other => panic!("{other:?}"),
    }
}

fn refuse(conn: &Conn, id: u32, code: ErrorCode) {
    conn.say(ServerMessage::Error { id: Some(id), refusal: Refusal::new(code, "no") }.encode());
}

fn store(conn: &Conn, id: u32, image: u64) {
    let image = ImageRecord::bare(ImageId(image), "a", "ana");
    conn.say(encode_success(id, &UploadReply { image, duplicate: false }));
}

/// A client that has met this server, and is offline.
async fn met(home: &std::path::Path, server: &Server) -> Client {
    let client = Client::start(home).await;
    let meet = async {
        let mut conn = server.accept_v2().await;
        conn.greet(Seq(0)).await;
        while conn.try_request().await.is_some() {}
    };
    tokio::join!(client.meet(server.address()), meet);
    client
}

async fn connected(client: &Client, server: &Server) -> Conn {
    client.connect(server.address());
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    conn
}

#[tokio::test]
async fn small_ones_are_not_stuck_behind_large_ones_and_the_oldest_goes_first() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let client = met(home.path(), &server).await;
    for seed in 0..5 {
        client.enqueue(&format!("large{seed}"), &picture(seed, 1_200_000)).await;
    }
    for seed in 0..3 {
        client.enqueue(&format!("small{seed}"), &picture(9 + seed, 100)).await;
    }
    let mut conn = connected(&client, &server).await;
    let mut offers = Vec::new();
    for _ in 0..6 {
        let request = bounded(conn.request_skipping_content()).await;
        offers.push((offer(&request).name.clone(), request.id));
    }
    let mut names: Vec<_> = offers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["large0", "large1", "large2", "small0", "small1", "small2"]);
    let large = offers.iter().find(|(name, _)| name == "large1").unwrap().1;
    store(&conn, large, 1);
    let request = bounded(conn.request_skipping_content()).await;
    assert_eq!(offer(&request).name, "large3");
    client.stop().await;
}

#[tokio::test]
async fn a_server_without_room_is_asked_again_and_a_cut_costs_no_pause() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let client = met(home.path(), &server).await;
    let id = client.enqueue("a", &picture(1, 100)).await;
    let mut conn = connected(&client, &server).await;
    let request = bounded(conn.request_skipping_content()).await;
    assert_eq!(client.upload(id).await.state, Sending);
    refuse(&conn, request.id, ErrorCode::StorageFull);
    let waiting = client.until(id, Waiting).await;
    assert_eq!(refusal_of(&waiting).code, ErrorCode::StorageFull);
    assert!(waiting.retry_at.is_some());
    let status = client.queue.status().await.unwrap();
    assert!(status.counts.waiting == 0 || status.waits == waiting.error, "{status:?}");
    let request = bounded(conn.request_skipping_content()).await;
    assert_eq!(offer(&request).name, "a");
    drop(conn);
    let waiting = client.until(id, Waiting).await;
    assert_eq!((refusal_of(&waiting).code, waiting.retry_at), (ErrorCode::NotConnected, None));
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    let request = bounded(conn.request_skipping_content()).await;
    store(&conn, request.id, 7);
    let stored = client.until(id, Stored).await;
    assert_eq!((stored.image, stored.attempts, stored.error), (Some(ImageId(7)), 3, None));
    client.stop().await;
}

#[tokio::test]
async fn what_was_stored_in_a_cut_is_no_duplicate() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let client = met(home.path(), &server).await;
    // Whether the server was ready for it before the cut, and was sent all of it.
    for (seed, is_ready, end) in [(1, true, Stored), (2, false, Duplicate)] {
        let content = picture(seed, 100);
        let id = client.enqueue("a", &content).await;
        let mut conn = connected(&client, &server).await;
        let request = bounded(conn.request_skipping_content()).await;
        let mut held = Vec::new();
        bounded(conn.content(request.id, &mut held)).await;
        assert!(held == content);
        if is_ready {
            conn.say(ServerMessage::Ready { id: request.id, offset: 0 }.encode());
            conn.drained().await;
        }
        drop(conn);
        client.until(id, Waiting).await;
        let mut conn = server.accept_v2().await;
        conn.greet(Seq(0)).await;
        let request = bounded(conn.request_skipping_content()).await;
        let image = ImageRecord::bare(ImageId(7), "a", "ana");
        conn.say(encode_success(request.id, &UploadReply { image, duplicate: true }));
        client.until(id, end).await;
        client.session.disconnect().await;
    }
    client.stop().await;
}

#[tokio::test]
async fn a_refusal_stands_until_the_server_is_another() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let mut client = met(home.path(), &server).await;
    let id = client.enqueue("a", &picture(1, 100)).await;
    let mut conn = connected(&client, &server).await;
    let request = bounded(conn.request_skipping_content()).await;
    refuse(&conn, request.id, ErrorCode::NotAnImage);
    let refused = client.until(id, Refused).await;
    assert_eq!(refusal_of(&refused).code, ErrorCode::NotAnImage);
    assert_eq!(client.done().await.counts.faults(), 1);

    // The same one, after a restart: nothing is offered, but what is new.
    client.stop().await;
    client = Client::start(home.path()).await;
    let mut conn = connected(&client, &server).await;
    let mut membership = client.queue.membership();
    bounded(membership.wait_for(Option::is_some)).await.unwrap();
    client.enqueue("b", &picture(2, 100)).await;
    let request = bounded(conn.request_skipping_content()).await;
    assert_eq!(offer(&request).name, "b");
    store(&conn, request.id, 1);
    drop(conn);
    let mut conn = server.accept_v2().await;
    conn.version = "2".to_owned();
    conn.greet(Seq(0)).await;
    let request = bounded(conn.request_skipping_content()).await;
    let first = offer(&request).name.clone();
    store(&conn, request.id, 2);
    if first == "b" {
        // Its word was lost in the cut.
        let request = bounded(conn.request_skipping_content()).await;
        assert_eq!(offer(&request).name, "a");
        store(&conn, request.id, 2);
    }
    client.until(id, Stored).await;
    client.stop().await;
}

#[tokio::test]
async fn what_is_given_up_under_way_is_cancelled_there() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let client = met(home.path(), &server).await;
    let id = client.enqueue("a", &picture(1, 100)).await;
    let mut conn = connected(&client, &server).await;
    let request = bounded(conn.request_skipping_content()).await;
    let these = imgrepo_proto::control::queue::Which::These(vec![id]);
    assert_eq!(client.queue.cancel(these).await, Ok(1));
    let cancel = bounded(conn.request_skipping_content()).await;
    assert!(matches!(cancel.command, Command::Cancel(ref c) if c.request == request.id));
    assert_eq!(client.upload(id).await.state.word(), "cancelled");
    assert_eq!(client.done().await.counts.cancelled, 1);
    client.stop().await;
}

#[tokio::test]
async fn an_old_server_gets_it_once_through_a_cut_that_the_client_outlives() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let client = Client::start(home.path()).await;
    let content = picture(1, 100);
    client.connect(server.address());
    let old = || async {
        let mut conn = server.accept_v1_twice().await;
        assert_eq!(conn.command().await, v1::Command::Auth(Some("ana".to_owned())));
        conn.say(v1::Reply::Success("welcome".to_owned()).encode());
        conn
    };
    let list = |conn: &Conn, names: &[&str]| {
        let entry =
            |name: &&str| v1::Entry { filename: (*name).to_owned(), uploader: "ana".to_owned() };
        conn.say(v1::Reply::List(names.iter().map(entry).collect()).encode());
    };
    let mut conn = bounded(old()).await;
    let mut membership = client.queue.membership();
    bounded(membership.wait_for(Option::is_some)).await.unwrap();
    let id = client.enqueue("a.png", &content).await;
    assert_eq!(bounded(conn.command()).await, v1::Command::List);
    list(&conn, &[]);
    assert!(matches!(bounded(conn.command()).await, v1::Command::Upload { .. }));
    conn.say(v1::Reply::Ready.encode());
    assert!(bounded(conn.whole()).await == content);
    // Its word is lost, but its list has one more.
    drop(conn);
    let mut conn = bounded(old()).await;
    assert_eq!(bounded(conn.command()).await, v1::Command::List);
    list(&conn, &["a.png"]);
    let stored = client.until(id, Stored).await;
    assert_eq!((stored.image, stored.attempts), (Some(ImageId(1)), 1));
    client.stop().await;
}

//! Uploads and downloads over v2: windows, cuts, faults.

use bytes::Bytes;
use imgrepo_proto::control::reply::{Phase, Progress};
use imgrepo_proto::session::DataHeader;
use imgrepo_proto::session::command::{Command, List, Request, Target};
use imgrepo_proto::session::reply::{
    DownloadReply, ImageReply, ListReply, ServerMessage, SizeInfo, UploadReply, encode_success,
};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, Refusal, Seq};
use imgrepod::transfer::Transfers;
use tokio::sync::watch;

use crate::scripted::Server;
use crate::{Collected, NO_PROGRESS, content, daemon, hash, record};

fn refused(id: u32, code: ErrorCode) -> String {
    ServerMessage::Error { id: Some(id), refusal: Refusal::new(code, "no") }.encode()
}

#[tokio::test]
async fn an_upload_goes_on_after_a_cut_where_the_server_stands() {
    let content = content(700_000);
    let server = Server::start().await;
    let daemon = daemon();
    let path = daemon.file(&content);
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.limits.window = 200_000;
    conn.greet(Seq(0)).await;
    let progress = watch::Sender::new(NO_PROGRESS);
    let mut seen = progress.subscribe();
    let uploading = daemon.upload_watched(&path, progress);
    let ask = conn.request().await;
    let Command::Upload(upload) = &ask.command else { panic!("{ask:?}") };
    assert_eq!((upload.size, upload.hash), (700_000, Some(hash(&content))));
    conn.say(ServerMessage::Ready { id: ask.id, offset: 0 }.encode());
    // No more comes than the window allows, until some is acknowledged.
    let mut held = Vec::new();
    while held.len() + 64 * 1024 <= 200_000 {
        conn.content(ask.id, &mut held).await;
    }
    conn.say(ServerMessage::Ack { id: ask.id, offset: 100_000 }.encode());
    conn.content(ask.id, &mut held).await;
    assert!(held.len() <= 300_000);
    seen.wait_for(|now| now.done == 100_000 && now.phase == Phase::Sending).await.unwrap();
    drop(conn);
    seen.wait_for(|now| now.phase == Phase::Waiting).await.unwrap();

    held.truncate(150_000);
    let mut conn = server.accept_v2().await;
    conn.limits.window = 200_000;
    conn.greet(Seq(0)).await;
    let ask = conn.request().await;
    assert!(matches!(&ask.command, Command::Upload(again) if again == upload));
    conn.say(ServerMessage::Ready { id: ask.id, offset: 150_000 }.encode());
    while held.len() < content.len() {
        conn.content(ask.id, &mut held).await;
        conn.say(ServerMessage::Ack { id: ask.id, offset: held.len() as u64 }.encode());
    }
    assert!(held == content);
    let reply = UploadReply { image: record(1), duplicate: false };
    conn.say(encode_success(ask.id, &reply));
    assert_eq!(uploading.await.unwrap().unwrap(), reply);
    let all = Progress { phase: Phase::Sending, done: 700_000, total: 700_000 };
    assert_eq!(*seen.borrow(), all);
}

#[tokio::test]
async fn a_small_upload_does_not_wait_and_a_wrong_hash_is_tried_once_more() {
    let content = content(200_000);
    let server = Server::start().await;
    let daemon = daemon();
    let path = daemon.file(&content);
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    let uploading = daemon.upload(&path);
    let ask = conn.request().await;
    let mut held = Vec::new();
    while held.len() < content.len() {
        conn.content(ask.id, &mut held).await;
    }
    assert!(held == content, "all of it came before READY");
    conn.say(ServerMessage::Ready { id: ask.id, offset: 70_000 }.encode());
    conn.say(ServerMessage::Ack { id: ask.id, offset: 200_000 }.encode());
    conn.say(refused(ask.id, ErrorCode::WrongHash));
    let again = conn.request().await;
    assert_eq!(again.command, ask.command);
    conn.say(refused(again.id, ErrorCode::WrongHash));
    assert_eq!(uploading.await.unwrap().unwrap_err().code, ErrorCode::WrongHash);

    // This time the file has changed meanwhile.
    let uploading = daemon.upload(&path);
    let ask = conn.request_skipping_content().await;
    let mut held = Vec::new();
    while held.len() < content.len() {
        conn.content(ask.id, &mut held).await;
    }
    std::fs::write(&path, b"other").unwrap();
    conn.say(refused(ask.id, ErrorCode::WrongHash));
    assert_eq!(uploading.await.unwrap().unwrap_err().code, ErrorCode::FileError);
}

#[tokio::test]
async fn a_file_that_goes_away_while_it_is_sent_is_given_up() {
    let server = Server::start().await;
    let daemon = daemon();
    let path = daemon.file(&content(700_000));
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.limits.window = 200_000;
    conn.greet(Seq(0)).await;
    let uploading = daemon.upload(&path);
    let ask = conn.request().await;
    std::fs::remove_file(&path).unwrap();
    conn.say(ServerMessage::Ready { id: ask.id, offset: 600_000 }.encode());
    let error = uploading.await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::FileError);
    assert!(error.message.contains("deleted"), "{error}");
    let cancel = conn.request_skipping_content().await;
    assert!(matches!(cancel.command, Command::Cancel(ref c) if c.request == ask.id));
}

#[tokio::test]
async fn a_dropped_upload_is_cancelled_and_passing_faults_are_outlived() {
    let server = Server::start().await;
    let daemon = daemon();
    let path = daemon.file(&content(10));
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.limits.max_requests = 1;
    conn.greet(Seq(0)).await;
    let dropped = daemon.upload(&path);
    let ask = conn.request().await;
    dropped.abort();
    let cancel = conn.request_skipping_content().await;
    assert!(matches!(cancel.command, Command::Cancel(ref c) if c.request == ask.id), "{cancel:?}");
    conn.say(encode_success(cancel.id, &()));
    // The one request that the server takes is under way until the server says its end.
    let next = daemon.upload(&path);
    conn.say(refused(ask.id, ErrorCode::Cancelled));
    let ask = conn.request_skipping_content().await;
    assert!(matches!(ask.command, Command::Upload(_)));
    conn.say(refused(ask.id, ErrorCode::StorageFull));
    assert_eq!(next.await.unwrap().unwrap_err().code, ErrorCode::StorageFull);
    // A busy server is asked again.
    let next = daemon.upload(&path);
    let ask = conn.request_skipping_content().await;
    conn.say(refused(ask.id, ErrorCode::Busy));
    let ask = conn.request_skipping_content().await;
    let reply = UploadReply { image: record(7), duplicate: true };
    conn.say(encode_success(ask.id, &reply));
    assert_eq!(next.await.unwrap().unwrap(), reply);
}

#[tokio::test]
async fn a_download_goes_on_after_a_cut_and_is_checked() {
    let content = content(600_000);
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.limits.window = 200_000;
    conn.greet(Seq(0)).await;
    let sink = Collected::default();
    let fetching = tokio::spawn({
        let (session, sink) = (daemon.session.clone(), sink.clone());
        async move { Transfers::new(session.clone()).download(Target::id(ImageId(4)), 0, sink).await }
    });
    let ask = conn.request().await;
    conn.say(encode_success(ask.id, &ImageReply { image: record(4) }));
    let info = SizeInfo {
        size: 600_000,
        name: "a.png".to_owned(),
        hash: hash(&content),
        media_type: None,
    };
    for until in [300_000, 600_000] {
        let ask = conn.request().await;
        let Command::Download(download) = &ask.command else { panic!("{ask:?}") };
        assert_eq!(download.target, Target::id(ImageId(4)));
        assert_eq!(download.offset as usize, sink.0.lock().unwrap().1.len());
        conn.say(ServerMessage::SizeInfo { id: ask.id, info: info.clone() }.encode());
        let (mut sent, mut acked) = (download.offset as usize, download.offset);
        while sent < until {
            let end = (sent + 50_000).min(until);
            while end as u64 > acked + 200_000 {
                let request = conn.request().await;
                let Request { id, command: Command::Ack(offset) } = request else { panic!() };
                assert_eq!(id, ask.id);
                acked = offset;
            }
            let header = DataHeader { id: ask.id, offset: sent as u64 };
            conn.outbox.data(header.message(&content[sent..end])).await.unwrap();
            sent = end;
        }
        if until == content.len() {
            // The last word may overtake the content in our link: it follows its acknowledgement.
            while acked < 550_000 {
                let request = conn.request().await;
                let Command::Ack(offset) = request.command else { panic!() };
                acked = offset;
            }
            conn.drained().await;
            conn.say(encode_success(ask.id, &DownloadReply { hash: info.hash }));
            break;
        }
        while acked < 300_000 {
            let request = conn.request().await;
            let Command::Ack(offset) = request.command else { panic!() };
            acked = offset;
        }
        drop(conn);
        conn = server.accept_v2().await;
        conn.limits.window = 200_000;
        conn.greet(Seq(0)).await;
    }
    assert_eq!(fetching.await.unwrap().unwrap(), record(4));
    let taken = sink.0.lock().unwrap();
    assert_eq!(taken.0.len(), 1, "the size is told once");
    assert!(taken.1 == content);
}

#[tokio::test]
async fn a_server_that_breaks_the_rules_fails_the_request_alone() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    let fetching = tokio::spawn({
        let session = daemon.session.clone();
        let sink = Collected::default();
        async move { Transfers::new(session.clone()).download(Target::id(ImageId(4)), 0, sink).await }
    });
    let ask = conn.request().await;
    conn.say(encode_success(ask.id, &ImageReply { image: record(4) }));
    let ask = conn.request().await;
    let info =
        SizeInfo { size: 10, name: "a".to_owned(), hash: BlobHash([0; 32]), media_type: None };
    conn.say(ServerMessage::SizeInfo { id: ask.id, info }.encode());
    conn.outbox.data(DataHeader { id: ask.id, offset: 5 }.message(b"gap")).await.unwrap();
    assert_eq!(fetching.await.unwrap().unwrap_err().code, ErrorCode::Internal);
    let cancel = conn.request().await;
    assert!(matches!(cancel.command, Command::Cancel(ref c) if c.request == ask.id));
    // Content of nobody and a message too short change nothing.
    conn.outbox.data(DataHeader { id: 77, offset: 5 }.message(b"x")).await.unwrap();
    conn.outbox.data(Bytes::from_static(b"short")).await.unwrap();
    let peer = daemon.session.peer().await.unwrap();
    let listing = tokio::spawn(async move { peer.list(List::default()).await });
    let ask = conn.request().await;
    conn.say(encode_success(ask.id, &ListReply::default()));
    listing.await.unwrap().unwrap();
}

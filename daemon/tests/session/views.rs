//! Pictures over a session: from the real server and kept for the next look, from a server that lies,
//! and from an old one.

use std::path::Path;

use bytes::Bytes;
use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::session::command::{Command, Target, Variant};
use imgrepo_proto::session::reply::{DownloadReply, SizeInfo, encode_success};
use imgrepo_proto::session::{DataHeader, ServerMessage, v1};
use imgrepo_proto::{ErrorCode, ImageId, ImageRecord, Seq};
use imgrepod::cache::Cache;
use imgrepod::transfer::Transfers;

use crate::old_server::{entries, old_server};
use crate::scripted::Server;
use crate::whole::{picture, serve_making};
use crate::{Daemon, daemon, hash, record};

fn transfers(daemon: &Daemon, folder: &Path) -> Transfers {
    let cache = Cache::new(folder.join("variants"), 0, 1 << 20);
    Transfers::new(daemon.session.clone()).keeping(cache)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_look_asks_nobody() {
    let served = serve_making().await;
    let ana = daemon();
    ana.connect_to(served.server.address());
    ana.state(SessionState::Connected).await;
    let stored = ana.upload(&ana.file(&picture(0, 800))).await.unwrap().unwrap();
    let transfers = transfers(&ana, ana.folder.path());
    let id = stored.image.id;
    let first = transfers.view(Target::id(id), Variant::Small).await.unwrap();
    assert_eq!((first.image, first.info.name.as_str()), (id, "a.png"));
    assert_eq!(first.info.media_type.as_deref(), Some("image/jpeg"));
    assert_eq!(first.info.hash, Some(hash(&first.bytes)));
    assert_eq!(first.info.size, first.bytes.len() as u64);
    assert!(ana.session.peer().await.unwrap().exif(Target::id(id)).await.unwrap().is_none());
    let error = transfers.view(Target::id(ImageId(9)), Variant::Small).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);

    // The server goes: what was looked at is still there, and nothing else.
    served.server.stop().await;
    ana.session.disconnect().await;
    let again = transfers.view(Target::id(id), Variant::Small).await.unwrap();
    assert!(again.bytes == first.bytes && again.info == first.info);
    let error = transfers.view(Target::id(id), Variant::Display).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotConnected);
    // So it is when the folder is deleted.
    std::fs::remove_dir_all(ana.folder.path().join("variants")).unwrap();
    let error = transfers.view(Target::id(id), Variant::Small).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotConnected);
}

#[tokio::test]
async fn what_is_not_what_was_announced_is_no_picture_and_is_not_kept() {
    let server = Server::start().await;
    let ana = daemon();
    ana.connect(&server);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    ana.state(SessionState::Connected).await;
    let transfers = transfers(&ana, ana.folder.path());
    let known = ImageRecord { hash: Some(hash(b"content")), ..record(4) };
    transfers.learn([&known]);
    let bytes = b"a picture".to_vec();
    let honest = SizeInfo {
        size: 9,
        name: "a.png".to_owned(),
        hash: hash(&bytes),
        media_type: Some("image/png".to_owned()),
    };
    let announced = [
        (SizeInfo { hash: hash(b"another"), ..honest.clone() }, false),
        (SizeInfo { size: 10, ..honest.clone() }, false),
        (SizeInfo { size: u64::MAX, ..honest.clone() }, false),
        (honest, true),
    ];
    for (info, is_honest) in announced {
        let viewing = tokio::spawn({
            let transfers = transfers.clone();
            async move { transfers.view(Target::id(ImageId(4)), Variant::Medium).await }
        });
        // What was learned is not asked for; what the last one gave up is given up there too.
        let ask = loop {
            let ask = conn.request().await;
            match ask.command {
                Command::View(_) => break ask,
                Command::Cancel(_) | Command::Ack(_) => {}
                other => panic!("{other:?}"),
            }
        };
        conn.say(ServerMessage::SizeInfo { id: ask.id, info: info.clone() }.encode());
        let header = DataHeader { id: ask.id, offset: 0 };
        conn.outbox.data(header.message(&bytes)).await.unwrap();
        conn.drained().await;
        conn.say(encode_success(ask.id, &DownloadReply { hash: info.hash }));
        let outcome = viewing.await.unwrap();
        match is_honest {
            true => assert!(outcome.unwrap().bytes == bytes),
            false => assert_eq!(outcome.unwrap_err().code, ErrorCode::Internal),
        }
    }
    assert!(transfers.view(Target::id(ImageId(4)), Variant::Medium).await.is_ok(), "it is kept");
}

#[tokio::test]
async fn an_old_servers_image_is_shown_as_it_is_where_viewers_can() {
    let server = Server::start().await;
    let ana = daemon();
    ana.connect(&server);
    let mut conn = old_server(&server).await;
    ana.state(SessionState::Connected).await;
    let transfers = transfers(&ana, ana.folder.path());
    let gif = b"GIF89a\x01\0\x01\0\0\0\0\x3b".to_vec();
    for (content, shown) in [(gif, Some("image/gif")), (picture(0, 3), None)] {
        let viewing = tokio::spawn({
            let transfers = transfers.clone();
            async move { transfers.view(Target::id(ImageId(1)), Variant::Small).await }
        });
        // Once for the record, once for the name that it is asked by.
        for _ in 0..2 {
            assert_eq!(conn.command().await, v1::Command::List);
            conn.say(entries(&["a.gif"]));
        }
        assert_eq!(conn.command().await, v1::Command::Download("a.gif".to_owned()));
        let size = content.len() as u64;
        let info = v1::Reply::SizeInfo { size, filename: "a.gif".to_owned(), view: false };
        conn.say(info.encode());
        conn.outbox.data(Bytes::from(content.clone())).await.unwrap();
        conn.drained().await;
        conn.say(v1::Reply::Success("sent".to_owned()).encode());
        match (viewing.await.unwrap(), shown) {
            (Ok(picture), Some(media_type)) => {
                assert_eq!(picture.info.media_type.as_deref(), Some(media_type));
                assert!(picture.bytes == content);
            }
            (Err(refusal), None) => assert_eq!(refusal.code, ErrorCode::Unsupported),
            (other, _) => panic!("{other:?}"),
        }
    }
}

//! What cannot be had from outside: sessions that come unencrypted from another computer, and peers
//! for whom hardly anything is on its way at once.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use imgrepo_proto::PersonName;
use imgrepo_proto::session::DataHeader;
use imgrepo_proto::session::people::{DeviceKind, Invite, Join, Revoke};

use super::*;
use crate::link::Origin;
use crate::repository;

/// What the sessions of a server know, where guests may come in the clear from elsewhere, or not.
async fn context(guests_may: bool) -> (Arc<Context>, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let owner = PersonName::parse("owner").unwrap();
    let mut keep = repository::Settings::new(data.path().join("data"), owner);
    keep.reserve_bytes = 0;
    let opened = tokio::task::spawn_blocking(|| Repository::open(keep)).await.unwrap();
    let at = ([127, 0, 0, 1], 1).into();
    let settings = Settings { plaintext_guests: guests_may, ..Settings::default() };
    (Arc::new(Context::new(settings, at, opened.unwrap())), data)
}

/// As one who comes from another computer, to a server where guests may do so, or not.
async fn stranger(
    is_v2: bool,
    guests_may: bool,
) -> (WebSocketStream<DuplexStream>, tempfile::TempDir) {
    let (context, data) = context(guests_may).await;
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let origin = Origin::Tcp(([192, 0, 2, 1], 5000).into());
    let newcomer = context.registry.newcomers.enter();
    match is_v2 {
        true => drop(tokio::spawn(listener::session_v2(
            theirs,
            Bytes::new(),
            origin,
            Some(newcomer),
            context,
        ))),
        false => drop(tokio::spawn(listener::session_v1(
            theirs,
            Bytes::new(),
            origin,
            newcomer,
            context,
        ))),
    }
    (WebSocketStream::from_raw_socket(ours, Role::Client, None).await, data)
}

#[tokio::test]
async fn an_old_program_is_told_and_sent_away() {
    let (mut client, _data) = stranger(false, false).await;
    let Message::Text(text) = client.next().await.unwrap().unwrap() else { panic!("a text") };
    assert!(text.contains(r#""status":"ERROR""#) && text.contains("visitantes"), "{text}");
    let Message::Close(frame) = client.next().await.unwrap().unwrap() else { panic!("a close") };
    assert_eq!(u16::from(frame.unwrap().code), 1008);
}

#[tokio::test]
async fn a_new_one_is_denied() {
    let (mut client, _data) = stranger(true, false).await;
    client.send(Message::text(r#"{"id":1,"cmd":"AUTH","args":{"user":"ana"}}"#)).await.unwrap();
    let Message::Text(text) = client.next().await.unwrap().unwrap() else { panic!("a text") };
    assert!(text.contains(r#""code":"denied""#), "{text}");
}

#[tokio::test]
async fn nothing_secret_is_taken_over_a_way_that_others_can_read() {
    let (mut client, _data) = stranger(true, true).await;
    for (id, command) in [
        (1, r#""AUTH","args":{"user":"ana","credential":"s3cret"}"#),
        (2, r#""JOIN","args":{"secret":"s3cret","user":"ana","device":"d"}"#),
    ] {
        let text = format!(r#"{{"id":{id},"cmd":{command}}}"#);
        client.send(Message::text(text)).await.unwrap();
        let Message::Text(text) = client.next().await.unwrap().unwrap() else { panic!("a text") };
        assert!(text.contains(r#""code":"denied""#) && text.contains("unencrypted"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    client.send(Message::text(r#"{"id":3,"cmd":"AUTH","args":{"user":"ana"}}"#)).await.unwrap();
    let Message::Text(text) = client.next().await.unwrap().unwrap() else { panic!("a text") };
    assert!(text.contains(r#""role":"guest""#), "as a guest it is let in: {text}");
}

type Client = WebSocketStream<DuplexStream>;

async fn ask(client: &mut Client, text: &str) {
    client.send(Message::text(text)).await.unwrap();
}

/// The next text that has this in it.
async fn told(client: &mut Client, wanted: &str) -> String {
    loop {
        match client.next().await.unwrap().unwrap() {
            Message::Text(text) if text.contains(wanted) => return text.to_string(),
            _ => {}
        }
    }
}

#[tokio::test]
async fn who_is_let_in_no_more_hears_of_nothing_new_however_slowly_they_read() {
    let (context, _data) = context(false).await;
    let repository = context.repository.clone();
    let (_, secret) = repository.invite(&repository.owner(), &Invite::default()).await.unwrap();
    let join = Join { secret, user: Some("ana".into()), device: "d".into(), client: None };
    let (joined, _) = repository.join(&join, DeviceKind::Program, "local").await.unwrap();

    let (ours, theirs) = tokio::io::duplex(256);
    let origin = Origin::Tls(([192, 0, 2, 1], 5000).into());
    tokio::spawn(listener::session_v2(theirs, Bytes::new(), origin, None, context.clone()));
    let mut lost = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
    let credential = joined.credential.expose();
    ask(&mut lost, &format!(r#"{{"id":1,"cmd":"AUTH","args":{{"credential":"{credential}"}}}}"#))
        .await;
    told(&mut lost, "SUCCESS").await;
    // More than its line holds, so that the close has to wait.
    for id in 2..3000 {
        ask(&mut lost, &format!(r#"{{"id":{id},"cmd":"CANCEL","args":{{"request":{id}}}}}"#)).await;
    }
    let revoke = Revoke { device: joined.device };
    repository.revoke(&repository.owner(), &revoke).await.unwrap();

    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(listener::session_v2(theirs, Bytes::new(), Origin::Local, None, context));
    let mut owner = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
    ask(&mut owner, r#"{"id":1,"cmd":"AUTH","args":{}}"#).await;
    let content =
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x40\0\0\0\x30\x08\x02\0\0\0\xd8\x60\x6f\xc5";
    let upload =
        format!(r#"{{"id":2,"cmd":"UPLOAD","args":{{"name":"a.png","size":{}}}}}"#, content.len());
    ask(&mut owner, &upload).await;
    told(&mut owner, "READY").await;
    let mut message = DataHeader { id: 2, offset: 0 }.encode().to_vec();
    message.extend_from_slice(content);
    owner.send(Message::binary(message)).await.unwrap();
    told(&mut owner, r#""status":"SUCCESS""#).await;
    // Of the first it may hear: each session is told in its own time.
    for id in 3..40 {
        let rename = r#""cmd":"RENAME","args":{"image":1,"name""#;
        ask(&mut owner, &format!(r#"{{"id":{id},{rename}:"{id}.png"}}}}"#)).await;
        told(&mut owner, &format!(r#""id":{id}"#)).await;
    }
    let close = loop {
        match lost.next().await.unwrap().unwrap() {
            Message::Text(text) => assert!(!text.contains("39.png"), "{text}"),
            Message::Close(frame) => break frame.unwrap(),
            _ => {}
        }
    };
    assert_eq!(u16::from(close.code), 1008);
}

//! What cannot be had from outside: sessions that come unencrypted from another computer.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use imgrepo_proto::PersonName;

use super::*;
use crate::link::Origin;
use crate::repository;

/// As one who comes from another computer, to a server where guests may do so, or not.
async fn stranger(
    is_v2: bool,
    guests_may: bool,
) -> (WebSocketStream<DuplexStream>, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let owner = PersonName::parse("owner").unwrap();
    let keep = repository::Settings::new(data.path().join("data"), owner);
    let opened = tokio::task::spawn_blocking(|| Repository::open(keep)).await.unwrap();
    let at = ([127, 0, 0, 1], 1).into();
    let settings = Settings { plaintext_guests: guests_may, ..Settings::default() };
    let context = Arc::new(Context::new(settings, at, opened.unwrap()));
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let origin = Origin::Tcp(([192, 0, 2, 1], 5000).into());
    let newcomer = context.registry.newcomers.enter();
    match is_v2 {
        true => drop(tokio::spawn(listener::session_v2(theirs, origin, Some(newcomer), context))),
        false => drop(tokio::spawn(listener::session_v1(theirs, origin, newcomer, context))),
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

//! What cannot be had from outside: sessions that come unencrypted from another computer.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use imgrepo_proto::PersonName;

use super::*;
use crate::link::Origin;
use crate::repository;

async fn stranger(is_v2: bool) -> (WebSocketStream<DuplexStream>, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let owner = PersonName::parse("owner").unwrap();
    let keep = repository::Settings::new(data.path().join("data"), owner);
    let opened = tokio::task::spawn_blocking(|| Repository::open(keep)).await.unwrap();
    let at = ([127, 0, 0, 1], 1).into();
    let context = Arc::new(Context::new(Settings::default(), at, opened.unwrap()));
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let origin = Origin::Tcp(([192, 0, 2, 1], 5000).into());
    match is_v2 {
        true => drop(tokio::spawn(listener::session_v2(theirs, origin, context))),
        false => drop(tokio::spawn(listener::session_v1(theirs, origin, context))),
    }
    (WebSocketStream::from_raw_socket(ours, Role::Client, None).await, data)
}

#[tokio::test]
async fn an_old_program_is_told_and_sent_away() {
    let (mut client, _data) = stranger(false).await;
    let Message::Text(text) = client.next().await.unwrap().unwrap() else { panic!("a text") };
    assert!(text.contains(r#""status":"ERROR""#) && text.contains("visitantes"), "{text}");
    let Message::Close(frame) = client.next().await.unwrap().unwrap() else { panic!("a close") };
    assert_eq!(u16::from(frame.unwrap().code), 1008);
}

#[tokio::test]
async fn a_new_one_is_denied() {
    let (mut client, _data) = stranger(true).await;
    client.send(Message::text(r#"{"id":1,"cmd":"AUTH","args":{"user":"ana"}}"#)).await.unwrap();
    let Message::Text(text) = client.next().await.unwrap().unwrap() else { panic!("a text") };
    assert!(text.contains(r#""code":"denied""#), "{text}");
}

//! AUTH, ids, limits, the end of a session.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::pictures::picture;
use crate::support::{Seen, Stage, code};

#[tokio::test]
async fn auth_tells_what_the_server_takes() {
    let stage = Stage::new().await;
    let mut client = stage.stranger().await;
    for cmd in ["LIST", "UPLOAD", "CANCEL", "DISCONNECT"] {
        let args = json!({"name": "a.png", "size": 1, "request": 1});
        assert_eq!(client.refused(cmd, args).await, "unauthenticated", "{cmd}");
    }
    assert_eq!(client.refused("AUTH", json!({"user": "x".repeat(65)})).await, "bad_name");
    assert_eq!(client.refused("AUTH", json!({"user": "a", "events_since": 1})).await, "ahead");
    let data = client.ok("AUTH", json!({"user": " ana ", "future": [1]})).await;
    assert_eq!(data["role"], "guest");
    assert_eq!(data["can"], json!(["list", "download", "upload", "change_own"]));
    assert_eq!(data["seq"], 0);
    assert_eq!(data["server"]["name"], "imgrepod");
    assert_eq!(data["repository"], json!(stage.repository.id()));
    assert_eq!(
        data["limits"],
        json!({"chunk": 262_144, "window": 1_048_576, "session_window": 8_388_608,
               "max_requests": 64, "max_image_size": 4_294_967_296u64})
    );
    assert_eq!(client.refused("AUTH", json!({"user": "ana"})).await, "bad_request");
    let reply = client.upload("a.png", &picture(100, 1)).await;
    assert_eq!(reply["data"]["image"]["uploader"], "ana");

    let mut nameless = stage.stranger().await;
    nameless.ok("AUTH", json!({})).await;
    let reply = nameless.upload("a.png", &picture(100, 1)).await;
    assert_eq!(reply["data"]["image"]["uploader"], "anon");
    let mut owner = stage.owner().await;
    assert_eq!(owner.ok("INFO", json!({"image": 1})).await["image"]["name"], "a.png");
}

#[tokio::test]
async fn ids_rise() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    client.next_id = 10;
    client.ok("LIST", json!({})).await;
    for id in [10, 9, 1] {
        client.text(json!({"id": id, "cmd": "LIST"})).await;
        assert_eq!(code(&client.reply(id).await), "bad_request");
    }
    client.text(json!({"id": 20, "cmd": "NOTHING"})).await;
    assert_eq!(code(&client.reply(20).await), "unsupported");
    client.text(json!({"id": 20, "cmd": "LIST"})).await;
    assert_eq!(code(&client.reply(20).await), "bad_request", "a bad request uses its id too");
    for text in ["", "{", "[]", "7", "{\"cmd\":\"LIST\"}", "{\"id\":0,\"cmd\":\"LIST\"}"] {
        client.raw(Message::text(text)).await;
        assert_eq!(client.complaint().await, "bad_request", "{text}");
    }
    client.next_id = u32::MAX;
    client.ok("LIST", json!({})).await;
}

#[tokio::test]
async fn a_request_that_is_under_way_keeps_its_id() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let content = picture(100, 1);
    let id = client.announce("a.png", &content).await;
    client.status(id, &["READY"]).await;
    client.text(json!({"id": id, "cmd": "LIST"})).await;
    assert_eq!(client.complaint().await, "bad_request", "no reply that could be the upload's");
    client.data(id, 0, &content).await;
    assert_eq!(client.reply(id).await["status"], "SUCCESS");
}

#[tokio::test]
async fn no_more_requests_than_the_limit() {
    let stage = Stage::with(|settings| settings.limits.max_requests = 2).await;
    let mut client = stage.guest("ana").await;
    let (one, two) = (picture(100, 1), picture(100, 2));
    let first = client.announce("1.png", &one).await;
    let second = client.announce("2.png", &two).await;
    assert_eq!(client.refused("LIST", json!({})).await, "busy");
    client.ok("CANCEL", json!({"request": first})).await;
    assert_eq!(code(&client.reply(first).await), "cancelled");
    client.ok("LIST", json!({})).await;
    client.data(second, 0, &two).await;
    assert_eq!(client.reply(second).await["status"], "SUCCESS");
}

#[tokio::test]
async fn disconnect_says_bye_and_closes() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    stage.sessions(1).await;
    let id = client.send("DISCONNECT", json!({})).await;
    let bye = client.reply(id).await;
    assert_eq!(bye["status"], "BYE");
    assert_eq!(client.next().await, Seen::Closed(1000));
    assert_eq!(client.next().await, Seen::Cut);
    stage.sessions(0).await;
}

#[tokio::test]
async fn stopping_tells_everybody() {
    let stage = Stage::new().await;
    let mut guest = stage.guest("ana").await;
    let mut stranger = stage.stranger().await;
    let mut old = stage.old().await;
    let mut owner = stage.owner().await;
    stage.sessions(4).await;
    let door = stage.server.local();
    // A client answers a close when it reads on.
    let ends = async {
        let first = tokio::join!(guest.next(), stranger.next(), old.next(), owner.next());
        tokio::join!(guest.next(), stranger.next(), old.next(), owner.next());
        first
    };
    let (ends, ()) = tokio::join!(ends, stage.server.stop());
    let going = Seen::Closed(1001);
    assert_eq!(ends, (going.clone(), going.clone(), going.clone(), going));
    let mut late = door.open();
    let mut byte = [0];
    use tokio::io::AsyncReadExt as _;
    assert_eq!(late.read(&mut byte).await.unwrap(), 0, "the door leads nowhere");
}

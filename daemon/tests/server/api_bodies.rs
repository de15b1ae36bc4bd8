//! What browsers send, whole or not, and how long a connection is kept.

use std::time::Duration;

use imgrepod::server::HEAD_BYTES;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::api::Tab;
use crate::door::{Door, bytes_of_answer};
use crate::pictures::picture;

const SHORT: Duration = Duration::from_millis(150);

/// Waits for the end of a connection; what came before it.
async fn end(tab: &mut Tab) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = tab.stream.read_to_end(&mut rest);
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("it is cut");
    rest
}

async fn stored(door: &Door, cookie: &str) -> u64 {
    let mut tab = Tab::open(door, cookie).await;
    tab.json("GET", "/api/images", "").await.1["total"].as_u64().unwrap()
}

#[tokio::test]
async fn large_bodies_are_stored_as_they_come() {
    let door = Door::new().await;
    let mut tab = Tab::open(&door, &door.joined("ana").await).await;
    for (number, size) in [(1, 100), (2, 262_143), (3, 262_144), (4, 262_145), (5, 5_000_001)] {
        let content = picture(size, number);
        tab.upload(&format!("{number}.png"), &content).await;
        let back = tab.get(&format!("/api/images/{number}/original")).await;
        assert!(back.body == content, "{size}");
    }
    // One that asks first whether it may (RFC 9110, 10.1.1), as curl does.
    let content = picture(50_000, 6);
    let more = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", content.len());
    let head = tab.head("POST", "/api/images?name=6.png", &more);
    tab.stream.write_all(head.as_bytes()).await.unwrap();
    let mut go = [0; 25];
    tab.stream.read_exact(&mut go).await.unwrap();
    assert_eq!(&go, b"HTTP/1.1 100 Continue\r\n\r\n");
    tab.stream.write_all(&content).await.unwrap();
    assert_eq!(bytes_of_answer(&mut tab.stream, false).await.status, 200);
}

#[tokio::test]
async fn a_body_is_as_long_as_it_says() {
    let door = Door::new().await;
    let cookie = door.joined("ana").await;
    let content = picture(1000, 1);
    // Longer: what is behind it is no request.
    let mut tab = Tab::open(&door, &cookie).await;
    let head = tab.head("POST", "/api/images?name=a.png", "Content-Length: 990\r\n");
    tab.stream.write_all(&[head.as_bytes(), &content].concat()).await.unwrap();
    assert_eq!(bytes_of_answer(&mut tab.stream, false).await.status, 200);
    let rest = String::from_utf8(end(&mut tab).await).unwrap();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{rest}");
    assert_eq!(stored(&door, &cookie).await, 1);
    // Shorter: nothing comes of it.
    let mut tab = Tab::open(&door, &cookie).await;
    let head = tab.head("POST", "/api/images?name=b.png", "Content-Length: 1001\r\n");
    tab.stream.write_all(&[head.as_bytes(), &content].concat()).await.unwrap();
    tab.stream.shutdown().await.unwrap();
    assert!(!String::from_utf8_lossy(&end(&mut tab).await).contains("200 OK"));
    assert_eq!(stored(&door, &cookie).await, 1);
    for (more, status) in [
        ("Transfer-Encoding: chunked\r\n", 411),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 411),
        ("", 411),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: -5\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: five\r\n", 400),
        ("Content-Length: 0\r\n", 422),
        ("Content-Length: 99999999999999\r\n", 413),
    ] {
        let mut tab = Tab::open(&door, &cookie).await;
        let head = tab.head("POST", "/api/images?name=b.png", more);
        tab.stream.write_all(head.as_bytes()).await.unwrap();
        let _ = tab.stream.write_all(b"5\r\nhello\r\n0\r\n\r\n").await;
        let reply = bytes_of_answer(&mut tab.stream, false).await;
        assert_eq!(reply.status, status, "{more}: {}", String::from_utf8_lossy(&reply.body));
    }
    assert_eq!(stored(&door, &cookie).await, 1);
}

#[tokio::test]
async fn what_is_refused_is_told_though_all_of_it_is_sent() {
    let door = Door::with(|settings| settings.limits.max_image_size = 10_000_000).await;
    let cookie = door.joined("ana").await;
    for (name, content, status) in
        [("large.png", picture(20_000_000, 1), 413), ("none.txt", vec![b'x'; 9_000_000], 422)]
    {
        let mut tab = Tab::open(&door, &cookie).await;
        let path = format!("/api/images?name={name}");
        let more = format!("Content-Length: {}\r\n", content.len());
        let head = tab.head("POST", &path, &more);
        let (mut read, mut write) = tab.stream.split();
        // As a browser does: all of it is sent before the answer is looked at.
        write.write_all(head.as_bytes()).await.unwrap();
        write.write_all(&content).await.unwrap();
        let reply = bytes_of_answer(&mut read, false).await;
        assert_eq!(reply.status, status, "{}", String::from_utf8_lossy(&reply.body));
        assert_eq!(reply.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let door = Door::with(|settings| settings.timeouts.upload_stall = SHORT).await;
    let mut tab = Tab::open(&door, &door.joined("ana").await).await;
    let head = tab.head("POST", "/api/images?name=a.png", "Content-Length: 900000\r\n");
    tab.stream.write_all(head.as_bytes()).await.unwrap();
    tab.stream.write_all(&picture(1000, 1)).await.unwrap();
    let reply = bytes_of_answer(&mut tab.stream, false).await;
    assert_eq!(reply.status, 409);
    assert!(String::from_utf8(reply.body).unwrap().contains("`a.png`: its bytes stopped coming"));
}

#[tokio::test]
async fn who_takes_nothing_is_cut() {
    let door = Door::with(|settings| {
        settings.timeouts.write_stall = SHORT;
        settings.timeouts.handshake = SHORT * 4;
        settings.max_sessions = 1;
    });
    let door = door.await;
    let cookie = door.joined("ana").await;
    let mut tab = Tab::open(&door, &cookie).await;
    tab.upload("a.png", &picture(30_000_000, 1)).await;
    let head = tab.head("GET", "/api/images/1/original", "");
    tab.stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(tab.stream.read_u8().await.unwrap(), b'H', "it is being answered");
    // There is one place, which it has until it is cut: who takes something is not sent away.
    let mut next = Tab::open(&door, &cookie).await;
    assert_eq!(next.get("/api/me").await.status, 200);
    assert!(end(&mut tab).await.len() < 25_000_000, "what the kernels held came still");
}

#[tokio::test]
async fn requests_follow_each_other_and_silence_ends() {
    let door = Door::with(|settings| {
        settings.timeouts.idle = SHORT;
        settings.timeouts.handshake = SHORT * 2;
    });
    let door = door.await;
    let cookie = door.joined("ana").await;
    // Three at once, answered in their order.
    let mut tab = Tab::open(&door, &cookie).await;
    let heads =
        ["/api/me", "/api/images/9", "/healthz"].map(|path| tab.head("GET", path, "")).concat();
    tab.stream.write_all(heads.as_bytes()).await.unwrap();
    for status in [200, 404, 200] {
        assert_eq!(bytes_of_answer(&mut tab.stream, false).await.status, status);
    }
    assert_eq!(end(&mut tab).await, b"", "nothing more was asked for");
    // Half of a next one.
    let mut tab = Tab::open(&door, &cookie).await;
    tab.get("/api/me").await;
    tab.stream.write_all(b"GET /api/me HTTP/1.1\r\nHost: loc").await.unwrap();
    assert_eq!(end(&mut tab).await, b"");
    // A small body that does not come.
    let mut tab = Tab::open(&door, &cookie).await;
    let more = "Content-Length: 20\r\nContent-Type: application/json\r\n";
    let head = tab.head("PATCH", "/api/images/1", more);
    tab.stream.write_all(format!("{head}{{\"name").as_bytes()).await.unwrap();
    assert_eq!(end(&mut tab).await, b"");
    // A head that is too long, behind one that was not.
    let mut tab = Tab::open(&door, &cookie).await;
    tab.get("/api/me").await;
    let head = tab.head("GET", "/api/me", &format!("X: {}\r\n", "x".repeat(HEAD_BYTES)));
    tab.stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(bytes_of_answer(&mut tab.stream, false).await.status, 431);
    // Who wants no more says so.
    let mut tab = Tab::open(&door, &cookie).await;
    let head = tab.head("GET", "/api/me", "Connection: close\r\n");
    tab.stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(bytes_of_answer(&mut tab.stream, false).await.status, 200);
    assert_eq!(end(&mut tab).await, b"");
}

#[tokio::test]
async fn a_session_begins_on_a_connection_that_asked_before() {
    let door = Door::new().await;
    let mut tab = Tab::open(&door, &door.joined("ana").await).await;
    tab.get("/api/me").await;
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: imgrepo.v2\r\n\r\n",
        tab.host
    );
    tab.stream.write_all(upgrade.as_bytes()).await.unwrap();
    assert_eq!(bytes_of_answer(&mut tab.stream, false).await.status, 101);
    door.stage.sessions(1).await;
    drop(tab);
    door.stage.sessions(0).await;
}

/// Connections that were answered and ask for nothing hold no place that another needs.
#[tokio::test]
async fn idle_connections_make_room() {
    let door = Door::with(|settings| settings.max_sessions = 4).await;
    let cookie = door.joined("ana").await;
    let mut tabs = Vec::new();
    for _ in 0..20 {
        let mut tab = Tab::open(&door, &cookie).await;
        assert_eq!(tab.json("GET", "/api/me", "").await.1["user"], json!("ana"));
        tabs.push(tab);
    }
    let mut client = door.stage.stranger().await;
    assert_eq!(client.refused("AUTH", json!({"user": "eva"})).await, "denied", "it is heard");
    let open = tabs.iter().filter(|tab| is_open(&tab.stream)).count();
    assert!(open <= 4, "{open}");
}

fn is_open(stream: &TcpStream) -> bool {
    match stream.try_read(&mut [0; 16]) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

//! Thousands that hold connections and say nothing, or half a word: a member is let in meanwhile. The
//! server is a process of its own, for each side has thousands of sockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::process::Daemon;
use crate::visitor::{address, connect};
use crate::{sized, support};

/// The beginnings of handshakes: nothing, of TLS, of HTTP; and a whole one, after which AUTH is due.
fn beginning(number: usize, to: SocketAddr) -> Vec<u8> {
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: imgrepo.v2\r\n\r\n"
    );
    let upgrade = upgrade.into_bytes();
    match number % 6 {
        0 => Vec::new(),
        1 => vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        2 => upgrade[..upgrade.len() / 2].to_vec(),
        // As many silent sessions as all others together.
        _ => upgrade,
    }
}

/// How many of these are still open.
fn held(crowd: &[TcpStream]) -> usize {
    let is_open = |stream: &&TcpStream| loop {
        match stream.try_read(&mut [0; 1024]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    };
    crowd.iter().filter(is_open).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_crowd_keeps_no_member_out() {
    let home = tempfile::tempdir().unwrap();
    let server = Daemon::serve(&home.path().join("home")).unwrap();
    let to: SocketAddr = server.url()[5..].trim_end_matches('/').parse().unwrap();
    let count = sized("IMGREPO_CROWD", 1200);
    let mut crowd = Vec::with_capacity(count);
    for number in 0..count {
        // From one address, and from many.
        let from = address(if number % 2 == 0 { 0 } else { number });
        let Ok(mut stream) = connect(from, to).await else { continue };
        // One that was sent away already takes nothing.
        let _ = stream.write_all(&beginning(number, to)).await;
        crowd.push(stream);
        if number % 1000 != 999 && number + 1 != count {
            continue;
        }
        let began = Instant::now();
        let mut ana = support::dial(to, Some("imgrepo.v2")).await.unwrap();
        ana.ok("AUTH", json!({"user": "ana"})).await;
        ana.ok("LIST", json!({})).await;
        let took = began.elapsed();
        println!("{} hold a connection: let in after {took:?}", held(&crowd));
        // The silent sessions are cut after 10 s: she does not wait for that.
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

/// As many as the server takes at all, and more: who is silent goes, who has said who it is stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_takes_every_place_is_sent_away() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("home");
    let config = folder.join("config");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "[server]\nmax_sessions = 200\n").unwrap();
    let server = Daemon::serve(&folder).unwrap();
    let to: SocketAddr = server.url()[5..].trim_end_matches('/').parse().unwrap();
    let mut ana = support::dial(to, Some("imgrepo.v2")).await.unwrap();
    ana.ok("AUTH", json!({"user": "ana"})).await;
    let mut crowd = Vec::new();
    for number in 0..2000 {
        let Ok(mut stream) = connect(address(number), to).await else { continue };
        let _ = stream.write_all(&beginning(number, to)).await;
        crowd.push(stream);
    }
    let began = Instant::now();
    let mut bruno = support::dial(to, Some("imgrepo.v2")).await.unwrap();
    bruno.ok("AUTH", json!({"user": "bruno"})).await;
    ana.ok("LIST", json!({})).await;
    let took = began.elapsed();
    let held = held(&crowd);
    println!("{held} of 2000 hold a connection where there are 200 places: let in after {took:?}");
    assert!(held <= 200 && took < Duration::from_secs(10), "{held} {took:?}");
}

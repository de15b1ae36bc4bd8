//! Peers that are slow, silent, or mean harm; with waits of milliseconds in place of seconds.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::pictures::picture;
use crate::support::{Seen, Stage, dial};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn who_says_nothing_is_dropped() {
    let stage = Stage::with(|settings| settings.timeouts.handshake = SHORT).await;
    let mut half = TcpStream::connect(stage.server.address()).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: local").await.unwrap();
    let mut silent = TcpStream::connect(stage.server.address()).await.unwrap();
    let (mut told, mut rest) = (Vec::new(), Vec::new());
    let _ = tokio::join!(half.read_to_end(&mut told), silent.read_to_end(&mut rest));
    assert_eq!(rest, b"", "it ended");
}

#[tokio::test]
async fn auth_has_to_come() {
    let stage = Stage::with(|settings| settings.timeouts.auth = SHORT).await;
    let mut client = stage.stranger().await;
    assert_eq!(client.next().await, Seen::Closed(1008));
    // One who came in time stays. On a busy computer one may come too late, and comes again.
    let mut client = loop {
        let mut client = stage.stranger().await;
        client.send("AUTH", json!({"user": "ana"})).await;
        if matches!(client.next().await, Seen::Text(_)) {
            break client;
        }
    };
    let mut other = stage.stranger().await;
    assert_eq!(other.next().await, Seen::Closed(1008));
    client.ok("LIST", json!({})).await;
}

#[tokio::test]
async fn a_download_that_is_not_acknowledged_ends_the_session() {
    let stage = Stage::with(|settings| settings.timeouts.download_stall = SHORT).await;
    let mut client = stage.guest("ana").await;
    client.upload("a.png", &picture(2_000_000, 1)).await;
    client.send("DOWNLOAD", json!({"image": 1})).await;
    loop {
        match client.next().await {
            Seen::Closed(code) => break assert_eq!(code, 1008),
            Seen::Cut => panic!("a close was due"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn who_does_not_answer_pings_or_read_is_dropped() {
    let stage = Stage::with(|settings| {
        settings.timeouts.ping_every = SHORT;
        settings.timeouts.write_stall = SHORT;
    })
    .await;
    let mut client = stage.stranger().await;
    // Its reply is not waited for: on a busy computer the session may be over before it is read.
    client.send("AUTH", json!({"user": "ana"})).await;
    // What comes is taken below the WebSocket, so it answers no ping.
    let mut told = Vec::new();
    let over = client.socket.get_mut().read_to_end(&mut told);
    let over = tokio::time::timeout(Duration::from_secs(20), over).await;
    // A connection that is reset is over too.
    let _ = over.expect("the session to end");
    stage.sessions(0).await;
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    client.raw(Message::binary(vec![0; 256 * 1024 + 13])).await;
    assert_eq!(client.next().await, Seen::Closed(1009));
    stage.sessions(0).await;
}

#[tokio::test]
async fn who_floods_with_nonsense_and_does_not_read_is_dropped() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    // Each gets an ERROR that is longer than itself; nobody reads them.
    let flood = async {
        loop {
            use futures_util::SinkExt as _;
            if client.socket.send(Message::text("{")).await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), flood).await.expect("the session to end");
    stage.sessions(0).await;
}

#[tokio::test]
async fn sessions_beyond_the_limit_wait_for_a_place() {
    let stage = Stage::with(|settings| settings.max_sessions = 1).await;
    let client = stage.guest("ana").await;
    let waiting = tokio::join!(stage.dial(Some("imgrepo.v2")), async {
        stage.sessions(1).await;
        drop(client);
    });
    assert!(waiting.0.is_ok());
}

#[tokio::test]
async fn a_cut_at_any_byte_leaves_nothing_behind() {
    let stage = Stage::new().await;
    let content = picture(3000, 1);
    // A whole session's bytes as a client sends them, recorded once.
    let mut bytes = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: imgrepo.v2\r\n\r\n",
        stage.server.address()
    )
    .into_bytes();
    let mut frame = |first: u8, content: &[u8]| {
        bytes.push(first);
        bytes.push(0x80 | 126);
        bytes.extend_from_slice(&(content.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(content);
    };
    frame(0x81, format!("{:200}", r#"{"id":1,"cmd":"AUTH","args":{}}"#).as_bytes());
    frame(
        0x81,
        format!("{:200}", r#"{"id":2,"cmd":"UPLOAD","args":{"name":"a.png","size":3000}}"#)
            .as_bytes(),
    );
    let header = imgrepo_proto::session::DataHeader { id: 2, offset: 0 };
    frame(0x82, &header.message(&content));
    for at in (1..bytes.len()).step_by(97) {
        let mut stream = TcpStream::connect(stage.server.address()).await.unwrap();
        stream.write_all(&bytes[..at]).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    stage.sessions(0).await;
    let mut client = stage.guest("ana").await;
    assert_eq!(client.ok("LIST", json!({})).await["images"], json!([]));
    let mut stream = TcpStream::connect(stage.server.address()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(client.event().await, ("NEW_UPLOAD".to_owned(), 1, "a.png".to_owned()));
}

#[tokio::test]
async fn an_old_program_whose_content_does_not_come_gives_its_memory_back() {
    let stage = Stage::with(|settings| {
        settings.timeouts.upload_stall = SHORT;
        settings.v1_budget_bytes = 64 * 1024;
    })
    .await;
    let upload = json!({"cmd": "UPLOAD", "args": ["a.jpg", "65536"]});
    for sent in [0usize, 1000] {
        let mut client = stage.old().await;
        client.text(upload.clone()).await;
        let Seen::Text(ready) = client.next().await else { panic!("a text was due") };
        assert_eq!(ready["status"], "READY", "{sent}");
        // It goes on answering pings, so it is alive; its content is another matter.
        if sent > 0 {
            let mut frame = vec![0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            frame.resize(frame.len() + sent, 7);
            client.socket.get_mut().write_all(&frame).await.unwrap();
        }
        let Seen::Text(error) = client.next().await else { panic!("a text was due") };
        assert_eq!(error["status"], "ERROR");
        assert_eq!(client.next().await, Seen::Closed(1008));
    }
    let mut client = stage.old().await;
    client.text(upload).await;
    let Seen::Text(ready) = client.next().await else { panic!("a text was due") };
    assert_eq!(ready["status"], "READY", "all of the budget is there again");
}

/// The process alone, since the limit is the process's.
#[cfg(unix)]
#[tokio::test]
async fn sessions_leave_the_repository_its_files() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let home = tempfile::tempdir().unwrap();
    let script = "ulimit -Sn 64 && ulimit -Hn 128 && exec \"$0\" --serve --listen 127.0.0.1:0";
    let mut server = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_imgrepod")])
        .env("IMGREPO_HOME", home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let address = ready.split(['/', ' ']).find(|word| word.starts_with("127.0.0.1:"));
    let address = address.expect(&ready).parse().unwrap();
    let mut client = dial(address, Some("imgrepo.v2")).await.unwrap();
    client.ok("AUTH", json!({"user": "ana"})).await;
    // Half of the files that it may have open, and the other half is not theirs.
    let mut crowd = Vec::new();
    for _ in 1..64 {
        crowd.push(dial(address, None).await.unwrap());
    }
    for seed in 0..3 {
        let reply = client.upload("a.png", &picture(1000, seed)).await;
        assert_eq!(reply["status"], "SUCCESS", "{reply}");
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

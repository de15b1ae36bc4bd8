//! What is answered before there is a session.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use imgrepod::server::{Server, Settings, StartError};

use crate::door::answer;
use crate::support::Stage;

async fn ask(stage: &Stage, request: &str) -> String {
    let mut stream = TcpStream::connect(stage.server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let reply = answer(&mut stream, false).await;
    reply.head + &reply.body
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn pages_and_refusals() {
    let stage = Stage::new().await;
    let host = "Host: localhost\r\n";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = ask(&stage, &format!("GET /healthz HTTP/1.1\r\n{host}\r\n")).await;
    assert_eq!(status(&answer), "200");
    assert!(answer.ends_with(&format!(
        "{{\"status\":\"ok\",\"version\":\"{}\"}}\n",
        env!("CARGO_PKG_VERSION")
    )));
    let answer = ask(&stage, &format!("GET / HTTP/1.1\r\n{host}\r\n")).await;
    assert_eq!(status(&answer), "200");
    assert!(answer.contains("imgrepo.v2"), "{answer}");
    for (line, extra, expected) in [
        ("GET /nothing", String::new(), "404"),
        ("POST /", String::new(), "403"),
        ("POST /", "Origin: http://localhost\r\n".to_owned(), "405"),
        ("DELETE /healthz", "Origin: http://localhost\r\n".to_owned(), "405"),
        ("GET /", "Via: 1.1 proxy\r\n".to_owned(), "403"),
        ("GET /healthz", "X-Forwarded-For: 1.2.3.4\r\n".to_owned(), "403"),
        ("GET /", format!("{upgrade}Origin: http://evil.example\r\n"), "403"),
        ("GET /", format!("{upgrade}Sec-WebSocket-Protocol: soap\r\n"), "400"),
        ("GET /", upgrade.replace("13", "12"), "426"),
        ("GET /", format!("X-Long: {}\r\n", "x".repeat(9000)), "431"),
        ("GET /", "X-Many: 1\r\n".repeat(100), "431"),
    ] {
        let answer = ask(&stage, &format!("{line} HTTP/1.1\r\n{host}{extra}\r\n")).await;
        assert_eq!(status(&answer), expected, "{line} {extra}: {answer}");
    }
    let answer = ask(&stage, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert_eq!(status(&answer), "403");
    let answer = ask(
        &stage,
        &format!(
            "GET / HTTP/1.1\r\n{host}{upgrade}\
        Sec-WebSocket-Protocol: soap\r\n\r\n"
        ),
    )
    .await;
    assert!(answer.contains("imgrepo.v2"), "it names ours: {answer}");
}

#[tokio::test]
async fn an_offered_subprotocol_is_answered() {
    let stage = Stage::new().await;
    assert!(stage.dial(Some("imgrepo.v2")).await.is_ok());
    assert!(stage.dial(None).await.is_ok());
    assert!(stage.dial(Some("imgrepo.v9")).await.is_err());
}

#[tokio::test]
async fn a_port_that_is_taken_is_said() {
    let stage = Stage::new().await;
    let taken = Settings { listen: stage.server.address(), ..Settings::default() };
    let error = Server::start(taken, stage.repository.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::Bind(..)), "{error}");
}

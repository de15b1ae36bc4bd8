//! Events for a browser, as they happen.

use imgrepo_proto::ImageId;
use imgrepo_proto::session::command::Target;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::api::{Tab, revoke};
use crate::door::Door;
use crate::pictures::picture;

/// A browser that listens.
struct Ear {
    lines: BufReader<TcpStream>,
    head: String,
}

/// What it hears: an event's name, number and data; None at the end.
type Heard = Option<(String, String, Value)>;

const PATIENCE: Duration = Duration::from_secs(20);

impl Ear {
    async fn open(door: &Door, cookie: &str, path: &str, more: &str) -> Ear {
        let mut tab = Tab::open(door, cookie).await;
        let head = tab.head("GET", path, &format!("Accept: text/event-stream\r\n{more}"));
        tab.stream.write_all(head.as_bytes()).await.unwrap();
        let mut ear = Ear { lines: BufReader::new(tab.stream), head: String::new() };
        while !ear.head.ends_with("\r\n\r\n") {
            let read = tokio::time::timeout(PATIENCE, ear.lines.read_line(&mut ear.head));
            assert_ne!(read.await.unwrap().unwrap(), 0, "{}", ear.head);
        }
        ear
    }

    /// The next line of the stream, without the marks of the chunks that carry it; None at its end.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.lines.read_line(&mut line));
        match read.await.expect("it goes on or ends") {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }

    async fn hear(&mut self) -> Heard {
        let (mut name, mut id, mut data) = ("message".to_owned(), String::new(), Value::Null);
        loop {
            let line = self.line().await?;
            if let Some(text) = line.strip_prefix("event: ") {
                name = text.to_owned();
            } else if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = serde_json::from_str(text).unwrap();
                return Some((name, id, data));
            }
            assert!(data.is_null());
        }
    }

    async fn event(&mut self) -> (String, u64, String) {
        let (name, id, data) = self.hear().await.expect("an event");
        assert_eq!((name.as_str(), id), ("message", data["seq"].to_string()));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&data["event"]), data["seq"].as_u64().unwrap(), text(&data["image"]["name"]))
    }
}

fn new(seq: u64) -> (String, u64, String) {
    ("NEW_UPLOAD".to_owned(), seq, format!("{seq}.png"))
}

#[tokio::test]
async fn what_happens_is_told_and_what_was_missed_first() {
    let door = Door::new().await;
    let cookie = door.joined("ana").await;
    let mut tab = Tab::open(&door, &cookie).await;
    // More than are read at once.
    for number in 1..=70 {
        tab.upload(&format!("{number}.png"), &picture(1000, number)).await;
    }
    let mut ear = Ear::open(&door, &cookie, "/api/events", "").await;
    let head = ear.head.to_lowercase();
    for line in
        ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"]
    {
        assert!(head.lines().any(|told| told == line), "{head}");
    }
    let hello = ("hello".to_owned(), "70".to_owned(), json!({"seq": 70}));
    assert_eq!(ear.hear().await, Some(hello));
    tab.upload("71.png", &picture(1000, 71)).await;
    assert_eq!(ear.event().await, new(71));
    // Another's, by a session.
    let owner = door.stage.repository.owner();
    let (tell, told) = tokio::sync::oneshot::channel();
    let done = Box::new(|outcome| drop(tell.send(outcome)));
    door.stage.repository.delete(&owner, Target::id(ImageId(71)), done);
    told.await.unwrap().unwrap();
    assert_eq!(ear.event().await.0, "DELETED");

    let mut back = Ear::open(&door, &cookie, "/api/events?since=70", "Last-Event-ID: 3\r\n").await;
    let hello = ("hello".to_owned(), "3".to_owned(), json!({"seq": 72}));
    assert_eq!(back.hear().await, Some(hello));
    for seq in 4..=71 {
        assert_eq!(back.event().await, new(seq));
    }
    assert_eq!(back.event().await.0, "DELETED");
    let mut since = Ear::open(&door, &cookie, "/api/events?since=71", "").await;
    since.hear().await;
    assert_eq!(since.event().await.1, 72);
    let ahead = Ear::open(&door, &cookie, "/api/events?since=999", "").await;
    assert!(ahead.head.starts_with("HTTP/1.1 409"), "{}", ahead.head);
    assert_eq!(door.stage.server.sessions(), 3, "each is a session");
    drop((ear, back, since));
    door.stage.sessions(0).await;
}

#[tokio::test]
async fn who_is_let_in_no_more_hears_no_more() {
    let door = Door::new().await;
    let (ana, eva) = (door.joined("ana").await, door.joined("eva").await);
    let mut ear = Ear::open(&door, &ana, "/api/events", "").await;
    let mut other = Ear::open(&door, &eva, "/api/events", "").await;
    assert!(ear.hear().await.is_some() && other.hear().await.is_some());
    revoke(&door, &ana).await;
    // The last chunk (RFC 9112, 7.1), before anything else.
    loop {
        match ear.line().await.expect("it ends in order").as_str() {
            "0" => break,
            line => assert_eq!(line, ""),
        }
    }
    let mut tab = Tab::open(&door, &eva).await;
    tab.upload("1.png", &picture(1000, 1)).await;
    assert_eq!(other.event().await, new(1), "others hear on");
    let nobody = Ear::open(&door, &ana, "/api/events", "").await;
    assert!(nobody.head.starts_with("HTTP/1.1 401"), "{}", nobody.head);
}

#[tokio::test]
async fn places_are_counted_as_for_sessions() {
    let door = Door::with(|settings| settings.sessions_per_person = 2).await;
    let cookie = door.joined("ana").await;
    let first = Ear::open(&door, &cookie, "/api/events", "").await;
    let _second = Ear::open(&door, &cookie, "/api/events", "").await;
    let third = Ear::open(&door, &cookie, "/api/events", "").await;
    assert!(third.head.starts_with("HTTP/1.1 429"), "{}", third.head);
    drop(first);
    door.stage.sessions(1).await;
    let third = Ear::open(&door, &cookie, "/api/events", "").await;
    assert!(third.head.starts_with("HTTP/1.1 200"), "{}", third.head);
}

#[tokio::test]
async fn it_ends_with_the_server() {
    let door = Door::new().await;
    let cookie = door.joined("ana").await;
    let mut ear = Ear::open(&door, &cookie, "/api/events", "").await;
    ear.hear().await;
    let mut idle = Tab::open(&door, &cookie).await;
    idle.json("GET", "/api/me", "").await;
    let began = std::time::Instant::now();
    door.stage.server.stop().await;
    while ear.line().await.is_some() {}
    assert!(began.elapsed() < Duration::from_secs(4), "nobody was waited for");
}

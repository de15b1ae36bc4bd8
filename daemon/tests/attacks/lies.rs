//! Messages that lie, in v2 and v1: lengths, offsets, numbers and states that cannot be, for every
//! command. Each is answered once or ends its own session, and whoever came before goes on.

use imgrepo_proto::session::DataHeader;
use imgrepo_proto::session::command::CommandKind;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::pictures::picture;
use crate::sized;
use crate::support::{Client, Seen, Stage};

/// Values that no member means, as they stand in a message.
fn values() -> Vec<String> {
    let hash = "f".repeat(64);
    let mut values: Vec<String> = [
        "null",
        "true",
        "0",
        "-1",
        "1",
        "0.5",
        "-0",
        "1e400",
        "-1e-400",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
        "-9223372036854775809",
        "4294967295",
        "4294967296",
        "\"\"",
        "\"0\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\u202e\\u001b[2J\"",
        "\"../../etc/passwd\"",
        "\"a\\\\b\"",
        "[]",
        "[[]]",
        "[null]",
        "{}",
        "{\"a\":{}}",
    ]
    .map(str::to_owned)
    .to_vec();
    values.push(format!("\"{}\"", "x".repeat(40_000)));
    values.push(format!("\"{}\"", "\u{1f4a9}".repeat(65)));
    values.push(format!("\"{hash}\""));
    values.push(format!("[{}]", vec![format!("\"{hash}\""); 400].join(",")));
    values.push(format!("{}{}", "[".repeat(120), "]".repeat(120)));
    values
}

/// What the commands' arguments are called.
const MEMBERS: [&str; 33] = [
    "user",
    "credential",
    "client",
    "events_since",
    "name",
    "size",
    "hash",
    "taken_at",
    "unless_deleted",
    "filter",
    "sort",
    "limit",
    "cursor",
    "image",
    "hashes",
    "offset",
    "length",
    "request",
    "since",
    "secret",
    "device",
    "role",
    "person",
    "guest",
    "uses",
    "seconds",
    "invitation",
    "disabled",
    "before",
    "state",
    "uploader",
    "id",
    "cmd",
];

/// Arguments with one lie in each, and with lies alone.
fn lies() -> Vec<String> {
    let mut lies = values();
    for value in values() {
        lies.extend(MEMBERS.iter().map(|member| format!("{{\"{member}\":{value}}}")));
        let all: Vec<String> =
            MEMBERS.iter().map(|member| format!("\"{member}\":{value}")).collect();
        let all = format!("{{{}}}", all.join(","));
        if all.len() < 200_000 {
            lies.push(all);
        }
    }
    // Whole but for one: what is required is there, so that the lie itself is looked at.
    for value in values() {
        for member in ["size", "hash", "taken_at", "name"] {
            let mut args = json!({"name": "a.png", "size": 10});
            args[member] = json!("LIE");
            lies.push(args.to_string().replace("\"LIE\"", &value));
        }
        for member in ["offset", "length"] {
            lies.push(format!("{{\"image\":1,\"{member}\":{value}}}"));
        }
    }
    lies
}

/// Nobody's session stays with what it began, and the next one finds the server well.
async fn well(stage: &Stage) {
    let mut client = stage.guest("witness").await;
    client.ok("LIST", json!({})).await;
}

/// Asks; whatever the answer, there is one, or the session's end. False at the end.
async fn answered(client: &mut Client<TcpStream>, word: &str, args: &str) -> bool {
    let id = client.next_id;
    client.next_id += 1;
    client.raw(Message::text(format!("{{\"id\":{id},\"cmd\":\"{word}\",\"args\":{args}}}"))).await;
    loop {
        match client.next().await {
            Seen::Closed(_) | Seen::Cut => return false,
            Seen::Text(text) if text["id"] == id => match text["status"].as_str() {
                // It waits for content: given up, it ends.
                Some("READY") => {
                    client.send("CANCEL", json!({"request": id})).await;
                }
                Some("SIZE_INFO" | "ACK") => {}
                Some("SUCCESS" | "ERROR" | "BYE") => return true,
                other => panic!("{word} {args}: {other:?}"),
            },
            // A message that is no request at all.
            Seen::Text(text) if text["status"] == "ERROR" && text.get("id").is_none() => {
                return true;
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_lied_to() {
    let stage = Stage::new().await;
    stage.guest("bia").await.upload("a.png", &picture(100, 1)).await;
    let lies = lies();
    for kind in CommandKind::ALL {
        for known in [false, true] {
            let begin = async || match known {
                true => stage.guest("ana").await,
                false => stage.stranger().await,
            };
            let mut client = begin().await;
            // AUTH before AUTH may be a right one; the next lie then finds a session that knows.
            let step = 100 / sized("IMGREPO_LIES", 20).clamp(1, 100);
            for lie in lies.iter().skip(kind as usize % step).step_by(step) {
                if !answered(&mut client, kind.word(), lie).await {
                    client = begin().await;
                }
            }
        }
    }
    well(&stage).await;
    assert_eq!(stage.repository.owner().name.as_str(), "owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_lied_as_well() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let nested =
        |open: &str, close: &str| format!("{}{}", open.repeat(60_000), close.repeat(60_000));
    let texts = [
        String::new(),
        "{".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        "[1,2,3]".to_owned(),
        "\u{feff}{\"id\":1}".to_owned(),
        "{\"id\":1,\"id\":2,\"cmd\":\"LIST\",\"cmd\":\"PURGE\"}".to_owned(),
        "{\"id\":99999999999999999999999,\"cmd\":\"LIST\"}".to_owned(),
        "{\"id\":1.0,\"cmd\":\"LIST\"}".to_owned(),
        "{\"id\":0,\"cmd\":\"LIST\"}".to_owned(),
        "{\"id\":-1,\"cmd\":\"LIST\"}".to_owned(),
        "{\"id\":7,\"cmd\":\"LIST\\u0000\"}".to_owned(),
        "{\"id\":8,\"cmd\":7}".to_owned(),
        format!("{{\"id\":9,\"cmd\":\"{}\"}}", "L".repeat(100_000)),
        nested("[", "]"),
        nested("{\"a\":", "}"),
        format!("{{\"id\":10,\"cmd\":\"LIST\",\"args\":{}}}", nested("[", "]")),
    ];
    for text in texts {
        client.raw(Message::text(text.clone())).await;
        let short: String = text.chars().take(60).collect();
        match client.next().await {
            Seen::Text(answer) => assert_eq!(answer["status"], "ERROR", "{short}"),
            Seen::Closed(_) | Seen::Cut => client = stage.guest("ana").await,
            other => panic!("{short}: {other:?}"),
        }
    }
    well(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_that_were_not_announced_so() {
    let stage = Stage::new().await;
    let content = picture(1000, 3);
    let numbers = [0, 1, 999, 1000, 1001, u64::from(u32::MAX), 1 << 63, u64::MAX - 1, u64::MAX];
    for size in numbers {
        for offset in numbers {
            let mut client = stage.guest("ana").await;
            let id = client.send("UPLOAD", json!({"name": "lie.png", "size": size})).await;
            for bytes in [&content[..], &[], &content[..1]] {
                client.data(id, offset, bytes).await;
            }
            for other in [0, id + 1, u32::MAX] {
                client
                    .raw(Message::Binary(DataHeader { id: other, offset }.message(&content)))
                    .await;
            }
            client.send("CANCEL", json!({"request": id})).await;
            client.send("DISCONNECT", json!({})).await;
            // What was said of it besides, nothing that was not there came to be.
            loop {
                match client.next().await {
                    Seen::Closed(_) | Seen::Cut => break,
                    Seen::Text(text) => {
                        let lied = text["status"] == "SUCCESS" && text["id"] == id;
                        assert!(!lied || (size, offset) == (1000, 0), "{size} {offset}: {text}");
                    }
                    _ => {}
                }
            }
        }
    }
    let mut client = stage.guest("ana").await;
    for short in 0..12 {
        client.raw(Message::binary(vec![0; short])).await;
    }
    well(&stage).await;
    let mut client = stage.guest("ana").await;
    client.upload("a.png", &content).await;
    for offset in numbers {
        for length in numbers {
            let args = json!({"image": 1, "offset": offset, "length": length});
            let (info, bytes, end) = client.download(args).await;
            let most = 1000_u64.saturating_sub(offset).min(length);
            assert!(bytes.len() as u64 <= most, "{offset} {length}: {info} {end}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_of_what_was_never_sent() {
    let stage = Stage::new().await;
    let content = picture(3_000_000, 3);
    stage.guest("ana").await.upload("a.png", &content).await;
    for lie in [1, 2_999_999, 3_000_000, 3_000_001, 1 << 40, u64::MAX] {
        let mut client = stage.guest("ana").await;
        let id = client.send("DOWNLOAD", json!({"image": 1})).await;
        for id in [id, id + 1, 0, u32::MAX] {
            client.text(json!({"id": id, "cmd": "ACK", "offset": lie})).await;
        }
        client.send("DISCONNECT", json!({})).await;
        let mut taken = 0;
        loop {
            match client.next().await {
                Seen::Closed(_) | Seen::Cut => break,
                Seen::Data { bytes, .. } => taken += bytes.len(),
                _ => {}
            }
        }
        assert!(taken <= content.len(), "{lie}: {taken}");
    }
    well(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_programs_that_lie() {
    let stage = Stage::new().await;
    let mut lies: Vec<Value> = values()
        .iter()
        .filter_map(|value| serde_json::from_str(value).ok())
        .flat_map(|value: Value| {
            [
                json!([value]),
                json!(["a.png", value]),
                json!([value, "10"]),
                json!([value, value, 1]),
            ]
        })
        .collect();
    for size in ["-1", "+5", "1e9", " 7", "0x10", "18446744073709551615", "99999999999999999999"] {
        lies.push(json!(["a.png", size]));
    }
    lies.extend([json!({}), json!("a.png"), Value::Null, json!(7)]);
    for cmd in ["AUTH", "LIST", "UPLOAD", "DOWNLOAD", "VIEW", "DISCONNECT", "", "JOIN"] {
        for args in &lies {
            let mut client = stage.old().await;
            client.old = true;
            client.text(json!({"cmd": cmd, "args": args})).await;
            // The first stands where a content may be due, and ends that.
            for cmd in ["LIST", "LIST", "DISCONNECT"] {
                client.text(json!({"cmd": cmd, "args": []})).await;
            }
            let mut lists = 0;
            loop {
                match client.next().await {
                    Seen::Closed(_) => break,
                    Seen::Cut => panic!("{cmd} {args}: it was cut"),
                    Seen::Text(text) if text["data"].is_array() => lists += 1,
                    _ => {}
                }
            }
            assert!(lists > 0 || cmd == "DISCONNECT", "{cmd} {args}: the session did not go on");
        }
    }
    // Contents of another length than was said.
    for (said, sent) in [("10", 9), ("10", 11), ("0", 1), ("1", 0), ("1000", 70_000)] {
        let mut client = stage.old().await;
        client.text(json!({"cmd": "UPLOAD", "args": ["lie.png", said]})).await;
        // What comes before READY was not announced, and is ignored.
        match client.next().await {
            Seen::Text(text) if text["status"] == "READY" => {}
            Seen::Text(text) if text["status"] == "ERROR" => continue,
            other => panic!("{said}: {other:?}"),
        }
        client.raw(Message::binary(vec![7; sent])).await;
        loop {
            match client.next().await {
                Seen::Text(text) if text["status"] == "ERROR" => break,
                Seen::Text(text) => assert_ne!(text["status"], "SUCCESS", "{said} {sent}"),
                Seen::Closed(_) | Seen::Cut => break,
                _ => {}
            }
        }
    }
    let mut witness = stage.guest("witness").await;
    let images = witness.ok("LIST", json!({"filter": {"name": "lie.png"}})).await;
    assert_eq!(images["images"], json!([]));
}

//! The classic dialect, the whole table, and both dialects at once.

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::pictures::picture;
use crate::support::{Client, Seen, Stage};

/// The next text that is no event.
async fn reply(client: &mut Client<TcpStream>) -> Value {
    let seen =
        client.find(|seen| matches!(seen, Seen::Text(text) if text.get("event").is_none())).await;
    let Seen::Text(text) = seen else { unreachable!() };
    text
}

async fn ask(client: &mut Client<TcpStream>, cmd: &str, args: Value) -> Value {
    client.text(json!({"cmd": cmd, "args": args})).await;
    reply(client).await
}

async fn notice(client: &mut Client<TcpStream>) -> String {
    let seen =
        client.find(|seen| matches!(seen, Seen::Text(text) if text.get("event").is_some())).await;
    let Seen::Text(text) = seen else { unreachable!() };
    assert_eq!(text["event"], "NEW_UPLOAD");
    assert_eq!(text.as_object().unwrap().len(), 2);
    text["message"].as_str().unwrap().to_owned()
}

async fn upload(client: &mut Client<TcpStream>, name: &str, content: &[u8]) -> Value {
    let ready = ask(client, "UPLOAD", json!([name, content.len().to_string()])).await;
    assert_eq!(ready, json!({"status": "READY", "cmd": "UPLOAD_DATA"}));
    client.raw(Message::binary(content.to_vec())).await;
    reply(client).await
}

fn id(reply: &Value) -> u64 {
    assert_eq!(reply["status"], "SUCCESS", "{reply}");
    let message = reply["message"].as_str().unwrap();
    message
        .rsplit(|c: char| !c.is_ascii_digit())
        .find(|part| !part.is_empty())
        .unwrap()
        .parse()
        .unwrap()
}

async fn old(stage: &Stage) -> Client<TcpStream> {
    let mut client = stage.old().await;
    client.old = true;
    client
}

#[tokio::test]
async fn who_says_their_name_first_leaves_no_other_behind() {
    let stage = Stage::new().await;
    let mut client = old(&stage).await;
    ask(&mut client, "AUTH", json!(["ana"])).await;
    ask(&mut client, "LIST", json!([])).await;
    let mut owner = stage.owner().await;
    let people = owner.ok("PEOPLE", json!({})).await;
    let names: Vec<&str> = people["people"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["owner", "ana"]);
}

#[tokio::test]
async fn the_whole_table() {
    let stage = Stage::new().await;
    let mut client = old(&stage).await;
    let welcome = ask(&mut client, "AUTH", json!(["ana"])).await;
    assert_eq!(welcome["status"], "SUCCESS");
    let list = ask(&mut client, "list", json!([])).await;
    assert_eq!(list, json!({"status": "SUCCESS", "cmd": "LIST", "data": []}));
    let content = picture(300_000, 1);
    client.text(json!({"cmd": "Upload", "args": ["a.jpg", "300000"]})).await;
    assert_eq!(reply(&mut client).await["status"], "READY");
    client.raw(Message::binary(content.clone())).await;
    let Seen::Text(stored) = client.next().await else { panic!("text was due") };
    assert_eq!(id(&stored), 1, "the uploader's SUCCESS comes first");
    let text = notice(&mut client).await;
    assert!(text.starts_with("Novo arquivo 'a.jpg' ") && text.contains("ana"), "{text}");
    let list = ask(&mut client, "LIST", json!([])).await;
    assert_eq!(list["data"], json!([{"filename": "a.jpg", "uploader": "ana"}]));
    for (cmd, mode) in [("DOWNLOAD", "DOWNLOAD"), ("view", "VIEW")] {
        client.text(json!({"cmd": cmd, "args": ["a.jpg"]})).await;
        let Seen::Text(info) = client.next().await else { panic!("SIZE_INFO was due") };
        let expected =
            json!({"status": "SIZE_INFO", "size": 300_000, "filename": "a.jpg", "mode": mode});
        assert_eq!(info, expected);
        let Seen::Whole(bytes) = client.next().await else { panic!("the content was due") };
        assert!(bytes == content, "one message, whatever its size");
        let Seen::Text(end) = client.next().await else { panic!("SUCCESS was due") };
        assert_eq!(end["status"], "SUCCESS");
    }
    for bad in [
        json!({"cmd": "DOWNLOAD", "args": ["b.jpg"]}),
        json!({"cmd": "DOWNLOAD", "args": []}),
        json!({"cmd": "UPLOAD", "args": ["a.jpg", "many"]}),
        json!({"cmd": "UPLOAD", "args": ["a/b.jpg", "100"]}),
        json!({"cmd": "UPLOAD", "args": ["a.jpg", "0"]}),
        json!({"cmd": "UPLOAD", "args": ["a.jpg", "9223372036854775808"]}),
        json!({"cmd": "DELETE", "args": ["a.jpg"]}),
        json!({"cmd": 7}),
        json!([]),
    ] {
        client.text(bad.clone()).await;
        let answer = reply(&mut client).await;
        assert_eq!(answer["status"], "ERROR", "{bad}");
        assert!(answer["message"].as_str().unwrap().starts_with("Erro"), "{answer}");
    }
    client.raw(Message::text("not json")).await;
    assert_eq!(reply(&mut client).await["status"], "ERROR");
    let bye = ask(&mut client, "DISCONNECT", json!([])).await;
    assert_eq!(bye["status"], "BYE");
    assert_eq!(client.next().await, Seen::Closed(1000));
    assert_eq!(client.next().await, Seen::Cut);
    stage.sessions(0).await;
}

#[tokio::test]
async fn history_is_the_last_five_oldest_first() {
    let stage = Stage::new().await;
    let mut client = old(&stage).await;
    for seed in 1..=7 {
        // Before AUTH one is `anon`.
        upload(&mut client, &format!("{seed}.jpg"), &picture(100, seed)).await;
    }
    let mut late = old(&stage).await;
    assert_eq!(ask(&mut late, "AUTH", json!([])).await["status"], "SUCCESS");
    // The newest may be told live too: its uploader heard of it before everyone did.
    let is_history = |seen: &Seen| matches!(seen, Seen::Text(text) if text["event"] == "HISTORY");
    let Seen::Text(history) = late.find(is_history).await else { unreachable!() };
    let data = history["data"].as_array().unwrap();
    assert_eq!(data.len(), 5);
    for (entry, seed) in data.iter().zip(3..) {
        assert_eq!(entry["event"], "NEW_UPLOAD");
        let message = entry["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("'{seed}.jpg'")) && message.contains("anon"),
            "{message}"
        );
    }
    let list = ask(&mut late, "LIST", json!([])).await;
    assert_eq!(list["data"][0]["filename"], "1.jpg", "in upload order");
    assert_eq!(list["data"][6]["filename"], "7.jpg");
}

#[tokio::test]
async fn the_same_again_and_the_newest_of_a_name() {
    let stage = Stage::new().await;
    let mut client = old(&stage).await;
    let (one, two) = (picture(100, 1), picture(100, 2));
    assert_eq!(id(&upload(&mut client, "a.jpg", &one).await), 1);
    assert_eq!(id(&upload(&mut client, "a.jpg", &one).await), 1, "the same again");
    assert_eq!(id(&upload(&mut client, "b.jpg", &one).await), 2, "another name");
    assert_eq!(id(&upload(&mut client, "a.jpg", &two).await), 3);
    client.text(json!({"cmd": "DOWNLOAD", "args": ["a.jpg"]})).await;
    let Seen::Whole(bytes) = client.find(|seen| matches!(seen, Seen::Whole(_))).await else {
        unreachable!()
    };
    assert!(bytes == two);
    let names: Vec<_> =
        [notice(&mut client).await, notice(&mut client).await, notice(&mut client).await]
            .iter()
            .map(|text| text.split('\'').nth(1).unwrap().to_owned())
            .collect();
    assert_eq!(names, ["a.jpg", "b.jpg", "a.jpg"], "no event for the same again");
}

#[tokio::test]
async fn what_was_not_announced_is_ignored() {
    let stage = Stage::new().await;
    let mut client = old(&stage).await;
    client.raw(Message::binary(picture(3_000_000, 1))).await;
    assert_eq!(ask(&mut client, "LIST", json!([])).await["data"], json!([]));
    // Another size than announced, either way.
    for size in [99, 101, 3_000_000] {
        let ready = ask(&mut client, "UPLOAD", json!(["a.jpg", "100"])).await;
        assert_eq!(ready["status"], "READY");
        client.raw(Message::binary(picture(size, 1))).await;
        assert_eq!(reply(&mut client).await["status"], "ERROR", "{size}");
    }
    // A text where the content was due.
    assert_eq!(ask(&mut client, "UPLOAD", json!(["a.jpg", 100])).await["status"], "READY");
    assert_eq!(ask(&mut client, "LIST", json!([])).await["status"], "ERROR");
    client.raw(Message::binary(picture(100, 1))).await;
    assert_eq!(ask(&mut client, "LIST", json!([])).await["data"], json!([]));
    // No image.
    assert_eq!(ask(&mut client, "UPLOAD", json!(["a.jpg", "4000"])).await["status"], "READY");
    client.raw(Message::binary(vec![b'x'; 4000])).await;
    assert_eq!(reply(&mut client).await["status"], "ERROR");
    // A command far too long.
    client.raw(Message::text(" ".repeat(2_000_000))).await;
    assert_eq!(reply(&mut client).await["status"], "ERROR");
    assert_eq!(id(&upload(&mut client, "a.jpg", &picture(100, 1)).await), 1, "it goes on");
}

#[tokio::test]
async fn contents_in_flight_share_a_budget() {
    let stage = Stage::with(|settings| {
        settings.v1_max_image_bytes = 1_000_000;
        settings.v1_budget_bytes = 1_500_000;
    })
    .await;
    let (mut one, mut two) = (old(&stage).await, old(&stage).await);
    assert_eq!(ask(&mut one, "UPLOAD", json!(["a.jpg", "1000001"])).await["status"], "ERROR");
    assert_eq!(ask(&mut one, "UPLOAD", json!(["a.jpg", "1000000"])).await["status"], "READY");
    assert_eq!(ask(&mut two, "UPLOAD", json!(["b.jpg", "1000000"])).await["status"], "ERROR");
    let content = picture(1_000_000, 1);
    one.raw(Message::binary(content.clone())).await;
    assert_eq!(id(&reply(&mut one).await), 1);
    assert_eq!(id(&upload(&mut two, "b.jpg", &content).await), 2);
    drop(one);
    drop(two);
    stage.sessions(0).await;
}

#[tokio::test]
async fn commands_sent_at_once_are_carried_out_in_turn() {
    let stage = Stage::new().await;
    let mut client = old(&stage).await;
    let content = picture(100_000, 1);
    client.text(json!({"cmd": "AUTH", "args": ["ana"]})).await;
    for _ in 0..20 {
        client.text(json!({"cmd": "LIST"})).await;
    }
    for _ in 0..21 {
        assert_eq!(reply(&mut client).await["status"], "SUCCESS");
    }
    assert_eq!(id(&upload(&mut client, "a.jpg", &content).await), 1);
    for _ in 0..3 {
        client.text(json!({"cmd": "DOWNLOAD", "args": ["a.jpg"]})).await;
    }
    notice(&mut client).await;
    for _ in 0..3 {
        assert_eq!(reply(&mut client).await["status"], "SIZE_INFO");
        assert_eq!(client.next().await, Seen::Whole(content.clone().into()));
        assert_eq!(reply(&mut client).await["status"], "SUCCESS");
    }
}

#[tokio::test]
async fn every_upload_is_told_once_whatever_else_goes_on() {
    const EACH: u64 = 20;
    let stage = Stage::new().await;
    let (mut one, mut two) = (old(&stage).await, old(&stage).await);
    let mut new = stage.guest("bia").await;
    let from_one = async {
        for seed in 0..EACH {
            upload(&mut one, &format!("{seed}.jpg"), &picture(5000, seed)).await;
        }
    };
    let from_two = async {
        for seed in EACH..2 * EACH {
            upload(&mut two, &format!("{seed}.jpg"), &picture(5000, seed)).await;
        }
    };
    let from_new = async {
        for seed in 2 * EACH..3 * EACH {
            new.upload(&format!("{seed}.jpg"), &picture(5000, seed)).await;
        }
    };
    tokio::join!(from_one, from_two, from_new);
    for client in [&mut one, &mut two] {
        let mut names = Vec::new();
        for _ in 0..3 * EACH {
            let text = notice(client).await;
            let name = text.split('\'').nth(1).and_then(|name| name.strip_suffix(".jpg"));
            names.push(name.unwrap().parse::<u64>().unwrap());
        }
        names.sort_unstable();
        assert_eq!(names, (0..3 * EACH).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn stopping_ends_a_download_that_nobody_reads() {
    let stage = Stage::new().await;
    let mut client = old(&stage).await;
    // Far more than the two kernels hold.
    let content = picture(30_000_000, 1);
    assert_eq!(id(&upload(&mut client, "a.jpg", &content).await), 1);
    notice(&mut client).await;
    client.text(json!({"cmd": "VIEW", "args": ["a.jpg"]})).await;
    assert_eq!(reply(&mut client).await["status"], "SIZE_INFO");
    let ends = async {
        loop {
            if let Seen::Closed(code) = client.next().await {
                client.next().await;
                return code;
            }
        }
    };
    let (code, ()) = tokio::join!(ends, stage.server.stop());
    assert_eq!(code, 1001);
}

#[tokio::test]
async fn both_dialects_see_each_other() {
    let stage = Stage::new().await;
    let mut old_one = old(&stage).await;
    let mut new = stage.guest("bia").await;
    assert_eq!(ask(&mut old_one, "AUTH", json!(["ana"])).await["status"], "SUCCESS");
    let content = picture(2_000_000, 1);
    assert_eq!(id(&upload(&mut old_one, "a.jpg", &content).await), 1);
    assert_eq!(new.event().await, ("NEW_UPLOAD".to_owned(), 1, "a.jpg".to_owned()));
    let (info, bytes, _) = new.download(json!({"name": "a.jpg"})).await;
    assert!(bytes == content);
    assert_eq!(info["media_type"], "image/png");
    assert!(notice(&mut old_one).await.contains("'a.jpg'"));
    new.upload("b.jpg", &picture(100, 2)).await;
    let text = notice(&mut old_one).await;
    assert!(text.contains("'b.jpg'") && text.contains("bia"), "{text}");
    new.ok("DELETE", json!({"name": "b.jpg"})).await;
    new.upload("c.jpg", &picture(100, 3)).await;
    assert!(notice(&mut old_one).await.contains("'c.jpg'"), "only uploads are told");
}

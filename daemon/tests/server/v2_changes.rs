//! Changes and events: order, replay, and who may what.

use serde_json::json;

use crate::pictures::picture;
use crate::support::{Seen, Stage};

#[tokio::test]
async fn everyone_hears_every_change_in_order() {
    let stage = Stage::new().await;
    let mut ana = stage.guest("ana").await;
    let mut bia = stage.guest("bia").await;
    ana.upload("a.png", &picture(100, 1)).await;
    ana.ok("RENAME", json!({"image": 1, "name": "b.png"})).await;
    ana.ok("DELETE", json!({"name": "b.png"})).await;
    ana.ok("RESTORE", json!({"name": "b.png"})).await;
    ana.ok("DELETE", json!({"image": 1})).await;
    assert_eq!(ana.ok("PURGE", json!({"image": 1})).await, json!({"purged": 1}));
    let expected = [
        ("NEW_UPLOAD", "a.png"),
        ("RENAMED", "b.png"),
        ("DELETED", "b.png"),
        ("RESTORED", "b.png"),
        ("DELETED", "b.png"),
        ("PURGED", "b.png"),
    ];
    let mut late = stage.stranger().await;
    late.ok("AUTH", json!({"user": "caio", "events_since": 0})).await;
    for (at, (word, name)) in expected.into_iter().enumerate() {
        let expected = (word.to_owned(), at as u64 + 1, name.to_owned());
        assert_eq!(bia.event().await, expected, "live");
        assert_eq!(ana.event().await, expected, "one's own");
        assert_eq!(late.event().await, expected, "missed");
    }
    let mut later = stage.stranger().await;
    let reply = later.ok("AUTH", json!({"user": "duda", "events_since": 5})).await;
    assert_eq!(reply["seq"], 6);
    assert_eq!(later.event().await.1, 6);
    let page = later.ok("EVENTS", json!({"since": 2, "limit": 3})).await;
    let seqs: Vec<_> =
        page["events"].as_array().unwrap().iter().map(|event| &event["seq"]).collect();
    assert_eq!(json!(seqs), json!([3, 4, 5]));
    assert_eq!(page["next"], 5);
    assert_eq!(later.ok("EVENTS", json!({"since": 6})).await, json!({"events": [], "next": null}));
    assert_eq!(later.refused("EVENTS", json!({"since": 7})).await, "ahead");
}

/// Enough who listen for the events to be read once for all, and more events than are kept of that.
#[tokio::test]
async fn of_many_who_listen_each_hears_every_event_once_and_in_order() {
    const CHANGES: u64 = 300;
    let stage = Stage::new().await;
    let mut ana = stage.guest("ana").await;
    ana.upload("a.png", &picture(100, 1)).await;
    assert_eq!(ana.event().await.1, 1);
    let mut listeners = Vec::new();
    for _ in 0..12 {
        listeners.push((stage.guest("bia").await, 1));
    }
    for change in 1..=CHANGES {
        let name = format!("{change}.png");
        ana.ok("RENAME", json!({"image": 1, "name": name})).await;
        if change % 100 == 0 {
            // One who was away, for longer than what is kept for all goes back, or not.
            let mut late = stage.stranger().await;
            late.ok("AUTH", json!({"user": "bia", "events_since": 1})).await;
            listeners.push((late, 1));
            let mut late = stage.stranger().await;
            late.ok("AUTH", json!({"user": "bia", "events_since": change - 50})).await;
            listeners.push((late, change - 50));
        }
    }
    for (mut listener, since) in listeners {
        for seq in since + 1..=CHANGES + 1 {
            let name = format!("{}.png", seq - 1);
            assert_eq!(listener.event().await, ("RENAMED".to_owned(), seq, name));
        }
    }
}

#[tokio::test]
async fn ones_own_success_comes_before_ones_own_event() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    for seed in 0..30 {
        let content = picture(100, seed);
        let id = client.announce("a.png", &content).await;
        client.data(id, 0, &content).await;
        let mut replied = false;
        loop {
            let Seen::Text(text) = client.next().await else { panic!("only text was due") };
            replied |= text["status"] == "SUCCESS";
            if text["event"] == "NEW_UPLOAD" {
                assert!(replied);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_guest_changes_their_own_and_the_owner_all() {
    let stage = Stage::new().await;
    let mut ana = stage.guest("ana").await;
    let mut bia = stage.guest("bia").await;
    let mut owner = stage.owner().await;
    ana.upload("a.png", &picture(100, 1)).await;
    assert_eq!(bia.refused("DELETE", json!({"image": 1})).await, "denied");
    assert_eq!(bia.refused("RENAME", json!({"image": 1, "name": "b.png"})).await, "denied");
    owner.ok("RENAME", json!({"image": 1, "name": "b.png"})).await;
    owner.ok("DELETE", json!({"image": 1})).await;
    assert_eq!(bia.refused("RESTORE", json!({"image": 1})).await, "not_found");
    ana.ok("RESTORE", json!({"image": 1})).await;
    assert_eq!(ana.refused("RENAME", json!({"image": 1, "name": "a/b"})).await, "bad_name");
    assert_eq!(ana.refused("DELETE", json!({})).await, "bad_request");
    assert_eq!(ana.refused("INFO", json!({"image": 99})).await, "not_found");
}

#[tokio::test]
async fn pages_are_cut_to_a_message() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    // Control characters take six bytes each in JSON: 500 such records are well above 256 KiB.
    for group in 0..5 {
        let mut under_way = Vec::new();
        for seed in group * 60..group * 60 + 60 {
            let name = format!("{seed}{}", "\u{1}".repeat(240));
            let content = picture(100, seed);
            let id = client.announce(&name, &content).await;
            client.data(id, 0, &content).await;
            under_way.push(id);
        }
        for id in under_way {
            assert_eq!(client.reply(id).await["status"], "SUCCESS");
        }
    }
    let mut ids = Vec::new();
    let mut args = json!({"limit": 500});
    loop {
        let page = client.ok("LIST", args.clone()).await;
        assert!(page.to_string().len() <= 256 * 1024);
        let images = page["images"].as_array().unwrap().clone();
        ids.extend(images.iter().map(|image| image["id"].as_u64().unwrap()));
        if page["next"].is_null() {
            break;
        }
        args["cursor"] = page["next"].clone();
    }
    assert_eq!(ids, (1..=300).rev().collect::<Vec<u64>>());
    let (mut since, mut seqs) = (0, Vec::new());
    loop {
        let page = client.ok("EVENTS", json!({"since": since, "limit": 500})).await;
        let events = page["events"].as_array().unwrap().clone();
        seqs.extend(events.iter().map(|event| event["seq"].as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        since = next;
    }
    assert_eq!(seqs, (1..=300).collect::<Vec<u64>>());
}

#[tokio::test]
async fn have_and_filters() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let content = picture(100, 1);
    client.upload("a.png", &content).await;
    let (here, gone) = (blake3::hash(&content).to_string(), blake3::hash(b"").to_string());
    let have = client.ok("HAVE", json!({"hashes": [here, gone]})).await;
    assert_eq!(have["have"][&here], json!([1]));
    assert_eq!(client.refused("HAVE", json!({"hashes": vec![here; 1001]})).await, "bad_request");
    let list = client.ok("LIST", json!({"filter": {"name": "A.*"}})).await;
    assert_eq!(list["images"][0]["name"], "a.png");
    let unknown = json!({"filter": {"colour": "red"}});
    assert_eq!(client.refused("LIST", unknown).await, "unsupported");
}

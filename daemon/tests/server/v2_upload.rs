//! Uploads: sizes, windows, resume, and what a client may do wrong.

use serde_json::json;

use crate::pictures::picture;
use crate::support::{Stage, code};

const WINDOW: usize = 1024 * 1024;
const CHUNK: usize = 256 * 1024;

#[tokio::test]
async fn every_size_arrives_whole() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    // Around the ends of a message, a chunk and a window: where off-by-one lives.
    let sizes = [
        64,
        65_535,
        65_536,
        65_537,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        WINDOW - 1,
        WINDOW,
        WINDOW + 1,
        3 * WINDOW + 17,
    ];
    for (seed, size) in sizes.into_iter().enumerate() {
        let content = picture(size, seed as u64);
        let name = format!("{size}.png");
        let reply = client.upload(&name, &content).await;
        assert_eq!(reply["status"], "SUCCESS", "{size}: {reply}");
        assert_eq!(reply["data"]["duplicate"], false);
        let image = &reply["data"]["image"];
        assert_eq!(image["size"], size);
        assert_eq!(image["hash"], blake3::hash(&content).to_string());
        assert_eq!((&image["width"], &image["height"]), (&json!(64), &json!(48)));
        let (info, bytes, end) = client.download(json!({"image": image["id"]})).await;
        assert_eq!((&info["size"], &info["name"]), (&json!(size), &json!(name)));
        assert_eq!(info["media_type"], "image/png");
        assert!(bytes == content, "{size}");
        assert_eq!(end["data"]["hash"], image["hash"]);
    }
}

#[tokio::test]
async fn what_is_no_image_is_refused() {
    let stage = Stage::with(|settings| settings.limits.max_image_size = 5000).await;
    let mut client = stage.guest("ana").await;
    assert_eq!(code(&client.upload("empty.png", b"").await), "not_an_image");
    assert_eq!(code(&client.upload("x.png", b"x").await), "not_an_image");
    assert_eq!(code(&client.upload("text.png", &[b'x'; 4000]).await), "not_an_image");
    assert_eq!(client.upload("5000.png", &picture(5000, 1)).await["status"], "SUCCESS");
    assert_eq!(code(&client.upload("5001.png", &picture(5001, 1)).await), "too_large");
    let huge = json!({"name": "a.png", "size": 1u64 << 63});
    assert_eq!(client.refused("UPLOAD", huge).await, "too_large");
    for name in ["", ".", "..", "a/b", "a\\b", "a\0b", &"x".repeat(256)] {
        assert_eq!(code(&client.upload(name, &picture(100, 1)).await), "bad_name", "{name:?}");
    }
    let negative = json!({"name": "a.png", "size": -1});
    assert_eq!(client.refused("UPLOAD", negative).await, "bad_request");
    let listed = client.ok("LIST", json!({})).await;
    assert_eq!(listed["images"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_first_window_need_not_wait() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let content = picture(WINDOW, 1);
    let id = client.announce("a.png", &content).await;
    for (at, piece) in content.chunks(CHUNK).enumerate() {
        client.data(id, (at * CHUNK) as u64, piece).await;
    }
    assert_eq!(client.reply(id).await["status"], "SUCCESS");
}

#[tokio::test]
async fn an_upload_cut_short_goes_on_where_it_stopped() {
    let stage = Stage::new().await;
    let content = picture(2 * WINDOW, 1);
    let mut client = stage.guest("ana").await;
    let id = client.announce("a.png", &content).await;
    client.data(id, 0, &content[..CHUNK]).await;
    client.data(id, CHUNK as u64, &content[CHUNK..2 * CHUNK]).await;
    while client.status(id, &["ACK"]).await["offset"] != 2 * CHUNK {}
    drop(client);
    stage.sessions(0).await;

    // Another person's does not go on from there.
    let mut other = stage.guest("bia").await;
    let id = other.announce("b.png", &content).await;
    assert_eq!(other.status(id, &["READY"]).await["offset"], 0);

    // First data that is held already, sent before READY came, then the rest.
    let mut client = stage.guest("ana").await;
    let id = client.announce("a.png", &content).await;
    client.data(id, 0, &content[..CHUNK]).await;
    let ready = client.status(id, &["READY"]).await;
    assert_eq!(ready["offset"], 2 * CHUNK);
    let at = 2 * CHUNK as u64;
    client.data(id, at - 7, &content[2 * CHUNK - 7..3 * CHUNK - 7]).await;
    let mut at = 3 * CHUNK - 7;
    while at < content.len() {
        let end = (at + CHUNK).min(content.len());
        client.data(id, at as u64, &content[at..end]).await;
        at = end;
        while client.status(id, &["ACK"]).await["offset"] != end {}
    }
    assert_eq!(client.reply(id).await["status"], "SUCCESS");
}

#[tokio::test]
async fn a_cancelled_upload_keeps_what_it_has() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let content = picture(WINDOW, 1);
    let id = client.announce("a.png", &content).await;
    client.data(id, 0, &content[..CHUNK]).await;
    while client.status(id, &["ACK"]).await["offset"] != CHUNK {}
    client.ok("CANCEL", json!({"request": id})).await;
    assert_eq!(code(&client.reply(id).await), "cancelled");
    // On its way when the upload ended: dropped without a word.
    client.data(id, CHUNK as u64, &content[CHUNK..2 * CHUNK]).await;
    client.ok("CANCEL", json!({"request": id})).await;
    assert_eq!(client.refused("CANCEL", json!({"request": 999})).await, "not_found");
    let id = client.announce("a.png", &content).await;
    assert_eq!(client.status(id, &["READY"]).await["offset"], CHUNK);
    client.ok("CANCEL", json!({"request": id})).await;
}

#[tokio::test]
async fn a_duplicate_is_known_at_once() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let content = picture(3000, 1);
    let first = client.upload("a.png", &content).await;
    let again = client.upload("other.png", &content).await;
    assert_eq!(again["data"]["duplicate"], true);
    assert_eq!(again["data"]["image"], first["data"]["image"]);
    // Without a hash it is only known at the end.
    let id = client.send("UPLOAD", json!({"name": "a.png", "size": 3000})).await;
    client.status(id, &["READY"]).await;
    client.data(id, 0, &content).await;
    assert_eq!(client.reply(id).await["data"]["duplicate"], true);
    let mut other = stage.guest("bia").await;
    assert_eq!(other.upload("a.png", &content).await["data"]["duplicate"], false);
    client.ok("DELETE", json!({"image": 1})).await;
    let hash = blake3::hash(&content).to_string();
    let careful = json!({"name": "a.png", "size": 3000, "hash": hash, "unless_deleted": true});
    assert_eq!(client.refused("UPLOAD", careful).await, "deleted");
    let back = client.upload("a.png", &content).await;
    assert_eq!(back["data"]["image"]["id"], 1, "out of the trash");
}

#[tokio::test]
async fn a_wrong_hash_stores_nothing() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let content = picture(3000, 1);
    let wrong = blake3::hash(b"another").to_string();
    let args = json!({"name": "a.png", "size": 3000, "hash": wrong});
    let id = client.send("UPLOAD", args.clone()).await;
    client.data(id, 0, &content).await;
    assert_eq!(code(&client.reply(id).await), "wrong_hash");
    let id = client.send("UPLOAD", args).await;
    assert_eq!(client.status(id, &["READY"]).await["offset"], 0, "from the start again");
    assert_eq!(client.ok("LIST", json!({})).await["images"], json!([]));
}

#[tokio::test]
async fn a_newer_upload_of_the_same_content_takes_over() {
    let stage = Stage::new().await;
    let content = picture(WINDOW, 1);
    let mut old = stage.guest("ana").await;
    let first = old.announce("a.png", &content).await;
    old.data(first, 0, &content[..CHUNK]).await;
    while old.status(first, &["ACK"]).await["offset"] != CHUNK {}
    let mut new = stage.guest("ana").await;
    let second = new.announce("a.png", &content).await;
    assert_eq!(code(&old.reply(first).await), "superseded");
    assert_eq!(new.pour(second, &content).await["status"], "SUCCESS");
}

#[tokio::test]
async fn data_that_should_not_be_sent_ends_the_upload_alone() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let content = picture(2 * WINDOW, 1);
    for (offset, len, expected) in
        [(1, 10, "bad_request"), (u64::MAX, 10, "wrong_size"), (2 * WINDOW as u64, 1, "wrong_size")]
    {
        let id = client.announce("a.png", &content).await;
        client.status(id, &["READY"]).await;
        client.data(id, offset, &content[..len]).await;
        assert_eq!(code(&client.reply(id).await), expected, "{offset}");
    }
    // Beyond the session's window: nine uploads of one window each, all sent before any is read.
    let small = Stage::with(|settings| settings.limits.window = 1000).await;
    let mut narrow = small.guest("ana").await;
    let id = narrow.announce("a.png", &content).await;
    narrow.status(id, &["READY"]).await;
    narrow.data(id, 0, &content[..1001]).await;
    assert_eq!(code(&narrow.reply(id).await), "bad_request");
    let small = Stage::with(|settings| settings.limits.session_window = 1000).await;
    let mut narrow = small.guest("ana").await;
    let id = narrow.announce("a.png", &content).await;
    narrow.data(id, 0, &content[..1001]).await;
    assert_eq!(code(&narrow.reply(id).await), "bad_request");
    narrow.ok("LIST", json!({})).await;

    client.data(999, 0, b"x").await;
    assert_eq!(client.complaint().await, "bad_request", "no such request");
    client.raw(tokio_tungstenite::tungstenite::Message::binary(vec![0; 11])).await;
    assert_eq!(client.complaint().await, "bad_request", "too short for a head");
    let reply = client.upload("a.png", &content).await;
    assert_eq!(reply["status"], "SUCCESS", "the session goes on");
}

#[tokio::test]
async fn a_list_is_answered_during_an_upload_and_tiny_pieces_arrive() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let content = picture(2000, 1);
    let id = client.announce("a.png", &content).await;
    for at in 0..1000 {
        client.data(id, at as u64, &content[at..=at]).await;
    }
    client.ok("LIST", json!({})).await;
    for at in 1000..2000 {
        client.data(id, at as u64, &content[at..=at]).await;
    }
    assert_eq!(client.reply(id).await["status"], "SUCCESS");
}

#[tokio::test]
async fn many_uploads_at_once() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let contents: Vec<_> = (0..32).map(|seed| picture(111_000, seed)).collect();
    let mut ids = Vec::new();
    for (at, content) in contents.iter().enumerate() {
        ids.push(client.announce(&format!("{at}.png"), content).await);
    }
    for (id, content) in ids.iter().zip(&contents) {
        client.data(*id, 0, &content[..65_536]).await;
        client.data(*id, 65_536, &content[65_536..]).await;
    }
    for id in ids {
        assert_eq!(client.reply(id).await["status"], "SUCCESS");
    }
}

//! Downloads: ranges, acknowledgements, and two at once.

use serde_json::json;

use crate::pictures::picture;
use crate::support::{Seen, Stage, code};

const WINDOW: usize = 1024 * 1024;

#[tokio::test]
async fn any_part_of_an_image() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let content = picture(200_000, 1);
    client.upload("a.png", &content).await;
    for (offset, length) in [
        (0u64, None),
        (1, None),
        (65_536, Some(65_536)),
        (0, Some(0)),
        (199_999, None),
        (200_000, None),
        (5, Some(1)),
        (100_000, Some(u64::MAX)),
    ] {
        let mut args = json!({"name": "a.png", "offset": offset});
        if let Some(length) = length {
            args["length"] = json!(length);
        }
        let (info, bytes, end) = client.download(args).await;
        assert_eq!(info["size"], 200_000);
        let stop = length.map_or(200_000, |length| offset.saturating_add(length).min(200_000));
        assert!(bytes == content[offset as usize..stop as usize], "{offset} {length:?}");
        assert_eq!(end["status"], "SUCCESS");
    }
    assert_eq!(
        code(&client.download(json!({"image": 1, "offset": 200_001})).await.0),
        "bad_request"
    );
    assert_eq!(code(&client.download(json!({"image": 2})).await.0), "not_found");
    assert_eq!(code(&client.download(json!({"name": "b.png"})).await.0), "not_found");
    assert_eq!(code(&client.download(json!({})).await.0), "bad_request");
}

#[tokio::test]
async fn no_more_is_sent_than_was_acknowledged_and_a_window() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    let content = picture(3 * WINDOW, 1);
    client.upload("a.png", &content).await;
    let id = client.send("DOWNLOAD", json!({"image": 1})).await;
    let mut got = 0;
    while got < WINDOW {
        let data = client.find(|seen| matches!(seen, Seen::Data { .. })).await;
        let Seen::Data { offset, bytes, .. } = data else { unreachable!() };
        assert_eq!(offset, got as u64);
        got += bytes.len();
    }
    assert_eq!(got, WINDOW);
    // The link is free meanwhile: another request is answered, and no data comes before it.
    let list = client.send("LIST", json!({})).await;
    let next = client
        .find(|seen| {
            !matches!(seen, Seen::Text(text) if text.get("event").is_some()
        || text["status"] == "SIZE_INFO")
        })
        .await;
    assert!(matches!(next, Seen::Text(text) if text["id"] == list), "no data beyond the window");
    client.text(json!({"id": id, "cmd": "ACK", "offset": got + 1})).await;
    assert_eq!(code(&client.reply(id).await), "bad_request", "never sent, so never taken");
    client.text(json!({"id": id, "cmd": "ACK", "offset": got})).await;
    let (_, bytes, _) = client.download(json!({"image": 1, "offset": 7})).await;
    assert!(bytes == content[7..], "what was under way is given back to the session");
    client.text(json!({"id": 9999, "cmd": "ACK", "offset": 1})).await;
    assert_eq!(client.complaint().await, "bad_request");
}

#[tokio::test]
async fn a_cancelled_download_stops() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    client.upload("a.png", &picture(3 * WINDOW, 1)).await;
    let id = client.send("DOWNLOAD", json!({"image": 1})).await;
    client.status(id, &["SIZE_INFO"]).await;
    client.ok("CANCEL", json!({"request": id})).await;
    assert_eq!(code(&client.reply(id).await), "cancelled");
    client.ok("LIST", json!({})).await;
}

#[tokio::test]
async fn two_at_once_share_the_session() {
    let stage = Stage::with(|settings| settings.limits.session_window = 300_000).await;
    let mut client = stage.guest("ana").await;
    let contents = [picture(700_000, 1), picture(900_000, 2)];
    for (at, content) in contents.iter().enumerate() {
        // Its own small session window: one after the other, in pieces that fit it.
        let id = client.announce(&format!("{at}.png"), content).await;
        client.status(id, &["READY"]).await;
        for (at, piece) in content.chunks(100_000).enumerate() {
            client.data(id, at as u64 * 100_000, piece).await;
            let end = at * 100_000 + piece.len();
            while client.status(id, &["ACK"]).await["offset"] != end {}
        }
        assert_eq!(client.reply(id).await["status"], "SUCCESS");
    }
    let ids = [
        client.send("DOWNLOAD", json!({"image": 1})).await,
        client.send("DOWNLOAD", json!({"image": 2})).await,
    ];
    let mut got = [Vec::new(), Vec::new()];
    let mut ended = 0;
    while ended < 2 {
        let of_interest = |seen: &Seen| {
            matches!(seen, Seen::Data { .. })
                || matches!(seen, Seen::Text(text) if text["status"] == "SUCCESS")
        };
        match client.find(of_interest).await {
            Seen::Data { id, offset, bytes } => {
                let which = usize::from(id == ids[1]);
                assert_eq!(offset, got[which].len() as u64);
                got[which].extend_from_slice(&bytes);
                let offset = got[which].len();
                client.text(json!({"id": id, "cmd": "ACK", "offset": offset})).await;
            }
            _ => ended += 1,
        }
    }
    assert!(got == contents);
}

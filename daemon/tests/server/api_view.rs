//! Pictures for a browser, with the real child, and what cameras wrote.

use imgrepo_proto::session::people::AccountRole;
use serde_json::json;

use crate::api::{Tab, account};
use crate::door::Door;
use crate::pictures::{photograph, picture};

fn sides(bytes: &[u8]) -> (u32, u32) {
    let image = image::load_from_memory(bytes).unwrap();
    (image.width(), image.height())
}

#[tokio::test]
async fn pictures_are_shown_and_kept_by_their_own_hash() {
    let door = Door::making().await;
    let mut tab = Tab::open(&door, &account(&door, "ana", AccountRole::Member).await).await;
    let stored = tab.upload("a.bmp", &photograph(1200, 600, 1)).await;
    let version = &stored["image"]["hash"].as_str().unwrap()[..16];
    for (variant, wanted) in [("256", (256, 128)), ("512", (512, 256)), ("display", (1200, 600))] {
        let path = format!("/api/images/1/{variant}");
        let reply = tab.get(&format!("{path}?v={version}")).await;
        assert_eq!((reply.status, sides(&reply.body)), (200, wanted), "{variant}");
        let tag = format!("\"{}\"", blake3::hash(&reply.body));
        let kept = Some("private, max-age=31536000, immutable");
        assert_eq!(reply.header("etag"), Some(tag.as_str()), "{variant}");
        assert_eq!(reply.header("content-type"), Some("image/jpeg"));
        assert_eq!(reply.header("cache-control"), kept);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("sandbox; default-src 'none'"), "{policy}");
        let had = tab.asked("GET", &path, &format!("If-None-Match: {tag}\r\n"), b"").await;
        assert_eq!(had.status, 304);
        let part = tab.asked("GET", &path, "Range: bytes=0-9\r\n", b"").await;
        assert_eq!((part.status, part.body.as_slice()), (206, &reply.body[..10]));
        let head = tab.asked("HEAD", &path, "", b"").await;
        let length = reply.body.len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()));
    }
    assert_eq!(tab.json("GET", "/api/images/1/exif", "").await, (200, json!({"exif": null})));
    tab.upload("b.jpg", include_bytes!("../data/oriented.jpg")).await;
    assert_eq!(sides(&tab.get("/api/images/2/512").await.body), (24, 40));

    // What cannot be shown says so, and can be saved.
    tab.upload("c.png", &picture(1000, 1)).await;
    assert_eq!(tab.refused("GET", "/api/images/3/256").await, (422, "not_viewable".to_owned()));
    assert_eq!(tab.get("/api/images/3/original?download").await.body, picture(1000, 1));
    assert_eq!(tab.refused("GET", "/api/images/9/256").await.0, 404);
    assert_eq!(tab.refused("GET", "/api/images/9/exif").await.0, 404);
    let mut nobody = Tab::open(&door, "").await;
    assert_eq!(nobody.refused("GET", "/api/images/1/256").await.0, 401);
    assert_eq!(nobody.refused("GET", "/api/images/1/exif").await.0, 401);
    tab.json("DELETE", "/api/images/1", "").await;
    let mut other = Tab::open(&door, &account(&door, "eva", AccountRole::Viewer).await).await;
    assert_eq!(other.refused("GET", "/api/images/1/256").await.0, 404, "another's trash");
}

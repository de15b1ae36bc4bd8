//! The API as a browser uses it: every address, who may what, conditions and parts of contents.

use imgrepo_proto::session::people::{AccountRole, DeviceId, Invite, Revoke};
use imgrepod::config::Guests;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::door::{Door, RawReply, bytes_of_answer};
use crate::pictures::picture;

/// One connection of a browser that is logged in, or not.
pub(crate) struct Tab {
    pub(crate) stream: TcpStream,
    pub(crate) host: String,
    pub(crate) cookie: String,
}

impl Tab {
    /// Unencrypted, which the loopback may.
    pub(crate) async fn open(door: &Door, cookie: &str) -> Tab {
        let stream = TcpStream::connect(door.stage.server.address()).await.unwrap();
        Tab { stream, host: door.host(), cookie: cookie.to_owned() }
    }

    /// The head of a request of our own page.
    pub(crate) fn head(&self, method: &str, path: &str, more: &str) -> String {
        let (host, cookie) = (&self.host, &self.cookie);
        let origin = match method {
            "GET" | "HEAD" => String::new(),
            _ => format!("Origin: http://{host}\r\n"),
        };
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n{origin}{more}\r\n"
        )
    }

    pub(crate) async fn asked(
        &mut self,
        method: &str,
        path: &str,
        more: &str,
        body: &[u8],
    ) -> RawReply {
        let length = match body.is_empty() {
            true => String::new(),
            false => format!("Content-Length: {}\r\n", body.len()),
        };
        let head = self.head(method, path, &format!("{more}{length}"));
        self.stream.write_all(head.as_bytes()).await.unwrap();
        // A refusal may come before all of it is read.
        let _ = self.stream.write_all(body).await;
        let reply = bytes_of_answer(&mut self.stream, method == "HEAD").await;
        if reply.header("connection") == Some("close") {
            let at = self.stream.peer_addr().unwrap();
            self.stream = TcpStream::connect(at).await.unwrap();
        }
        reply
    }

    pub(crate) async fn get(&mut self, path: &str) -> RawReply {
        self.asked("GET", path, "", b"").await
    }

    /// What is answered in JSON, with its status.
    pub(crate) async fn json(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let json = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let reply = self.asked(method, path, json, body.as_bytes()).await;
        assert_eq!(reply.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    /// Its code, where it is refused.
    pub(crate) async fn refused(&mut self, method: &str, path: &str) -> (u16, String) {
        let (status, told) = self.json(method, path, "").await;
        (status, told["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn upload(&mut self, name: &str, content: &[u8]) -> Value {
        let path = format!("/api/images?name={name}");
        let reply = self.asked("POST", &path, "", content).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        serde_json::from_slice(&reply.body).unwrap()
    }
}

/// The cookie of a new account in this role.
pub(crate) async fn account(door: &Door, user: &str, role: AccountRole) -> String {
    let secret = door.invite(Invite { role: Some(role), ..Invite::default() }).await;
    let body = json!({"secret": secret, "user": user, "device": "a browser"});
    door.post("/api/join", "", &body).await.cookie().unwrap().to_owned()
}

/// Ends what this cookie lets in.
pub(crate) async fn revoke(door: &Door, cookie: &str) {
    let mut tab = Tab::open(door, cookie).await;
    let device: DeviceId =
        serde_json::from_value(tab.json("GET", "/api/me", "").await.1["device"].clone()).unwrap();
    let repository = &door.stage.repository;
    repository.revoke(&repository.owner(), &Revoke { device }).await.unwrap();
}

#[tokio::test]
async fn every_address_answers_on_one_connection() {
    let door = Door::new().await;
    let mut tab = Tab::open(&door, &door.joined("ana").await).await;
    let (status, me) = tab.json("GET", "/api/me", "").await;
    assert_eq!((status, &me["user"], &me["seq"]), (200, &json!("ana"), &json!(0)));
    let content = picture(200_000, 1);
    let stored = tab.upload("s%C3%A3o%20jo%C3%A3o.png", &content).await;
    assert_eq!((&stored["image"]["id"], &stored["duplicate"]), (&json!(1), &json!(false)));
    assert_eq!(stored["image"]["name"], "são joão.png");
    assert_eq!(tab.upload("other.png", &content).await["duplicate"], true);
    for number in 2..=5 {
        tab.upload(&format!("{number}.png"), &picture(20_000, number)).await;
    }

    let (status, page) = tab.json("GET", "/api/images?limit=2&sort=oldest", "").await;
    assert_eq!((status, page["images"].as_array().unwrap().len()), (200, 2));
    assert_eq!(page["total"], 5);
    let next = page["next"].as_str().unwrap();
    let rest = tab.json("GET", &format!("/api/images?sort=oldest&cursor={next}"), "").await.1;
    assert_eq!((rest["images"].as_array().unwrap().len(), &rest["next"]), (3, &Value::Null));
    let found = tab.json("GET", "/api/images?text=JO%C3%83O&uploader=ana", "").await.1;
    assert_eq!(found["images"][0]["id"], 1);
    assert_eq!(tab.json("GET", "/api/images?uploader=bia", "").await.1["images"], json!([]));
    assert_eq!(tab.json("GET", "/api/images?cursor=nonsense", "").await.0, 400);

    let (status, info) = tab.json("GET", "/api/images/1", "").await;
    assert_eq!((status, &info["image"]), (200, &found["images"][0]));
    assert_eq!(tab.refused("GET", "/api/images/99").await, (404, "not_found".to_owned()));
    assert_eq!(tab.get("/api/images/1/original").await.body, content);

    let renamed = tab.json("PATCH", "/api/images/1", "{\"name\":\"b.png\"}").await;
    assert_eq!((renamed.0, &renamed.1["image"]["name"]), (200, &json!("b.png")));
    assert_eq!(tab.json("PATCH", "/api/images/1", "{\"name\":\"\"}").await.0, 400);
    assert_eq!(tab.json("PATCH", "/api/images/1", "[]").await.0, 400);
    let deleted = tab.json("DELETE", "/api/images/1", "").await;
    assert!(deleted.0 == 200 && deleted.1["image"]["trashed_at"].is_string());
    assert_eq!(tab.json("GET", "/api/images?state=trashed", "").await.1["images"][0]["id"], 1);
    assert_eq!(tab.json("POST", "/api/images/1/restore", "").await.0, 200);
    assert_eq!(tab.json("POST", "/api/images/1/restore", "").await.0, 409);

    let (_, events) = tab.json("GET", "/api/events?since=5&limit=2", "").await;
    let words: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!((words, &events["next"]), (vec!["RENAMED", "DELETED"], &json!(7)));
    assert_eq!(tab.refused("GET", "/api/events?since=999").await, (409, "ahead".to_owned()));
    assert_eq!(tab.refused("GET", "/api/nothing").await, (404, "not_found".to_owned()));
    let refused = tab.asked("PUT", "/api/images/1", "", b"").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, PATCH, DELETE")));
    let head = tab.asked("HEAD", "/api/images/1/original", "", b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("200000")));
    assert_eq!(tab.json("GET", "/api/me", "").await.0, 200, "it is one connection still");
}

#[tokio::test]
async fn contents_are_kept_continued_and_never_run() {
    let door = Door::new().await;
    let mut tab = Tab::open(&door, &door.joined("ana").await).await;
    let content = picture(300_000, 7);
    let hash = blake3::hash(&content).to_string();
    tab.upload("a%22%3Bb%0D%0AX%3A%20y%E2%80%AE.png", &content).await;
    let path = "/api/images/1/original";
    let whole = tab.get(path).await;
    assert_eq!((whole.status, &whole.body), (200, &content));
    let tag = format!("\"{hash}\"");
    for (name, value) in [
        ("etag", tag.as_str()),
        ("content-type", "image/png"),
        ("content-length", "300000"),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, no-cache"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-security-policy", "sandbox; default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(whole.header(name), Some(value), "{name}");
    }
    let named = whole.header("content-disposition").unwrap();
    assert!(named.starts_with("inline; filename=\"") && whole.header("x").is_none(), "{named}");
    let saved = tab.get(&format!("{path}?download&v={}", &hash[..16])).await;
    assert!(saved.header("content-disposition").unwrap().starts_with("attachment; "));
    let for_ever = Some("private, max-age=31536000, immutable");
    assert_eq!(saved.header("cache-control"), for_ever);
    let other = tab.get(&format!("{path}?v=0123456789abcdef")).await;
    assert_eq!((other.status, other.header("cache-control")), (200, Some("private, no-cache")));

    let had = tab.asked("GET", path, &format!("If-None-Match: {tag}\r\n"), b"").await;
    assert_eq!((had.status, had.header("etag")), (304, Some(tag.as_str())));
    for (range, status, part) in [
        ("bytes=0-0", 206, &content[..1]),
        ("bytes=0-99999", 206, &content[..100_000]),
        ("bytes=299999-", 206, &content[299_999..]),
        ("bytes=-70000", 206, &content[230_000..]),
        ("bytes=0-999999999", 206, &content[..]),
        ("bytes=300000-", 416, &[]),
        ("bytes=-0", 416, &[]),
        ("bytes=0-1,5-6", 200, &content[..]),
        ("bytes=9-5", 200, &content[..]),
        ("lines=0-1", 200, &content[..]),
    ] {
        let reply = tab.asked("GET", path, &format!("Range: {range}\r\n"), b"").await;
        assert_eq!((reply.status, reply.body.as_slice()), (status, part), "{range}");
    }
    let more = format!("Range: bytes=5-9\r\nIf-Range: {tag}\r\n");
    let part = tab.asked("GET", path, &more, b"").await;
    assert_eq!(part.header("content-range"), Some("bytes 5-9/300000"));
    let more = "Range: bytes=5-9\r\nIf-Range: \"another\"\r\n";
    assert_eq!(tab.asked("GET", path, more, b"").await.status, 200);

    // Pixels that no browser shows are saved.
    let mut tiff = b"II*\0\x08\0\0\0\x02\0".to_vec();
    tiff.extend_from_slice(
        b"\0\x01\x03\0\x01\0\0\0\x05\0\0\0\x01\x01\x03\0\x01\0\0\0\x04\0\0\0\0\0\0\0",
    );
    tab.upload("a.html", &tiff).await;
    let reply = tab.get("/api/images/2/original").await;
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    assert!(reply.header("content-disposition").unwrap().starts_with("attachment; "));
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    let refused = tab.asked("POST", "/api/images?name=a.svg", "", svg).await;
    assert_eq!(refused.status, 422, "it is no image here");
}

#[tokio::test]
async fn roles_are_held_here_as_in_a_session() {
    let door = Door::new().await;
    let mut ana = Tab::open(&door, &account(&door, "ana", AccountRole::Member).await).await;
    let mut eva = Tab::open(&door, &account(&door, "eva", AccountRole::Viewer).await).await;
    let mut bia = Tab::open(&door, &account(&door, "bia", AccountRole::Member).await).await;
    let mut may_all = Tab::open(&door, &account(&door, "ada", AccountRole::Admin).await).await;
    let mut nobody = Tab::open(&door, "").await;
    ana.upload("a.png", &picture(1000, 1)).await;
    let content = picture(1000, 2);
    let refused = eva.asked("POST", "/api/images?name=b.png", "", &content).await;
    assert_eq!(refused.status, 403);
    let of_all = async |tab: &mut Tab| {
        let json = "{\"name\":\"c.png\"}";
        [
            tab.json("GET", "/api/images", "").await.0,
            tab.get("/api/images/1/original").await.status,
            tab.json("PATCH", "/api/images/1", json).await.0,
            tab.json("DELETE", "/api/images/1", "").await.0,
            tab.json("POST", "/api/images/1/restore", "").await.0,
        ]
    };
    assert_eq!(of_all(&mut nobody).await, [401; 5]);
    assert_eq!(of_all(&mut eva).await, [200, 200, 403, 403, 403]);
    assert_eq!(of_all(&mut bia).await, [200, 200, 403, 403, 403]);
    assert_eq!(of_all(&mut may_all).await, [200; 5]);
    assert_eq!(of_all(&mut ana).await, [200; 5]);
    assert_eq!(ana.json("DELETE", "/api/images/1", "").await.0, 200);
    assert_eq!(bia.get("/api/images/1/original").await.status, 404, "another's trash");
    // On the same connection: who was let in before is asked about again.
    revoke(&door, &bia.cookie).await;
    assert_eq!(of_all(&mut bia).await, [401; 5]);
}

#[tokio::test]
async fn guests_come_as_far_as_they_are_let() {
    for (guests, expected) in
        [(Guests::No, [401, 401, 401]), (Guests::View, [200, 200, 403]), (Guests::Upload, [200; 3])]
    {
        let door = Door::with(|settings| settings.guests = guests).await;
        let mut tab = Tab::open(&door, "").await;
        let content = picture(1000, 1);
        let seen = [
            tab.json("GET", "/api/me", "").await.0,
            tab.json("GET", "/api/images", "").await.0,
            tab.asked("POST", "/api/images?name=a.png", "", &content).await.status,
        ];
        assert_eq!(seen, expected, "{guests:?}");
        let me = tab.json("GET", "/api/me", "").await.1;
        if guests != Guests::No {
            assert_eq!((&me["user"], &me["role"]), (&json!("anon"), &json!("guest")));
        }
        // A cookie that lets nobody in makes no guest.
        let mut tab = Tab::open(&door, "__Host-imgrepo=forged").await;
        assert_eq!(tab.json("GET", "/api/images", "").await.0, 401, "{guests:?}");
    }
}

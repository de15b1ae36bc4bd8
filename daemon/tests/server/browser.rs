//! The browser's door: pages, cookie and requests, and who is kept out of them.

use imgrepo_proto::session::people::{DeviceKind, Devices, Disable, Invite, Revoke};
use imgrepod::server::Settings;
use imgrepod::tls::{self, Identity};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::Stage;

/// A server that encrypts, and lets in nobody without an account.
pub(crate) struct Door {
    stage: Stage,
    pub(crate) identity: Identity,
    _folder: tempfile::TempDir,
}

/// What came back, and who it was asked of.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The cookie that a browser would send from now on.
    fn cookie(&self) -> Option<&str> {
        let line = self.head.lines().find_map(|line| line.strip_prefix("set-cookie: "))?;
        line.split(';').next()
    }

    fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

impl Door {
    pub(crate) async fn new() -> Door {
        Door::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Door {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::own(folder.path(), None).unwrap();
        let stage = Stage::with(|settings| {
            settings.identity = Some(identity.clone());
            change(settings);
        });
        Door { stage: stage.await, identity, _folder: folder }
    }

    pub(crate) fn host(&self) -> String {
        self.stage.server.address().to_string()
    }

    async fn plain(&self, request: &str) -> Reply {
        let stream = TcpStream::connect(self.stage.server.address()).await.unwrap();
        ask(stream, request).await
    }

    async fn encrypted(&self, request: &str) -> Reply {
        let stream = TcpStream::connect(self.stage.server.address()).await.unwrap();
        let stream = tls::connect(stream, "127.0.0.1", &self.identity.trust()).await.unwrap();
        ask(stream, request).await
    }

    async fn get(&self, path: &str, cookie: &str) -> Reply {
        let host = self.host();
        let cookie = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n");
        self.encrypted(&cookie).await
    }

    /// What our own page posts.
    async fn post(&self, path: &str, cookie: &str, body: &Value) -> Reply {
        let host = self.host();
        let head = format!(
            "Host: {host}\r\nOrigin: https://{host}\r\nCookie: {cookie}\r\n\
             Content-Type: application/json\r\n"
        );
        self.encrypted(&post(path, &head, &body.to_string())).await
    }

    /// A new invitation's secret.
    pub(crate) async fn invite(&self, invite: Invite) -> String {
        let repository = &self.stage.repository;
        let (_, secret) = repository.invite(&repository.owner(), &invite).await.unwrap();
        secret.expose().to_owned()
    }

    /// The cookie of a new account.
    pub(crate) async fn joined(&self, user: &str) -> String {
        let secret = self.invite(Invite::default()).await;
        let body = json!({"secret": secret, "user": user, "device": "a browser"});
        let reply = self.post("/api/join", "", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.cookie().unwrap().to_owned()
    }
}

fn post(path: &str, head: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}")
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> Reply {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A refusal may come with a reset when not all of the request was read.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                       Sec-WebSocket-Protocol: imgrepo.v2\r\n";

#[tokio::test]
async fn pages_are_our_own_and_nobody_frames_or_keeps_them() {
    let door = Door::new().await;
    for (path, media_type) in [
        ("/join", "text/html; charset=utf-8"),
        ("/login", "text/html; charset=utf-8"),
        ("/door.css", "text/css; charset=utf-8"),
        ("/door.js", "text/javascript; charset=utf-8"),
        ("/api/me", "application/json"),
        ("/nothing", "text/plain; charset=utf-8"),
    ] {
        let reply = door.get(path, "").await;
        let head = reply.head.to_lowercase();
        for line in [
            format!("content-type: {media_type}").as_str(),
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; \
             connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(head.lines().any(|told| told == line), "{path} lacks {line}: {head}");
        }
        assert!(!head.contains("access-control") && !head.contains("strict-transport"), "{head}");
        if media_type.starts_with("text/html") {
            assert_eq!(reply.status, 200);
            let page = &reply.body;
            for inline in ["style=", " onclick", " onsubmit", "<style", "javascript:"] {
                assert!(!page.contains(inline), "{path} has {inline}, which its policy forbids");
            }
            let scripts = page.matches("<script").count();
            assert_eq!(scripts, page.matches("<script type=\"module\" src=\"/").count());
        }
    }
}

#[tokio::test]
async fn who_is_invited_joins_and_is_known_until_they_leave() {
    let door = Door::new().await;
    let secret = door.invite(Invite::default()).await;
    let body = json!({"secret": secret, "user": "ana", "device": "Firefox on Linux"});
    let reply = door.post("/api/join", "", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let told = reply.json();
    assert_eq!((&told["user"], &told["role"]), (&json!("ana"), &json!("member")));
    assert_eq!(told["can"], json!(["list", "download", "upload", "change_own"]));
    let cookie = reply.cookie().unwrap().to_owned();
    let credential = cookie.strip_prefix("__Host-imgrepo=").unwrap();
    assert!(credential.len() >= 43, "32 bytes of chance");
    assert!(!reply.body.contains(credential), "no script ever sees it");
    assert!(
        reply.head.contains("; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=7776000\r\n"),
        "{}",
        reply.head
    );

    let me = door.get("/api/me", &format!("other=1; {cookie}")).await;
    assert_eq!((me.status, me.json()), (200, told.clone()));
    assert_eq!(me.cookie(), Some(cookie.as_str()), "who comes back keeps it");
    let repository = &door.stage.repository;
    let devices = Devices { person: Some("ana".to_owned()) };
    let devices = repository.devices(&repository.owner(), &devices).await.unwrap().devices;
    assert_eq!((devices.len(), devices[0].kind), (1, DeviceKind::Browser));
    assert_eq!(json!(devices[0].id), told["device"]);
    assert_eq!(devices[0].label, "Firefox on Linux");

    let left = door.post("/api/logout", &cookie, &json!({})).await;
    assert_eq!(left.status, 200, "{}", left.body);
    assert_eq!(left.cookie(), Some("__Host-imgrepo="));
    assert!(left.head.contains("Max-Age=0"));
    let me = door.get("/api/me", &cookie).await;
    assert_eq!((me.status, me.code().as_str()), (401, "unauthenticated"));
    assert_eq!(me.cookie(), None);
    let again = door.post("/api/logout", &cookie, &json!({})).await;
    assert_eq!(again.status, 200, "what lets nobody in is only forgotten: {}", again.body);
    assert_eq!(door.post("/api/join", "", &body).await.status, 403, "it let in one");
}

#[tokio::test]
async fn a_login_link_is_for_one_more_device_once() {
    let door = Door::new().await;
    let first = door.joined("ana").await;
    let bound = Invite { person: Some("ana".to_owned()), ..Invite::default() };
    let body = json!({"secret": door.invite(bound).await, "device": "a telephone"});
    let reply = door.post("/api/login", "", &body).await;
    assert_eq!((reply.status, &reply.json()["user"]), (200, &json!("ana")), "{}", reply.body);
    let second = reply.cookie().unwrap();
    assert_ne!(first, second);
    let devices = [&first, second].map(|cookie| door.get("/api/me", cookie));
    for device in devices {
        assert_eq!(device.await.status, 200);
    }
    assert_eq!(door.post("/api/login", "", &body).await.status, 403);
    // One for a new account wants a name.
    let body = json!({"secret": door.invite(Invite::default()).await, "device": "x"});
    let nameless = door.post("/api/login", "", &body).await;
    assert_eq!((nameless.status, nameless.code().as_str()), (400, "bad_request"));
    let taken = json!({"secret": body["secret"], "user": "ana", "device": "x"});
    assert_eq!(door.post("/api/join", "", &taken).await.status, 409);
}

#[tokio::test]
async fn a_revoked_browser_and_a_disabled_person_are_known_no_more() {
    let door = Door::new().await;
    let repository = &door.stage.repository;
    let owner = repository.owner();
    let (ana, eva) = (door.joined("ana").await, door.joined("eva").await);
    let device = serde_json::from_value(door.get("/api/me", &ana).await.json()["device"].clone());
    repository.revoke(&owner, &Revoke { device: device.unwrap() }).await.unwrap();
    assert_eq!(door.get("/api/me", &ana).await.status, 401);
    let disabled = |disabled| Disable { person: "eva".to_owned(), disabled };
    repository.disable(&owner, &disabled(true)).await.unwrap();
    assert!(matches!(door.get("/api/me", &eva).await.status, 401 | 403));
    repository.disable(&owner, &disabled(false)).await.unwrap();
    assert_eq!(door.get("/api/me", &eva).await.status, 200);
    for cookie in
        ["", "__Host-imgrepo=", "__Host-imgrepo=forged", &format!("{eva}; {eva}"), &eva[1..]]
    {
        let reply = door.get("/api/me", cookie).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "unauthenticated"), "{cookie}");
    }
}

#[tokio::test]
async fn nothing_tells_a_wrong_secret_from_one_that_cannot_be_one() {
    let door = Door::new().await;
    let right = door.invite(Invite::default()).await;
    let long = "a".repeat(3000);
    let mut turned = right.clone().into_bytes();
    turned[0] = if turned[0] == b'A' { b'B' } else { b'A' };
    let turned = String::from_utf8(turned).unwrap();
    let mut replies = Vec::new();
    for secret in [
        &turned,
        &right[1..],
        &right[..10],
        "",
        " ",
        "-",
        "é",
        "a b",
        "a\u{0}b",
        "../../x",
        "'",
        &long,
    ] {
        for path in ["/api/join", "/api/login"] {
            let body = json!({"secret": secret, "user": "ana", "device": "x"});
            let reply = door.post(path, "", &body).await;
            assert_eq!(reply.status, 403, "{path} {secret:?}: {}", reply.body);
            let head = reply.head.lines().filter(|line| !line.starts_with("date:"));
            replies.push((head.collect::<Vec<_>>().join("\n"), reply.body));
        }
    }
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:#?}");
    assert!(!replies[0].1.contains(&right));
}

/// Requests that are no page's of ours, by their head; `HOST` is the server's own and `PORT` its port.
const FOREIGN: &[&str] = &[
    // Another origin, or one that hides.
    "Host: HOST\r\nOrigin: null\r\n",
    "Host: HOST\r\nOrigin: NULL\r\n",
    "Host: HOST\r\nOrigin: \r\n",
    "Host: HOST\r\nOrigin: undefined\r\n",
    "Host: HOST\r\nOrigin: *\r\n",
    "Host: HOST\r\nOrigin: HOST\r\n",
    "Host: HOST\r\nOrigin: //HOST\r\n",
    "Host: HOST\r\nOrigin: http://evil.example\r\n",
    "Host: HOST\r\nOrigin: http://evil.example:PORT\r\n",
    "Host: HOST\r\nOrigin: http://localhost:PORT\r\n",
    "Host: HOST\r\nOrigin: http://[::1]:PORT\r\n",
    "Host: HOST\r\nOrigin: http://[::ffff:127.0.0.1]:PORT\r\n",
    "Host: HOST\r\nOrigin: http://[::ffff:7f00:1]:PORT\r\n",
    "Host: HOST\r\nOrigin: http://127.1:PORT\r\n",
    "Host: HOST\r\nOrigin: http://2130706433:PORT\r\n",
    "Host: HOST\r\nOrigin: http://0x7f000001:PORT\r\n",
    // The same but for scheme or port.
    "Host: HOST\r\nOrigin: https://HOST\r\n",
    "Host: HOST\r\nOrigin: HTTP://HOST\r\n",
    "Host: HOST\r\nOrigin: wss://HOST\r\n",
    "Host: HOST\r\nOrigin: file://HOST\r\n",
    "Host: HOST\r\nOrigin: chrome-extension://HOST\r\n",
    "Host: HOST\r\nOrigin: http:HOST\r\n",
    "Host: HOST\r\nOrigin: http:///HOST\r\n",
    "Host: HOST\r\nOrigin: http://127.0.0.1\r\n",
    "Host: HOST\r\nOrigin: http://127.0.0.1:\r\n",
    "Host: HOST\r\nOrigin: http://127.0.0.1:80\r\n",
    "Host: HOST\r\nOrigin: http://127.0.0.1:1PORT\r\n",
    "Host: HOST\r\nOrigin: http://127.0.0.1:+PORT\r\n",
    "Host: HOST\r\nOrigin: http://HOST:80\r\n",
    // Ours as a part of another's.
    "Host: HOST\r\nOrigin: http://HOST.evil.example\r\n",
    "Host: HOST\r\nOrigin: http://127.0.0.1.evil.example:PORT\r\n",
    "Host: HOST\r\nOrigin: http://evil127.0.0.1:PORT\r\n",
    "Host: HOST\r\nOrigin: http://127.0.0.1.:PORT\r\n",
    "Host: HOST\r\nOrigin: http://HOST@evil.example\r\n",
    "Host: HOST\r\nOrigin: http://HOST@evil.example:PORT\r\n",
    "Host: HOST\r\nOrigin: http://user@HOST\r\n",
    "Host: HOST\r\nOrigin: http://user:word@HOST\r\n",
    "Host: HOST\r\nOrigin: http://HOST/\r\n",
    "Host: HOST\r\nOrigin: http://HOST/http://evil.example\r\n",
    "Host: HOST\r\nOrigin: http://HOST#\r\n",
    "Host: HOST\r\nOrigin: http://HOST?\r\n",
    "Host: HOST\r\nOrigin: http://HOST http://evil.example\r\n",
    "Host: HOST\r\nOrigin: http://evil.example http://HOST\r\n",
    "Host: HOST\r\nOrigin: http://HOST,http://evil.example\r\n",
    "Host: HOST\r\nOrigin: http://HOST%00.evil.example\r\n",
    "Host: HOST\r\nOrigin: http://HOST\r\nOrigin: http://evil.example\r\n",
    "Host: HOST\r\nOrigin: http://evil.example\r\nOrigin: http://HOST\r\n",
    "Host: HOST\r\nOrigin: http://HOST\r\nOrigin: http://HOST\r\n",
    // A name of another's that leads here, with the origin that its page has.
    "Host: evil.example\r\nOrigin: http://evil.example\r\n",
    "Host: evil.example:PORT\r\nOrigin: http://evil.example:PORT\r\n",
    "Host: rebind.network:PORT\r\nOrigin: http://rebind.network:PORT\r\n",
    "Host: 7f000001.rbndr.us:PORT\r\nOrigin: http://7f000001.rbndr.us:PORT\r\n",
    "Host: 127.0.0.1.nip.io:PORT\r\nOrigin: http://127.0.0.1.nip.io:PORT\r\n",
    "Host: localhost.evil.example:PORT\r\nOrigin: http://localhost.evil.example:PORT\r\n",
    "Host: localhost.:PORT\r\nOrigin: http://localhost.:PORT\r\n",
    "Host: 127.0.0.1.:PORT\r\nOrigin: http://127.0.0.1.:PORT\r\n",
    "Host: 127.1:PORT\r\nOrigin: http://127.1:PORT\r\n",
    "Host: 2130706433:PORT\r\nOrigin: http://2130706433:PORT\r\n",
    "Host: 0x7f.1:PORT\r\nOrigin: http://0x7f.1:PORT\r\n",
    "Host: [::1%25lo]:PORT\r\nOrigin: http://[::1%25lo]:PORT\r\n",
    "Host: ::1\r\nOrigin: http://::1\r\n",
    "Host: user@HOST\r\nOrigin: http://user@HOST\r\n",
    "Host: HOST/evil\r\nOrigin: http://HOST/evil\r\n",
    "Host: \r\nOrigin: http://\r\n",
    "Host: HOST\r\nHost: evil.example\r\nOrigin: http://HOST\r\n",
    "Host: evil.example\r\nHost: HOST\r\nOrigin: http://HOST\r\n",
    "Host: HOST\r\nHost: HOST\r\nOrigin: http://HOST\r\n",
    "Origin: http://HOST\r\n",
    // Somebody else's word for where it comes from.
    "Host: HOST\r\nOrigin: http://HOST\r\nX-Forwarded-Host: evil.example\r\n",
    "Host: HOST\r\nOrigin: http://HOST\r\nX-Forwarded-For: 127.0.0.1\r\n",
    "Host: HOST\r\nOrigin: http://HOST\r\nForwarded: for=127.0.0.1;proto=http\r\n",
];

#[tokio::test]
async fn no_page_of_another_site_gets_past_the_door() {
    let door = Door::new().await;
    let cookie = door.joined("ana").await;
    let secret = door.invite(Invite::default()).await;
    let body = json!({"secret": secret, "user": "eva", "device": "x"}).to_string();
    let port = door.stage.server.address().port().to_string();
    let filled = |head: &str| head.replace("HOST", &door.host()).replace("PORT", &port);
    assert!(FOREIGN.len() >= 40);
    for head in FOREIGN {
        let head = format!("{}Cookie: {cookie}\r\n", filled(head));
        let json = format!("{head}Content-Type: application/json\r\n");
        for request in [
            format!("GET / HTTP/1.1\r\n{head}{UPGRADE}\r\n"),
            format!("GET /api/me HTTP/1.1\r\n{head}\r\n"),
            post("/api/join", &json, &body),
            post("/api/logout", &json, "{}"),
        ] {
            let reply = door.plain(&request).await;
            assert!(matches!(reply.status, 400 | 403), "{head}: {} {}", reply.status, reply.body);
            assert_eq!(reply.cookie(), None, "{head}");
        }
    }
    // A target that says another host than Host does.
    for target in ["http://evil.example/", "https://evil.example:PORT/", "http://user@HOST/"] {
        let head = filled("Host: HOST\r\nOrigin: http://HOST\r\n");
        let json = format!("{head}Content-Type: application/json\r\n");
        let target = filled(target);
        for request in [
            format!("GET {target} HTTP/1.1\r\n{head}{UPGRADE}\r\n"),
            post(&format!("{target}api/join"), &json, &body),
        ] {
            let reply = door.plain(&request).await;
            assert_eq!(reply.status, 400, "{target}: {}", reply.body);
        }
    }
    // None of them did anything, and ours still do.
    assert_eq!(door.get("/api/me", &cookie).await.status, 200);
    let ours = filled("Host: HOST\r\nOrigin: http://HOST\r\n");
    let reply = door.plain(&format!("GET / HTTP/1.1\r\n{ours}X-End: 1\r\n\r\n")).await;
    assert_eq!(reply.status, 200);
    let json = format!("{ours}Content-Type: application/json\r\n");
    assert_eq!(door.plain(&post("/api/join", &json, &body)).await.status, 200);
}

#[tokio::test]
async fn what_changes_something_is_json_from_our_own_page() {
    let door = Door::new().await;
    let secret = door.invite(Invite::default()).await;
    let body = json!({"secret": secret, "user": "eva", "device": "x"}).to_string();
    let host = door.host();
    let ours = format!("Host: {host}\r\nOrigin: https://{host}\r\n");
    let json = "Content-Type: application/json\r\n";
    let long = json!({"secret": secret, "user": "eva", "device": "x".repeat(5000)}).to_string();
    let padded = format!("{body}{}", " ".repeat(4097 - body.len()));
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (request, status) in [
        // As a page of another site could send it without asking first, and without an Origin.
        (post("/api/join", &format!("Host: {host}\r\n{json}"), &body), 403),
        (post("/api/join", &ours, &body), 415),
        (post("/api/join", &format!("{ours}{form}"), &body), 415),
        (post("/api/join", &format!("{ours}Content-Type: text/plain\r\n"), &body), 415),
        (post("/api/join", &format!("{ours}Content-Type: multipart/form-data\r\n"), &body), 415),
        (post("/api/join", &format!("{ours}Content-Type: application/jsonp\r\n"), &body), 415),
        (post("/api/join", &format!("{ours}{json}{json}"), &body), 415),
        (post("/api/join", &format!("{ours}{json}"), &long), 413),
        (post("/api/join", &format!("{ours}{json}"), &padded), 413),
        (post("/api/join", &format!("{ours}{json}"), ""), 400),
        (post("/api/join", &format!("{ours}{json}"), "{"), 400),
        (post("/api/join", &format!("{ours}{json}"), "[]"), 400),
        (post("/api/join", &format!("{ours}{json}"), "{\"secret\":1}"), 400),
        (post("/api/join", &format!("{ours}{json}"), &"[".repeat(4000)), 400),
        (format!("GET /api/join HTTP/1.1\r\n{ours}\r\n"), 405),
        (format!("PUT /api/join HTTP/1.1\r\n{ours}{json}Content-Length: 0\r\n\r\n"), 405),
        (format!("OPTIONS /api/join HTTP/1.1\r\n{ours}\r\n"), 405),
        (post("/api/me", &format!("{ours}{json}"), "{}"), 405),
        (post("/join", &format!("{ours}{form}"), "secret=x"), 405),
    ] {
        let reply = door.encrypted(&request).await;
        let line = request.lines().next().unwrap();
        assert_eq!(reply.status, status, "{line}: {}", reply.body);
        assert!(!reply.body.contains(&secret), "{line}");
    }
    // The longest that is taken, and with a parameter.
    let padded = &padded[..4096];
    let json = "Content-Type: Application/JSON; charset=utf-8\r\n";
    let reply = door.encrypted(&post("/api/join", &format!("{ours}{json}"), padded)).await;
    assert_eq!(reply.status, 200, "none of them used it up: {}", reply.body);
}

#[tokio::test]
async fn on_the_loopback_it_works_without_encryption_too() {
    let door = Door::new().await;
    let secret = door.invite(Invite::default()).await;
    let body = json!({"secret": secret, "user": "ana", "device": "x"}).to_string();
    let host = door.host();
    let json = "Content-Type: application/json\r\n";
    let from = |scheme: &str| format!("Host: {host}\r\nOrigin: {scheme}://{host}\r\n{json}");
    assert_eq!(door.plain(&post("/api/join", &from("https"), &body)).await.status, 403);
    assert_eq!(door.plain(&post("/api/join", &from("http"), &body)).await.status, 200);
}

#[tokio::test]
async fn through_a_trusted_proxy_the_origin_is_the_proxys() {
    let door = Door::with(|settings| {
        settings.public_host = Some("photos.example".to_owned());
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let door = door.await;
    let secret = door.invite(Invite::default()).await;
    let body = json!({"secret": secret, "user": "ana", "device": "x"}).to_string();
    let asked = |origin: &str, proto: &str| {
        let head = format!(
            "Host: photos.example\r\nOrigin: {origin}\r\nX-Forwarded-For: 192.0.2.7\r\n\
             X-Forwarded-Proto: {proto}\r\nContent-Type: application/json\r\n"
        );
        post("/api/join", &head, &body)
    };
    let page = "GET /join HTTP/1.1\r\nHost: photos.example\r\nX-Forwarded-For: 192.0.2.7\r\n\
                X-Forwarded-Proto: http\r\n\r\n";
    assert_eq!(door.plain(page).await.status, 426);
    assert_eq!(door.plain(&asked("https://photos.example", "http")).await.status, 426);
    assert_eq!(door.plain(&asked("http://photos.example", "https")).await.status, 403);
    assert_eq!(door.plain(&asked("https://photos.example:8765", "https")).await.status, 403);
    assert_eq!(door.plain(&asked("https://photos.example", "https")).await.status, 200);
}

#[tokio::test]
async fn from_elsewhere_in_clear_there_is_an_explanation_alone() {
    let door = Door::with(|settings| {
        settings.listen = ([0, 0, 0, 0], 0).into();
        // Even where other programs are spoken with.
        settings.plaintext_guests = true;
    });
    let door = door.await;
    let place = imgrepod::server::addresses(door.stage.server.address(), None).remove(0);
    let ip: std::net::IpAddr = place.host.parse().unwrap();
    if ip.is_loopback() {
        println!("*** NOT TESTED HERE: this system has no address but the loopback's");
        return;
    }
    let secret = door.invite(Invite::default()).await;
    let body = json!({"secret": secret, "user": "ana", "device": "x"}).to_string();
    let head = format!(
        "Host: {place}\r\nOrigin: http://{place}\r\nContent-Type: application/json\r\n\
         Cookie: __Host-imgrepo=x\r\n"
    );
    for request in [
        format!("GET /join HTTP/1.1\r\nHost: {place}\r\n\r\n"),
        format!("GET /login HTTP/1.1\r\nHost: {place}\r\n\r\n"),
        format!("GET /door.js HTTP/1.1\r\nHost: {place}\r\n\r\n"),
        format!("GET /api/me HTTP/1.1\r\n{head}\r\n"),
        post("/api/join", &head, &body),
        post("/api/login", &head, &body),
        post("/api/logout", &head, "{}"),
    ] {
        let stream = TcpStream::connect((ip, place.port)).await.unwrap();
        let reply = ask(stream, &request).await;
        let line = request.lines().next().unwrap();
        assert_eq!(reply.status, 426, "{line}: {}", reply.body);
        assert!(reply.body.contains("https://"), "it says how: {}", reply.body);
    }
}

#[tokio::test]
async fn who_guesses_too_often_waits_and_the_right_link_passes() {
    let door = Door::new().await;
    let body = |secret: &str| json!({"secret": secret, "user": "ana", "device": "x"});
    let mut tries = 0;
    let busy = loop {
        let reply = door.post("/api/join", "", &body(&format!("guess-{tries}"))).await;
        if reply.status != 403 {
            break reply;
        }
        tries += 1;
        assert!(tries < 1000, "guessing is never stopped");
    };
    assert_eq!((busy.status, busy.code().as_str()), (429, "busy"));
    assert_eq!(door.post("/api/login", "", &body("guess")).await.status, 429, "it is one door");
    let right = door.invite(Invite::default()).await;
    assert_eq!(door.post("/api/join", "", &body(&right)).await.status, 200);
}

#[tokio::test]
async fn a_cookie_logs_no_session_in() {
    let door = Door::new().await;
    let cookie = door.joined("ana").await;
    let stream = TcpStream::connect(door.stage.server.address()).await.unwrap();
    let stream = tls::connect(stream, "127.0.0.1", &door.identity.trust()).await.unwrap();
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(format!(
            "wss://{}/",
            door.host()
        ))
        .unwrap();
    let origin = format!("https://{}", door.host());
    for (name, value) in
        [("sec-websocket-protocol", "imgrepo.v2"), ("cookie", &cookie), ("origin", &origin)]
    {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let mut client = crate::support::upgrade(request, stream).await.unwrap();
    assert_eq!(client.refused("LIST", json!({})).await, "unauthenticated");
}

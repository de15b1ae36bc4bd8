//! Who is kept out of the browser's door: other sites' pages, what a form could send, whoever comes in
//! clear, and those who never finish.

use imgrepo_proto::session::people::Invite;
use imgrepod::tls;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::api::Tab;
use crate::door::{Door, ask, post};
use crate::pictures::picture;
use crate::support::upgrade;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                       Sec-WebSocket-Protocol: imgrepo.v2\r\n";

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
    let mut ours = Tab::open(&door, &cookie).await;
    ours.upload("a.png", &picture(1000, 1)).await;
    ours.upload("b.png", &picture(1000, 2)).await;
    ours.json("DELETE", "/api/images/2", "").await;
    let before = ours.json("GET", "/api/images/1", "").await;
    for head in FOREIGN {
        let head = format!("{}Cookie: {cookie}\r\n", filled(head));
        let json = format!("{head}Content-Type: application/json\r\n");
        for request in [
            format!("GET / HTTP/1.1\r\n{head}{UPGRADE}\r\n"),
            format!("GET /api/me HTTP/1.1\r\n{head}\r\n"),
            post("/api/join", &json, &body),
            post("/api/logout", &json, "{}"),
            format!("GET /api/images HTTP/1.1\r\n{head}\r\n"),
            format!("HEAD /api/images/1/original HTTP/1.1\r\n{head}\r\n"),
            format!("GET /api/events HTTP/1.1\r\n{head}Accept: text/event-stream\r\n\r\n"),
            post("/api/images?name=c.png", &head, "x"),
            post("/api/images/2/restore", &head, ""),
            post("/api/images/1", &json, "{\"name\":\"c.png\"}").replacen("POST", "PATCH", 1),
            format!("DELETE /api/images/1 HTTP/1.1\r\n{head}\r\n"),
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
    assert_eq!(ours.json("GET", "/api/images/1", "").await, before);
    assert_eq!(ours.json("GET", "/api/images", "").await.1["total"], 1);
    assert_eq!(ours.json("POST", "/api/images/2/restore", "").await.0, 200);
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
async fn a_cookie_logs_no_session_in() {
    let door = Door::new().await;
    let cookie = door.joined("ana").await;
    let stream = TcpStream::connect(door.stage.server.address()).await.unwrap();
    let stream = tls::connect(stream, "127.0.0.1", &door.identity.trust()).await.unwrap();
    let mut request = format!("wss://{}/", door.host()).into_client_request().unwrap();
    let origin = format!("https://{}", door.host());
    for (name, value) in
        [("sec-websocket-protocol", "imgrepo.v2"), ("cookie", &cookie), ("origin", &origin)]
    {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let mut client = upgrade(request, stream).await.unwrap();
    assert_eq!(client.refused("LIST", json!({})).await, "unauthenticated");
}

#[tokio::test]
async fn who_never_finishes_is_cut() {
    let patience = std::time::Duration::from_millis(300);
    let door = Door::with(|settings| settings.timeouts.handshake = patience).await;
    let head = format!(
        "POST /api/join HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nContent-Length: 4000\r\n\
         Content-Type: application/json\r\n\r\n{{\"secret\":\"",
        door.host()
    );
    let mut stream = TcpStream::connect(door.stage.server.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "it was cut without an answer");
}

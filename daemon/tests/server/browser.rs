//! The browser's door as its own pages use it: who takes up a link, is known, and leaves.

use imgrepo_proto::session::people::{DeviceKind, Devices, Disable, Invite, Revoke};
use serde_json::json;

use crate::door::*;

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
             img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
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
async fn the_page_is_for_browsers_and_kept_by_them() {
    let door = Door::new().await;
    let host = door.host();
    let asked =
        |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
    let html = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
    let page = door.encrypted(&asked("/", html)).await;
    assert!(page.status == 200 && page.body.contains("ui/main.js"), "{}", page.body);
    let tag = header(&page.head, "etag").unwrap();
    assert_eq!(header(&page.head, "cache-control"), Some("no-cache"));
    assert_eq!(header(&page.head, "vary"), Some("Accept"));
    let again = format!("{html}If-None-Match: W/{tag}\r\n");
    assert_eq!(door.encrypted(&asked("/", &again)).await.status, 304);
    let program = door.encrypted(&asked("/", "")).await;
    assert!(program.body.contains("imgrepo.v2"), "programs are told how to connect");
    for (path, media_type) in [
        ("/ui/main.js", "text/javascript; charset=utf-8"),
        ("/ui/style.css", "text/css; charset=utf-8"),
        ("/ui/texts/en.js", "text/javascript; charset=utf-8"),
    ] {
        let file = door.encrypted(&asked(path, "")).await;
        assert_eq!((file.status, header(&file.head, "content-type")), (200, Some(media_type)));
        let tag = header(&file.head, "etag").unwrap();
        let more = format!("If-None-Match: {tag}\r\n");
        assert_eq!(door.encrypted(&asked(path, &more)).await.status, 304, "{path}");
    }
    for path in
        ["/ui/", "/ui/files.rs", "/ui/../main.rs", "/ui/%2e%2e/x", "/ui/texts", "/ui//main.js"]
    {
        assert_eq!(door.encrypted(&asked(path, "")).await.status, 404, "{path}");
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
    let used = door.post("/api/login", "", &body).await;
    let why = used.json()["error"]["message"].to_string();
    assert_eq!(used.status, 403);
    assert!(why.contains("cannot log in: this link was used"), "{why}");
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

#[tokio::test]
async fn who_guesses_too_often_waits_and_the_right_link_passes() {
    let door = Door::new().await;
    let body = |secret: &str| json!({"secret": secret, "user": "ana", "device": "x"});
    let mut tries = 0;
    // Both count at one door: where a slow machine gives one more guess back, it is soon used up.
    for path in ["/api/join", "/api/login"] {
        let allowed = tries;
        let busy = loop {
            let reply = door.post(path, "", &body(&format!("guess-{tries}"))).await;
            if reply.status != 403 {
                break reply;
            }
            tries += 1;
            assert!(tries < 1000, "guessing is never stopped");
        };
        assert_eq!((busy.status, busy.code().as_str()), (429, "busy"));
        assert!(path == "/api/join" || tries - allowed < allowed, "it is one door");
    }
    let right = door.invite(Invite::default()).await;
    assert_eq!(door.post("/api/join", "", &body(&right)).await.status, 200);
}

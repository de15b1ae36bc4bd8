//! The API over HTTP: every command has an address or a reason to have none, every address is one
//! command, and no bytes make its reader panic.

#![allow(clippy::unwrap_used)] // A test fails so.

use imgrepo_proto::api::{self, Answer, Call};
use imgrepo_proto::session::command::{CommandKind, List, Sort, State, Variant};
use imgrepo_proto::{ImageId, Seq};
use proptest::prelude::*;
use serde_json::Value;

const JSON: (&str, &[u8]) = ("Content-Type", b"application/json; charset=utf-8");
const LENGTH: (&str, &[u8]) = ("content-length", b"1000");

fn read(method: &str, target: &str) -> Result<Call, Answer> {
    api::read(method, target, [JSON, LENGTH])
}

fn refused(result: Result<Call, Answer>) -> (u16, String) {
    let answer = result.unwrap_err();
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(!told["error"]["message"].as_str().unwrap().is_empty());
    (answer.head.status, told["error"]["code"].as_str().unwrap().to_owned())
}

/// The address of a command, or why it has none.
fn address(kind: CommandKind) -> Result<(&'static str, &'static str), &'static str> {
    const COOKIE: &str = "a browser says who it is by its cookie, and gets that by /api/join";
    const CONNECTION: &str = "a request over HTTP ends with its answer, or its connection";
    const PEOPLE: &str = "people are looked after from a terminal";
    match kind {
        CommandKind::List => Ok(("GET", "/api/images")),
        CommandKind::Info => Ok(("GET", "/api/images/7")),
        CommandKind::Exif => Ok(("GET", "/api/images/7/exif")),
        CommandKind::View => Ok(("GET", "/api/images/7/256")),
        CommandKind::Download => Ok(("GET", "/api/images/7/original")),
        CommandKind::Upload => Ok(("POST", "/api/images?name=a.jpg")),
        CommandKind::Rename => Ok(("PATCH", "/api/images/7")),
        CommandKind::Delete => Ok(("DELETE", "/api/images/7")),
        CommandKind::Restore => Ok(("POST", "/api/images/7/restore")),
        CommandKind::Events => Ok(("GET", "/api/events")),
        CommandKind::Auth | CommandKind::Join => Err(COOKIE),
        CommandKind::Ack | CommandKind::Cancel | CommandKind::Disconnect => Err(CONNECTION),
        CommandKind::Have => Err("a page knows no hashes of what was not uploaded yet"),
        CommandKind::Lost => Err("a page keeps no files to send again"),
        CommandKind::Purge => Err("what a page deletes can be brought back"),
        CommandKind::Invite
        | CommandKind::Invitations
        | CommandKind::Uninvite
        | CommandKind::People
        | CommandKind::Role
        | CommandKind::Disable
        | CommandKind::Devices
        | CommandKind::Revoke
        | CommandKind::Audit => Err(PEOPLE),
    }
}

#[test]
fn every_command_has_an_address_or_a_reason() {
    for kind in CommandKind::ALL {
        match address(kind) {
            Ok((method, target)) => {
                let call = read(method, target).unwrap();
                assert_eq!(call.command(), Some(kind), "{method} {target}");
            }
            Err(reason) => assert!(!reason.is_empty(), "{kind:?}"),
        }
    }
    assert_eq!(read("GET", "/api/me").unwrap(), Call::Me);
}

#[test]
fn a_list_is_asked_for_as_in_a_session() {
    let target = "/api/images?text=s%C3%A3o+jo%C3%A3o&uploader=ana&name=*.jpg&type=image%2Fjpeg\
                  &from=2026-01-01T00:00:00Z&before=2026-02-01T00:00:00%2B01:00&state=trashed\
                  &sort=oldest&limit=7&cursor=abc";
    let Ok(Call::List(List { filter, sort, limit, cursor })) = read("GET", target) else {
        panic!("no list")
    };
    assert_eq!((sort, limit, cursor.as_deref()), (Sort::Oldest, Some(7), Some("abc")));
    assert_eq!(filter.text.as_deref(), Some("são joão"));
    assert_eq!((filter.uploader.as_deref(), filter.state), (Some("ana"), State::Trashed));
    assert_eq!(
        (filter.name.as_deref(), filter.media_type.as_deref()),
        (Some("*.jpg"), Some("image/jpeg"))
    );
    assert_eq!(filter.uploaded_from.unwrap().to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(filter.uploaded_before.unwrap().to_string(), "2026-01-31T23:00:00Z");
    assert_eq!(read("HEAD", "/api/images?").unwrap(), Call::List(List::default()));
}

#[test]
fn contents_are_asked_for_with_their_conditions() {
    let lines = [
        ("Range", &b"bytes=0-1"[..]),
        ("If-None-Match", b"\"x\""),
        ("Cookie", b"\xff is none of our business"),
        ("Cookie", b"nor this"),
    ];
    let call = api::read("GET", "/api/images/7/original?download&v=0123456789abcdef", lines);
    let Ok(Call::Original(ImageId(7), fetch)) = call else { panic!("{call:?}") };
    assert!(fetch.is_download && fetch.version.is_some());
    for variant in Variant::ALL {
        let Ok(Call::View(view, _)) = read("GET", &format!("/api/images/9/{}", variant.word()))
        else {
            panic!("no picture")
        };
        assert_eq!((view.variant, view.target.image), (variant, Some(ImageId(9))));
    }
}

#[test]
fn events_are_a_page_or_a_stream() {
    let stream = ("Accept", &b"text/event-stream"[..]);
    let live = |target, last: Option<&'static [u8]>| {
        let last = last.map(|last| ("Last-Event-ID", last));
        api::read("GET", target, [Some(stream), last].into_iter().flatten())
    };
    assert_eq!(live("/api/events", None).unwrap(), Call::Live(None));
    assert_eq!(live("/api/events?since=0", None).unwrap(), Call::Live(Some(Seq(0))));
    assert_eq!(live("/api/events?since=5", Some(b"9")).unwrap(), Call::Live(Some(Seq(9))));
    assert_eq!(live("/api/events?since=5", Some(b"")).unwrap(), Call::Live(Some(Seq(5))));
    assert_eq!(refused(live("/api/events", Some(b"x"))).0, 400);
    assert_eq!(refused(live("/api/events?limit=5", None)).1, "unsupported");
    let Ok(Call::Events(page)) = read("GET", "/api/events?since=3&limit=10") else { panic!() };
    assert_eq!((page.since, page.limit), (Seq(3), Some(10)));
    // Not by a type that fits everything.
    let any = api::read("GET", "/api/events", [("Accept", &b"text/html, */*;q=0.8"[..])]);
    assert!(matches!(any, Ok(Call::Events(_))));
}

#[test]
fn what_is_no_call_is_answered() {
    let long = format!("/api/images?text={}", "a".repeat(1025));
    let longest = format!("/api/images?text={}", "a".repeat(1024));
    assert!(read("GET", &longest).is_ok());
    for (method, target, status, code) in [
        ("GET", "/", 404, "not_found"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("GET", "/api/join", 404, "not_found"),
        ("GET", "/api/images/7/64", 404, "not_found"),
        ("PUT", "/api/images", 405, "unsupported"),
        ("get", "/api/images", 405, "unsupported"),
        ("POST", "/api/images/7", 405, "unsupported"),
        ("GET", "/api/images/7/restore", 405, "unsupported"),
        ("DELETE", "/api/images/7/original", 405, "unsupported"),
        ("OPTIONS", "/api/me", 405, "unsupported"),
        ("POST", "/api/events", 405, "unsupported"),
        ("GET", "/api/images?txt=a", 400, "unsupported"),
        ("GET", "/api/images?state=gone", 400, "unsupported"),
        ("GET", "/api/images?sort=size", 400, "unsupported"),
        ("GET", "/api/images?text=a&text=b", 400, "bad_request"),
        ("GET", "/api/images?from=yesterday", 400, "bad_request"),
        ("GET", "/api/images?limit=many", 400, "bad_request"),
        ("GET", "/api/images?limit=-1", 400, "bad_request"),
        ("GET", "/api/images?limit=99999999999", 400, "bad_request"),
        ("GET", "/api/images?text=%f", 400, "bad_request"),
        ("GET", "/api/images?text=%ff", 400, "bad_request"),
        ("GET", "/api/images/7?x=1", 400, "unsupported"),
        ("GET", "/api/images/7/256?v=1", 400, "bad_request"),
        ("GET", "/api/images/7/256?download", 400, "unsupported"),
        ("GET", "/api/images/7/original?download=no", 400, "bad_request"),
        ("POST", "/api/images", 400, "bad_request"),
        ("POST", "/api/images?name=a&hash=1", 400, "unsupported"),
        ("GET", long.as_str(), 400, "bad_request"),
    ] {
        assert_eq!(refused(read(method, target)), (status, code.to_owned()), "{method} {target}");
    }
    let far = format!("/api/images?text={}", "%41".repeat(api::MAX_TARGET_BYTES));
    assert_eq!(refused(read("GET", &far)).0, 414);
    let answer = read("PUT", "/api/images/7").unwrap_err();
    assert_eq!(answer.head.header("allow"), Some("GET, HEAD, PATCH, DELETE"));
}

#[test]
fn bodies_are_announced() {
    let post = |lines: &[(&'static str, &'static [u8])]| {
        api::read("POST", "/api/images?name=a.jpg&unless_deleted", lines.iter().copied())
    };
    let Ok(Call::Upload(upload)) = post(&[LENGTH]) else { panic!("no upload") };
    assert_eq!((upload.name.as_str(), upload.size, upload.unless_deleted), ("a.jpg", 1000, true));
    assert_eq!(refused(post(&[])).0, 411);
    for length in ["", "-1", "1 000", "0x10", "1e3", "99999999999999999999999"] {
        assert_eq!(refused(post(&[("Content-Length", length.as_bytes())])).0, 400, "{length}");
    }
    assert_eq!(refused(post(&[LENGTH, LENGTH])).0, 400);
    assert_eq!(refused(post(&[("Content-Length", b"\xff")])).0, 400);
    let patch = |lines: &[(&'static str, &'static [u8])]| {
        api::read("PATCH", "/api/images/7", lines.iter().copied())
    };
    assert_eq!(patch(&[JSON]).unwrap(), Call::Rename(ImageId(7)));
    assert_eq!(refused(patch(&[])).0, 415);
    assert_eq!(refused(patch(&[("Content-Type", b"text/plain")])).0, 415);
    let rename = |body: &[u8]| api::rename(ImageId(7), body).map(|rename| rename.name);
    assert_eq!(rename(b" {\"name\":\"b.jpg\"}").unwrap(), "b.jpg");
    for body in [&b""[..], b"{}", b"[\"b.jpg\"]", b"{\"name\":1}", b"\xff", b"{\"name\":\"b\"} x"] {
        assert_eq!(rename(body).unwrap_err().head.status, 400);
    }
    let long = format!("{{\"name\":\"{}\"}}", "a".repeat(api::RENAME_BODY_BYTES));
    assert_eq!(rename(long.as_bytes()).unwrap_err().head.status, 413);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        method in "GET|POST|PATCH|DELETE|\\PC*",
        path in "/api/images(/[0-9]{0,3}(/(original|256|exif|restore))?)?|/api/events|/api/me|\\PC*",
        query in "\\PC*|([a-z]{1,8}=[%+a-f0-9]{0,8}&){0,20}",
        name in "range|if-range|if-none-match|accept|last-event-id|content-length|content-type",
        value in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let lines = [(name.as_str(), value.as_slice()), LENGTH];
        match api::read(&method, &format!("{path}?{query}"), lines) {
            Ok(_) => {}
            Err(answer) => prop_assert!((400..500).contains(&answer.head.status)),
        }
        let _ = api::rename(ImageId(1), &value);
    }
}

//! Requests over HTTP: which call one is, which part of a content it gets, who is let in by its head.
//! The first line is the method and the target, further ones are header lines, a body stands behind an
//! empty one.

#![no_main]

use std::net::SocketAddr;

use imgrepo_proto::api::{self, Call, Content, Head};
use imgrepo_proto::{BlobHash, ImageId, ImageRecord};
use imgrepod::link::Origin;
use imgrepod::server::fuzzing_http::{brought_back, decide};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Ok(first) = std::str::from_utf8(lines.next().unwrap_or_default()) else { return };
    let (method, target) = first.split_once(' ').unwrap_or(("GET", first));
    let mut headers: Vec<(&str, &[u8])> = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let Ok(name) = std::str::from_utf8(&line[..at]) else { return };
        headers.push((name, line.get(at + 1..).unwrap_or_default().trim_ascii()));
    }
    let body: &[u8] = lines.next().unwrap_or_default();
    match api::read(method, target, headers.iter().copied()) {
        Ok(call) => called(&call, target, body),
        Err(answer) => {
            assert!((400..500).contains(&answer.head.status), "{:?}", answer.head);
            head_is_sound(&answer.head);
            let told: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
            assert!(told["error"]["message"].as_str().is_some_and(|text| !text.is_empty()));
        }
    }
    let trusted = ["10.0.0.1/32".parse().expect("a network")];
    for peer in ["10.0.0.1:1", "203.0.113.9:1"] {
        let peer: SocketAddr = peer.parse().expect("an address");
        let Some(decided) = decide(peer, &trusted, method, target, &headers) else { continue };
        let count =
            |name: &str| headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).count();
        match decided.origin {
            // Without its word on the client a proxy speaks for nobody, and never of this process.
            Some(Origin::Tls(_)) => {
                assert!(peer.ip().to_string() == "10.0.0.1" && count("x-forwarded-for") > 0)
            }
            Some(Origin::Tcp(from)) => assert!(from == peer && count("x-forwarded-for") == 0),
            Some(Origin::Local) => panic!("a stranger is taken for this process"),
            None => {}
        }
        assert!(!decided.is_admitted || count("host") == 1 && count("origin") < 2);
        if decided.is_admitted && !matches!(method, "GET" | "HEAD") {
            assert_eq!(count("origin"), 1, "a change needs its Origin");
        }
        if let Some(credential) = decided.credential
            && let Some(back) = brought_back(&credential)
        {
            assert_eq!(back, Some(credential));
        }
    }
});

fn called(call: &Call, target: &str, body: &[u8]) {
    assert!(target.starts_with("/api/"));
    match call {
        Call::View(_, fetch) | Call::Original(_, fetch) => {
            for size in [0, 1, 1000, u64::MAX] {
                let hash = BlobHash([0xab; 32]);
                let record = ImageRecord {
                    hash: Some(hash),
                    ..ImageRecord::bare(ImageId(7), target, "ana")
                };
                let content =
                    Content { record: &record, hash, size, media_type: Some("image/png") };
                let (head, bytes) = fetch.answer(&content);
                assert!(matches!(head.status, 200 | 206 | 304 | 416));
                assert!(bytes.start <= bytes.end && bytes.end <= size);
                assert!(head.status != 200 || bytes == (0..size));
                assert!(head.status != 206 || !bytes.is_empty());
                head_is_sound(&head);
            }
        }
        Call::Rename(id) => {
            if let Ok(rename) = api::rename(*id, body) {
                assert_eq!(rename.image, *id);
            }
        }
        _ => {}
    }
}

/// No sign of a peer's ends a header or begins another.
fn head_is_sound(head: &Head) {
    for (name, value) in &head.headers {
        assert!(value.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{name}: {value:?}");
    }
}

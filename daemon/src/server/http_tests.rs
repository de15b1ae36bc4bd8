//! The decisions before an upgrade, as tables.

use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers
            .append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    headers
}

fn admitted(lines: &[(&str, &str)]) -> Result<(), StatusCode> {
    admit(&Uri::from_static("/"), &headers(lines), Some("images.example.org:8765"))
        .map_err(|denied| denied.status)
}

#[test]
fn only_our_own_names_are_a_host() {
    for host in [
        "localhost",
        "LOCALHOST:8765",
        "127.0.0.1",
        "127.0.0.1:8765",
        "192.168.1.7:1",
        "[::1]",
        "[::1]:8765",
        "images.example.org",
        "Images.Example.org:443",
    ] {
        assert_eq!(admitted(&[("host", host)]), Ok(()), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        ":8765",
        "localhost:",
        "localhost:99999",
        "[::1",
        "[::1]x",
        "::1",
        "[localhost]",
        "a@localhost",
        "localhost.",
        "localhost:+8765",
        "localhost:8765:1",
        "127.1",
        "0x7f000001",
        "0x7f.0.0.1",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "127.0.0.1%00",
        "127.0.0.1 evil.example",
        "127.0.0.1,evil.example",
        "[::1%25lo]",
        "[::1]]",
        "[[::1]]",
        "[127.0.0.1]",
        "::1:8765",
        "evil.example[::1]",
        "xn--localhost",
        "images.example.org.evil.example",
        "images.example.org.",
    ] {
        assert_eq!(admitted(&[("host", host)]), Err(StatusCode::FORBIDDEN), "{host}");
    }
    assert_eq!(admitted(&[]), Err(StatusCode::BAD_REQUEST));
    let twice = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(admitted(&twice), Err(StatusCode::BAD_REQUEST));
}

#[test]
fn another_sites_page_is_refused() {
    let from = |host: &str, origin: &str| admitted(&[("host", host), ("origin", origin)]);
    assert_eq!(from("localhost:8765", "http://localhost:8765"), Ok(()));
    assert_eq!(from("localhost", "http://localhost"), Ok(()));
    assert_eq!(from("localhost:80", "http://localhost"), Ok(()));
    assert_eq!(from("localhost", "https://localhost:443"), Ok(()));
    assert_eq!(from("images.example.org", "https://images.example.org"), Ok(()));
    assert_eq!(from("images.example.org:8765", "http://images.example.org:8765"), Ok(()));
    assert_eq!(from("[::1]:8765", "http://[::1]:8765"), Ok(()));
    for (host, origin) in [
        ("localhost:8765", "http://localhost"),
        ("localhost:8765", "http://localhost:8766"),
        ("localhost:8765", "http://127.0.0.1:8765"),
        ("localhost:8765", "http://evil.example"),
        ("localhost:8765", "http://evil.example:8765"),
        ("localhost:8765", "null"),
        ("localhost:8765", "file://"),
        ("localhost:8765", "ws://localhost:8765"),
        ("localhost:8765", ""),
        ("localhost:8765", "http://localhost:8765/x"),
        ("localhost:8765", "http://a@localhost:8765"),
        ("localhost:8765", "http://localhost:8765:8765"),
        ("localhost:8765", "http://localhost.:8765"),
        ("images.example.org:8765", "http://images.example.org:1337"),
        ("images.example.org:8765", "https://images.example.org"),
        ("10.0.0.2:8765", "https://images.example.org"),
    ] {
        assert_eq!(from(host, origin), Err(StatusCode::FORBIDDEN), "{host} from {origin}");
    }
}

#[test]
fn an_absolute_target_must_be_the_host() {
    let asked = |uri: &'static str| {
        admit(&Uri::from_static(uri), &headers(&[("host", "localhost:1")]), None)
            .map_err(|denied| denied.status)
    };
    assert_eq!(asked("http://localhost:1/"), Ok(()));
    assert_eq!(asked("http://evil.example/"), Err(StatusCode::BAD_REQUEST));
}

fn upgrade(extra: &[(&str, &str)]) -> Result<Dialect, StatusCode> {
    let mut lines = vec![
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    lines.retain(|(name, _)| extra.iter().all(|(other, _)| other != name));
    lines.extend_from_slice(extra);
    choose(&Method::GET, &headers(&lines))
        .map(|(dialect, accept)| {
            assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "RFC 6455, 1.3");
            dialect
        })
        .map_err(|denied| denied.status)
}

#[test]
fn the_subprotocol_chooses_the_dialect() {
    assert_eq!(upgrade(&[]), Ok(Dialect::V1));
    assert_eq!(upgrade(&[("sec-websocket-protocol", "")]), Ok(Dialect::V1));
    assert_eq!(upgrade(&[("sec-websocket-protocol", "imgrepo.v2")]), Ok(Dialect::V2));
    assert_eq!(upgrade(&[("sec-websocket-protocol", "other, imgrepo.v2")]), Ok(Dialect::V2));
    let unknown = upgrade(&[("sec-websocket-protocol", "imgrepo.v3")]);
    assert_eq!(unknown, Err(StatusCode::BAD_REQUEST));
}

#[test]
fn what_is_no_upgrade_is_refused() {
    assert_eq!(upgrade(&[("sec-websocket-version", "8")]), Err(StatusCode::UPGRADE_REQUIRED));
    assert_eq!(upgrade(&[("sec-websocket-key", "short")]), Err(StatusCode::BAD_REQUEST));
    assert_eq!(upgrade(&[("upgrade", "h2c")]), Err(StatusCode::BAD_REQUEST));
    assert_eq!(upgrade(&[("connection", "close")]), Err(StatusCode::BAD_REQUEST));
}

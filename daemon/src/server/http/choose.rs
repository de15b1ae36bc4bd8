//! Which dialect an upgrade asks for, and the answer to its key. Pure; called for every upgrade that was
//! admitted.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use imgrepo_proto::session::SUBPROTOCOL;

use super::denied::Denied;

/// Which dialect a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Dialect {
    /// No subprotocol: the classic one.
    V1,
    /// `imgrepo.v2`.
    V2,
}

/// The dialect of an upgrade, and the answer to its key (RFC 6455, 4.2.2).
pub(super) fn choose(method: &Method, headers: &HeaderMap) -> Result<(Dialect, String), Denied> {
    let bad = |text: &str| Denied::new(StatusCode::BAD_REQUEST, text);
    let has_token = |name: HeaderName, token: &str| {
        tokens(headers, name).any(|word| word.eq_ignore_ascii_case(token))
    };
    if method != Method::GET
        || !has_token(header::UPGRADE, "websocket")
        || !has_token(header::CONNECTION, "upgrade")
    {
        return Err(bad("this is no upgrade to a WebSocket"));
    }
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        let text = "only version 13 of WebSocket is spoken here";
        let header = Some((header::SEC_WEBSOCKET_VERSION, "13"));
        return Err(Denied { header, ..Denied::new(StatusCode::UPGRADE_REQUIRED, text) });
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    // 16 bytes in base64 (RFC 6455, 4.1).
    let Some(key) = key.filter(|key| key.len() == 24 && key.ends_with(b"==")) else {
        return Err(bad("the Sec-WebSocket-Key is missing or no key"));
    };
    let mut offered = tokens(headers, header::SEC_WEBSOCKET_PROTOCOL).peekable();
    let dialect = if offered.peek().is_none() {
        Dialect::V1
    } else if offered.any(|offer| offer == SUBPROTOCOL) {
        Dialect::V2
    } else {
        let text = format!(
            "none of the subprotocols is spoken here; ours is {SUBPROTOCOL}, \
             and none at all selects the classic dialect"
        );
        return Err(bad(&text));
    };
    Ok((dialect, derive_accept_key(key)))
}

/// The words of a list header, over all its lines.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upgrade_headers(lines: &[(&str, &str)]) -> HeaderMap {
        let named = |name: &str| HeaderName::try_from(name).unwrap();
        let lines = lines.iter();
        lines.map(|(name, value)| (named(name), HeaderValue::try_from(*value).unwrap())).collect()
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
        choose(&Method::GET, &upgrade_headers(&lines))
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
}

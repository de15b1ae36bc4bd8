//! Who stands behind a trusted proxy, by what it says (`--behind-proxy`). Pure; http asks it first
//! of every request.
//!
//! A proxy makes everybody behind it look like itself, often like a neighbour on the loopback. So a
//! request of a trusted one counts as its client's, and without saying whose it is as nobody's; the
//! headers of anybody else are a lie or a proxy that nobody told us of, and are refused.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, StatusCode};
use ipnet::IpNet;

use super::http::Denied;
use crate::link::Origin;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// From where a request really comes that came in by `way`.
pub(super) fn client_of(
    headers: &HeaderMap,
    way: Origin,
    trusted: &[IpNet],
) -> Result<Origin, Denied> {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let peer = match way {
        Origin::Tcp(peer) | Origin::Tls(peer) => peer.ip(),
        Origin::Local => return Ok(way),
    };
    if !is_trusted(peer) {
        return direct(headers).map(|()| way);
    }
    let mut protos = headers.get_all(FORWARDED_PROTO).iter();
    let proto = match (protos.next(), protos.next()) {
        (Some(proto), None) => proto.as_bytes(),
        _ => return Err(misled("one header X-Forwarded-Proto")),
    };
    // Some proxies say it as of a WebSocket.
    match proto {
        b"https" | b"wss" => {}
        b"http" | b"ws" => return Err(Denied::plaintext()),
        _ => return Err(misled("an X-Forwarded-Proto of `https` or `http`")),
    }
    let mut client = None;
    // The last entry is the trusted proxy's own word; each one that is trusted speaks for the one
    // before it, and what stands before a stranger is the stranger's invention.
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    let entries = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
    for entry in entries {
        let entry = std::str::from_utf8(entry).ok().and_then(|entry| address(entry.trim()));
        let ip = entry.ok_or_else(|| misled("addresses in X-Forwarded-For"))?;
        client = Some(ip);
        if !is_trusted(ip) {
            break;
        }
    }
    let client = client.ok_or_else(|| misled("the header X-Forwarded-For"))?;
    Ok(Origin::Tls(SocketAddr::new(client, 0)))
}

/// Refuses what came through a proxy that is not trusted.
fn direct(headers: &HeaderMap) -> Result<(), Denied> {
    const FORWARDED: [&str; 3] = ["forwarded", "x-real-ip", "via"];
    let proxied = |name: &HeaderName| {
        FORWARDED.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-")
    };
    let Some(name) = headers.keys().find(|name| proxied(name)) else { return Ok(()) };
    let text = format!(
        "this request came through a proxy (it has the header {name}) that this server was not \
         told to trust; who runs both names it by `--behind-proxy ADDRESS`"
    );
    Err(Denied::new(StatusCode::FORBIDDEN, text))
}

fn misled(missing: &str) -> Denied {
    let text = format!(
        "the proxy before this server does not say for whom it speaks: it has to send {missing}"
    );
    Denied::new(StatusCode::FORBIDDEN, text)
}

/// An address, as proxies write it: some add the port.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let ip: Option<IpAddr> = text.parse().ok();
    ip.or_else(bracketed).or_else(with_port).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const PROXY: &str = "127.0.0.1:40000";

    fn asked(peer: &str, lines: &[(&str, &str)]) -> Result<Origin, StatusCode> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::try_from(*name).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let trusted =
            ["127.0.0.1/32", "10.1.0.0/16", "fd00::/64"].map(|net| net.parse::<IpNet>().unwrap());
        let way = Origin::Tcp(peer.parse().unwrap());
        client_of(&headers, way, &trusted).map_err(|denied| denied.status)
    }

    #[test]
    fn the_client_is_the_last_who_is_not_trusted() {
        for (forwarded_for, client) in [
            (&["192.0.2.7"][..], "192.0.2.7"),
            (&["192.0.2.7:5123"], "192.0.2.7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["[2001:db8::7]:5123"], "2001:db8::7"),
            (&["::ffff:192.0.2.7"], "192.0.2.7"),
            // Whatever the client itself has put in front.
            (&["127.0.0.1, 192.0.2.7"], "192.0.2.7"),
            (&["nonsense, 192.0.2.7"], "192.0.2.7"),
            (&["10.1.0.1,192.0.2.7"], "192.0.2.7"),
            (&["127.0.0.1", "192.0.2.7"], "192.0.2.7"),
            // Through several that are trusted.
            (&["192.0.2.7, 10.1.2.3"], "192.0.2.7"),
            (&["6.6.6.6,192.0.2.7, 10.1.2.3,fd00::9"], "192.0.2.7"),
            (&["6.6.6.6, 192.0.2.7", "10.1.2.3"], "192.0.2.7"),
            (&["192.0.2.7, ::ffff:10.1.2.3"], "192.0.2.7"),
            // All are trusted: who asked is the first.
            (&["10.1.2.3"], "10.1.2.3"),
            (&["10.1.0.1, 10.1.2.3"], "10.1.0.1"),
            (&["127.0.0.1"], "127.0.0.1"),
            (&["fd00::9"], "fd00::9"),
        ] {
            let mut lines: Vec<_> =
                forwarded_for.iter().map(|line| ("x-forwarded-for", *line)).collect();
            lines.push(("x-forwarded-proto", "https"));
            let client = Origin::Tls(SocketAddr::new(client.parse().unwrap(), 0));
            for peer in [PROXY, "10.1.255.255:1", "[fd00::1]:1"] {
                assert_eq!(asked(peer, &lines), Ok(client), "{forwarded_for:?} from {peer}");
            }
            let wss = [lines.as_slice(), &[("via", "1.1 proxy"), ("forwarded", "for=9.9.9.9")]];
            assert_eq!(asked(PROXY, &wss.concat()), Ok(client), "what else it says is ignored");
            lines.pop();
            assert_eq!(asked(PROXY, &lines), Err(StatusCode::FORBIDDEN), "without a protocol");
        }
    }

    #[test]
    fn a_proxy_that_does_not_say_whose_is_refused() {
        let https = ("x-forwarded-proto", "https");
        for lines in [
            &[][..],
            &[https],
            &[("x-forwarded-for", "192.0.2.7")],
            &[https, ("x-forwarded-for", "")],
            &[https, ("x-forwarded-for", "unknown")],
            &[https, ("x-forwarded-for", "_hidden")],
            &[https, ("x-forwarded-for", "192.0.2.7,")],
            &[https, ("x-forwarded-for", "192.0.2.7, x")],
            &[https, ("x-forwarded-for", "192.0.2.7, x, 10.1.2.3")],
            &[https, ("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "")],
            &[https, ("x-forwarded-for", "192.0.2")],
            &[https, ("x-forwarded-for", "192.0.2.7:99999")],
            &[https, ("x-forwarded-for", "2001:db8::7]")],
            &[https, ("x-forwarded-for", "192.0.2.7 127.0.0.1")],
            &[https, ("x-forwarded-for", "é")],
            &[https, ("forwarded", "for=192.0.2.7;proto=https")],
            &[https, ("x-real-ip", "192.0.2.7")],
            &[https, https, ("x-forwarded-for", "192.0.2.7")],
            &[("x-forwarded-proto", "https, http"), ("x-forwarded-for", "192.0.2.7")],
            &[("x-forwarded-proto", "HTTPS "), ("x-forwarded-for", "192.0.2.7")],
            &[("x-forwarded-proto", "ftp"), ("x-forwarded-for", "192.0.2.7")],
        ] {
            assert_eq!(asked(PROXY, lines), Err(StatusCode::FORBIDDEN), "{lines:?}");
        }
        for proto in ["http", "ws"] {
            let lines = [("x-forwarded-proto", proto), ("x-forwarded-for", "192.0.2.7")];
            assert_eq!(asked(PROXY, &lines), Err(StatusCode::UPGRADE_REQUIRED), "{proto}");
        }
    }

    #[test]
    fn anybody_else_has_no_such_headers() {
        let elsewhere = "192.0.2.1:4000";
        let way = Ok(Origin::Tcp(elsewhere.parse().unwrap()));
        assert_eq!(asked(elsewhere, &[("host", "localhost")]), way);
        for name in ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Via"] {
            for peer in [elsewhere, "127.0.0.2:1", "10.2.0.1:1", "[::1]:1", "[fd00:0:0:1::1]:1"] {
                assert_eq!(asked(peer, &[(name, "1.2.3.4")]), Err(StatusCode::FORBIDDEN), "{name}");
            }
        }
    }
}

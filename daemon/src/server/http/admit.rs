//! Whether a request is meant for this server: for a Host that it bears, and not from another site's
//! page. Pure; called for every request before anything of it is done.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, StatusCode, Uri, header};

use super::denied::Denied;

/// Whether a request is meant for this server. Refused are those for another host (a name that was
/// made to point here) and from another site's page.
pub(super) fn admit(
    uri: &Uri,
    headers: &HeaderMap,
    public_host: Option<&str>,
) -> Result<(), Denied> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Denied::new(StatusCode::BAD_REQUEST, "a request needs one Host header"));
    };
    let host = host.to_str().ok().and_then(Place::parse);
    let Some(host) = host.filter(|host| host.is_ours(public_host)) else {
        let text = "this server is not known by that Host; \
             use localhost, its address, or the name in its `public_host` setting";
        return Err(Denied::new(StatusCode::FORBIDDEN, text));
    };
    // RFC 9112, 3.2.2: an absolute target counts instead of Host. Ours never send one.
    let target = uri.authority().map(|authority| Place::parse(authority.as_str()));
    if target.is_some_and(|target| target.as_ref() != Some(&host)) {
        return Err(Denied::new(StatusCode::BAD_REQUEST, "the request's target is not its Host"));
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let same_site = origins.next().is_none()
        && origin.to_str().is_ok_and(|origin| is_same_origin(origin, &host));
    if !same_site {
        let text = "another site's page may not open a session here";
        return Err(Denied::new(StatusCode::FORBIDDEN, text));
    }
    Ok(())
}

/// A host and, where it is given, a port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    host: String,
    port: Option<u16>,
}

impl Place {
    fn parse(text: &str) -> Option<Place> {
        let (host, port) = match text.rfind(']') {
            Some(end) => (&text[..=end], text[end + 1..].strip_prefix(':')),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if text.rfind(']').is_some_and(|end| end + 1 < text.len() && port.is_none()) {
            return None;
        }
        let port = match port {
            // `parse` takes a sign as well.
            Some(port) if port.starts_with('+') => return None,
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        Some(Place { host: host.to_ascii_lowercase(), port })
    }

    fn is_ours(&self, public_host: Option<&str>) -> bool {
        let bracketed = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        self.host == "localhost"
            || self.host.parse::<Ipv4Addr>().is_ok()
            || bracketed.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
            || public_host.and_then(Place::parse).is_some_and(|public| public.host == self.host)
    }
}

/// Whether a page of this origin was served under this very host and port: another port of the same
/// host is another's page.
fn is_same_origin(origin: &str, host: &Place) -> bool {
    let (default_port, rest) = match origin.split_once("://") {
        Some(("http", rest)) => (80, rest),
        Some(("https", rest)) => (443, rest),
        _ => return false,
    };
    let Some(origin) = Place::parse(rest) else { return false };
    let port = |place: &Place| place.port.unwrap_or(default_port);
    origin.host == host.host && port(&origin) == port(host)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::try_from(*name).unwrap();
            headers.append(name, HeaderValue::try_from(*value).unwrap());
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
}

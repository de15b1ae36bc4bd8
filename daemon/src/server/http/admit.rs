//! Whether a request is meant for this server: for a Host that it bears, and not from another site's
//! page. Pure; called for every request before anything of it is done.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};

use super::denied::Denied;

/// What of a request says for whom it is and who had it sent.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    /// Whether the one who asks speaks TLS, to this process or to a proxy that it trusts.
    pub(super) is_encrypted: bool,
}

/// Whether a request is meant for this server. Refused are those for another host (a name that was
/// made to point here) and from another site's page. What may change something has to say from whose
/// page it comes: every browser does (Fetch, 3.1), and whoever does not is no page of ours.
pub(super) fn admit(asked: &Asked<'_>, public_host: Option<&str>) -> Result<(), Denied> {
    let mut hosts = asked.headers.get_all(header::HOST).iter();
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
    let target = asked.uri.authority().map(|authority| Place::parse(authority.as_str()));
    if target.is_some_and(|target| target.as_ref() != Some(&host)) {
        return Err(Denied::new(StatusCode::BAD_REQUEST, "the request's target is not its Host"));
    }
    if !is_our_own(asked) {
        let text = "another site's page may not ask for anything here";
        return Err(Denied::new(StatusCode::FORBIDDEN, text));
    }
    let mut origins = asked.headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        let is_reading = *asked.method == Method::GET || *asked.method == Method::HEAD;
        return is_reading.then_some(()).ok_or_else(|| {
            let text = "what may change something here has to say its Origin, as browsers do";
            Denied::new(StatusCode::FORBIDDEN, text)
        });
    };
    let is_ours = origins.next().is_none()
        && origin.to_str().is_ok_and(|said| is_same_origin(said, &host, asked.is_encrypted));
    is_ours.then_some(()).ok_or_else(|| {
        Denied::new(StatusCode::FORBIDDEN, "another site's page may not ask for anything here")
    })
}

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Whether a request comes from our own page, or from the person at the browser, where the browser says
/// so (Fetch Metadata, 2). Another site's page may lead people to a page of ours, as a link in a mail
/// does; it may not show, read or frame anything of ours.
fn is_our_own(asked: &Asked<'_>) -> bool {
    let said = |name: &HeaderName| {
        let mut lines = asked.headers.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Ok(None),
            (Some(only), None) => only.to_str().map(Some).map_err(|_| ()),
            (Some(_), Some(_)) => Err(()),
        }
    };
    match said(&SITE) {
        Ok(None | Some("same-origin" | "none")) => true,
        Ok(Some(_)) => {
            let leads = asked.method == Method::GET
                && said(&MODE) == Ok(Some("navigate"))
                && said(&DESTINATION) == Ok(Some("document"));
            leads && !asked.uri.path().starts_with("/api/")
        }
        Err(()) => false,
    }
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

/// Whether a page of this origin was served here (RFC 6454, 4): the same scheme, host and port.
/// Another port of the same host is another's page, and one that came in clear may have been changed
/// on its way.
fn is_same_origin(origin: &str, host: &Place, is_encrypted: bool) -> bool {
    let (scheme, default_port) = if is_encrypted { ("https", 443) } else { ("http", 80) };
    let place = origin.split_once("://").filter(|(said, _)| *said == scheme);
    let Some(origin) = place.and_then(|(_, place)| Place::parse(place)) else { return false };
    let port = |place: &Place| place.port.unwrap_or(default_port);
    origin.host == host.host && port(&origin) == port(host)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::try_from(*name).unwrap();
            headers.append(name, HeaderValue::try_from(*value).unwrap());
        }
        headers
    }

    fn asked(method: &Method, uri: &'static str, lines: &[(&str, &str)]) -> Result<(), StatusCode> {
        let (uri, headers) = (Uri::from_static(uri), headers(lines));
        let asked = Asked { method, uri: &uri, headers: &headers, is_encrypted: false };
        admit(&asked, Some("images.example.org:8765")).map_err(|denied| denied.status)
    }

    fn admitted(lines: &[(&str, &str)]) -> Result<(), StatusCode> {
        asked(&Method::GET, "/", lines)
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

    /// Whether a page of this origin may ask under this Host: the same for every method.
    fn from(host: &str, origin: &str, is_encrypted: bool) -> Result<(), StatusCode> {
        let (uri, headers) =
            (Uri::from_static("/"), headers(&[("host", host), ("origin", origin)]));
        let answer = |method: &Method| {
            let asked = Asked { method, uri: &uri, headers: &headers, is_encrypted };
            admit(&asked, Some("images.example.org:8765")).map_err(|denied| denied.status)
        };
        assert_eq!(answer(&Method::GET), answer(&Method::POST), "{host} from {origin}");
        answer(&Method::GET)
    }

    #[test]
    fn another_sites_page_is_refused() {
        for (host, origin) in [
            ("localhost:8765", "http://localhost:8765"),
            ("localhost", "http://localhost"),
            ("localhost:80", "http://localhost"),
            ("images.example.org:8765", "http://images.example.org:8765"),
            ("[::1]:8765", "http://[::1]:8765"),
            ("10.0.0.2:8765", "http://10.0.0.2:8765"),
        ] {
            assert_eq!(from(host, origin, false), Ok(()), "{host} from {origin}");
            let encrypted = origin.replace("http://", "https://");
            let other_way = Err(StatusCode::FORBIDDEN);
            assert_eq!(from(host, &encrypted, false), other_way, "in clear: {encrypted}");
            assert_eq!(from(host, origin, true), other_way, "encrypted: {origin}");
            // 80 is not the port of https.
            let expected = if host == "localhost:80" { other_way } else { Ok(()) };
            assert_eq!(from(host, &encrypted, true), expected, "{host} from {encrypted}");
        }
        assert_eq!(from("localhost", "https://localhost:443", true), Ok(()));
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
            ("images.example.org:8765", "http://images.example.org"),
            ("10.0.0.2:8765", "http://images.example.org"),
        ] {
            assert_eq!(
                from(host, origin, false),
                Err(StatusCode::FORBIDDEN),
                "{host} from {origin}"
            );
        }
    }

    #[test]
    fn what_may_change_something_says_from_where() {
        let host = [("host", "localhost:1")];
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(asked(&method, "/", &host), Ok(()), "{method}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            assert_eq!(asked(&method, "/", &host), Err(StatusCode::FORBIDDEN), "{method}");
        }
    }

    #[test]
    fn another_site_may_lead_here_and_nothing_more() {
        let asked = |method: &Method, uri: &'static str, lines: &[(&str, &str)]| {
            asked(method, uri, &[&[("host", "localhost:1")], lines].concat()).is_ok()
        };
        let link = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let frame = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        let image = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
        for (how, foreign, ours) in [(link, true, true), (frame, false, true), (image, false, true)]
        {
            for (site, expected) in [
                ("same-origin", ours),
                ("none", ours),
                ("same-site", foreign),
                ("cross-site", foreign),
                ("SAME-ORIGIN", foreign),
                ("", foreign),
                ("none, same-origin", foreign),
            ] {
                let lines = [&[("sec-fetch-site", site)], &how[..]].concat();
                assert_eq!(asked(&Method::GET, "/join", &lines), expected, "{lines:?}");
                let own = matches!(site, "same-origin" | "none");
                assert_eq!(asked(&Method::GET, "/api/images/1/original", &lines), own, "{lines:?}");
            }
        }
        let twice = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")];
        assert!(!asked(&Method::GET, "/", &twice));
        let post = [("sec-fetch-site", "cross-site"), ("origin", "http://localhost:1")];
        assert!(!asked(&Method::POST, "/", &[&post[..], &link].concat()));
    }

    #[test]
    fn an_absolute_target_must_be_the_host() {
        let asked = |uri: &'static str| asked(&Method::GET, uri, &[("host", "localhost:1")]);
        assert_eq!(asked("http://localhost:1/"), Ok(()));
        for uri in ["http://evil.example/", "http://localhost:2/", "http://a@localhost:1/"] {
            assert_eq!(asked(uri), Err(StatusCode::BAD_REQUEST), "{uri}");
        }
    }
}

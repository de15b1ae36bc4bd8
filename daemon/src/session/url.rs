//! Where a server is: `ws://host:port/`, `wss://host:port/`, `host:port` or `host`. Pure.
//!
//! Read from what a person typed; the session dials it and its text keys what is remembered.

use std::fmt;

use imgrepo_proto::invitation::HostPort;
use imgrepo_proto::limits::DEFAULT_PORT;
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl ServerUrl {
    /// Reads an address as a person writes it. The port is the protocol's unless another is given,
    /// and so is the way: `ws://`.
    ///
    /// # Errors
    /// `bad_request` for what is no address.
    pub fn parse(text: &str) -> Result<ServerUrl, Refusal> {
        let bad = |why: &str| {
            // Behind a `#` may be what lets somebody in.
            let quoted = text.split('#').next().unwrap_or_default();
            Refusal::new(
                ErrorCode::BadRequest,
                format!("cannot read `{}` as a server's address: {why}", shown(quoted)),
            )
            .hint("write it as `ws://host:8765/`, `host:8765` or `host`")
        };
        let (tls, rest) = match text.trim().split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => (true, rest),
            // It is an invitation: what stands in it is not quoted.
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("imgrepo") => {
                let message = "cannot connect to an invitation: it is taken up first";
                return Err(Refusal::new(ErrorCode::BadRequest, message)
                    .hint("`imgctl join` takes it up and connects"));
            }
            Some(_) => return Err(bad("it must begin with `ws://` or `wss://`")),
            None => (false, text.trim()),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if authority.contains(['@', '?', '#']) || path.contains(['?', '#']) {
            return Err(bad("it must have no user, query or fragment"));
        }
        let plain = |c: char| c.is_ascii_graphic();
        if !authority.chars().all(plain) || !path.chars().all(plain) {
            return Err(bad("it has a character that no address has"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("its port is no number"))?;
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        if port == 0 {
            return Err(bad("port 0 cannot be connected to"));
        }
        Ok(ServerUrl { tls, host: host.to_ascii_lowercase(), port, path: path.to_owned() })
    }

    /// The root of the server at this place, by TLS.
    #[must_use]
    pub fn of_place(place: &HostPort) -> ServerUrl {
        let HostPort { host, port } = place.clone();
        ServerUrl { tls: true, host, port, path: "/".to_owned() }
    }

    /// The same server at another place.
    #[must_use]
    pub fn at(&self, place: &HostPort) -> ServerUrl {
        let HostPort { host, port } = place.clone();
        ServerUrl { host, port, ..self.clone() }
    }

    /// Where it is in the network.
    #[must_use]
    pub fn place(&self) -> HostPort {
        HostPort { host: self.host.clone(), port: self.port }
    }

    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host's name or address, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Host and port; an IPv6 address may stand in brackets, and bare where no port is given.
fn split_port(authority: &str) -> Option<(&str, u16)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if rest.is_empty() => DEFAULT_PORT,
            None => return None,
        };
        return Some((host, port));
    }
    match authority.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Some((authority, DEFAULT_PORT)),
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((authority, DEFAULT_PORT)),
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.place(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_people_write_it() {
        let read = |text| ServerUrl::parse(text).map(|url| url.to_string()).map_err(|e| e.code);
        assert_eq!(read("photos.example").unwrap(), "ws://photos.example:8765/");
        assert_eq!(read("Photos:9000").unwrap(), "ws://photos:9000/");
        assert_eq!(read("ws://127.0.0.1:8765").unwrap(), "ws://127.0.0.1:8765/");
        assert_eq!(read("WS://h/a/b").unwrap(), "ws://h:8765/a/b");
        assert_eq!(read("[::1]:9").unwrap(), "ws://[::1]:9/");
        assert_eq!(read("::1").unwrap(), "ws://[::1]:8765/");
        assert_eq!(read("wss://H").unwrap(), "wss://h:8765/");
        for text in ["", "http://h", "h:x", "h:99999", "ws://u@h", "h/?a", "h\u{202e}", "h:0"] {
            assert_eq!(read(text), Err(ErrorCode::BadRequest), "{text}");
        }
        for text in ["[::1]:9/x", "wss://[::1]:9/x"] {
            let url = ServerUrl::parse(text).unwrap();
            assert_eq!(ServerUrl::parse(&url.to_string()).unwrap(), url);
            assert_eq!(url.at(&url.place()), url);
        }
        for invitation in ["imgrepo://h/#s3cret,ca", "https://h/join#s3cret", "h#s3cret"] {
            let refusal = ServerUrl::parse(invitation).unwrap_err();
            assert!(!format!("{refusal:?}").contains("s3cret"), "{refusal:?}");
        }
    }
}

//! The link by which somebody is let in, `imgrepo://host:port,host:port/#secret,fingerprint`, and what
//! it names: where the server is reached, and by what it is known there. Pure; the server writes it,
//! whoever was invited reads it.
//!
//! What stands behind the `#` is sent to nobody but the server that the fingerprint names: a program
//! that takes the link for a web address sends everything else of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, Refusal};
use crate::limits::DEFAULT_PORT;
use crate::secret::Secret;

/// The most addresses in a link: a server with more networks than this is reached by one of them.
pub const MAX_ADDRESSES: usize = 12;

/// The longest link that is read.
pub const MAX_LINK_BYTES: usize = 2048;

/// A place in a network: a name or an address, and a port. Shown as `host:port`, `[v6]:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    /// In lower case, an IPv6 address without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

/// By what a client knows that it speaks to the right server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Trust {
    /// By its own key: SHA-256 of the certificate's SubjectPublicKeyInfo (RFC 7469, 2.4). Its names
    /// and its dates say nothing more.
    Pin([u8; 32]),
    /// By the name that it is reached under and the certificate authorities of the client's system.
    Authorities,
}

/// What an invitation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where the server is; the first is the one that it prefers. At least one.
    pub addresses: Vec<HostPort>,
    /// What lets in.
    pub secret: Secret,
    /// By what the server is known.
    pub trust: Trust,
}

/// A text that says nothing of this kind. It quotes nothing: the text may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadLink(&'static str);

impl From<BadLink> for Refusal {
    fn from(error: BadLink) -> Refusal {
        Refusal::new(ErrorCode::BadRequest, format!("cannot read the invitation: {error}"))
            .hint("copy the whole line that begins with `imgrepo://`, or ask for a new one")
    }
}

impl FromStr for HostPort {
    type Err = BadLink;

    fn from_str(text: &str) -> Result<Self, BadLink> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(BadLink("a `[` is never closed"))?;
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(BadLink("what stands in brackets is no IPv6 address"));
                }
                (host, rest.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || host.len() > 253 || !host.chars().all(known) {
            return Err(BadLink("a host's name is missing or none"));
        }
        let port = match port {
            // `parse` takes a sign as well.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| BadLink("a port is no number up to 65535"))?
            }
            Some(_) => return Err(BadLink("a port is no number")),
            None if text.ends_with(']') || !text.contains(']') => DEFAULT_PORT,
            None => return Err(BadLink("something stands behind a `]`")),
        };
        if port == 0 {
            return Err(BadLink("port 0 cannot be connected to"));
        }
        Ok(HostPort { host: host.to_ascii_lowercase(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl TryFrom<String> for HostPort {
    type Error = BadLink;

    fn try_from(text: String) -> Result<Self, BadLink> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(place: HostPort) -> String {
        place.to_string()
    }
}

/// The word that stands for [`Trust::Authorities`].
const AUTHORITIES: &str = "ca";

impl FromStr for Trust {
    type Err = BadLink;

    fn from_str(text: &str) -> Result<Self, BadLink> {
        if text == AUTHORITIES {
            return Ok(Trust::Authorities);
        }
        let pin = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        let pin = pin.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        pin.map(Trust::Pin).ok_or(BadLink("the server's fingerprint is cut short or misspelled"))
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trust::Pin(pin) => f.write_str(&data_encoding::BASE64URL_NOPAD.encode(pin)),
            Trust::Authorities => f.write_str(AUTHORITIES),
        }
    }
}

impl TryFrom<String> for Trust {
    type Error = BadLink;

    fn try_from(text: String) -> Result<Self, BadLink> {
        text.parse()
    }
}

impl From<Trust> for String {
    fn from(trust: Trust) -> String {
        trust.to_string()
    }
}

impl FromStr for Link {
    type Err = BadLink;

    fn from_str(text: &str) -> Result<Self, BadLink> {
        let text = text.trim();
        if text.len() > MAX_LINK_BYTES {
            return Err(BadLink("it is too long"));
        }
        let rest = text
            .strip_prefix("imgrepo://")
            .ok_or(BadLink("it does not begin with `imgrepo://`"))?;
        let (places, fragment) =
            rest.split_once('#').ok_or(BadLink("what stands behind the `#` is missing"))?;
        let places = places.strip_suffix('/').unwrap_or(places);
        if places.split(',').count() > MAX_ADDRESSES {
            return Err(BadLink("it names too many addresses"));
        }
        let addresses = places.split(',').map(str::parse).collect::<Result<Vec<_>, _>>()?;
        let (secret, trust) =
            fragment.split_once(',').ok_or(BadLink("the server's fingerprint is missing"))?;
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !secret.bytes().all(known) {
            return Err(BadLink("its secret has characters that none has"));
        }
        let secret = Secret::parse(secret).map_err(|_| BadLink("its secret is missing"))?;
        Ok(Link { addresses, secret, trust: trust.parse()? })
    }
}

impl Link {
    /// The link, whole, with its secret.
    #[must_use]
    pub fn expose(&self) -> String {
        let places: Vec<String> = self.addresses.iter().map(HostPort::to_string).collect();
        format!("imgrepo://{}/#{},{}", places.join(","), self.secret.expose(), self.trust)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn a_link_is_read_as_it_was_written() {
        let text = format!("imgrepo://photos.example:8765,[fd00::1]:9000,10.0.0.7/#s3cret-_,{PIN}");
        let link: Link = text.parse().unwrap();
        assert_eq!(link.addresses[1], HostPort { host: "fd00::1".to_owned(), port: 9000 });
        assert_eq!(link.addresses[2].port, DEFAULT_PORT);
        assert_eq!(link.secret.expose(), "s3cret-_");
        assert_eq!(link.trust, Trust::Pin(std::array::from_fn(|at| at as u8)));
        assert_eq!(link.expose().parse::<Link>().unwrap(), link);
        assert!(!format!("{link:?}").contains("s3cret"));
        let by_name: Link = "imgrepo://Photos.Example:443/#abc,ca".parse().unwrap();
        assert_eq!(
            (by_name.trust, by_name.addresses[0].host.as_str()),
            (Trust::Authorities, "photos.example")
        );
    }

    #[test]
    fn the_longest_link_can_be_handed_over() {
        let host = "fd00:1111:2222:3333:4444:5555:6666:7777".to_owned();
        let addresses = vec![HostPort { host, port: 65535 }; MAX_ADDRESSES];
        let secret = Secret::parse(&"s".repeat(43)).unwrap();
        let link = Link { addresses, secret, trust: Trust::Pin([0xff; 32]) };
        let handed = Secret::parse(&link.expose()).unwrap();
        assert_eq!(handed.expose().parse::<Link>().unwrap(), link);
    }

    #[test]
    fn what_is_cut_or_misspelled_is_refused_without_quoting_it() {
        let whole = format!("imgrepo://h:1/#s3cret,{PIN}");
        for end in 0..whole.len() {
            let error = whole[..end].parse::<Link>().unwrap_err();
            let refusal = Refusal::from(error);
            assert!(!format!("{refusal:?}").contains("s3c"), "{refusal}");
        }
        let many = format!("imgrepo://{}/#s,{PIN}", vec!["h:1"; 13].join(","));
        for bad in [
            format!("https://h:1/#s,{PIN}"),
            format!("imgrepo://h:0/#s,{PIN}"),
            format!("imgrepo://h:+1/#s,{PIN}"),
            format!("imgrepo://h:65536/#s,{PIN}"),
            format!("imgrepo://u@h:1/#s,{PIN}"),
            format!("imgrepo://[::1/#s,{PIN}"),
            format!("imgrepo://[::1]x:1/#s,{PIN}"),
            format!("imgrepo://::1/#s,{PIN}"),
            format!("imgrepo://h:1,/#s,{PIN}"),
            format!("imgrepo://h:1/x/#s,{PIN}"),
            format!("imgrepo://h:1/#s s,{PIN}"),
            format!("imgrepo://h:1/#,{PIN}"),
            format!("imgrepo://h:1/#s,{PIN}A"),
            many,
        ] {
            assert!(bad.parse::<Link>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,300}") {
            let _ = text.parse::<Link>();
            let _ = format!("imgrepo://{text}").parse::<Link>();
        }
    }
}

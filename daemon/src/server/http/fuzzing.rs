//! For the fuzz targets alone: everything that is decided of a request by its head, and what came of it.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use imgrepo_proto::Secret;
use ipnet::IpNet;

use super::admit::{Asked, admit};
use super::choose::{Dialect, choose};
use super::cookie;
use crate::link::Origin;
use crate::server::proxy::client_of;

/// What was decided.
#[derive(Debug, PartialEq, Eq)]
pub struct Decided {
    /// From where the request really comes; None where it is refused.
    pub origin: Option<Origin>,
    /// Whether it is for this server, and of none of another site's pages.
    pub is_admitted: bool,
    /// Whether it asks for a session, and of which dialect: 1 or 2.
    pub dialect: Option<u8>,
    /// The credential in its cookie.
    pub credential: Option<Secret>,
}

/// Decides on a head; None where hyper would not let it through.
#[must_use]
pub fn decide(
    peer: SocketAddr,
    trusted: &[IpNet],
    method: &str,
    target: &str,
    lines: &[(&str, &[u8])],
) -> Option<Decided> {
    let method: Method = method.parse().ok()?;
    let uri: Uri = target.parse().ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().ok()?;
        headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    let headers = &headers;
    let origin = client_of(headers, Origin::Tcp(peer), trusted).ok();
    let is_encrypted = matches!(origin, Some(Origin::Tls(_)));
    let asked = Asked { method: &method, uri: &uri, headers, is_encrypted };
    Some(Decided {
        origin,
        is_admitted: admit(&asked, Some("pictures.example:8765")).is_ok(),
        dialect: choose(&method, headers).ok().map(|(dialect, _)| match dialect {
            Dialect::V1 => 1,
            Dialect::V2 => 2,
        }),
        credential: cookie::read(headers),
    })
}

/// What a browser sends back that was given this credential to keep; None where a cookie cannot hold it.
#[must_use]
pub fn brought_back(credential: &Secret) -> Option<Option<Secret>> {
    let line = cookie::kept(credential)?;
    let said = line.to_str().ok()?.split(';').next().unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.append(header::COOKIE, HeaderValue::from_str(said).ok()?);
    Some(cookie::read(&headers))
}

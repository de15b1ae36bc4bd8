//! HTTP on the server's port: who is let through to a session, and the few pages beside it.
//!
//! The listener hands over a connection and gets back the upgraded stream with its dialect, or
//! nothing where it was only a page. Everything that decides is pure: [`proxy::client_of`] (from
//! where does this request really come), [`admit`] (is it for us, and not one of another site) and
//! [`choose`] (which dialect). This room never reads a request's body.

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use imgrepo_proto::session::SUBPROTOCOL;

use super::registry::{Network, Seat};
use super::{Context, proxy};
use crate::link::Origin;

/// Room for a request's head. hyper takes no less; a browser's request has about 1 KiB.
pub const HEAD_BYTES: usize = 8 * 1024;

/// Header lines of a request. A browser sends about 20.
const MAX_HEADERS: usize = 64;

/// Which dialect a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// No subprotocol: the classic one.
    V1,
    /// `imgrepo.v2`.
    V2,
}

/// Why a request goes no further, in HTTP's words and in people's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) status: StatusCode,
    text: String,
    /// What it should have been (RFC 9110, 15.5.22).
    header: Option<(HeaderName, &'static str)>,
}

impl Denied {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Denied { status, text: text.into(), header: None }
    }

    /// To those who come from elsewhere without encryption: how they get in.
    pub(super) fn plaintext() -> Self {
        let text = "this server speaks with other computers only encrypted, and to those whom it \
             knows. Ask who runs it for an invitation (`imgctl invite`) and take it up: \
             imgctl join imgrepo://... With a browser: https:// instead of http://";
        let header = Some((header::UPGRADE, "TLS/1.3, HTTP/1.1"));
        Denied { header, ..Denied::new(StatusCode::UPGRADE_REQUIRED, text) }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text + "\n").into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// What the handlers of one connection need.
#[derive(Clone)]
struct Desk {
    context: Arc<Context>,
    /// How it came in.
    way: Origin,
    upgrade: Arc<Mutex<Option<Upgrade>>>,
}

/// An upgrade that was granted.
struct Upgrade {
    stream: OnUpgrade,
    dialect: Dialect,
    origin: Origin,
    seat: Option<Seat<Network>>,
}

/// A session's stream.
pub(super) struct Upgraded {
    pub(super) stream: TokioIo<hyper::upgrade::Upgraded>,
    pub(super) dialect: Dialect,
    /// Where it really comes from.
    pub(super) origin: Origin,
    /// Its place among the sessions of that network, for as long as it lasts.
    pub(super) seat: Option<Seat<Network>>,
}

/// Serves the one request of a connection: the session that it asked for, if it did. The caller bounds
/// the time.
pub(super) async fn handshake<S>(stream: S, way: Origin, context: Arc<Context>) -> Option<Upgraded>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let desk = Desk { context, way, upgrade: Arc::default() };
    let service = TowerToHyperService::new(router(desk.clone()));
    let serving = http1::Builder::new()
        // The caller's time is for all of it.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection ended before its session began");
        return None;
    }
    let Upgrade { stream, dialect, origin, seat } =
        desk.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    match stream.await {
        Ok(upgraded) => Some(Upgraded { stream: TokioIo::new(upgraded), dialect, origin, seat }),
        Err(error) => {
            tracing::debug!(%error, "the upgrade to a session failed");
            None
        }
    }
}

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/healthz", get(health))
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(desk.clone(), guard))
        .with_state(desk)
}

async fn guard(State(desk): State<Desk>, mut request: Request, next: Next) -> Response {
    let mut response = match enter(&desk, &request) {
        Ok(origin) => {
            request.extensions_mut().insert(origin);
            next.run(request).await
        }
        Err(denied) => {
            tracing::info!(reason = %denied.text, "refused a request");
            denied.into_response()
        }
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // One request a connection: no idle connection ever holds a place. (hyper's own setting
        // for that would take the upgrade's header away.)
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// From where a request that may go on comes.
fn enter(desk: &Desk, request: &Request) -> Result<Origin, Denied> {
    let settings = &desk.context.settings;
    let origin = proxy::client_of(request.headers(), desk.way, &settings.trusted_proxies)?;
    if !origin.is_private() && !settings.plaintext_guests {
        return Err(Denied::plaintext());
    }
    admit(request.uri(), request.headers(), settings.public_host.as_deref())?;
    Ok(origin)
}

async fn root(
    State(desk): State<Desk>,
    Extension(origin): Extension<Origin>,
    mut request: Request,
) -> Result<Response, Denied> {
    if !request.headers().contains_key(header::UPGRADE) {
        return Ok(about().into_response());
    }
    let (dialect, accept) = choose(request.method(), request.headers())?;
    let seat = desk.context.seat(origin).map_err(|text| {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Denied::new(status, text)
    })?;
    let upgrade = Upgrade { stream: hyper::upgrade::on(&mut request), dialect, origin, seat };
    *desk.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.clear();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::try_from(accept)
        .map_err(|_| Denied::new(StatusCode::BAD_REQUEST, "the Sec-WebSocket-Key is no key"))?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if dialect == Dialect::V2 {
        let ours = HeaderValue::from_static(SUBPROTOCOL);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, ours);
    }
    Ok(response)
}

fn about() -> String {
    format!(
        "imgrepo {}: a repository of images that a group of people share.\n\
         Programs connect here by WebSocket (subprotocol {SUBPROTOCOL}).\n\
         From a terminal: imgctl connect ws://HOST:PORT\n",
        env!("CARGO_PKG_VERSION")
    )
}

async fn health() -> Result<Response, Infallible> {
    let body = format!("{{\"status\":\"ok\",\"version\":\"{}\"}}\n", env!("CARGO_PKG_VERSION"));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

async fn nothing_here() -> Denied {
    Denied::new(StatusCode::NOT_FOUND, "there is nothing at this address")
}

/// Whether a request is meant for this server. Refused are those for another host (a name that was
/// made to point here) and from another site's page.
fn admit(uri: &Uri, headers: &HeaderMap, public_host: Option<&str>) -> Result<(), Denied> {
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

/// The dialect of an upgrade, and the answer to its key (RFC 6455, 4.2.2).
fn choose(method: &Method, headers: &HeaderMap) -> Result<(Dialect, String), Denied> {
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
#[path = "http_tests.rs"]
mod tests;

//! HTTP on the server's port: who is let through to a session, and the few pages beside it.
//!
//! The listener hands over a connection and gets back the upgraded stream with its dialect, or
//! nothing where it was only a page or a browser's request. Everything that decides is pure:
//! [`proxy::client_of`] (from where does this request really come), [`admit()`] (is it for us, and not
//! one of another site) and [`choose()`] (which dialect). Bodies are read by [`api`] alone, and bounded.

mod admit;
mod api;
mod choose;
mod cookie;
mod denied;
mod pages;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};

use imgrepo_proto::session::SUBPROTOCOL;

use super::registry::{Network, Seat};
use super::{Context, proxy};
use crate::link::Origin;
use admit::{Asked, admit};
pub(super) use choose::Dialect;
use choose::choose;
pub(super) use denied::Denied;

/// Room for a request's head. hyper takes no less; a browser's request has about 1 KiB.
pub const HEAD_BYTES: usize = 8 * 1024;

/// Header lines of a request. A browser sends about 20.
const MAX_HEADERS: usize = 64;

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
    let mut browsers = Router::new()
        .route("/api/join", post(api::join))
        .route("/api/login", post(api::login))
        .route("/api/me", get(api::me))
        .route("/api/logout", post(api::logout));
    for page in pages::PAGES {
        browsers = browsers.route(page.path, get(async move || page));
    }
    Router::new()
        .route("/", get(root))
        .route("/healthz", get(health))
        .merge(browsers.route_layer(middleware::from_fn(private)))
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
            // Not louder: whoever reaches the port would fill the log.
            tracing::debug!(reason = %denied.text, "refused a request");
            denied.into_response()
        }
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let headers = response.headers_mut();
        for (name, value) in pages::HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // One request a connection: no idle connection ever holds a place. (hyper's own setting
        // for that would take the upgrade's header away.)
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// From where a request that may go on comes.
fn enter(desk: &Desk, request: &Request) -> Result<Origin, Denied> {
    let settings = &desk.context.settings;
    let (uri, headers) = (request.uri(), request.headers());
    let origin = proxy::client_of(headers, desk.way, &settings.trusted_proxies)?;
    if !origin.is_private() && !settings.plaintext_guests {
        return Err(Denied::plaintext());
    }
    let is_encrypted = matches!(origin, Origin::Tls(_));
    let asked = Asked { method: request.method(), uri, headers, is_encrypted };
    admit(&asked, settings.public_host.as_deref())?;
    Ok(origin)
}

/// Links and cookies are said, and the page that reads them is fetched, where nobody can listen or
/// change it on the way.
async fn private(
    Extension(origin): Extension<Origin>,
    request: Request,
    next: Next,
) -> Result<Response, Denied> {
    match origin.is_private() {
        true => Ok(next.run(request).await),
        false => Err(Denied::plaintext()),
    }
}

/// The way to a session. A browser's cookie lets nobody in here: a session says in AUTH who it is, and
/// before that it is nobody.
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
         From a terminal: imgctl join, with the invitation of who runs this server\n",
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

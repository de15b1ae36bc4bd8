//! HTTP on the server's port: who is let through to a session, the API and the page for browsers.
//!
//! The listener hands over a connection and gets back the upgraded stream with its dialect, or nothing
//! where it only carried requests, one after the other. Everything that decides is pure:
//! [`proxy::client_of`] (from where does this request really come), [`admit()`] (is it for us, and not
//! one of another site), [`choose()`] (which dialect) and `imgrepo_proto::api` (what is asked). The
//! [`Desk`] knows who asks, [`call`] has it carried out, [`pace`] cuts who is too slow.

mod account;
mod admit;
mod call;
mod choose;
mod content;
mod cookie;
mod denied;
mod desk;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod live;
mod metrics;
mod pace;
mod pages;
mod ui;
mod upload;

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use imgrepo_proto::session::SUBPROTOCOL;

use super::registry::{Network, Newcomer, Seat};
use super::{Context, proxy};
use crate::link::Origin;
use admit::{Asked, admit};
pub(super) use choose::Dialect;
use choose::choose;
pub(super) use denied::Denied;
use desk::Desk;
use pace::{Pace, Paced, Patience};

/// Room for a request's head. hyper takes no less; a browser's request has about 1 KiB.
pub const HEAD_BYTES: usize = 8 * 1024;

/// Header lines of a request. A browser sends about 20.
const MAX_HEADERS: usize = 64;

/// An upgrade that was granted.
struct Upgrade {
    stream: OnUpgrade,
    dialect: Dialect,
    origin: Origin,
    seat: Option<Seat<Network>>,
}

/// A session's stream.
pub(super) struct Upgraded<S> {
    pub(super) stream: S,
    /// What came behind the request and was read with it.
    pub(super) early: Bytes,
    pub(super) dialect: Dialect,
    /// Where it really comes from.
    pub(super) origin: Origin,
    /// Its place among the sessions of that network, for as long as it lasts.
    pub(super) seat: Option<Seat<Network>>,
}

/// Serves the requests of a connection: the session that it asked for, if it did. The first head is due
/// by then. What asks for nothing for too long is cut; when the server stops, what is being answered is
/// answered.
pub(super) async fn serve<S>(
    stream: S,
    way: Origin,
    newcomer: Newcomer,
    due: Instant,
    context: Arc<Context>,
) -> Option<Upgraded<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let times = context.settings.timeouts;
    let patience = Patience { head: times.handshake, idle: times.idle, write: times.write_stall };
    let pace = Arc::new(Pace::new(due, patience));
    let desk = Arc::new(Desk::new(context.clone(), way, newcomer, pace.clone()));
    let service = TowerToHyperService::new(router(&desk));
    let serving = http1::Builder::new()
        // The pace is kept by ourselves, of bodies and answers too.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Paced::new(stream, pace.clone())), service)
        .with_upgrades();
    let (mut serving, mut stopping) = (pin!(serving), pin!(context.registry.stopping()));
    let mut is_stopping = false;
    let served = loop {
        // Dropping any is safe: serving stays in its place, and the others are words and points in time.
        tokio::select! {
            biased;
            () = &mut stopping, if !is_stopping => {
                if !pace.is_busy() {
                    return None;
                }
                is_stopping = true;
                serving.as_mut().graceful_shutdown();
            }
            served = &mut serving => break served,
            () = pace.overdue() => {
                tracing::debug!(?way, "a connection took too long");
                return None;
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, ?way, "a connection broke");
        return None;
    }
    let Upgrade { stream, dialect, origin, seat } = desk.granted()?;
    pace.hand_over();
    let upgraded = match stream.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "the upgrade to a session failed");
            return None;
        }
    };
    // Out of everything that HTTP had around it, which would be on the way of every byte.
    let Ok(Parts { io, read_buf: early, .. }) = upgraded.downcast::<TokioIo<Paced<S>>>() else {
        tracing::error!("an upgrade gave another stream than it was given");
        return None;
    };
    Some(Upgraded { stream: io.into_inner().into_inner(), early, dialect, origin, seat })
}

fn router(desk: &Arc<Desk>) -> Router {
    let mut browsers = Router::new()
        .route("/api/join", post(account::join))
        .route("/api/login", post(account::login))
        .route("/api/logout", post(account::logout))
        .route("/api/{*call}", any(call::carry_out))
        .route("/ui/{*file}", get(ui::file));
    for page in pages::PAGES {
        browsers = browsers.route(page.path, get(async move || page));
    }
    Router::new()
        .route("/", get(root))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics::page))
        .merge(browsers.route_layer(middleware::from_fn(private)))
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(desk.clone(), guard))
        .with_state(desk.clone())
}

/// An answer that is being sent: the connection's turn is over when the last of it is gone, or nobody
/// wants the rest.
struct Answering {
    body: Body,
    _turn: Turn,
}

/// One request's.
struct Turn(Arc<Desk>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.answered();
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn guard(State(desk): State<Arc<Desk>>, mut request: Request, next: Next) -> Response {
    desk.pace.busy();
    let turn = Turn(desk.clone());
    let has_body = !request.body().is_end_stream();
    let mut is_last = false;
    let mut response = match enter(&desk, &request) {
        Ok(origin) => {
            request.extensions_mut().insert(origin);
            next.run(request).await
        }
        Err(denied) => {
            // Not louder: whoever reaches the port would fill the log.
            tracing::debug!(reason = %denied.text, "refused a request");
            // Whoever it is, it has no further business here.
            is_last = true;
            denied.into_response()
        }
    };
    desk.context.figures.requested(response.status().as_u16());
    if has_body && !response.status().is_success() {
        // It may not have been read to its end.
        desk.pace.leave_unread();
        is_last = true;
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let headers = response.headers_mut();
        if is_last {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, value) in pages::HEADERS {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
    }
    response.map(|body| Body::new(Answering { body, _turn: turn }))
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

/// The way to a session, and for browsers the page. A browser's cookie lets nobody in here: a session says in AUTH who it is, and
/// before that it is nobody.
async fn root(
    State(desk): State<Arc<Desk>>,
    Extension(origin): Extension<Origin>,
    mut request: Request,
) -> Result<Response, Denied> {
    if !request.headers().contains_key(header::UPGRADE) {
        return Ok(match origin.is_private() && ui::is_wanted(request.headers()) {
            true => ui::page(request.headers()),
            false => about().into_response(),
        });
    }
    let (dialect, accept) = choose(request.method(), request.headers())?;
    let seat = desk.context.seat(origin).map_err(|text| {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Denied::new(status, text)
    })?;
    let upgrade = Upgrade { stream: hyper::upgrade::on(&mut request), dialect, origin, seat };
    desk.grant(upgrade);
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

//! The accept loop and the way of a connection up to its session: a place is free, the socket is
//! set up and encrypted where it asks for that, the HTTP request is answered, the link is opened. Owns
//! every session's task.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::http::{self, Dialect, Upgraded};
use super::registry::Newcomer;
use super::v1::{self, Gate};
use super::{Context, v2};
use crate::link::{self, Activity, Gathered, Inbox, LinkSettings, Origin, Outbox, Watched};
use crate::tls;

/// How long to leave off after the system had no socket to give (such as too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the server stops, then waits for every session to end.
pub(super) async fn serve(
    listener: TcpListener,
    mut door: mpsc::Receiver<(DuplexStream, Origin)>,
    context: Arc<Context>,
) {
    let places = Arc::new(Semaphore::new(places(context.settings.max_sessions)));
    let mut sessions = JoinSet::new();
    // The next connection, until there is a place for it: all others wait in the kernel.
    let mut next = None;
    loop {
        // Dropping any branch is safe: accepting, joining, receiving from a channel and waiting for
        // a place or the word to stop lose nothing when they are asked again.
        tokio::select! {
            biased;
            () = context.registry.stopping() => break,
            Some(ended) = sessions.join_next() => log_panic(ended),
            Some((stream, origin)) = door.recv() => {
                sessions.spawn(session_v2(stream, Bytes::new(), origin, None, context.clone()));
            }
            Ok(place) = places.clone().acquire_owned(), if next.is_some() => {
                if let Some(stream) = next.take() {
                    let newcomer = context.registry.newcomers.enter();
                    sessions.spawn(remote(stream, place, newcomer, context.clone()));
                }
            }
            accepted = listener.accept(), if next.is_none() => match accepted {
                Ok((stream, _)) => {
                    if places.available_permits() == 0 {
                        context.registry.newcomers.send_away_oldest();
                    }
                    next = Some(stream);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while let Some(ended) = sessions.join_next().await {
        log_panic(ended);
    }
}

/// How many connections there may be: half of the files that this process may have open at most, so
/// that those of the repository are never the ones which are missing.
fn places(max_sessions: u32) -> usize {
    let most = max_sessions as usize;
    #[cfg(unix)]
    if let Some(files) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        let half = usize::try_from(files / 2).unwrap_or(usize::MAX).max(1);
        if half < most {
            tracing::warn!(
                "no more than {half} sessions at once instead of {most}: this process may have \
                 {files} files open (ulimit -n)"
            );
            return half;
        }
    }
    most
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a session ended by a fault of this program");
    }
}

async fn remote(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    newcomer: Newcomer,
    context: Arc<Context>,
) {
    let away = newcomer.sent_away();
    // Dropping either is safe: who is sent away is nobody yet, and has nothing to lose.
    tokio::select! {
        biased;
        () = away => tracing::debug!("a silent connection made room for another"),
        () = connection(stream, newcomer, context) => {}
    }
    drop(place);
}

async fn connection(stream: TcpStream, newcomer: Newcomer, context: Arc<Context>) {
    let Ok(peer) = stream.peer_addr() else { return };
    // Of a socket for both families, where one of IPv4 is written as one of IPv6.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    if let Err(error) = link::tune(&stream) {
        tracing::debug!(%error, %peer, "cannot set up a connection");
        return;
    }
    // Each in a place of its own, which is given back: a session would keep the room of all of HTTP
    // and TLS for as long as it lasts, and of every kind of session.
    match Box::pin(open(stream, peer, &newcomer, &context)).await {
        Some(Opened::Plain(upgraded)) => Box::pin(session(upgraded, newcomer, context)).await,
        Some(Opened::Encrypted(upgraded)) => Box::pin(session(upgraded, newcomer, context)).await,
        None => {}
    }
}

async fn session<S>(upgraded: Upgraded<S>, newcomer: Newcomer, context: Arc<Context>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Upgraded { stream, early, dialect, origin, seat } = upgraded;
    match dialect {
        Dialect::V2 => session_v2(stream, early, origin, Some(newcomer), context).await,
        Dialect::V1 => Box::pin(session_v1(stream, early, origin, newcomer, context)).await,
    }
    drop(seat);
}

/// A stream on which a session is due.
enum Opened {
    Plain(Upgraded<TcpStream>),
    Encrypted(Upgraded<Box<tls::ServerStream<TcpStream>>>),
}

/// The stream of the session that a connection asks for, if it does. Its first byte tells TLS from
/// HTTP; for both, and for the head of its first request, it has one time together.
async fn open(
    stream: TcpStream,
    peer: SocketAddr,
    newcomer: &Newcomer,
    context: &Arc<Context>,
) -> Option<Opened> {
    let due = Instant::now() + context.settings.timeouts.handshake;
    let (newcomer, context) = (newcomer.clone(), context.clone());
    // Dropping any of these is safe: a connection without a session has nothing to lose.
    let begun = tokio::select! {
        biased;
        () = context.registry.stopping() => return None,
        begun = timeout_at(due, begin(stream, peer, &context)) => begun,
    };
    match begun {
        Ok(Some(Begun::Plain(stream))) => {
            let way = Origin::Tcp(peer);
            http::serve(stream, way, newcomer, due, context).await.map(Opened::Plain)
        }
        Ok(Some(Begun::Encrypted(stream))) => {
            let way = Origin::Tls(peer);
            http::serve(stream, way, newcomer, due, context).await.map(Opened::Encrypted)
        }
        Ok(None) => None,
        Err(_) => {
            tracing::debug!(%peer, "a connection took too long to say anything");
            None
        }
    }
}

/// A connection on which HTTP is due.
enum Begun {
    Plain(TcpStream),
    Encrypted(Box<tls::ServerStream<TcpStream>>),
}

async fn begin(stream: TcpStream, peer: SocketAddr, context: &Context) -> Option<Begun> {
    let mut first = [0];
    let is_encrypted = match stream.peek(&mut first).await {
        Ok(1..) => first == [tls::FIRST_BYTE],
        Ok(0) | Err(_) => return None,
    };
    if !is_encrypted {
        return Some(Begun::Plain(stream));
    }
    let Some(identity) = &context.settings.identity else {
        tracing::debug!(%peer, "a connection was encrypted, and this server does not encrypt");
        return None;
    };
    match identity.accept(stream).await {
        Ok(stream) => Some(Begun::Encrypted(Box::new(stream))),
        Err(error) => {
            tracing::debug!(%error, %peer, "a connection could not be encrypted");
            None
        }
    }
}

pub(super) async fn session_v2<S>(
    stream: S,
    early: Bytes,
    origin: Origin,
    newcomer: Option<Newcomer>,
    context: Arc<Context>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = context.link_settings_v2();
    let (stream, activity) = Watched::new(stream);
    let stream = Gathered::new(stream, early);
    // In a place of its own, like all that is over when the session begins.
    let (outbox, inbox) = Box::pin(link_over(stream, activity, settings)).await;
    v2::run(outbox, inbox, origin, newcomer, context).await;
}

pub(super) async fn session_v1<S>(
    stream: S,
    early: Bytes,
    origin: Origin,
    newcomer: Newcomer,
    context: Arc<Context>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = context.link_settings_v1();
    let (stream, activity) = Watched::new(stream);
    let (stream, gate) = Gate::new(Gathered::new(stream, early));
    let (outbox, inbox) = Box::pin(link_over(stream, activity, settings)).await;
    v1::run(outbox, inbox, gate, (origin, newcomer), context).await;
}

async fn link_over<S>(stream: S, activity: Activity, settings: LinkSettings) -> (Outbox, Inbox)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let websocket = Some(settings.websocket());
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, websocket).await;
    link::open(socket, activity, settings)
}

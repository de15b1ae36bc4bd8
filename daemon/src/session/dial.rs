//! The way to a server: TCP, TLS and the WebSocket's handshake, or a pipe within this process.
//!
//! Attempts call it. It says which dialect the server chose, and which faults would come again;
//! what is said over the link is no business of its own. A server that is not the one which is meant
//! gets no byte of the session.

use std::io::{self, Write as _};
use std::time::Duration;

use imgrepo_proto::invitation::{HostPort, Trust};
use imgrepo_proto::limits::V1_MAX_IMAGE_BYTES;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::SUBPROTOCOL;
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{ErrorCode, Refusal};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, http};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::link::{self, Activity, Inbox, LinkSettings, Outbox, Watched};
use crate::tls::{self, ClientStream, ConnectError};

use super::machine::Failure;
use super::race::race;
use super::url::ServerUrl;
use super::{Address, Dialect, Route};

/// What an old server's one message may have beyond the content itself: a long list.
const V1_HEADROOM_BYTES: usize = 1024 * 1024;

/// What whoever is not known to a server needs.
pub(super) const INVITATION: &str =
    "ask who runs the server for an invitation, and take it up with `imgctl join`";

/// Where the first thing that answers an invitation is another server.
const OTHER_SERVER: &str = "either somebody stands between you and the server, or it was set up anew, \
    or another one has its address now: ask who runs it, by another way than this, for a new \
    invitation";

/// A link to a server that has not been told yet who is there.
pub(crate) struct Dialed {
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    pub(crate) dialect: Dialect,
    /// Which of the server's addresses it was, by TLS.
    pub(crate) place: Option<HostPort>,
}

/// Dials, within the time given to each connection; of a server's addresses first the one that
/// `worked` last.
pub(crate) async fn dial(
    address: &Address,
    worked: Option<&HostPort>,
    program: &Program,
    time_out: Duration,
) -> Result<Dialed, Failure> {
    let (url, secure) = match address {
        Address::Local(open) => {
            let (stream, activity) = Watched::new(open());
            let settings = LinkSettings::default();
            let websocket = Some(settings.websocket());
            let socket = WebSocketStream::from_raw_socket(stream, Role::Client, websocket).await;
            let (outbox, inbox) = link::open(socket, activity, settings);
            return Ok(Dialed { outbox, inbox, dialect: Dialect::V2, place: None });
        }
        Address::Url(url) if url.is_tls() => {
            (url.clone(), Some((vec![url.place()], &Trust::Authorities)))
        }
        Address::Url(url) => (url.clone(), None),
        Address::Route(route) => (route.url(), Some((route.places(worked), &route.trust))),
    };
    // Before it lets us in there is nothing that could have changed.
    let is_first = address.credential().is_none();
    let attempt = async |dialect| match &secure {
        Some((places, trust)) => {
            let encrypted = encrypted(places, trust, time_out).await;
            let encrypted = encrypted.map_err(|errors| nowhere(&errors, is_first))?;
            secured(&url, encrypted, program, dialect, time_out).await
        }
        None => within(time_out, plain(&url, program, dialect)).await,
    };
    let mut outcome = attempt(Dialect::V2).await;
    // Whoever was let in was by a server of today.
    if matches!(outcome, Err(Fault::NoSubprotocol)) && address.credential().is_none() {
        outcome = attempt(Dialect::V1).await;
    }
    outcome.map_err(|fault| fault.failure(&url))
}

async fn within<T>(
    time_out: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let outcome = tokio::time::timeout(time_out, work).await;
    outcome.unwrap_or_else(|_| Err(Fault::Passing("it does not answer".to_owned())))
}

/// Why a connection did not come about.
enum Fault {
    /// An old server.
    NoSubprotocol,
    /// Anything that may pass.
    Passing(String),
    /// The server does not want us, or we do not want it: why, and what to do.
    Unwanted(ErrorCode, String, Option<&'static str>),
}

impl Fault {
    fn failure(self, url: &ServerUrl) -> Failure {
        let (permanent, code, why, hint) = match self {
            Fault::NoSubprotocol => {
                let why = "it speaks no dialect known here".to_owned();
                (true, ErrorCode::Unsupported, why, None)
            }
            Fault::Passing(why) => (false, ErrorCode::NotConnected, why, None),
            Fault::Unwanted(code, why, hint) => (true, code, why, hint),
        };
        let message = format!("cannot connect to `{url}`: {why}");
        let hint = hint.map(str::to_owned);
        Failure { permanent, refusal: Refusal { code, message, hint } }
    }
}

async fn tcp(place: &HostPort) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((place.host.as_str(), place.port)).await?;
    if let Err(error) = link::tune(&stream) {
        // It works without, only not as fast.
        tracing::debug!(%error, "cannot tune the socket");
    }
    Ok(stream)
}

/// In the clear: nothing that lets anybody in is ever said over it.
async fn plain(url: &ServerUrl, program: &Program, dialect: Dialect) -> Result<Dialed, Fault> {
    let stream = tcp(&url.place()).await.map_err(|error| Fault::Passing(error.to_string()))?;
    let twin = socket2::SockRef::from(&stream).try_clone().ok();
    let (stream, activity) = Watched::new(stream);
    upgrade(stream, activity, url, program, dialect).await.inspect_err(|fault| {
        if let (Fault::NoSubprotocol, Some(twin)) = (fault, twin) {
            take_leave(twin);
        }
    })
}

/// By TLS, at the place where the right server is.
async fn secured(
    url: &ServerUrl,
    (stream, activity, place): Encrypted,
    program: &Program,
    dialect: Dialect,
    time_out: Duration,
) -> Result<Dialed, Fault> {
    let url = url.at(&place);
    let dialed = within(time_out, upgrade(stream, activity, &url, program, dialect)).await?;
    Ok(Dialed { place: Some(place), ..dialed })
}

type Encrypted = (ClientStream<Watched<TcpStream>>, Activity, HostPort);

/// To the first of these places at which the right server is.
async fn encrypted(
    places: &[HostPort],
    trust: &Trust,
    time_out: Duration,
) -> Result<Encrypted, Vec<(HostPort, ConnectError)>> {
    let reach = |place: HostPort| async move {
        let connected = async {
            let stream = tcp(&place).await.map_err(ConnectError::Io)?;
            let (stream, activity) = Watched::new(stream);
            Ok((tls::connect(stream, &place.host, trust).await?, activity))
        };
        let outcome = tokio::time::timeout(time_out, connected).await;
        let outcome = outcome.unwrap_or_else(|_| {
            Err(ConnectError::Io(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")))
        });
        match outcome {
            Ok((stream, activity)) => Ok((stream, activity, place)),
            Err(error) => Err((place, error)),
        }
    };
    race(places.to_vec(), reach).await
}

/// A stream of one's own to a known server, and the place that it leads to: for what it says without
/// a session. None where it is not reached.
pub(crate) async fn stream(
    route: &Route,
    time_out: Duration,
) -> Option<(impl AsyncRead + AsyncWrite + Unpin + Send, HostPort)> {
    let reached = encrypted(&route.places(None), &route.trust, time_out).await.ok()?;
    let (stream, _, place) = reached;
    Some((stream, place))
}

/// The right server is at none of the places. Only where each of them is known not to be it, trying
/// again is of no use.
fn nowhere(errors: &[(HostPort, ConnectError)], is_first: bool) -> Fault {
    let worst = errors.iter().find(|(_, error)| error.is_permanent());
    let told = |error: &ConnectError| match error {
        ConnectError::Pin { expected, found } if is_first => format!(
            "what answers there is not the server of this invitation: its fingerprint is `{}`, and \
             `{}` was expected",
            Trust::Pin(*found),
            Trust::Pin(*expected)
        ),
        _ => error.to_string(),
    };
    let why = match errors {
        [(_, error)] => told(error),
        _ => {
            let mut whys: Vec<(String, Vec<String>)> = Vec::new();
            for (place, error) in errors {
                let (place, why) = (format!("`{place}`"), told(error));
                match whys.iter_mut().find(|(other, _)| *other == why) {
                    Some((_, places)) => places.push(place),
                    None => whys.push((why, vec![place])),
                }
            }
            let whys = whys.iter().map(|(why, places)| format!("{}: {why}", places.join(", ")));
            whys.collect::<Vec<_>>().join("; ")
        }
    };
    match worst {
        Some((_, error)) if errors.iter().all(|(_, error)| error.is_permanent()) => {
            let hint = match error {
                ConnectError::Pin { .. } if is_first => Some(OTHER_SERVER),
                _ => error.hint(),
            };
            Fault::Unwanted(ErrorCode::Denied, why, hint)
        }
        _ => Fault::Passing(why),
    }
}

async fn upgrade<S>(
    stream: S,
    activity: Activity,
    url: &ServerUrl,
    program: &Program,
    dialect: Dialect,
) -> Result<Dialed, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = url
        .to_string()
        .into_client_request()
        .map_err(|error| Fault::Unwanted(ErrorCode::BadRequest, error.to_string(), None))?;
    let headers = request.headers_mut();
    if dialect == Dialect::V2 {
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    }
    if let Ok(agent) = HeaderValue::from_str(&format!("{}/{}", program.name, program.version)) {
        headers.insert("user-agent", agent);
    }
    let settings = settings(dialect);
    let upgrade = client_async_with_config(request, stream, Some(settings.websocket())).await;
    let (socket, _response) = upgrade.map_err(fault)?;
    let (outbox, inbox) = link::open(socket, activity, settings);
    Ok(Dialed { outbox, inbox, dialect, place: None })
}

/// What the link allows: an old server's contents and lists are one message each.
fn settings(dialect: Dialect) -> LinkSettings {
    let settings = LinkSettings::default();
    match dialect {
        Dialect::V2 => settings,
        Dialect::V1 => {
            let content = usize::try_from(V1_MAX_IMAGE_BYTES).unwrap_or(usize::MAX);
            LinkSettings {
                max_message_bytes: content.saturating_add(V1_HEADROOM_BYTES),
                ..settings
            }
        }
    }
}

/// Ends in order the session that an old server has opened by then. The library drops it without
/// a word, and the old server reports each such end as a fault of its own.
fn take_leave(mut socket: socket2::Socket) {
    /// A close with the code 1000, masked with zeros.
    const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
    // A courtesy: where it cannot be sent, the connection just ends.
    let _ = socket.write_all(&CLOSE);
}

fn fault(error: Error) -> Fault {
    match error {
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(
            SubProtocolError::NoSubProtocol,
        )) => Fault::NoSubprotocol,
        Error::Http(response) => refused(&response),
        Error::Io(error) => Fault::Passing(error.to_string()),
        error => Fault::Passing(format!("it does not speak WebSocket: {error}")),
    }
}

/// The server answered the upgrade with something else.
fn refused(response: &http::Response<Option<Vec<u8>>>) -> Fault {
    let said = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    // A page of a web server is no message for people.
    let said = said.lines().next().filter(|line| line.len() <= 300 && !line.starts_with('<'));
    let status = response.status();
    let why = match said.map(str::trim) {
        Some(line) if !line.is_empty() => format!("it answers {status}: {}", shown(line)),
        _ => format!("it answers {status}"),
    };
    match status.as_u16() {
        400 => Fault::Unwanted(ErrorCode::BadRequest, why, None),
        401 => Fault::Unwanted(ErrorCode::Unauthenticated, why, None),
        403 => Fault::Unwanted(ErrorCode::Denied, why, None),
        // Upgrade Required: it takes nobody in the clear.
        426 => Fault::Unwanted(ErrorCode::Denied, why, Some(INVITATION)),
        _ => Fault::Passing(why),
    }
}

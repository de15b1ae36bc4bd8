//! The way to a server: TCP and the WebSocket's handshake, or a pipe within this process.
//!
//! Attempts call it. It says which dialect the server chose, and which faults would come again;
//! what is said over the link is no business of its own.

use std::io::Write as _;
use std::time::Duration;

use imgrepo_proto::limits::V1_MAX_IMAGE_BYTES;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::SUBPROTOCOL;
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{ErrorCode, Refusal};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, http};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::link::{self, Inbox, LinkSettings, Outbox, Watched};

use super::machine::Failure;
use super::url::ServerUrl;
use super::{Address, Dialect};

/// What an old server's one message may have beyond the content itself: a long list.
const V1_HEADROOM_BYTES: usize = 1024 * 1024;

/// A link to a server that has not been told yet who is there.
pub(crate) struct Dialed {
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    pub(crate) dialect: Dialect,
}

/// Dials, within the time given to each connection.
pub(crate) async fn dial(
    address: &Address,
    program: &Program,
    time_out: Duration,
) -> Result<Dialed, Failure> {
    let url = match address {
        Address::Local(open) => {
            let (stream, activity) = Watched::new(open());
            let settings = LinkSettings::default();
            let websocket = Some(settings.websocket());
            let socket = WebSocketStream::from_raw_socket(stream, Role::Client, websocket).await;
            let (outbox, inbox) = link::open(socket, activity, settings);
            return Ok(Dialed { outbox, inbox, dialect: Dialect::V2 });
        }
        Address::Url(url) => url,
    };
    let attempt = |dialect| async move {
        match tokio::time::timeout(time_out, connect(url, program, dialect)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::Passing("it does not answer".to_owned())),
        }
    };
    let outcome = match attempt(Dialect::V2).await {
        Err(Fault::NoSubprotocol) => attempt(Dialect::V1).await,
        outcome => outcome,
    };
    outcome.map_err(|fault| fault.failure(url))
}

/// Why a connection did not come about.
enum Fault {
    /// An old server.
    NoSubprotocol,
    /// Anything that may pass.
    Passing(String),
    /// The server does not want us, with what it said.
    Unwanted(ErrorCode, String),
}

impl Fault {
    fn failure(self, url: &ServerUrl) -> Failure {
        let (permanent, code, why) = match self {
            Fault::NoSubprotocol => {
                (true, ErrorCode::Unsupported, "it speaks no dialect known here".to_owned())
            }
            Fault::Passing(why) => (false, ErrorCode::NotConnected, why),
            Fault::Unwanted(code, why) => (true, code, why),
        };
        let message = format!("cannot connect to `{url}`: {why}");
        Failure { permanent, refusal: Refusal::new(code, message) }
    }
}

async fn connect(url: &ServerUrl, program: &Program, dialect: Dialect) -> Result<Dialed, Fault> {
    let stream = TcpStream::connect((url.host(), url.port()))
        .await
        .map_err(|error| Fault::Passing(error.to_string()))?;
    if let Err(error) = link::tune(&stream) {
        // It works without, only not as fast.
        tracing::debug!(%error, "cannot tune the socket");
    }
    let mut request = url
        .to_string()
        .into_client_request()
        .map_err(|error| Fault::Unwanted(ErrorCode::BadRequest, error.to_string()))?;
    let headers = request.headers_mut();
    if dialect == Dialect::V2 {
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    }
    if let Ok(agent) = HeaderValue::from_str(&format!("{}/{}", program.name, program.version)) {
        headers.insert("user-agent", agent);
    }
    let settings = settings(dialect);
    let twin = socket2::SockRef::from(&stream).try_clone().ok();
    let (stream, activity) = Watched::new(stream);
    let upgrade = client_async_with_config(request, stream, Some(settings.websocket())).await;
    let (socket, _response) = upgrade.map_err(|error| {
        let fault = fault(error);
        if let (Fault::NoSubprotocol, Some(twin)) = (&fault, twin) {
            take_leave(twin);
        }
        fault
    })?;
    let (outbox, inbox) = link::open(socket, activity, settings);
    Ok(Dialed { outbox, inbox, dialect })
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
        400 => Fault::Unwanted(ErrorCode::BadRequest, why),
        401 => Fault::Unwanted(ErrorCode::Unauthenticated, why),
        403 => Fault::Unwanted(ErrorCode::Denied, why),
        _ => Fault::Passing(why),
    }
}

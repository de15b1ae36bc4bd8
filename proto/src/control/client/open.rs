//! One connection of a client: the greetings, then requests out and replies in, each within its time.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use interprocess::local_socket::Stream;
use interprocess::local_socket::traits::Stream as _;

use super::Item;
use crate::control::endpoint::Endpoint;
use crate::control::frame::{self, Decoder, FrameError};
use crate::control::{CHUNK_BYTES, Hello, Outcome, Reply, Request, VERSIONS};
use crate::error::{ErrorCode, Refusal};
use crate::session::command::Program;

/// How long a daemon may take for its hello. It does nothing for it but write: one that takes
/// longer hangs or is stopped.
const HELLO_LIMIT: Duration = Duration::from_secs(10);

/// What to do about a daemon of another version.
const RESTART: &str = "restart the daemon: imgctl stop && imgrepod";

/// A connection to a daemon.
#[derive(Debug)]
pub(super) struct Open {
    stream: Stream,
    decoder: Decoder,
    /// This end's greeting, until it goes out in one write with the first request.
    unsent: Vec<u8>,
    /// None until it has greeted.
    pub(super) daemon: Option<Program>,
}

/// How a request ends other than well.
pub(super) enum Broken {
    /// By the daemon's final reply; the connection is good for more.
    Refused(Refusal),
    /// By this end; the connection is of no more use.
    Off(Refusal),
    /// By the daemon's end.
    Gone,
}

impl Open {
    /// A connection whose greeting goes out with what is sent first.
    pub(super) fn connect(endpoint: &Endpoint, program: &Program) -> Result<Open, Refusal> {
        let path = endpoint.path();
        let connected = endpoint.check().and_then(|()| Stream::connect(endpoint.name()?));
        let stream = connected.map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                Refusal::new(ErrorCode::NotRunning, "the daemon is not running")
            }
            ErrorKind::PermissionDenied => Refusal::new(
                ErrorCode::Denied,
                format!("cannot use the daemon's socket `{}`: {error}", path.display()),
            ),
            _ => Refusal::new(
                ErrorCode::NotRunning,
                format!("cannot reach the daemon at `{}`: {error}", path.display()),
            ),
        })?;
        let unsent = encoded(&Hello::new(program.clone()))?;
        Ok(Open { stream, decoder: Decoder::new(), unsent, daemon: None })
    }

    /// A connection on which both ends have greeted.
    pub(super) fn greet(
        endpoint: &Endpoint,
        program: &Program,
        deadline: Option<Instant>,
    ) -> Result<Open, Refusal> {
        let mut open = Open::connect(endpoint, program)?;
        let heard = open.write(Vec::new(), deadline).and_then(|()| open.hear_hello(deadline));
        match heard {
            Ok(()) => Ok(open),
            Err(Broken::Refused(refusal) | Broken::Off(refusal)) => Err(refusal),
            Err(Broken::Gone) => Err(turned_away()),
        }
    }

    /// Waits for the daemon's greeting, where it is still to come.
    fn hear_hello(&mut self, deadline: Option<Instant>) -> Result<(), Broken> {
        if self.daemon.is_some() {
            return Ok(());
        }
        let limit = Instant::now() + HELLO_LIMIT;
        let deadline = deadline.map_or(limit, |deadline| deadline.min(limit));
        let hello = self.read::<Hello>(Some(deadline)).map_err(|broken| match broken {
            Broken::Gone => Broken::Off(turned_away()),
            broken => broken,
        })?;
        if hello.common().is_none() {
            let refusal = Refusal::new(
                ErrorCode::Unsupported,
                format!(
                    "the daemon ({} {}) speaks versions {} to {} of the control protocol, \
                     this program versions {} to {}",
                    hello.program.name,
                    hello.program.version,
                    hello.lowest,
                    hello.highest,
                    VERSIONS.0,
                    VERSIONS.1
                ),
            );
            return Err(Broken::Off(refusal.hint(RESTART)));
        }
        self.daemon = Some(hello.program);
        Ok(())
    }

    pub(super) fn send<T: serde::Serialize>(
        &mut self,
        value: &T,
        deadline: Option<Instant>,
    ) -> Result<(), Broken> {
        self.write(encoded(value).map_err(Broken::Off)?, deadline)
    }

    fn write(&mut self, frame: Vec<u8>, deadline: Option<Instant>) -> Result<(), Broken> {
        let mut bytes = std::mem::take(&mut self.unsent);
        bytes.extend(frame);
        // Where the system has no such limit (pipes of Windows) the request is not limited.
        let _ = self.stream.set_send_timeout(left(deadline)?);
        self.stream.write_all(&bytes).map_err(|error| match broken(&error) {
            Broken::Gone if self.daemon.is_none() => Broken::Off(turned_away()),
            broken => broken,
        })
    }

    pub(super) fn send_content(
        &mut self,
        request: &Request,
        name: &str,
        content: &mut dyn Read,
        deadline: Option<Instant>,
    ) -> Result<(), Broken> {
        self.send(request, deadline)?;
        // Nothing of the content goes to a daemon that does not understand.
        self.hear_hello(deadline)?;
        loop {
            let mut piece = Vec::with_capacity(CHUNK_BYTES);
            let read = content.take(CHUNK_BYTES as u64).read_to_end(&mut piece);
            read.map_err(|error| {
                let name = crate::name::shown(name);
                Broken::Off(Refusal::new(
                    ErrorCode::FileError,
                    format!("cannot read the content of `{name}`: {error}"),
                ))
            })?;
            if piece.is_empty() {
                return self.send(&Request::End, deadline);
            }
            self.send(&Request::Data(piece), deadline)?;
        }
    }

    pub(super) fn outcome(
        &mut self,
        deadline: Option<Instant>,
        item: Item<'_>,
    ) -> Result<Outcome, Broken> {
        loop {
            match self.receive(deadline)? {
                Reply::Done(outcome) => return Ok(*outcome),
                Reply::Refused(refusal) => return Err(Broken::Refused(refusal)),
                other => item(other).map_err(Broken::Off)?,
            }
        }
    }

    pub(super) fn receive(&mut self, deadline: Option<Instant>) -> Result<Reply, Broken> {
        self.hear_hello(deadline)?;
        self.read(deadline)
    }

    fn read<T: serde::de::DeserializeOwned>(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<T, Broken> {
        loop {
            match self.decoder.next() {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(error) => {
                    let refusal = Refusal::new(
                        ErrorCode::Unsupported,
                        format!("cannot understand the daemon's answer: {error}"),
                    );
                    return Err(Broken::Off(match error {
                        FrameError::Unknown(_) => refusal.hint(RESTART),
                        _ => refusal,
                    }));
                }
            }
            // As in `write`.
            let _ = self.stream.set_recv_timeout(left(deadline)?);
            match self.stream.read(self.decoder.space()) {
                Ok(0) => return Err(Broken::Gone),
                Ok(read) => self.decoder.filled(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error)),
            }
        }
    }
}

fn encoded<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Refusal> {
    frame::encode(value).map_err(|error| {
        Refusal::new(ErrorCode::BadRequest, format!("cannot ask the daemon: {error}"))
    })
}

fn turned_away() -> Refusal {
    Refusal::new(ErrorCode::Denied, "the daemon closed the connection before its greeting")
}

/// The time that is left until then. Zero would mean no limit to a socket.
fn left(deadline: Option<Instant>) -> Result<Option<Duration>, Broken> {
    let Some(deadline) = deadline else { return Ok(None) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(timed_out()) } else { Ok(Some(left)) }
}

fn timed_out() -> Broken {
    Broken::Off(Refusal::new(ErrorCode::TimedOut, "the time given for this is over"))
}

fn broken(error: &std::io::Error) -> Broken {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => timed_out(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
            Broken::Gone
        }
        _ => Broken::Off(Refusal::new(
            ErrorCode::NotRunning,
            format!("cannot talk to the daemon: {error}"),
        )),
    }
}

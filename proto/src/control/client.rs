//! The blocking client of the local socket, which `imgctl` and the window share.
//!
//! One request at a time; for several at once open several clients. A request that is broken off
//! (its item handler fails, its time is over, the client is dropped) closes the connection, which
//! gives it up in the daemon; the next request opens another.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use interprocess::local_socket::Stream;
use interprocess::local_socket::traits::Stream as _;

use super::endpoint::Endpoint;
use super::frame::{self, Decoder, FrameError};
use super::request::{Content, Upload};
use super::{CHUNK_BYTES, Hello, Outcome, Reply, Request, VERSIONS};
use crate::error::{ErrorCode, Refusal};
use crate::session::command::Program;

/// How long a daemon may take for its hello. It does nothing for it but write: one that takes
/// longer hangs or is stopped.
const HELLO_LIMIT: Duration = Duration::from_secs(10);

/// What to do about a daemon of another version.
const RESTART: &str = "restart the daemon: imgctl stop && imgrepod";

/// A program's connection to its user's daemon.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    program: Program,
    deadline: Option<Instant>,
    /// The command that starts the daemon here.
    start: String,
    /// None after a request was broken off.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    stream: Stream,
    decoder: Decoder,
    daemon: Program,
}

/// What takes the items of a request: an error breaks the request off and is its outcome.
pub type Item<'a> = &'a mut dyn FnMut(Reply) -> Result<(), Refusal>;

impl Client {
    /// Connects to the daemon that listens here, and greets it.
    ///
    /// # Errors
    /// `not_running` where nobody listens, `denied` where somebody else might, `unsupported` where
    /// the daemon's version has nothing in common with this one, `timed_out` where it is silent.
    pub fn connect(endpoint: &Endpoint, program: Program) -> Result<Client, Refusal> {
        Client::connect_or_start(endpoint, program, "imgrepod")
    }

    /// As [`Client::connect`]; whenever the daemon does not run, the hint is this command.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_or_start(
        endpoint: &Endpoint,
        program: Program,
        start: &str,
    ) -> Result<Client, Refusal> {
        let open = Open::greet(endpoint, &program, None).map_err(|why| hinted(why, start))?;
        let (endpoint, start, open) = (endpoint.clone(), start.to_owned(), Some(open));
        Ok(Client { endpoint, program, deadline: None, start, open })
    }

    /// Whether a daemon of any version answers here within this time.
    #[must_use]
    pub fn is_answered(endpoint: &Endpoint, program: &Program, within: Duration) -> bool {
        match Open::greet(endpoint, program, Instant::now().checked_add(within)) {
            Ok(_) => true,
            Err(why) => why.code == ErrorCode::Unsupported,
        }
    }

    /// The daemon's name and version, as it said last.
    #[must_use]
    pub fn daemon(&self) -> Option<&Program> {
        self.open.as_ref().map(|open| &open.daemon)
    }

    /// From now on, everything together must end within this time; None takes the limit away.
    /// What does not ends with `timed_out`.
    pub fn set_timeout(&mut self, limit: Option<Duration>) {
        self.deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    }

    /// Carries out a request that has no items; any that come are passed over.
    ///
    /// # Errors
    /// Why the daemon refused, or why it could not be asked.
    pub fn call(&mut self, request: &Request) -> Result<Outcome, Refusal> {
        self.call_with(request, &mut |_| Ok(()))
    }

    /// Carries out a request and hands over its items as they come. [`Request::Stop`] is carried
    /// out when the daemon has ended.
    ///
    /// # Errors
    /// Why the daemon refused, or why it could not be asked, or what `item` gave.
    pub fn call_with(&mut self, request: &Request, item: Item<'_>) -> Result<Outcome, Refusal> {
        self.carry_out(|open, deadline| {
            open.send(request, deadline)?;
            let outcome = open.outcome(deadline, item)?;
            if *request == Request::Stop {
                // The connection ends when the daemon has, so that another may be started.
                while open.receive::<Reply>(deadline).is_ok() {}
            }
            Ok(outcome)
        })
    }

    /// Stores what `content` gives, which need not be a file. Its [`Upload::content`] is taken as
    /// [`Content::Stream`].
    ///
    /// # Errors
    /// As [`Client::call_with`]; `file_error` where `content` cannot be read.
    pub fn upload_stream(
        &mut self,
        upload: &Upload,
        content: &mut dyn Read,
        item: Item<'_>,
    ) -> Result<Outcome, Refusal> {
        let request = Request::Upload(Upload { content: Content::Stream, ..upload.clone() });
        self.stream(&request, &upload.name, content, item)
    }

    /// As [`Client::upload_stream`], into the queue: done when the daemon has the content durably.
    ///
    /// # Errors
    /// As [`Client::upload_stream`].
    pub fn enqueue_stream(
        &mut self,
        upload: &Upload,
        content: &mut dyn Read,
    ) -> Result<Outcome, Refusal> {
        let request = Request::Enqueue(Upload { content: Content::Stream, ..upload.clone() });
        self.stream(&request, &upload.name, content, &mut |_| Ok(()))
    }

    fn stream(
        &mut self,
        request: &Request,
        name: &str,
        content: &mut dyn Read,
        item: Item<'_>,
    ) -> Result<Outcome, Refusal> {
        self.carry_out(|open, deadline| {
            match open.send_content(request, name, content, deadline) {
                Ok(()) => open.outcome(deadline, item),
                // A daemon that refuses half-way closes, and has said why before that.
                Err(Broken::Gone) => match open.outcome(deadline, item) {
                    Err(Broken::Refused(refusal)) => Err(Broken::Off(refusal)),
                    other => other,
                },
                Err(broken) => Err(broken),
            }
        })
    }

    fn carry_out(
        &mut self,
        act: impl FnOnce(&mut Open, Option<Instant>) -> Result<Outcome, Broken>,
    ) -> Result<Outcome, Refusal> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::greet(&self.endpoint, &self.program, self.deadline)
                .map_err(|why| hinted(why, &self.start))?,
        };
        match act(&mut open, self.deadline) {
            Ok(outcome) => {
                self.open = Some(open);
                Ok(outcome)
            }
            Err(Broken::Refused(refusal)) => {
                self.open = Some(open);
                Err(refusal)
            }
            Err(Broken::Off(refusal)) => Err(hinted(refusal, &self.start)),
            Err(Broken::Gone) => {
                let message = "the daemon ended before it answered";
                Err(hinted(Refusal::new(ErrorCode::NotRunning, message), &self.start))
            }
        }
    }
}

/// What to do about a daemon that does not run.
fn hinted(refusal: Refusal, start: &str) -> Refusal {
    match refusal.code {
        ErrorCode::NotRunning => refusal.hint(format!("start it: {start}")),
        _ => refusal,
    }
}

/// How a request ends other than well.
enum Broken {
    /// By the daemon's final reply; the connection is good for more.
    Refused(Refusal),
    /// By this end; the connection is of no more use.
    Off(Refusal),
    /// By the daemon's end.
    Gone,
}

impl Open {
    fn greet(
        endpoint: &Endpoint,
        program: &Program,
        deadline: Option<Instant>,
    ) -> Result<Open, Refusal> {
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
        let mut open = Open { stream, decoder: Decoder::new(), daemon: Program::default() };
        let limit = Instant::now() + HELLO_LIMIT;
        let deadline = deadline.map_or(limit, |deadline| deadline.min(limit));
        let hello = open
            .send(&Hello::new(program.clone()), Some(deadline))
            .and_then(|()| open.receive::<Hello>(Some(deadline)))
            .map_err(|broken| match broken {
                Broken::Refused(refusal) | Broken::Off(refusal) => refusal,
                Broken::Gone => Refusal::new(
                    ErrorCode::Denied,
                    "the daemon closed the connection before its greeting",
                ),
            })?;
        if hello.common().is_none() {
            return Err(Refusal::new(
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
            )
            .hint(RESTART));
        }
        open.daemon = hello.program;
        Ok(open)
    }

    fn send<T: serde::Serialize>(
        &mut self,
        value: &T,
        deadline: Option<Instant>,
    ) -> Result<(), Broken> {
        let frame = frame::encode(value).map_err(|error| {
            Broken::Off(Refusal::new(
                ErrorCode::BadRequest,
                format!("cannot ask the daemon: {error}"),
            ))
        })?;
        // Where the system has no such limit (pipes of Windows) the request is not limited.
        let _ = self.stream.set_send_timeout(left(deadline)?);
        self.stream.write_all(&frame).map_err(|error| broken(&error))
    }

    fn send_content(
        &mut self,
        request: &Request,
        name: &str,
        content: &mut dyn Read,
        deadline: Option<Instant>,
    ) -> Result<(), Broken> {
        self.send(request, deadline)?;
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

    fn outcome(&mut self, deadline: Option<Instant>, item: Item<'_>) -> Result<Outcome, Broken> {
        loop {
            match self.receive(deadline)? {
                Reply::Done(outcome) => return Ok(*outcome),
                Reply::Refused(refusal) => return Err(Broken::Refused(refusal)),
                other => item(other).map_err(Broken::Off)?,
            }
        }
    }

    fn receive<T: serde::de::DeserializeOwned>(
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
            // As in `send`.
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

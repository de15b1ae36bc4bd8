//! The blocking client of the local socket, which `imgctl` and the window share.
//!
//! One request at a time; for several at once open several clients. A request that is broken off
//! (its item handler fails, its time is over, the client is dropped) closes the connection, which
//! gives it up in the daemon; the next request opens another.

use std::io::Read;
use std::time::{Duration, Instant};

use open::{Broken, Open};

use super::endpoint::Endpoint;
use super::request::{Content, Upload};
use super::{Outcome, Reply, Request};
use crate::error::{ErrorCode, Refusal};
use crate::session::command::Program;

mod open;

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
        Ok(Client { open: Some(open), ..Client::to_ask(endpoint, program, start) })
    }

    /// One that connects with its first request: this sends both greeting and request, and waits once for
    /// the answers to both. What [`Client::connect`] may refuse the request refuses then.
    #[must_use]
    pub fn to_ask(endpoint: &Endpoint, program: Program, start: &str) -> Client {
        let (endpoint, start) = (endpoint.clone(), start.to_owned());
        Client { endpoint, program, deadline: None, start, open: None }
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
        self.open.as_ref().and_then(|open| open.daemon.as_ref())
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
                while open.receive(deadline).is_ok() {}
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
            None => Open::connect(&self.endpoint, &self.program)
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

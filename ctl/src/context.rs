//! What every command is given: where the daemon is, where output goes, what was asked globally.

use std::sync::Arc;

use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::endpoint::{self, Endpoint};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{ErrorCode, ImageRecord, ImageRef, Refusal};

use crate::cancel::Cancel;
use crate::cli::Global;
use crate::failure::Failure;
use crate::output::Output;
use crate::start;

/// Shared by all of a command.
#[derive(Clone)]
pub(crate) struct Context {
    /// Where output goes.
    pub(crate) out: Arc<Output>,
    /// How the command is told to stop.
    pub(crate) cancel: Arc<Cancel>,
    /// Whether bars may be drawn on the terminal.
    pub(crate) progress: bool,
    endpoint: Endpoint,
}

impl Context {
    /// By the global flags and the environment.
    pub(crate) fn new(global: Global, cancel: Arc<Cancel>) -> Self {
        Context {
            out: Arc::new(Output::new(&global)),
            cancel,
            progress: !global.no_progress && !global.quiet,
            endpoint: endpoint::from_env(|name| std::env::var_os(name)),
        }
    }

    /// A new connection to the daemon; where there is none, the hint starts it.
    pub(crate) fn open(&self) -> Result<Client, Refusal> {
        let start = start::command(|name| std::env::var_os(name));
        Client::connect_or_start(&self.endpoint, program(), start)
    }

    /// One that connects when it is asked.
    pub(crate) fn to_ask(&self) -> Client {
        let start = start::command(|name| std::env::var_os(name));
        Client::to_ask(&self.endpoint, program(), start)
    }

    /// Asks one thing over a connection of its own.
    pub(crate) fn ask(&self, act: &str, request: &Request) -> Result<Outcome, Failure> {
        let outcome = self.to_ask().call(request);
        outcome.map_err(|refusal| Failure::new(act, refusal))
    }

    /// Asks one thing that has items before its end; an item that cannot be taken ends it.
    pub(crate) fn ask_with(
        &self,
        act: &str,
        request: &Request,
        item: &mut dyn FnMut(Reply) -> Result<(), Failure>,
    ) -> Result<Outcome, Failure> {
        let mut failed = None;
        let outcome = self.to_ask().call_with(request, &mut |reply| {
            item(reply).map_err(|failure| {
                failed = Some(failure);
                Refusal::new(ErrorCode::Cancelled, "given up")
            })
        });
        match failed {
            Some(failure) => Err(failure),
            None => outcome.map_err(|refusal| Failure::new(act, refusal)),
        }
    }
}

/// This program's name and version.
pub(crate) fn program() -> Program {
    Program { name: "imgctl".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// The image that a person named on the command line.
pub(crate) fn image_ref(text: &str) -> Result<ImageRef, Refusal> {
    ImageRef::parse(text).map_err(|error| Refusal::new(ErrorCode::BadName, error.to_string()))
}

/// The record of an outcome.
pub(crate) fn record(outcome: Outcome) -> Result<ImageRecord, Refusal> {
    match outcome {
        Outcome::Image(image) | Outcome::Stored { image, .. } => Ok(image),
        other => Err(unexpected(&other)),
    }
}

/// The daemon answered something else than was asked.
pub(crate) fn unexpected(outcome: &Outcome) -> Refusal {
    let what = match outcome {
        Outcome::Nothing => "nothing",
        Outcome::Status(_) => "a status",
        Outcome::Image(_) => "a record",
        Outcome::Stored { .. } => "a stored image",
        Outcome::Images(_) => "a page",
        Outcome::Purged(_) => "a count",
        Outcome::OutOfReach => "a question for the content",
        Outcome::Queued(_) => "the number of a queued upload",
        Outcome::Uploads { .. } => "a page of the queue",
        Outcome::Changed(_) => "a count of uploads",
        Outcome::Queue(_) => "the state of the queue",
        Outcome::Folders(_) => "watched folders",
        Outcome::File(_) => "the story of a file",
        Outcome::Have(_) => "the images of contents",
        Outcome::Rates(_) => "limits",
        Outcome::Findings(_) => "findings",
        Outcome::Exif(_) => "what a camera wrote",
        Outcome::People(_) => "something about people",
        Outcome::Left(_) => "that a repository was left",
        Outcome::Maintenance(_) => "work on the repository",
        Outcome::Window(_) => "what the window shows",
    };
    Refusal::new(ErrorCode::Internal, format!("the daemon answered with {what}"))
        .hint("restart the daemon: imgctl stop && imgrepod")
}

//! `imgctl status [-f]`: how everything is. `connect` and `disconnect` show the same.

mod follow;
mod lines;

use imgrepo_proto::ErrorCode;
use imgrepo_proto::control::queue::{Rates, TransferStatus};
use imgrepo_proto::control::reply::{
    DaemonStatus, ServerStatus, SessionState, SessionStatus, Status, Transport,
};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::Program;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli;
use crate::context::{Context, program, unexpected};
use crate::failure::Failure;
use crate::output::Problem;
use crate::{folders, table, uploads};

/// `{"v":1,"imgctl":...,"daemon":...,"session":...,"server":...,"queue":...}` and so on.
#[derive(Serialize)]
struct Document<'a> {
    imgctl: Program,
    daemon: &'a DaemonStatus,
    session: Session<'a>,
    server: &'a Option<ServerStatus>,
    /// Null where the state cannot be read; `unread` says why.
    queue: Option<uploads::QueueDocument>,
    folders: Vec<folders::Document<'a>>,
    transfers: &'a [TransferStatus],
    rates: Rates,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<Problem>,
    /// Corrupt state files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aside: Vec<Problem>,
}

/// As [`SessionStatus`], its error in the form of all documents.
#[derive(Serialize)]
struct Session<'a> {
    state: SessionState,
    url: &'a Option<String>,
    user: &'a str,
    dialect: &'a Option<String>,
    server: &'a Option<Program>,
    repository: &'a Option<imgrepo_proto::RepositoryId>,
    role: &'a Option<String>,
    transport: Option<Transport>,
    seq: &'a Option<imgrepo_proto::Seq>,
    since: Timestamp,
    retry_at: &'a Option<Timestamp>,
    error: Option<Problem>,
    notice: &'a Option<String>,
}

/// What is done here, for its errors.
const ACT: &str = "show the status";

/// Asks and shows.
pub(crate) fn run(context: &Context, args: &cli::Status) -> Result<(), Failure> {
    if args.follow {
        return follow::run(context, args.long);
    }
    let act = ACT;
    let status = of(act, context.ask(act, &Request::Status)?)?;
    show(context, &status, args.long)
}

/// The status in an outcome.
pub(crate) fn of(act: &str, outcome: Outcome) -> Result<Status, Failure> {
    match outcome {
        Outcome::Status(status) => Ok(*status),
        other => Err(Failure::new(act, unexpected(&other))),
    }
}

/// Shows a status; `long` is with what a server takes at most.
pub(crate) fn show(context: &Context, status: &Status, long: bool) -> Result<(), Failure> {
    if context.out.json() {
        return context.out.document(&document(status));
    }
    lines::lines(&context.out, status, long).iter().try_for_each(|line| context.out.line(line))
}

fn document(status: &Status) -> Document<'_> {
    let session = &status.session;
    Document {
        imgctl: program(),
        daemon: &status.daemon,
        session: Session {
            state: session.state,
            url: &session.url,
            user: &session.user,
            dialect: &session.dialect,
            server: &session.server,
            repository: &session.repository,
            role: &session.role,
            transport: session.transport,
            seq: &session.seq,
            since: session.since,
            retry_at: &session.retry_at,
            error: session.error.as_ref().map(Problem::from),
            notice: &session.notice,
        },
        server: &status.server,
        queue: status.unread.is_none().then(|| (&status.queue).into()),
        folders: status.folders.iter().map(folders::Document::from).collect(),
        transfers: &status.transfers,
        rates: status.rates,
        unread: status.unread.as_ref().map(Problem::from),
        aside: status.aside.iter().map(Problem::from).collect(),
    }
}

/// A session in one line.
pub(crate) fn said(session: &SessionStatus) -> String {
    let to = session.url.as_deref().map(|url| format!(" to {}", shown(url))).unwrap_or_default();
    let user = shown(&session.user);
    let role =
        session.role.as_deref().map(|role| format!(" ({})", shown(role))).unwrap_or_default();
    match session.state {
        SessionState::Offline => "offline (imgctl connect URL)".to_owned(),
        SessionState::Connecting => format!("connecting{to} as {user}"),
        SessionState::Connected => {
            let dialect = session.dialect.as_deref().map(|dialect| format!(", {}", shown(dialect)));
            format!("connected{to} as {user}{role}{}", dialect.unwrap_or_default())
        }
        SessionState::Waiting => {
            let at =
                session.retry_at.map(|at| format!(", tried again at {}", table::second(Some(at))));
            let whom = to.replacen(" to ", " for ", 1);
            format!("waiting{whom} as {user}{}", at.unwrap_or_default())
        }
        SessionState::Refused => format!("refused{} as {user}", to.replacen(" to ", " by ", 1)),
    }
}

/// How a session goes, where that is worth a word.
pub(crate) fn transport(transport: Transport) -> Option<&'static str> {
    match transport {
        Transport::Local => None,
        Transport::Plain => Some("not encrypted"),
        Transport::Pinned => Some("encrypted, known by its invitation"),
        Transport::Authorities => Some("encrypted, by its certificate"),
    }
}

/// Why a session that should be connected is not.
pub(crate) fn not_connected(session: &SessionStatus) -> Option<imgrepo_proto::Refusal> {
    if session.state == SessionState::Connected {
        return None;
    }
    let why =
        || imgrepo_proto::Refusal::new(ErrorCode::NotConnected, "the server does not answer yet");
    Some(session.error.clone().unwrap_or_else(why))
}

//! `imgctl status`: how the daemon and its session are. `connect` and `disconnect` show the same.

use imgrepo_proto::ErrorCode;
use imgrepo_proto::control::reply::{
    DaemonStatus, ServerStatus, SessionState, SessionStatus, Status,
};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::Program;
use jiff::Timestamp;
use serde::Serialize;

use crate::context::{Context, program, unexpected};
use crate::failure::Failure;
use crate::output::{Problem, Style};
use crate::table;

/// `{"v":1,"imgctl":...,"daemon":...,"session":...,"server":...}`.
#[derive(Serialize)]
struct Document<'a> {
    imgctl: Program,
    daemon: &'a DaemonStatus,
    session: Session<'a>,
    server: &'a Option<ServerStatus>,
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
    seq: &'a Option<imgrepo_proto::Seq>,
    since: Timestamp,
    retry_at: &'a Option<Timestamp>,
    error: Option<Problem>,
    notice: &'a Option<String>,
}

/// Asks and shows.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let act = "show the status";
    let status = of(act, context.ask(act, &Request::Status)?)?;
    show(context, &status)
}

/// The status in an outcome.
pub(crate) fn of(act: &str, outcome: Outcome) -> Result<Status, Failure> {
    match outcome {
        Outcome::Status(status) => Ok(*status),
        other => Err(Failure::new(act, unexpected(&other))),
    }
}

/// Shows a status.
pub(crate) fn show(context: &Context, status: &Status) -> Result<(), Failure> {
    if context.out.json() {
        return document(context, status);
    }
    for line in lines(context, status) {
        context.out.line(&line)?;
    }
    Ok(())
}

fn document(context: &Context, status: &Status) -> Result<(), Failure> {
    let session = &status.session;
    context.out.document(&Document {
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
            seq: &session.seq,
            since: session.since,
            retry_at: &session.retry_at,
            error: session.error.as_ref().map(Problem::from),
            notice: &session.notice,
        },
        server: &status.server,
    })
}

fn lines(context: &Context, status: &Status) -> Vec<String> {
    let Status { daemon, session, server, .. } = status;
    let mut lines = Vec::new();
    let mut say = |title: &str, text: String| {
        lines.push(format!("{}  {text}", context.out.styled(Style::Bold, &format!("{title:<8}"))));
    };
    let mut text = format!("imgrepod {}, process {}", shown(&daemon.version), daemon.pid);
    text += &format!(", since {}", table::minute(Some(daemon.started_at)));
    match daemon.transfers {
        0 => {}
        1 => text += ", 1 transfer under way",
        count => text += &format!(", {count} transfers under way"),
    }
    say("daemon", text);
    say("session", said(session));
    if let Some(error) = &session.error {
        say("", shown(&error.message));
        if let Some(hint) = &error.hint {
            say("", format!("hint: {}", shown(hint)));
        }
    }
    if let Some(notice) = &session.notice {
        say("", shown(notice));
    }
    if let Some(program) = &session.server {
        say("peer", format!("{} {}", shown(&program.name), shown(&program.version)));
    }
    if let Some(server) = server {
        let guests = if server.guests { "guests allowed" } else { "no guests" };
        say("server", format!("listens on {}, {guests}", shown(&server.listen)));
        let count =
            |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let sessions = count(server.sessions.into(), "session");
        say("", format!("{}, {sessions}", count(server.images, "image")));
        say("", format!("data in {}", shown(&server.data.display().to_string())));
    }
    say("config", shown(&daemon.config.display().to_string()));
    say("imgctl", program().version);
    lines
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

/// Why a session that should be connected is not.
pub(crate) fn not_connected(session: &SessionStatus) -> Option<imgrepo_proto::Refusal> {
    if session.state == SessionState::Connected {
        return None;
    }
    let why =
        || imgrepo_proto::Refusal::new(ErrorCode::NotConnected, "the server does not answer yet");
    Some(session.error.clone().unwrap_or_else(why))
}

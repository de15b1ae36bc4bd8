//! `imgctl up [--serve] [--watch DIR]`: from nothing to a daemon that runs, at every login too, with
//! its watched folders, and for a server with a link for the first who is to come. Doing it again
//! changes nothing and says what is so.

mod daemon;
mod invite;
mod service;
mod wanted;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::reply::{ServerStatus, SessionState, Status};
use imgrepo_proto::control::watch::{After, FolderStatus, WatchRequest};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::people::Invitation;
use imgrepo_proto::{ErrorCode, Refusal};
use serde::Serialize;

use self::daemon::Brought;
use self::invite::Invited;
use self::wanted::Wanted;
use crate::cli;
use crate::commands::status;
use crate::context::{Context, unexpected};
use crate::failure::{Failure, file_error};
use crate::output::{Problem, Style};
use crate::{folders, table};

/// What is done here, for its errors.
const ACT: &str = "bring everything up";

/// `{"v":1,"started":true,"at_login":"systemd","session":{...},"server":...,"folders":[...],...}`.
#[derive(Serialize)]
struct Document<'a> {
    /// It did not run before.
    started: bool,
    at_login: Option<&'a str>,
    session: Session<'a>,
    server: &'a Option<ServerStatus>,
    folders: Vec<folders::Document<'a>>,
    /// Null where none was made.
    invitation: Option<Made<'a>>,
    /// Why none was made, where one was due.
    problem: Option<Problem>,
}

#[derive(Serialize)]
struct Session<'a> {
    state: SessionState,
    url: &'a Option<String>,
    user: &'a str,
    /// Why it is not connected, where there is a reason.
    error: Option<Problem>,
}

/// An invitation, as `imgctl invite` says it.
#[derive(Serialize)]
struct Made<'a> {
    invitation: &'a Invitation,
    link: &'a str,
    page: &'a str,
    notice: &'a Option<String>,
}

/// Does it all, and says how it is.
pub(crate) fn run(context: &Context, args: &cli::Up) -> Result<(), Failure> {
    let watch = made(&args.watch)?;
    let (listen, user) = (args.listen.clone(), args.user.clone());
    let wanted = Wanted { serve: args.serve, listen, user, watch };
    let brought = daemon::bring(context, &wanted).map_err(|refusal| Failure::new(ACT, refusal))?;
    let mut failed = Vec::new();
    for path in &wanted.watch {
        if let Err(refusal) = watched(context, path) {
            failed.push((format!("watch `{}`", path.display()), refusal));
        }
    }
    let invited = brought.status.server.is_some().then(|| invite::first(context));
    let status = status::of(ACT, context.ask(ACT, &Request::Status)?)?;
    if context.out.json() && failed.is_empty() {
        context.out.document(&document(&brought, &status, invited.as_ref()))?;
    } else if !context.out.json() {
        show(context, &brought, &status, invited.as_ref())?;
    }
    daemon::pass_on(context, &brought);
    // A server of an older version has no invitations; all else is done.
    if let Some(Invited::Not(refusal)) = invited
        && refusal.code != ErrorCode::Unsupported
    {
        failed.push(("invite".to_owned(), refusal));
    }
    // All is up but the session, which is not tried again by itself.
    if status.session.state == SessionState::Refused
        && let Some(refusal) = status.session.error
    {
        failed.push(("connect".to_owned(), refusal));
    }
    let mut failed = failed.into_iter();
    let Some((act, refusal)) = failed.next() else { return Ok(()) };
    for (act, refusal) in failed {
        context.out.complain(&act, &refusal);
    }
    Err(Failure::new(act, refusal))
}

/// For other commands: where no daemon answers, it is started as `imgctl up` would, and that is said
/// in a line. One that answers is left as it is.
pub(crate) fn ensure_daemon(context: &Context) -> Result<(), Failure> {
    let wrap = |refusal| Failure::new("start the daemon", refusal);
    match context.open() {
        Ok(_) => return Ok(()),
        Err(refusal) if refusal.code == ErrorCode::NotRunning => {}
        Err(refusal) => return Err(wrap(refusal)),
    }
    let brought = daemon::bring(context, &Wanted::default()).map_err(wrap)?;
    context.out.note(&format!("daemon   {}", brought.said()));
    daemon::pass_on(context, &brought);
    Ok(())
}

/// The folders, made where they are missing, by the one path that each has.
fn made(dirs: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let made = |dir: &PathBuf| {
        let made = fs::create_dir_all(dir).and_then(|()| fs::canonicalize(dir));
        made.map_err(|error| Failure::new("make a folder", file_error("make", dir, &error)))
    };
    dirs.iter().map(made).collect()
}

/// Has a folder watched; one that is already stays as it is.
fn watched(context: &Context, path: &Path) -> Result<(), Refusal> {
    let ask = |request| match context.open()?.call(&Request::Watch(request))? {
        Outcome::Folders(folders) => Ok(folders),
        other => Err(unexpected(&other)),
    };
    // Those too that wait for the first session: nobody knows yet of which repository they are.
    let is_it = |folder: &FolderStatus| folder.path == path;
    if ask(WatchRequest::Ls)?.iter().any(is_it) {
        return Ok(());
    }
    let added = ask(WatchRequest::Add { path: path.to_owned(), after: After::Keep });
    added.map(drop).map_err(|refusal| match refusal.code {
        ErrorCode::NotConnected => refusal.hint("take up the invitation before: imgctl join"),
        _ => refusal,
    })
}

fn document<'a>(
    brought: &'a Brought,
    status: &'a Status,
    invited: Option<&'a Invited>,
) -> Document<'a> {
    let session = &status.session;
    let (invitation, problem) = match invited {
        Some(Invited::New(reply)) => (
            Some(Made {
                invitation: &reply.invitation,
                link: reply.link.expose(),
                page: reply.page.expose(),
                notice: &reply.notice,
            }),
            None,
        ),
        Some(Invited::Not(refusal)) => (None, Some(Problem::from(refusal))),
        Some(Invited::Before) | None => (None, None),
    };
    Document {
        started: brought.started,
        at_login: status.daemon.autostart.as_deref(),
        session: Session {
            state: session.state,
            url: &session.url,
            user: &session.user,
            error: session.error.as_ref().map(Problem::from),
        },
        server: &status.server,
        folders: status.folders.iter().map(folders::Document::from).collect(),
        invitation,
        problem,
    }
}

/// In a few lines; the last is the one to hand on.
fn show(
    context: &Context,
    brought: &Brought,
    status: &Status,
    invited: Option<&Invited>,
) -> Result<(), Failure> {
    let out = &context.out;
    let say = |title: &str, text: &str| {
        out.line(&format!("{}  {text}", out.styled(Style::Bold, &format!("{title:<7}"))))
    };
    say("daemon", &brought.said())?;
    if let Some(advice) = brought.advice() {
        say("", &advice)?;
    }
    match &status.server {
        Some(server) => say("server", &reach(server, &status.session.user))?,
        None if status.session.state == SessionState::Offline => {
            say("session", "offline; take up an invitation: imgctl join")?;
        }
        None => say("session", &status::said(&status.session))?,
    }
    for (at, folder) in status.folders.iter().enumerate() {
        let state = folders::word(folder.state);
        let line = format!("{}  {state}", table::path(&folder.path));
        say(if at == 0 { "folders" } else { "" }, &line)?;
    }
    match invited {
        None => {}
        Some(Invited::Before) => {
            say("invite", "somebody was invited already; more: imgctl invite")?
        }
        Some(Invited::Not(refusal)) => {
            say("invite", &format!("not yet: {}; later: imgctl invite", shown(&refusal.message)))?;
        }
        Some(Invited::New(reply)) => {
            let until = table::minute(Some(reply.invitation.expires));
            say("invite", &format!("send this to the first who is to come, until {until}:"))?;
            out.line(&format!("  imgctl join '{}'", reply.link.expose()))?;
            if let Some(notice) = &reply.notice {
                out.note(&shown(notice));
            }
        }
    }
    Ok(())
}

/// Who reaches a server, and who gets in.
fn reach(server: &ServerStatus, user: &str) -> String {
    let (listen, user) = (shown(&server.listen), shown(user));
    let alone = server.listen.parse().is_ok_and(|listen: SocketAddr| listen.ip().is_loopback());
    if alone {
        return format!("on {listen}, as {user}: only this computer reaches it");
    }
    let guests = match server.guests_may.as_str() {
        "upload" => "guests get in without an invitation, and may upload",
        "view" => "guests get in without an invitation, to look",
        _ if server.guests => "guests get in without an invitation",
        _ => "nobody gets in without an invitation",
    };
    format!("on {listen}, as {user}: others reach it, {guests}")
}

//! `Examine`: looks whether everything is as it should be. This file looks; what it means is said by
//! pure functions, one file a check.

mod clock;
mod date;
mod folders;
mod inotify;
mod login;
mod server;
mod socket;
mod space;
mod versions;

use std::path::PathBuf;
use std::sync::Arc;

use imgrepo_proto::control::Outcome;
use imgrepo_proto::control::finding::Finding;
use imgrepo_proto::control::reply::{SessionState, SessionStatus};
use imgrepo_proto::{ErrorCode, PersonName, Refusal};
use jiff::Timestamp;

use super::connection::Answer;
use super::{Context, Mode, status};
use crate::session::ServerUrl;

pub(super) async fn examine(context: &Context) -> Answer {
    let status = status::status(context).await;
    let clock = clock(context, &status.session).await;
    let service = Arc::clone(&context.service);
    let socket = context.paths.endpoint.clone();
    let places = places(context);
    let reserve = context.reserve_bytes;
    // Files, and a program of the system that is asked.
    let looked = tokio::task::spawn_blocking(move || {
        let mut findings = login::findings(&service.status(), service.autostart().as_deref());
        findings.push(socket::finding(&socket::look(&socket)));
        findings.extend(inotify::findings(&inotify::look()));
        findings.extend(space::findings(&space::look(&places), reserve));
        (findings, versions::replaced())
    });
    let (mut findings, replaced) = looked.await.map_err(|error| {
        Refusal::new(ErrorCode::Internal, format!("cannot look at everything: {error}"))
    })?;
    findings.extend(status.aside.into_iter().map(|aside| {
        let Refusal { message, hint, .. } = aside;
        Finding::problem("state", message, hint)
    }));
    findings.push(server::finding(&status.session));
    findings.push(clock::finding(&clock));
    findings.extend(folders::findings(&status.folders));
    findings.push(versions::finding(&context.program.version, &status.session, replaced));
    Ok(Outcome::Findings(findings))
}

/// The directories that must have room, and what for.
fn places(context: &Context) -> Vec<(&'static str, PathBuf)> {
    let paths = &context.paths;
    let mut places = vec![("the state", paths.state.clone()), ("the cache", paths.cache.clone())];
    if let Mode::Server(server) = &context.mode {
        places.insert(0, ("the repository", server.data.clone()));
    }
    places
}

/// What the clock can be compared with.
async fn clock(context: &Context, session: &SessionStatus) -> clock::Clock {
    let mut clock = clock::Clock {
        before: vec![("this daemon started", context.started_at)],
        server: None,
        now: Timestamp::now(),
    };
    if session.state == SessionState::Connected && session.dialect.as_deref() == Some("v2") {
        match &context.mode {
            Mode::Client(memory) => {
                let url = session.url.as_deref().and_then(|url| ServerUrl::parse(url).ok());
                if let (Some(url), Ok(user)) = (url, PersonName::parse(&session.user)) {
                    clock.server = date::of(&memory.credentials().address(&url, &user)).await;
                }
            }
            Mode::Server(_) => clock.before.extend(newest_event(context, session).await),
        }
        clock.now = Timestamp::now();
    }
    clock
}

/// When the repository's newest change was, by the clock of this computer then.
async fn newest_event(
    context: &Context,
    session: &SessionStatus,
) -> Option<(&'static str, Timestamp)> {
    let before = imgrepo_proto::Seq(session.seq?.0.checked_sub(1)?);
    let peer = context.session.peer().await.ok()?;
    let page = peer.events(before, 1).await.ok()?;
    Some(("the repository's newest change was", page.events.first()?.at?))
}

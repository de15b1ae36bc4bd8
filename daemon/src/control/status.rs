//! `Status`: how the daemon, its session and its server are.

use std::sync::Arc;

use imgrepo_proto::Refusal;
use imgrepo_proto::control::reply::{
    DaemonStatus, PicturesStatus, ServerStatus, SessionStatus, Status,
};
use imgrepo_proto::session::command::List;

use super::limits::{Used, limits};
use super::{Context, Mode, ServerFacts};
use crate::config::Guests;

pub(super) async fn status(context: &Context) -> Status {
    let server = match &context.mode {
        Mode::Client(_) => None,
        Mode::Server(facts) => Some(server(facts, context.reserve_bytes).await),
    };
    let (queue, folders) = (context.queue.status().await, context.watch.list().await);
    let unread = [queue.as_ref().err(), folders.as_ref().err()].into_iter().flatten().next();
    let unread = unread.cloned();
    Status {
        daemon: DaemonStatus {
            version: context.program.version.clone(),
            pid: std::process::id(),
            started_at: context.started_at,
            config: context.config.clone(),
            transfers: context.transfers.count(),
            autostart: autostart(context).await,
        },
        session: session(context),
        server,
        queue: queue.unwrap_or_default(),
        folders: folders.unwrap_or_default(),
        transfers: context.transfers.active(),
        rates: context.transfers.rates(),
        unread,
        aside: aside(context).await,
    }
}

/// Corrupt state files. A look at a directory.
async fn aside(context: &Context) -> Vec<Refusal> {
    let Mode::Client(memory) = &context.mode else { return Vec::new() };
    let memory = Arc::clone(memory);
    tokio::task::spawn_blocking(move || memory.aside()).await.unwrap_or_default()
}

async fn server(facts: &ServerFacts, reserve_bytes: u64) -> ServerStatus {
    let ServerFacts { server, told, data, repository } = facts;
    let owner = repository.owner();
    let one = List { limit: Some(1), ..List::default() };
    // The catalog keeps the counts; one that cannot be read has said so in the log.
    let page = repository.list(&owner, one).await;
    let making = repository.making();
    let used = Used {
        variants_bytes: making.and_then(|making| making.kept_bytes),
        sessions: server.sessions(),
        kept_bytes: repository.usage().await.ok().map(|usage| usage.kept_bytes),
    };
    let asked = Arc::clone(server);
    let addresses = tokio::task::spawn_blocking(move || asked.addresses()).await;
    ServerStatus {
        listen: server.address().to_string(),
        guests: told.guests != Guests::No,
        guests_may: told.guests.word().to_owned(),
        fingerprint: server.fingerprint(),
        addresses: addresses.iter().flatten().map(ToString::to_string).collect(),
        limits: limits(told, reserve_bytes, used),
        sessions: used.sessions,
        pictures: making.map(|making| PicturesStatus {
            waiting: making.waiting as u64,
            is_searching: making.is_searching,
        }),
        images: page.ok().and_then(|page| page.total).unwrap_or(0),
        data: data.clone(),
    }
}

/// What starts the daemon at login. A few files are read for it.
async fn autostart(context: &Context) -> Option<String> {
    let service = Arc::clone(&context.service);
    tokio::task::spawn_blocking(move || service.autostart()).await.ok().flatten()
}

/// As the session tells; one that was not opened since the start knows no more than is remembered.
pub(super) fn session(context: &Context) -> SessionStatus {
    let mut session = context.session.status().borrow().clone();
    if session.url.is_none() {
        session.user = context.user.to_string();
        if let Mode::Client(memory) = &context.mode {
            session.url = memory.remembered().url;
        }
    }
    session
}

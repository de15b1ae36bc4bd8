//! `Connect` and `Disconnect`: the session that is kept open, and remembered.

use std::sync::Arc;
use std::time::Duration;

use imgrepo_proto::control::Outcome;
use imgrepo_proto::control::reply::{SessionState, SessionStatus};
use imgrepo_proto::{ErrorCode, PersonName, Refusal};

use super::connection::Answer;
use super::{Context, Memory, Mode, status};
use crate::config::Remembered;
use crate::session::{Address, ServerUrl};

/// How long a program waits for a new session: as long as a person does. The session itself goes
/// on trying.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn connect(context: &Context, url: &str, user: Option<&str>) -> Answer {
    let memory = memory(context)?;
    let url = ServerUrl::parse(url)?;
    let user = match user {
        Some(text) => person("connect", text)?,
        None => {
            let usual = memory.remembered().user.unwrap_or_else(|| context.user.clone());
            memory.credentials().user_at(&url, &usual).unwrap_or(usual)
        }
    };
    let address = memory.credentials().address(&url, &user);
    let now = open(context, memory, address, user).await?;
    let url = now.url.as_deref().unwrap_or_default();
    match now.state {
        SessionState::Connected => Ok(Outcome::Status(Box::new(status::status(context).await))),
        SessionState::Refused => Err(now.error.unwrap_or_else(|| not_connected(url, None))),
        _ => Err(not_connected(url, now.error)),
    }
}

/// The name that somebody wants to bear.
pub(super) fn person(act: &str, text: &str) -> Result<PersonName, Refusal> {
    PersonName::parse(text).map_err(|error| {
        let shown = imgrepo_proto::name::shown(text);
        Refusal::new(ErrorCode::BadName, format!("cannot {act} as `{shown}`: {error}"))
    })
}

/// Remembers the server, opens the session to it, and waits for it as long as a person does, or until
/// the server has said why there can be none. How the session stands then; it goes on trying.
///
/// # Errors
/// The disk's: then there is no session.
pub(super) async fn open(
    context: &Context,
    memory: &Arc<Memory>,
    address: Address,
    user: PersonName,
) -> Result<SessionStatus, Refusal> {
    let url = Some(address.to_string());
    let next = Remembered { url, user: Some(user.clone()), offline: false };
    remember(memory, next).await?;
    context.session.connect(address, user);
    // From here on the status is that of the new session.
    let mut state = context.session.status();
    let settled = tokio::time::timeout(CONNECT_LIMIT, async {
        state.wait_for(is_settled).await.ok().map(|now| now.clone())
    });
    let now = settled.await.ok().flatten();
    let now = now.unwrap_or_else(|| context.session.status().borrow().clone());
    if now.state == SessionState::Connected {
        context.queue.caught_up().await;
    }
    Ok(now)
}

/// Whether it is known what came of it. A server that has no place for one more session may have one
/// later; that is worth no wait.
fn is_settled(now: &SessionStatus) -> bool {
    let is_busy = now.error.as_ref().is_some_and(|error| error.code == ErrorCode::Busy);
    matches!(now.state, SessionState::Connected | SessionState::Refused) || is_busy
}

pub(super) async fn disconnect(context: &Context) -> Answer {
    let memory = memory(context)?;
    remember(memory, Remembered { offline: true, ..memory.remembered() }).await?;
    context.session.disconnect().await;
    Ok(Outcome::Status(Box::new(status::status(context).await)))
}

pub(super) fn memory(context: &Context) -> Result<&Arc<Memory>, Refusal> {
    match &context.mode {
        Mode::Client(memory) => Ok(memory),
        Mode::Server(_) => Err(Refusal::new(
            ErrorCode::Conflict,
            "this daemon is the server itself and always connected to it",
        )
        .hint("to reach another server, start a client with a home of its own (IMGREPO_HOME)")),
    }
}

async fn remember(memory: &Arc<Memory>, next: Remembered) -> Result<(), Refusal> {
    write(memory, move |memory| memory.remember(|now| *now = next)).await
}

/// Writes to what is remembered, off the async threads.
pub(super) async fn write(
    memory: &Arc<Memory>,
    write: impl FnOnce(&Memory) -> Result<(), Refusal> + Send + 'static,
) -> Result<(), Refusal> {
    let memory = memory.clone();
    tokio::task::spawn_blocking(move || write(&memory)).await.unwrap_or_else(|error| {
        Err(Refusal::new(ErrorCode::Internal, format!("cannot write the state file: {error}")))
    })
}

fn not_connected(url: &str, error: Option<Refusal>) -> Refusal {
    let url = imgrepo_proto::name::shown(url);
    let message = error.map_or_else(
        || format!("cannot connect to `{url}` yet: it does not answer"),
        |error| error.message,
    );
    Refusal::new(ErrorCode::NotConnected, message)
        .hint("the daemon goes on trying; see: imgctl status")
}

//! Taking up an invitation: one link to the server that it names, JOIN, and the reply. Called by the
//! control plane, which keeps what comes of it; the session that follows is the keeper's.

use std::time::Duration;

use imgrepo_proto::invitation::Link;
use imgrepo_proto::session::command::{Command, Join, Program, Request};
use imgrepo_proto::session::people::JoinReply;
use imgrepo_proto::session::reply::ServerMessage;
use imgrepo_proto::{ErrorCode, PersonName, Refusal};

use crate::link::{Inbox, Incoming};

use super::dial::{self, Dialed};
use super::up::NORMAL;
use super::{Address, Dialect, GOODBYE, Route};

/// The number of the one request.
const JOIN_ID: u32 = 1;

/// How long the connection, and then the reply, may take: as long as a person waits.
const TIME_OUT: Duration = Duration::from_secs(10);

/// Takes up an invitation as this person, on a device of this name. What lets in is said to nobody
/// but the server that the invitation names.
///
/// # Errors
/// The server is not reached, is another than the one that is named, or refuses. Where the connection
/// breaks before its reply nobody knows what came of it, and the message says so.
pub async fn join(
    link: &Link,
    user: &PersonName,
    device: String,
    program: &Program,
) -> Result<JoinReply, Refusal> {
    let route = Route::of_link(link).ok_or_else(|| {
        Refusal::new(ErrorCode::BadRequest, "cannot take up an invitation that names no server")
    })?;
    let address = Address::Route(route);
    let dialed = dial::dial(&address, None, program, TIME_OUT).await;
    let Dialed { outbox, mut inbox, dialect, .. } = dialed.map_err(|failure| failure.refusal)?;
    if dialect != Dialect::V2 {
        let message = format!("cannot take up an invitation to `{address}`: it is an old server");
        return Err(Refusal::new(ErrorCode::Unsupported, message));
    }
    let join = Join {
        secret: link.secret.clone(),
        user: Some(user.to_string()),
        device,
        client: Some(program.clone()),
    };
    outbox.push(Request { id: JOIN_ID, command: Command::Join(join) }.encode());
    let outcome = tokio::time::timeout(TIME_OUT, reply(&mut inbox)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(unknown("the server does not answer")));
    outbox.close(NORMAL, "");
    // Until the server has heard that; what it says besides is for nobody.
    let closed = async { while inbox.next().await.is_ok() {} };
    let _ = tokio::time::timeout(GOODBYE, closed).await;
    inbox.finish().await;
    outcome
}

async fn reply(inbox: &mut Inbox) -> Result<JoinReply, Refusal> {
    loop {
        let text = match inbox.next().await {
            Ok(Incoming::Text(text)) => text,
            Ok(Incoming::Data(_)) => continue,
            Err(end) => return Err(unknown(&end.message)),
        };
        match ServerMessage::decode(&text) {
            Ok(ServerMessage::Success { id: JOIN_ID, data }) => {
                // Not in serde's words, which quote what they stumble over.
                return serde_json::from_str(data.get())
                    .map_err(|_| unknown("the server's reply cannot be read"));
            }
            Ok(ServerMessage::Error { refusal, .. }) => return Err(refusal),
            Ok(_) | Err(_) => tracing::warn!("ignored a message before the reply to JOIN"),
        }
    }
}

/// What came of it only the server knows.
fn unknown(why: &str) -> Refusal {
    let message = format!("nobody knows whether the invitation was taken up: {why}");
    Refusal::new(ErrorCode::NotConnected, message)
        .hint("try once more; if it is used up by then, ask for a new one")
}

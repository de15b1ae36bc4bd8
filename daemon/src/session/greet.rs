//! The first words on a link: AUTH and its reply, in both dialects; and what a link's end means.
//!
//! An attempt calls it right after dialing. It never dials and keeps nothing.

use std::time::Duration;

use imgrepo_proto::limits::MAX_REQUESTS;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::{Auth, Command, Request};
use imgrepo_proto::session::reply::{AuthReply, ServerMessage};
use imgrepo_proto::session::v1;
use imgrepo_proto::{ErrorCode, PersonName, Refusal};

use crate::link::{End, EndKind, Inbox, Incoming, Outbox};

use super::Address;
use super::machine::Failure;

/// Close codes of RFC 6455 (7.4.1): the peer breaks a rule of ours, and a message is too big.
const POLICY: u16 = 1008;

/// For whoever was let in before: a device that was revoked needs an invitation, an account that was
/// disabled does not, and the end of a session does not tell them apart.
const SHUT_OUT: &str = "ask an admin there: for an invitation, and imgctl join; or, let in again \
    without one, imgctl connect URL";

/// The number of the AUTH request: the first.
pub(super) const AUTH_ID: u32 = 1;

/// Says who we are in v2 and reads what the server says to it.
pub(crate) async fn greet(
    outbox: &Outbox,
    inbox: &mut Inbox,
    auth: Auth,
    time_out: Duration,
) -> Result<AuthReply, Failure> {
    let is_device = auth.credential.is_some();
    outbox.push(Request { id: AUTH_ID, command: Command::Auth(auth) }.encode());
    let reply = tokio::time::timeout(time_out, auth_reply(inbox)).await;
    let reply = reply.unwrap_or_else(|_| Err(silent()));
    let mut reply = reply.map_err(|failure| if is_device { shut_out(failure) } else { failure })?;
    // What a server announces is not taken beyond reason: windows become our memory.
    let limits = &mut reply.limits;
    limits.chunk = limits.chunk.max(1);
    limits.window = limits.window.clamp(1, 64 * 1024 * 1024);
    limits.session_window = limits.session_window.clamp(limits.window, 256 * 1024 * 1024);
    limits.max_requests = limits.max_requests.clamp(1, 16 * MAX_REQUESTS);
    Ok(reply)
}

async fn auth_reply(inbox: &mut Inbox) -> Result<AuthReply, Failure> {
    loop {
        let text = match inbox.next().await {
            Ok(Incoming::Text(text)) => text,
            Ok(Incoming::Data(_)) => continue,
            // Whoever is not wanted gets an ERROR. One that hangs up without found that AUTH did not
            // come in time: the line stalled, or this computer slept.
            Err(end) => return Err(Failure { permanent: false, ..ended(&end) }),
        };
        match ServerMessage::decode(&text) {
            Ok(ServerMessage::Success { id: AUTH_ID, data }) => {
                return serde_json::from_str(data.get()).map_err(|error| Failure {
                    permanent: false,
                    refusal: Refusal::new(
                        ErrorCode::Internal,
                        format!("cannot read the server's reply to AUTH: {error}"),
                    ),
                });
            }
            Ok(ServerMessage::Error { refusal, .. }) => return Err(refused(refusal)),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "ignored a message before the reply to AUTH"),
        }
    }
}

/// Says who we are to an old server.
pub(crate) async fn greet_old(
    outbox: &Outbox,
    inbox: &mut Inbox,
    user: &PersonName,
    time_out: Duration,
) -> Result<(), Failure> {
    outbox.push(v1::Command::Auth(Some(user.as_str().to_owned())).encode());
    let reply = async {
        loop {
            let text = match inbox.next().await {
                Ok(Incoming::Text(text)) => text,
                Ok(Incoming::Data(_)) => continue,
                Err(end) => return Err(ended(&end)),
            };
            match v1::Reply::decode(&text) {
                Ok(v1::Reply::Success(_)) => return Ok(()),
                Ok(v1::Reply::Error(message)) => {
                    return Err(refused(Refusal::new(ErrorCode::Denied, shown(&message))));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "ignored a message before the reply to AUTH"),
            }
        }
    };
    tokio::time::timeout(time_out, reply).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> Failure {
    let message = "the server took the connection and does not answer";
    Failure { permanent: false, refusal: Refusal::new(ErrorCode::NotConnected, message) }
}

/// The server answered AUTH with an error.
fn refused(refusal: Refusal) -> Failure {
    let permanent = matches!(
        refusal.code,
        ErrorCode::Unauthenticated
            | ErrorCode::Denied
            | ErrorCode::BadName
            | ErrorCode::BadRequest
            | ErrorCode::Unsupported
    );
    Failure { permanent, refusal }
}

/// The link is over.
fn ended(end: &End) -> Failure {
    let (permanent, code) = match end.kind {
        EndKind::Closed(POLICY) => (true, ErrorCode::Denied),
        _ => (false, ErrorCode::NotConnected),
    };
    Failure { permanent, refusal: Refusal::new(code, end.message.clone()) }
}

/// Why a session that was up is not any more.
pub(crate) fn lost(end: &End, address: &Address) -> Failure {
    let mut failure = ended(end);
    failure.refusal.message = format!("the session to `{address}` ended: {}", end.message);
    if address.credential().is_some() { shut_out(failure) } else { failure }
}

/// A device that was let in before, and is not any more: what can be done.
fn shut_out(mut failure: Failure) -> Failure {
    let code = failure.refusal.code;
    if failure.permanent && matches!(code, ErrorCode::Unauthenticated | ErrorCode::Denied) {
        failure.refusal.hint.get_or_insert_with(|| SHUT_OUT.to_owned());
    }
    failure
}

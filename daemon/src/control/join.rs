//! `People::Join`: an invitation is taken up. What lets this computer in is on its disk before
//! anything is said; then the server is remembered, and the session opened.

use std::sync::Arc;

use imgrepo_proto::control::Outcome;
use imgrepo_proto::invitation::Link;
use imgrepo_proto::session::people::JoinReply;
use imgrepo_proto::{ErrorCode, PersonName, Refusal, Secret};

use super::connect::{memory, open, person, write};
use super::connection::Answer;
use super::{Context, Memory, status};
use crate::session::{self, Address, Joined, Route};

pub(super) async fn join(
    context: &Context,
    link: &Secret,
    user: Option<&str>,
    device: Option<String>,
) -> Answer {
    let memory = memory(context)?;
    let link: Link = link.expose().parse()?;
    let wanted = match user {
        Some(text) => person("join", text)?,
        None => context.user.clone(),
    };
    // Before the invitation is used up for what could not be kept.
    write(memory, |memory| memory.credentials().check()).await?;
    let device = device.unwrap_or_else(computer);
    let (program, kept) = (context.program.clone(), memory.clone());
    // A task of its own: a program that goes away does not take with it what lets this computer in.
    // It ends within its time limits, and only the end of the runtime cuts it short.
    let taken_up = tokio::spawn(async move {
        let reply = session::join(&link, &wanted, device, &program).await.map_err(other_name)?;
        keep(&kept, link, reply).await
    });
    let (address, user) = taken_up.await.unwrap_or_else(|error| {
        Err(Refusal::new(ErrorCode::Internal, format!("cannot take up the invitation: {error}")))
    })?;
    // Whatever comes of the session: the invitation is used up, and not in vain.
    open(context, memory, address, user).await?;
    Ok(Outcome::Status(Box::new(status::status(context).await)))
}

/// Keeps what lets in: the way there, and as whom.
async fn keep(
    memory: &Arc<Memory>,
    link: Link,
    reply: JoinReply,
) -> Result<(Address, PersonName), Refusal> {
    let device = reply.device;
    let lost = |refusal: Refusal| {
        let message = format!(
            "the server let this computer in as device {device}, but it will not know it again: {}",
            refusal.message
        );
        let hint = format!(
            "the invitation is used up: see to that, ask for a new one, and have device {device} \
             revoked"
        );
        Refusal::new(refusal.code, message).hint(hint)
    };
    let user = person("join", &reply.user).map_err(lost)?;
    let route = Route::new(&link.addresses, link.trust.clone(), Some(reply.credential.clone()));
    let route = route.ok_or_else(|| {
        lost(Refusal::new(ErrorCode::BadRequest, "the invitation names no server"))
    })?;
    let joined = Joined {
        repository: reply.repository,
        user: user.clone(),
        addresses: link.addresses,
        trust: link.trust,
        device,
        credential: reply.credential,
    };
    write(memory, |memory| memory.credentials().keep(joined)).await.map_err(lost)?;
    Ok((Address::Route(route), user))
}

/// Where it is the name that the server does not take.
fn other_name(refusal: Refusal) -> Refusal {
    match (refusal.code, &refusal.hint) {
        (ErrorCode::Conflict | ErrorCode::BadName, None) => {
            refusal.hint("choose another name: imgctl join --user NAME")
        }
        _ => refusal,
    }
}

/// The computer's name, as a name for this device.
fn computer() -> String {
    #[cfg(unix)]
    {
        let system = rustix::system::uname();
        let name = system.nodename().to_string_lossy();
        if !name.is_empty() {
            return name.into_owned();
        }
    }
    "computer".to_owned()
}

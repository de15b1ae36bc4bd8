//! `Leave`: a repository is left for good. The device is revoked there, where the server is reached;
//! here its folders, its queue, its credential and its address are forgotten, in an order in which
//! whoever is cut short can say it again.

use imgrepo_proto::control::Outcome;
use imgrepo_proto::control::reply::{Left, SessionState};
use imgrepo_proto::control::watch::FolderState;
use imgrepo_proto::session::Command;
use imgrepo_proto::session::command::Revoke;
use imgrepo_proto::session::people::{DeviceId, DeviceReply};
use imgrepo_proto::{ErrorCode, Refusal};

use super::connect::{memory, person, write};
use super::connection::Answer;
use super::{Context, status};
use crate::config::Remembered;
use crate::session::ServerUrl;

pub(super) async fn leave(context: &Context) -> Answer {
    let memory = memory(context)?;
    let session = status::session(context);
    let Some(text) = session.url else {
        let message = "cannot leave: no repository is remembered";
        return Err(Refusal::new(ErrorCode::NotFound, message).hint("imgctl status"));
    };
    let (url, user) = (ServerUrl::parse(&text)?, person("leave", &session.user)?);
    refuse_unfinished(context).await?;
    let device = memory.credentials().device_at(&url, &user);
    let revoked = match device {
        Some(device) if session.state == SessionState::Connected => revoke(context, device).await,
        _ => false,
    };
    for folder in context.watch.list().await? {
        if folder.state != FolderState::Elsewhere {
            context.watch.rm(folder.path).await?;
        }
    }
    let membership = context.queue.current().await?;
    write(memory, |memory| memory.remember(|now| now.offline = true)).await?;
    context.session.disconnect().await;
    if let Some(membership) = membership {
        context.queue.leave(membership).await?;
    }
    let name = user.clone();
    write(memory, move |memory| {
        memory.credentials().forget(&url, &name)?;
        memory.remember(|now| *now = Remembered { offline: true, ..Remembered::default() })
    })
    .await?;
    Ok(Outcome::Left(Left { url: text, user: user.to_string(), device, revoked }))
}

/// What is not done yet would be lost.
async fn refuse_unfinished(context: &Context) -> Result<(), Refusal> {
    let counts = context.queue.status().await?.counts;
    match counts.open() + counts.faults() {
        0 => Ok(()),
        unfinished => {
            let message = format!("cannot leave: uploads are not done yet, {unfinished} of them");
            let hint = "wait for them (imgctl wait), or give them up: imgctl queue cancel --all";
            Err(Refusal::new(ErrorCode::Conflict, message).hint(hint))
        }
    }
}

/// Whether the device is revoked for certain. Its session may end before the reply is here: then
/// somebody looks, who is told that it may stand there still.
async fn revoke(context: &Context, device: DeviceId) -> bool {
    let command = Command::Revoke(Revoke { device });
    let asked = async {
        let peer = context.session.peer().await?;
        peer.act::<DeviceReply>("revoke this device", command).await
    };
    match asked.await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, "this device is not revoked");
            false
        }
    }
}

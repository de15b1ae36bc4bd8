//! `People`: invitations, accounts and devices. Each request but `Join` is a command of the session,
//! and the server decides.

use imgrepo_proto::control::Outcome;
use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::session::Command;
use imgrepo_proto::{ErrorCode, Refusal};

use super::Context;
use super::connection::Answer;

pub(super) async fn people(context: &Context, request: PeopleRequest) -> Answer {
    let peer = context.session.peer().await?;
    let outcome = match request {
        PeopleRequest::Join { .. } => {
            let message = "cannot take up an invitation: this version has no accounts yet";
            return Err(Refusal::new(ErrorCode::Unsupported, message));
        }
        PeopleRequest::Invite(invite) => {
            PeopleOutcome::Invited(peer.act("invite", Command::Invite(invite)).await?)
        }
        PeopleRequest::Invitations => PeopleOutcome::Invitations(
            peer.look("list the invitations", Command::Invitations).await?,
        ),
        PeopleRequest::Uninvite(uninvite) => PeopleOutcome::Invitation(
            peer.act("take an invitation back", Command::Uninvite(uninvite)).await?,
        ),
        PeopleRequest::Ls(people) => {
            PeopleOutcome::People(peer.look("list the people", Command::People(people)).await?)
        }
        PeopleRequest::Role(role) => {
            PeopleOutcome::Person(peer.act("change a role", Command::Role(role)).await?)
        }
        PeopleRequest::Disable(disable) => PeopleOutcome::Person(
            peer.act("change whether an account is let in", Command::Disable(disable)).await?,
        ),
        PeopleRequest::Devices(devices) => {
            PeopleOutcome::Devices(peer.look("list the devices", Command::Devices(devices)).await?)
        }
        PeopleRequest::Revoke(revoke) => {
            PeopleOutcome::Device(peer.act("revoke a device", Command::Revoke(revoke)).await?)
        }
        PeopleRequest::Audit(audit) => {
            PeopleOutcome::Audit(peer.look("read the record", Command::Audit(audit)).await?)
        }
    };
    Ok(Outcome::People(Box::new(outcome)))
}

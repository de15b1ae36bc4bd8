//! `People`: invitations, accounts and devices. Each request but `Join` is a command of the session,
//! and the server decides; `Join` has a file of its own.

use imgrepo_proto::control::Outcome;
use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::session::Command;

use super::connection::Answer;
use super::{Context, join};

pub(super) async fn people(context: &Context, request: PeopleRequest) -> Answer {
    let peer = async || context.session.peer().await;
    let outcome = match request {
        PeopleRequest::Join { link, user, device } => {
            return join::join(context, &link, user.as_deref(), device).await;
        }
        PeopleRequest::Invite(invite) => {
            PeopleOutcome::Invited(peer().await?.act("invite", Command::Invite(invite)).await?)
        }
        PeopleRequest::Invitations => PeopleOutcome::Invitations(
            peer().await?.look("list the invitations", Command::Invitations).await?,
        ),
        PeopleRequest::Uninvite(uninvite) => PeopleOutcome::Invitation(
            peer().await?.act("take an invitation back", Command::Uninvite(uninvite)).await?,
        ),
        PeopleRequest::Ls(people) => PeopleOutcome::People(
            peer().await?.look("list the people", Command::People(people)).await?,
        ),
        PeopleRequest::Role(role) => {
            PeopleOutcome::Person(peer().await?.act("change a role", Command::Role(role)).await?)
        }
        PeopleRequest::Disable(disable) => PeopleOutcome::Person(
            peer()
                .await?
                .act("change whether an account is let in", Command::Disable(disable))
                .await?,
        ),
        PeopleRequest::Devices(devices) => PeopleOutcome::Devices(
            peer().await?.look("list the devices", Command::Devices(devices)).await?,
        ),
        PeopleRequest::Revoke(revoke) => PeopleOutcome::Device(
            peer().await?.act("revoke a device", Command::Revoke(revoke)).await?,
        ),
        PeopleRequest::Audit(audit) => PeopleOutcome::Audit(
            peer().await?.look("read the record", Command::Audit(audit)).await?,
        ),
    };
    Ok(Outcome::People(Box::new(outcome)))
}

//! Invitations, people, devices and the record of what was done to them: each is asked of the
//! repository in a task of its own, and the repository says who may.

use imgrepo_proto::session::Command;
use imgrepo_proto::session::people::{Invite, InviteReply};
use imgrepo_proto::{ErrorCode, Refusal};

use super::flight::Flight;
use crate::repository::Actor;

pub(super) async fn carry_out(flight: Flight, actor: Actor, command: Command) {
    let Ok(_page) = flight.common().pages.acquire().await else { return };
    let repository = flight.repository();
    let text =
        match command {
            Command::Invite(args) => flight.encode(invite(&flight, &actor, &args).await),
            Command::Uninvite(args) => flight.encode(repository.uninvite(&actor, &args).await),
            Command::Role(args) => flight.encode(repository.set_role(&actor, &args).await),
            Command::Disable(args) => flight.encode(repository.disable(&actor, &args).await),
            Command::Revoke(args) => flight.encode(repository.revoke(&actor, &args).await),
            // A page of people is shorter than a message: their names are.
            Command::People(args) => flight.encode(repository.people(&actor, &args).await),
            Command::Invitations => flight
                .page(repository.invitations(&actor).await, |page| halve(&mut page.invitations)),
            Command::Devices(args) => flight
                .page(repository.devices(&actor, &args).await, |page| halve(&mut page.devices)),
            Command::Audit(args) => flight.page(repository.audit(&actor, &args).await, |page| {
                let is_shorter = halve(&mut page.entries);
                page.next = page.entries.last().map(|entry| entry.id);
                is_shorter
            }),
            other => {
                let message = format!("{} is not served here", other.word());
                flight.encode::<()>(Err(Refusal::new(ErrorCode::Unsupported, message)))
            }
        };
    flight.reply_page(text).await;
}

/// Keeps the first half of a page; false where no less is left to keep.
pub(super) fn halve<T>(page: &mut Vec<T>) -> bool {
    let is_shorter = page.len() > 1;
    page.truncate(page.len().div_ceil(2));
    is_shorter
}

async fn invite(flight: &Flight, actor: &Actor, invite: &Invite) -> Result<InviteReply, Refusal> {
    let context = flight.common().context.clone();
    // First what may fail for others' reasons: nobody could hand over the secret then.
    let way = tokio::task::spawn_blocking(move || context.way_in()).await;
    let way = way.map_err(|error| {
        let message = format!("cannot find this server's addresses: {error}");
        Refusal::new(ErrorCode::Internal, message)
    })??;
    let (invitation, secret) = flight.repository().invite(actor, invite).await?;
    way.invite(invitation, secret)
}

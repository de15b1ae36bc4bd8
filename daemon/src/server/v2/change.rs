//! RENAME, DELETE, RESTORE and PURGE: handed over to the repository at once, which answers when they
//! are committed. They cannot be given up any more.

use imgrepo_proto::session::Command;
use imgrepo_proto::session::reply::ImageReply;
use imgrepo_proto::{ErrorCode, Refusal};

use super::flight::Flight;
use crate::repository::Actor;

pub(super) fn hand_over(flight: Flight, actor: &Actor, command: Command) {
    let repository = flight.repository();
    match command {
        Command::Rename(rename) => repository.rename(actor, rename, flight.done()),
        Command::Delete(target) => repository.delete(actor, target, flight.done()),
        Command::Restore(target) => repository.restore(actor, target, flight.done()),
        Command::Purge(purge) => repository.purge(actor, purge, flight.done()),
        other => {
            let message = format!("{} is not served here", other.word());
            flight.reply::<ImageReply>(Err(Refusal::new(ErrorCode::Unsupported, message)));
        }
    }
}

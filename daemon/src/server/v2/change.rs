//! RENAME, DELETE, RESTORE and PURGE: handed over to the repository at once, which answers when they
//! are committed. They cannot be given up any more.

use imgrepo_proto::session::Command;
use imgrepo_proto::session::reply::ImageReply;
use imgrepo_proto::{ErrorCode, Refusal};

use super::flight::Flight;
use super::read::named;
use crate::repository::Actor;

pub(super) fn hand_over(flight: Flight, actor: &Actor, command: Command) {
    let repository = flight.repository();
    let no_image = |refusal: Refusal| flight.reply::<ImageReply>(Err(refusal));
    match command {
        Command::Rename(rename) => repository.rename(actor, rename, flight.done()),
        Command::Delete(target) => match named(&target) {
            Ok(()) => repository.delete(actor, target, flight.done()),
            Err(refusal) => no_image(refusal),
        },
        Command::Restore(target) => match named(&target) {
            Ok(()) => repository.restore(actor, target, flight.done()),
            Err(refusal) => no_image(refusal),
        },
        Command::Purge(purge) => repository.purge(actor, purge, flight.done()),
        other => {
            let message = format!("{} is not served here", other.word());
            no_image(Refusal::new(ErrorCode::Unsupported, message));
        }
    }
}

//! `Maintenance`: work on the repository that this daemon serves. The program that asked hears how
//! it goes on, and ends it by closing.

use imgrepo_proto::control::maintenance::{Maintenance, MaintenanceOutcome};
use imgrepo_proto::control::{Outcome, Reply};

use super::connection::Answer;
use super::wire::Replies;
use super::{Context, Mode};
use crate::repository::Told;

pub(super) async fn maintain(
    context: &Context,
    work: Maintenance,
    replies: &mut Replies<'_>,
) -> Answer {
    let Mode::Server(server) = &context.mode else {
        return Ok(Outcome::Maintenance(MaintenanceOutcome::NotServed));
    };
    let (told, mut items) = Told::channel();
    let work = server.repository.maintain(work, told);
    let tell = async {
        while let Some(item) = items.recv().await {
            replies.send(&Reply::Maintenance(item)).await?;
        }
        Ok(())
    };
    // Both to their ends: the items end when the work does.
    let (outcome, ()) = tokio::try_join!(work, tell)?;
    Ok(Outcome::Maintenance(outcome))
}

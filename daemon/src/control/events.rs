//! `Events`: the history, then what happens.

use imgrepo_proto::control::{Outcome, Reply};
use imgrepo_proto::limits::MAX_PAGE;
use imgrepo_proto::{ErrorCode, Refusal, Seq};

use super::Context;
use super::connection::Answer;
use super::wire::Replies;

/// Events that are shown when nobody says from where: a screen of them.
const LAST_EVENTS: u64 = 20;

pub(super) async fn events(
    context: &Context,
    since: Option<Seq>,
    follow: bool,
    replies: &mut Replies<'_>,
) -> Answer {
    if follow {
        let mut follower = context.session.follow(since);
        loop {
            let event = follower.next().await?;
            replies.send(&Reply::Event(Box::new(event))).await?;
        }
    }
    let peer = context.session.peer().await?;
    let last = || {
        let newest = context.session.status().borrow().seq.unwrap_or_default();
        Seq(newest.0.saturating_sub(LAST_EVENTS))
    };
    let mut since = Some(since.unwrap_or_else(last));
    while let Some(from) = since {
        let page = peer.events(from, MAX_PAGE).await?;
        for event in page.events {
            replies.send(&Reply::Event(Box::new(event))).await?;
        }
        if page.next.is_some_and(|next| next <= from) {
            let message = format!("the server does not give its events after {from}");
            return Err(Refusal::new(ErrorCode::Internal, message));
        }
        since = page.next;
    }
    Ok(Outcome::Nothing)
}

//! LIST, HAVE, LOST, EXIF and EVENTS: each reads in a task of its own, so none waits for another; pages
//! are cut to what one text message holds. INFO is over before it could be given up: it has no task.

use imgrepo_proto::limits::MAX_TEXT_BYTES;
use imgrepo_proto::session::command::{Events, Have, List, Lost, Target};
use imgrepo_proto::session::reply::ImageReply;
use imgrepo_proto::session::view::ExifReply;
use imgrepo_proto::{ErrorCode, Refusal};

use super::flight::Flight;
use super::people::halve;
use crate::repository::Actor;

pub(super) fn info(flight: Flight, actor: Actor, target: Target) {
    let asker = flight.clone();
    let done = move |found: Result<_, _>| flight.reply(found.map(|image| ImageReply { image }));
    asker.repository().look_up(actor, target, Box::new(done));
}

pub(super) async fn exif(flight: Flight, actor: Actor, target: Target) {
    let outcome = flight.repository().exif(&actor, &target).await;
    flight.reply(outcome.map(|exif| ExifReply { exif }));
}

pub(super) async fn list(flight: Flight, actor: Actor, mut list: List) {
    let Ok(_page) = flight.common().pages.acquire().await else { return };
    list.limit = Some(list.page_size());
    // Each round has half as many records: a handful of rounds at most, and nearly always one.
    let text = loop {
        let outcome = flight.repository().list(&actor, list.clone()).await;
        let count = outcome.as_ref().map_or(0, |page| page.images.len());
        let text = flight.encode(outcome);
        if text.len() <= MAX_TEXT_BYTES || count <= 1 {
            break text;
        }
        list.limit = u32::try_from(count / 2).ok();
    };
    flight.reply_page(text).await;
}

pub(super) async fn have(flight: Flight, actor: Actor, have: Have) {
    let Ok(_page) = flight.common().pages.acquire().await else { return };
    let outcome = flight.repository().have(&actor, have.hashes).await;
    let mut text = flight.encode(outcome);
    if text.len() > MAX_TEXT_BYTES {
        let refusal = Refusal::new(ErrorCode::BadRequest, "the reply is too long for a message")
            .hint("ask for fewer hashes at once");
        text = flight.encode::<()>(Err(refusal));
    }
    flight.reply_page(text).await;
}

pub(super) async fn lost(flight: Flight, actor: Actor, lost: Lost) {
    let Ok(_page) = flight.common().pages.acquire().await else { return };
    // At most 1,000 of some 90 bytes: always one message.
    let text = flight.encode(flight.repository().lost(&actor, lost.after).await);
    flight.reply_page(text).await;
}

pub(super) async fn events(flight: Flight, events: Events) {
    let Ok(_page) = flight.common().pages.acquire().await else { return };
    let outcome = flight.repository().events(events.since, events.page_size()).await;
    let text = flight.page(outcome, |page| {
        let is_shorter = halve(&mut page.events);
        page.next = page.events.last().and_then(|event| event.seq);
        is_shorter
    });
    flight.reply_page(text).await;
}

//! The events of a session: one task that hands over what the feed gives, as fast as the client takes
//! it.

use std::sync::Arc;

use imgrepo_proto::session::ServerMessage;

use super::flight::Common;
use crate::server::feed::Feed;

/// Sends every event of the feed until the link is over.
pub(super) async fn pump(common: Arc<Common>, mut feed: Feed) {
    loop {
        // Dropping either is safe: what was not taken from the feed stays there, and `closed` is for
        // good.
        let events = tokio::select! {
            biased;
            () = common.outbox.closed() => return,
            events = feed.next() => events,
        };
        match events {
            Ok(Some(events)) => {
                for event in events {
                    let text = ServerMessage::Event(Box::new(event)).encode();
                    if common.outbox.send(text).await.is_err() {
                        return;
                    }
                }
            }
            Ok(None) => return,
            Err(refusal) => {
                tracing::error!(reason = %refusal, "cannot read events for a session");
                return common.outbox.close(1011, "the server cannot read its events");
            }
        }
    }
}

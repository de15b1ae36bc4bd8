//! The events of a session: one task that reads the catalog from where the client is, as fast as the
//! client takes them. A signal only wakes it, so nothing is skipped and nothing comes twice, however
//! slow the client is.

use std::sync::Arc;

use tokio::sync::watch;

use imgrepo_proto::Seq;
use imgrepo_proto::session::ServerMessage;

use super::flight::Common;

/// Events that are read at once: each has well below 4 KiB.
const PAGE: u32 = 64;

/// Sends every event after `since` until the link is over.
pub(super) async fn pump(common: Arc<Common>, mut announced: watch::Receiver<Seq>, mut since: Seq) {
    loop {
        // What is committed and not announced yet waits: its own reply has to go first.
        let newest = *announced.borrow_and_update();
        while since < newest {
            let page = match common.context.repository.events(since, PAGE).await {
                Ok(page) => page,
                Err(refusal) => {
                    tracing::error!(reason = %refusal, "cannot read events for a session");
                    return common.outbox.close(1011, "the server cannot read its events");
                }
            };
            let before = since;
            for event in page.events {
                let Some(seq) = event.seq.filter(|seq| *seq <= newest) else { break };
                let text = ServerMessage::Event(Box::new(event)).encode();
                if common.outbox.send(text).await.is_err() {
                    return;
                }
                since = seq;
            }
            if since == before {
                tracing::error!(%since, %newest, "the history has a gap");
                return common.outbox.close(1011, "the server cannot read its events");
            }
        }
        // Dropping either is safe: a change stays to be seen, and `closed` is for good.
        tokio::select! {
            () = common.outbox.closed() => return,
            changed = announced.changed() => if changed.is_err() { return },
        }
    }
}

//! One request under way: the right to its one final reply, and to the interim ones before it.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio::sync::Semaphore;

use imgrepo_proto::limits::MAX_TEXT_BYTES;
use imgrepo_proto::session::command::CommandKind;
use imgrepo_proto::session::reply::encode_success;
use imgrepo_proto::session::{RequestId, ServerMessage};
use imgrepo_proto::{ErrorCode, Refusal};

use super::requests::Requests;
use crate::link::Outbox;
use crate::repository::{Done, Repository};
use crate::server::Context;
use crate::server::figures::Spoken;

/// Pages that are made at once in a session. Each has 256 KiB at most, so what waits for a slow peer
/// stays within the session's 1 MiB beyond its windows, with the 512 KiB that the link queues.
const PAGES_AT_ONCE: usize = 2;

/// What all requests of a session share.
pub(super) struct Common {
    pub(super) outbox: Outbox,
    pub(super) context: Arc<Context>,
    pub(super) requests: Requests,
    pub(super) pages: Semaphore,
}

impl Common {
    pub(super) fn new(outbox: Outbox, context: Arc<Context>) -> Self {
        let requests = Requests::new(context.settings.limits.max_requests);
        Common { outbox, context, requests, pages: Semaphore::new(PAGES_AT_ONCE) }
    }
}

/// A request under way.
#[derive(Clone)]
pub(super) struct Flight {
    id: RequestId,
    kind: CommandKind,
    begun: Instant,
    common: Arc<Common>,
}

impl Flight {
    pub(super) fn new(id: RequestId, kind: CommandKind, common: Arc<Common>) -> Self {
        Flight { id, kind, begun: Instant::now(), common }
    }

    pub(super) fn id(&self) -> RequestId {
        self.id
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.common.context.repository
    }

    /// Whether the final reply is this one's to give. It is counted as given.
    fn close(&self) -> bool {
        let is_ours = self.common.requests.close(self.id);
        if is_ours {
            let figures = &self.common.context.figures;
            figures.answered(Spoken::V2, self.kind, self.begun.elapsed());
        }
        is_ours
    }

    /// The final reply, at once: for replies whose size is that of a record.
    pub(super) fn reply<T: Serialize>(&self, outcome: Result<T, Refusal>) {
        // First the place, then the reply: who has the reply may use the place.
        if self.close() {
            self.common.outbox.push(self.encode(outcome));
        }
    }

    /// The final reply when the link has room for it: for pages.
    pub(super) async fn reply_page(&self, text: String) {
        if self.close() {
            // The link is over: nobody is there to be told.
            let _ = self.common.outbox.send(text).await;
        }
    }

    /// The final reply behind the data that was queued before it.
    pub(super) async fn reply_in_order<T: Serialize>(&self, data: T) {
        let text = || self.close().then(|| self.encode(Ok(data)));
        // As in `reply_page`.
        let _ = self.common.outbox.in_order(text).await;
    }

    /// The final reply as what the repository calls once it has committed or refused.
    pub(super) fn done<T: Serialize + 'static>(&self) -> Done<T> {
        let flight = self.clone();
        Box::new(move |outcome| flight.reply(outcome))
    }

    /// A READY or ACK.
    pub(super) fn interim(&self, message: &ServerMessage) {
        self.common.outbox.push(message.encode());
    }

    /// The text of a page, made shorter until a message holds it: `shorten` says whether it did.
    pub(super) fn page<T: Serialize>(
        &self,
        outcome: Result<T, Refusal>,
        shorten: impl Fn(&mut T) -> bool,
    ) -> String {
        let mut page = match outcome {
            Ok(page) => page,
            Err(refusal) => return self.encode::<()>(Err(refusal)),
        };
        loop {
            let text = self.encode(Ok(&page));
            if text.len() <= MAX_TEXT_BYTES || !shorten(&mut page) {
                return text;
            }
        }
    }

    pub(super) fn encode<T: Serialize>(&self, outcome: Result<T, Refusal>) -> String {
        match outcome {
            Ok(data) => encode_success(self.id, &data),
            Err(refusal) => {
                self.common.context.figures.refused(refusal.code);
                if refusal.code == ErrorCode::Internal {
                    tracing::error!(reason = %refusal.message, "a request failed");
                }
                ServerMessage::Error { id: Some(self.id), refusal }.encode()
            }
        }
    }
}

//! Many requests at once over one session of v2: the table of those under way.
//!
//! Numbers are given and requests queued under one short lock, so they reach the server in order.
//! The keeper's dispatcher hands in what the server says; nothing here ever waits for a caller.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use imgrepo_proto::limits::SessionLimits;
use imgrepo_proto::session::command::{Cancel, Command, Request, RequestId};
use imgrepo_proto::session::data::DataHeader;
use imgrepo_proto::session::reply::{Actor, AuthReply, ServerMessage};
use imgrepo_proto::{ErrorCode, PersonName, Refusal};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::link::Outbox;
use crate::link::window::SharedWindow;
use crate::session::feed::Feed;
use crate::session::greet::AUTH_ID;

use super::slot::{Ended, Said, Slot};
use super::{CallError, Heard};

/// The longest request. All that may be under way at once (64) stay within the link's room for
/// text; nothing but an absurd filter comes near.
const MAX_REQUEST_BYTES: usize = 12 * 1024;

/// A session of v2 that is up.
#[derive(Debug)]
pub(crate) struct V2 {
    pub(super) outbox: Outbox,
    /// What it is as long as the session is; `role` and `can` are those of then.
    pub(crate) greeting: AuthReply,
    /// What we are here by the server's last word.
    actor: Mutex<Actor>,
    /// At which address, and as whom.
    pub(super) address: String,
    pub(super) user: PersonName,
    /// As many as the server takes at once.
    requests: Arc<Semaphore>,
    pub(super) window: SharedWindow,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    next: RequestId,
    calls: BTreeMap<RequestId, Entry>,
    /// The session is over: nothing is asked any more.
    over: bool,
}

#[derive(Debug)]
struct Entry {
    slot: Arc<Slot>,
    /// Held until the server's final reply, even where the caller is gone: so long it counts there.
    _permit: OwnedSemaphorePermit,
}

impl V2 {
    pub(crate) fn new(
        outbox: Outbox,
        greeting: AuthReply,
        address: String,
        user: PersonName,
    ) -> Self {
        let requests = Arc::new(Semaphore::new(greeting.limits.max_requests as usize));
        let window = SharedWindow::new(greeting.limits.session_window);
        let table = Table { next: AUTH_ID + 1, calls: BTreeMap::new(), over: false };
        let actor = Actor { role: greeting.role.clone(), can: greeting.can.clone() };
        let (actor, table) = (Mutex::new(actor), Mutex::new(table));
        V2 { outbox, greeting, actor, address, user, requests, window, table }
    }

    /// What we are here.
    pub(crate) fn actor(&self) -> Actor {
        self.actor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn limits(&self) -> &SessionLimits {
        &self.greeting.limits
    }

    /// Asks, when the server takes one more request.
    pub(super) async fn begin(
        self: &Arc<Self>,
        command: Command,
        slot: Slot,
    ) -> Result<Call, CallError> {
        // Dropping either branch is safe: a permit not got is not taken, an end stays.
        let permit = tokio::select! {
            biased;
            () = self.outbox.closed() => return Err(CallError::Cut),
            permit = self.requests.clone().acquire_owned() => {
                permit.map_err(|_| CallError::Cut)?
            }
        };
        let slot = Arc::new(slot);
        let entry = Entry { slot: slot.clone(), _permit: permit };
        let id = self.ask(command, Some(entry))?;
        Ok(Call { v2: self.clone(), id, slot })
    }

    /// Asks and waits for the final reply.
    pub(super) async fn call<T: DeserializeOwned>(
        self: &Arc<Self>,
        command: Command,
    ) -> Result<T, CallError> {
        let word = command.word();
        let call = self.begin(command, Slot::default()).await?;
        loop {
            match call.slot.next().await {
                Said::Ended(ended) => return read_end(word, ended),
                _ => tracing::warn!(id = call.id, word, "an interim reply where none was due"),
            }
        }
    }

    /// Gives a number and queues the request. Where there is an entry its reply is waited for.
    fn ask(&self, command: Command, entry: Option<Entry>) -> Result<RequestId, CallError> {
        let mut table = self.table();
        if table.over {
            return Err(CallError::Cut);
        }
        let id = table.next;
        let Some(next) = id.checked_add(1) else {
            // 4 billion requests: a new session starts from 1 again.
            self.outbox.abort("all request numbers of this session are used up");
            return Err(CallError::Cut);
        };
        let text = Request { id, command }.encode();
        if text.len() > MAX_REQUEST_BYTES {
            return Err(CallError::Refused(Refusal::new(
                ErrorCode::BadRequest,
                format!(
                    "the request has {} bytes, at most {MAX_REQUEST_BYTES} are sent",
                    text.len()
                ),
            )));
        }
        table.next = next;
        if let Some(entry) = entry {
            table.calls.insert(id, entry);
        }
        self.outbox.push(text);
        Ok(id)
    }

    /// Says goodbye; the reply is seen by [`V2::text`].
    pub(crate) fn disconnect(&self) {
        let _ = self.ask(Command::Disconnect, None);
    }

    /// A text message of the server.
    pub(crate) fn text(&self, text: &str, feed: &Feed) -> Heard {
        let message = match ServerMessage::decode(text) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(%error, "ignored a message of the server");
                return Heard::Other;
            }
        };
        match message {
            ServerMessage::Success { id, data } => self.finish(id, Ended::Success(data)),
            ServerMessage::Error { id: Some(id), refusal } => {
                self.finish(id, Ended::Refused(refusal));
            }
            ServerMessage::Error { id: None, refusal } => {
                tracing::warn!(%refusal, "the server could not read a message of ours");
            }
            ServerMessage::Ready { id, offset } => {
                self.tell(id, |slot| {
                    slot.ready(offset);
                    Ok(())
                });
            }
            ServerMessage::Ack { id, offset } => self.tell(id, |slot| slot.acked(offset)),
            ServerMessage::SizeInfo { id, info } => self.tell(id, |slot| slot.size(info)),
            ServerMessage::Bye { .. } => return Heard::Bye,
            ServerMessage::Event(event) => feed.push(*event, text.len()),
            ServerMessage::Actor(actor) => {
                *self.actor.lock().unwrap_or_else(PoisonError::into_inner) = actor;
                return Heard::Actor;
            }
            ServerMessage::Lost => return Heard::Lost,
        }
        Heard::Other
    }

    /// A data message of the server.
    pub(crate) fn data(&self, message: Bytes) {
        match DataHeader::decode(message) {
            Ok((header, bytes)) => self.tell(header.id, |slot| slot.piece(header.offset, bytes)),
            Err(error) => tracing::warn!(%error, "ignored a data message of the server"),
        }
    }

    /// The session is over: every request under way ends here.
    pub(crate) fn end(&self) {
        let calls = {
            let mut table = self.table();
            table.over = true;
            std::mem::take(&mut table.calls)
        };
        for entry in calls.into_values() {
            entry.slot.finish(Ended::Cut);
        }
    }

    fn finish(&self, id: RequestId, ended: Ended) {
        let entry = self.table().calls.remove(&id);
        match entry {
            Some(entry) => entry.slot.finish(ended),
            // The reply to a CANCEL.
            None => tracing::trace!(id, "a final reply that nobody waits for"),
        }
    }

    /// Something for a request under way; for one that has ended it is late and means nothing.
    fn tell(&self, id: RequestId, tell: impl FnOnce(&Slot) -> Result<(), Refusal>) {
        let slot = self.table().calls.get(&id).map(|entry| entry.slot.clone());
        if let Some(slot) = slot
            && let Err(refusal) = tell(&slot)
        {
            tracing::warn!(id, %refusal, "a request failed");
            slot.fail(refusal);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way. Dropped before its final reply it is given up.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) v2: Arc<V2>,
    pub(super) id: RequestId,
    pub(super) slot: Arc<Slot>,
}

impl Call {
    /// Tells the server that all before `offset` was taken.
    pub(super) fn ack(&self, offset: u64) {
        self.slot.told(offset);
        self.v2.outbox.push(Request { id: self.id, command: Command::Ack(offset) }.encode());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.slot.abandon() {
            let _ = self.v2.ask(Command::Cancel(Cancel { request: self.id }), None);
        }
    }
}

/// The final reply of a command as the type that it calls for.
pub(super) fn read_end<T: DeserializeOwned>(word: &str, ended: Ended) -> Result<T, CallError> {
    match ended {
        Ended::Success(data) => serde_json::from_str(data.get()).map_err(|error| {
            CallError::Refused(Refusal::new(
                ErrorCode::Internal,
                format!("cannot read the server's reply to {word}: {error}"),
            ))
        }),
        Ended::Refused(refusal) => Err(CallError::Refused(refusal)),
        Ended::Cut => Err(CallError::Cut),
    }
}

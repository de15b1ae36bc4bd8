//! One command after the other over a session with an old (v1) server.
//!
//! A command waits for its turn; the keeper's dispatcher hands in what the server says and carries
//! an exchange to its end even where the caller is gone: v1 cannot cancel, and what follows would
//! be taken for the answer to the next command.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use imgrepo_proto::limits::V1_MAX_IMAGE_BYTES;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::event::{Event, EventKind};
use imgrepo_proto::session::v1::{Command, Entry, Reply};
use imgrepo_proto::{ErrorCode, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::link::{End, EndKind, Outbox};
use crate::session::feed::Feed;

use super::CallError;

/// The close code of RFC 6455 for a message that is larger than the peer takes.
const TOO_BIG: u16 = 1009;

/// A session of v1 that is up.
#[derive(Debug)]
pub(crate) struct V1 {
    pub(super) outbox: Outbox,
    /// Where it is, for messages.
    pub(super) server: String,
    /// As whom.
    pub(super) user: String,
    /// Whether HISTORY was told before: after a cut it is not told again.
    history_told: bool,
    turn: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Current>,
    over: bool,
}

#[derive(Debug)]
struct Current {
    exchange: Exchange,
    _turn: OwnedSemaphorePermit,
}

type Answer<T> = oneshot::Sender<Result<T, CallError>>;

#[derive(Debug)]
enum Exchange {
    List(Answer<Vec<Entry>>),
    Upload { content: Option<Bytes>, answer: Answer<String> },
    Download { size: Option<u64>, content: Option<Bytes>, answer: Answer<Bytes> },
}

/// The right to speak: one command at a time.
#[derive(Debug)]
pub struct Turn {
    v1: Arc<V1>,
    permit: OwnedSemaphorePermit,
}

impl V1 {
    pub(crate) fn new(outbox: Outbox, server: String, user: String, history_told: bool) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        V1 { outbox, server, user, history_told, turn, state: Mutex::default() }
    }

    /// Waits until no other command is under way.
    pub(super) async fn turn(self: &Arc<Self>) -> Result<Turn, CallError> {
        // Dropping either branch is safe: a permit not got is not taken, an end stays.
        let permit = tokio::select! {
            biased;
            () = self.outbox.closed() => return Err(CallError::Cut),
            permit = self.turn.clone().acquire_owned() => permit.map_err(|_| CallError::Cut)?,
        };
        Ok(Turn { v1: self.clone(), permit })
    }

    /// Says goodbye, where no command is under way. Whether a BYE is to be waited for.
    pub(crate) fn disconnect(&self) -> bool {
        let idle = self.state().current.is_none();
        if idle {
            self.outbox.push(Command::Disconnect.encode());
        }
        idle
    }

    /// A text message of the server. True when it was the BYE.
    pub(crate) async fn text(&self, text: &str, feed: &Feed) -> bool {
        let reply = match Reply::decode(text) {
            Ok(reply) => reply,
            Err(error) => {
                tracing::warn!(%error, "ignored a message of the server");
                return false;
            }
        };
        match reply {
            Reply::NewUpload(message) => feed.push(notice(message), text.len()),
            Reply::History(_) if self.history_told => {}
            Reply::History(messages) => {
                for message in messages {
                    let bytes = message.len();
                    feed.push(notice(message), bytes);
                }
            }
            Reply::Bye(_) => return true,
            Reply::Ready => {
                let content = match &mut self.state().current {
                    Some(Current { exchange: Exchange::Upload { content, .. }, .. }) => {
                        content.take()
                    }
                    _ => None,
                };
                match content {
                    // Nothing else sends contents here, so there is room at once.
                    Some(content) => drop(self.outbox.data(content).await),
                    None => tracing::warn!("the old server was ready for an upload that is none"),
                }
            }
            Reply::SizeInfo { size, .. } => self.size(size),
            Reply::Success(_) | Reply::List(_) | Reply::Error(_) | Reply::Unreadable(_) => {
                self.answer(reply);
            }
        }
        false
    }

    /// A binary message of the server: the content that SIZE_INFO announced.
    pub(crate) fn data(&self, bytes: Bytes) {
        match &mut self.state().current {
            Some(Current {
                exchange: Exchange::Download { size: Some(_), content, .. }, ..
            }) => {
                // Only the first was announced.
                content.get_or_insert(bytes);
            }
            _ => tracing::warn!("ignored a content that nobody asked the old server for"),
        }
    }

    /// The session is over: the command under way ends here.
    pub(crate) fn end(&self, end: &End) {
        let current = {
            let mut state = self.state();
            state.over = true;
            state.current.take()
        };
        match current.map(|current| current.exchange) {
            Some(Exchange::List(answer)) => drop(answer.send(Err(CallError::Cut))),
            Some(Exchange::Download { answer, .. }) => drop(answer.send(Err(CallError::Cut))),
            Some(Exchange::Upload { content, answer }) => {
                let sent = content.is_none();
                let error = match end.kind {
                    EndKind::Closed(TOO_BIG) if sent => CallError::Refused(Refusal::new(
                        ErrorCode::TooLarge,
                        format!(
                            "the old server at `{}` closed the session at the content: it is larger than it takes",
                            self.server
                        ),
                    ).hint("old servers take at most 1 MiB unless they are told otherwise (`max_size`)")),
                    _ => CallError::Cut,
                };
                let _ = answer.send(Err(error));
            }
            None => {}
        }
    }

    fn size(&self, announced: u64) {
        match &mut self.state().current {
            Some(Current { exchange: Exchange::Download { size, .. }, .. }) => {
                *size = Some(announced);
            }
            _ => tracing::warn!("the old server announced a content that nobody asked for"),
        }
        if announced > V1_MAX_IMAGE_BYTES {
            // The content comes now whatever we say, and the link will not take it.
            let refusal = Refusal::new(
                ErrorCode::TooLarge,
                format!(
                    "cannot download: the image has {announced} bytes, from an old server at most {V1_MAX_IMAGE_BYTES} are taken"
                ),
            );
            if let Some(Current { exchange: Exchange::Download { answer, .. }, .. }) =
                self.state().current.take()
            {
                let _ = answer.send(Err(CallError::Refused(refusal)));
            }
            self.outbox.abort("the old server sends an image that is too large");
        }
    }

    /// The reply that ends the command under way.
    fn answer(&self, reply: Reply) {
        let Some(current) = self.state().current.take() else {
            tracing::warn!("ignored a reply of the old server that nobody waits for");
            return;
        };
        let refused = |code, message: &str| {
            let message = format!("the old server says: {}", shown(message));
            CallError::Refused(Refusal::new(code, message))
        };
        let strange = || {
            let why = match &reply {
                Reply::Unreadable(why) => why,
                _ => "it answered another question than it was asked",
            };
            let message = format!("the old server broke the protocol: {why}");
            CallError::Refused(Refusal::new(ErrorCode::Internal, message))
        };
        let strange = strange();
        if matches!((&current.exchange, &reply), (Exchange::Download { .. }, Reply::Unreadable(_)))
        {
            // The rest of the answer may follow, and would be taken for that to the next command.
            self.outbox.abort("the old server's answer to a download cannot be read");
        }
        // A caller that is gone takes no answer; that is all right.
        match (current.exchange, reply) {
            (Exchange::List(answer), Reply::List(entries)) => drop(answer.send(Ok(entries))),
            (Exchange::List(answer), Reply::Error(message)) => {
                drop(answer.send(Err(refused(ErrorCode::Internal, &message))));
            }
            (Exchange::Upload { answer, content: None }, Reply::Success(message)) => {
                drop(answer.send(Ok(message)));
            }
            (Exchange::Upload { answer, .. }, Reply::Error(message)) => {
                drop(answer.send(Err(refused(ErrorCode::Conflict, &message))));
            }
            (
                Exchange::Download { answer, size: Some(size), content: Some(content) },
                Reply::Success(_),
            ) => {
                let outcome = match content.len() as u64 == size {
                    true => Ok(content),
                    false => Err(CallError::Refused(Refusal::new(
                        ErrorCode::WrongSize,
                        format!("the old server announced {size} bytes and sent {}", content.len()),
                    ))),
                };
                drop(answer.send(outcome));
            }
            (Exchange::Download { answer, .. }, Reply::Error(message)) => {
                drop(answer.send(Err(refused(ErrorCode::NotFound, &message))));
            }
            (Exchange::List(answer), _) => drop(answer.send(Err(strange))),
            (Exchange::Upload { answer, .. }, _) => drop(answer.send(Err(strange))),
            (Exchange::Download { answer, .. }, _) => drop(answer.send(Err(strange))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Everything that the server has, in upload order.
    pub(crate) async fn list(self) -> Result<(Turn, Vec<Entry>), CallError> {
        let v1 = self.v1.clone();
        let (answer, outcome) = oneshot::channel();
        self.say(Exchange::List(answer), &Command::List)?;
        let entries = outcome.await.unwrap_or(Err(CallError::Cut))?;
        // Whoever else waited may speak first; what follows stands on a list that is a moment old.
        Ok((v1.turn().await?, entries))
    }

    /// Stores an image: the server's words, which end with its number.
    pub(crate) async fn upload(self, name: &str, content: Bytes) -> Result<String, CallError> {
        let size = content.len() as u64;
        let (answer, outcome) = oneshot::channel();
        let command = Command::Upload { name: name.to_owned(), size };
        self.say(Exchange::Upload { content: Some(content), answer }, &command)?;
        outcome.await.unwrap_or(Err(CallError::Cut))
    }

    /// The content of the oldest image of a name; it comes when all of it is here.
    pub(super) fn download(
        self,
        name: &str,
    ) -> Result<oneshot::Receiver<Result<Bytes, CallError>>, CallError> {
        let (answer, outcome) = oneshot::channel();
        let exchange = Exchange::Download { size: None, content: None, answer };
        self.say(exchange, &Command::Download(name.to_owned()))?;
        Ok(outcome)
    }

    fn say(self, exchange: Exchange, command: &Command) -> Result<(), CallError> {
        let Turn { v1, permit } = self;
        let mut state = v1.state();
        if state.over {
            return Err(CallError::Cut);
        }
        state.current = Some(Current { exchange, _turn: permit });
        v1.outbox.push(command.encode());
        Ok(())
    }
}

/// An old server's words about an upload.
fn notice(message: String) -> Event {
    Event {
        event: EventKind::NewUpload,
        seq: None,
        at: None,
        by: None,
        image: None,
        message: Some(message),
    }
}

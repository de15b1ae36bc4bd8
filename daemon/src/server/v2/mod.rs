//! A v2 session: many requests at once over one link, by number.
//!
//! [`run`] is the reader: it takes message after message, never waits for a disk or for the peer,
//! and hands each request to a task of its own (reads, uploads, downloads) or to the repository
//! (changes). It owns those tasks. A [`Flight`] is a request's right to its final reply. One file for
//! each family of commands; what is allowed is the repository's to say.

mod auth;
mod change;
mod download;
mod events;
mod flight;
mod intake;
mod people;
mod read;
mod requests;
mod upload;

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::{BadRequest, Cancel};
use imgrepo_proto::session::{Command, DataHeader, Request, RequestId, ServerMessage};
use imgrepo_proto::{ErrorCode, Refusal};

use super::Context;
use super::registry::{Entry, Newcomer, Seat, Stand};
use crate::link::window::SharedWindow;
use crate::link::{End, EndKind, Inbox, Incoming, Origin, Outbox};
use crate::repository::catalog::PersonId;
use crate::repository::{Action, Actor, Object, authorize};
use flight::{Common, Flight};
use intake::{Intake, SessionIntake};
use requests::{Admission, Cancelled, Flow};

/// What the session's reader owns.
struct Session {
    entry: Entry,
    common: Arc<Common>,
    origin: Origin,
    /// The connection, until it is somebody's; None for one from within.
    newcomer: Option<Newcomer>,
    /// Its place among the account's sessions.
    seat: Option<Seat<PersonId>>,
    actor: Option<Actor>,
    /// Wakes when contents are lost.
    losses: watch::Receiver<u64>,
    /// The client was told so, and has not asked since: what it hears then tells it all.
    is_told: bool,
    /// Counts what may have become of the actor.
    people: watch::Receiver<u64>,
    tasks: JoinSet<()>,
    /// Requests about people: short ones, of which one may end the session itself.
    acts: JoinSet<()>,
    /// Tells of events, from AUTH on.
    events: Option<AbortHandle>,
    intake: SessionIntake,
    downloads: SharedWindow,
    /// The close is queued: what comes now is not for us any more. Until then the peer may take what
    /// it was told before.
    closing: Option<Instant>,
}

/// Serves a session until it is over.
pub(super) async fn run(
    outbox: Outbox,
    mut inbox: Inbox,
    origin: Origin,
    newcomer: Option<Newcomer>,
    context: Arc<Context>,
) {
    let limits = context.settings.limits;
    let mut session = Session {
        entry: context.registry.enter(Stand::Greeting),
        common: Arc::new(Common::new(outbox, context.clone())),
        origin,
        newcomer,
        seat: None,
        actor: None,
        losses: context.repository.loses(),
        is_told: false,
        people: context.repository.people_changed(),
        tasks: JoinSet::new(),
        acts: JoinSet::new(),
        events: None,
        intake: SessionIntake::new(limits.session_window),
        downloads: SharedWindow::new(limits.session_window),
        closing: None,
    };
    let auth_due = Instant::now() + context.settings.timeouts.auth;
    let mut stopping = pin!(context.registry.stopping());
    let end = loop {
        let is_open = session.closing.is_none();
        let waits_for_auth = session.actor.is_none().then_some(auth_due);
        let due = session.closing.or(waits_for_auth);
        // Dropping any branch is safe: the next message, ended tasks and what changed for people stay
        // where they are, and the other two are points in time.
        tokio::select! {
            biased;
            () = &mut stopping, if is_open => session.close(1001, "the server stops"),
            Ok(()) = session.people.changed(), if session.actor.is_some() && is_open => {
                Box::pin(session.refresh()).await;
            }
            Ok(()) = session.losses.changed(), if session.actor.is_some() && is_open => {
                session.lost();
            }
            // Before what the peer says: one that never pauses is bound by it too.
            () = sleep_until(due.unwrap_or(auth_due)), if due.is_some() => match is_open {
                true => session.close(1008, "AUTH did not come in time"),
                false => {
                    let message = "the peer does not take the close".to_owned();
                    break End { kind: EndKind::Stalled, message };
                }
            },
            Some(ended) = session.tasks.join_next() => session.ended(ended),
            Some(ended) = session.acts.join_next() => session.ended(ended),
            incoming = inbox.next() => match incoming {
                Ok(_) if !is_open => {}
                Ok(Incoming::Text(text)) => session.text(text.as_str()).await,
                Ok(Incoming::Data(message)) => session.data(message),
                Err(end) => break end,
            },
        }
    };
    tracing::debug!(reason = %end, "a session ended");
    // What is being committed comes to its end; everything else is given up.
    session.common.requests.give_up_all();
    session.common.outbox.abort("the session is over");
    while session.tasks.join_next().await.is_some() {}
    while session.acts.join_next().await.is_some() {}
    inbox.finish().await;
}

impl Session {
    /// Ends the session. What is queued goes before the close, and nothing new: a peer that reads
    /// slowly would hear of it for ever.
    fn close(&mut self, code: u16, reason: &str) {
        let patience = self.common.context.settings.timeouts.stop;
        self.closing.get_or_insert_with(|| Instant::now() + patience);
        if let Some(events) = self.events.take() {
            events.abort();
        }
        self.common.requests.give_up_all();
        self.common.outbox.close(code, reason);
    }

    /// Contents are lost: whoever may bring them back hears that there are some.
    fn lost(&mut self) {
        let may_upload = |actor: &Actor| authorize(actor, Action::Upload, Object::Any).is_ok();
        if !self.is_told && self.actor.as_ref().is_some_and(may_upload) {
            self.is_told = true;
            self.common.outbox.push(ServerMessage::Lost.encode());
        }
    }

    /// A request's task has ended, as it should or by a fault.
    fn ended(&mut self, task: Result<(), JoinError>) {
        if task.is_err_and(|error| error.is_panic()) {
            tracing::error!("a request ended by a fault of this program");
            self.close(1011, "a fault of the server");
        }
    }

    /// An ERROR about a message that is no request, or about no request in particular.
    fn complain(&self, id: Option<RequestId>, refusal: Refusal) {
        self.common.context.figures.refused(refusal.code);
        self.common.outbox.push(ServerMessage::Error { id, refusal }.encode());
    }

    async fn text(&mut self, text: &str) {
        let (id, command) = match Request::decode(text) {
            Ok(Request { id, command: Command::Ack(offset) }) => return self.ack(id, offset),
            Ok(Request { id, command }) => (id, Ok(command)),
            Err(BadRequest { id: Some(id), refusal }) => (id, Err(refusal)),
            Err(BadRequest { id: None, refusal }) => return self.complain(None, refusal),
        };
        let again = |what| {
            let message = format!("the id {id} {what}; ids rise with every request");
            Refusal::new(ErrorCode::BadRequest, message)
        };
        match self.common.requests.admit(id) {
            Admission::New => {}
            Admission::Used => return self.complain(Some(id), again("was used before")),
            // With its id it would be taken for the reply to the request that is under way.
            Admission::UnderWay => return self.complain(None, again("is under way")),
        }
        match (command, self.actor.clone()) {
            (Err(refusal), _) => self.complain(Some(id), refusal),
            // Boxed, like all that is rare: an idle session has no room for it.
            (Ok(Command::Auth(auth)), actor) => Box::pin(self.auth(id, auth, actor)).await,
            (Ok(Command::Join(join)), actor) => Box::pin(self.join(id, join, actor)).await,
            (Ok(_), None) => {
                let message = "say who you are first, with AUTH";
                self.complain(Some(id), Refusal::new(ErrorCode::Unauthenticated, message));
            }
            (Ok(Command::Disconnect), _) => {
                let message = "goodbye".to_owned();
                self.common.outbox.push(ServerMessage::Bye { id, message }.encode());
                self.close(1000, "goodbye");
            }
            (Ok(Command::Cancel(Cancel { request })), _) => self.cancel(id, request),
            (Ok(command), Some(actor)) => self.request(id, command, actor),
        }
    }

    /// Starts a request that takes one of the session's places.
    fn request(&mut self, id: RequestId, command: Command, actor: Actor) {
        let window = self.common.context.settings.limits.window;
        let flow = match &command {
            Command::Upload(upload) => {
                Flow::In(Arc::new(Intake::new(upload.size, window, self.intake.clone())))
            }
            Command::Download(download) => {
                Flow::Out(download::flow(download.offset, window, &self.downloads))
            }
            Command::View(_) => Flow::Out(download::flow(0, window, &self.downloads)),
            _ => Flow::None,
        };
        if !self.common.requests.open(id, flow.clone()) {
            let most = self.common.context.settings.limits.max_requests;
            let message = format!("{most} requests are under way, the server takes no more");
            return self.complain(Some(id), Refusal::new(ErrorCode::Busy, message));
        }
        let flight = Flight::new(id, command.kind(), self.common.clone());
        let task = match (command, flow) {
            (Command::Upload(upload), Flow::In(intake)) => {
                self.tasks.spawn(upload::run(flight, intake, actor, upload))
            }
            (Command::Download(download), Flow::Out(flow)) => {
                self.tasks.spawn(download::run(flight, flow, actor, download))
            }
            (Command::View(view), Flow::Out(flow)) => {
                self.tasks.spawn(download::view(flight, flow, actor, view))
            }
            (Command::Exif(target), _) => self.tasks.spawn(read::exif(flight, actor, target)),
            (Command::List(list), _) => self.tasks.spawn(read::list(flight, actor, list)),
            (Command::Info(target), _) => return read::info(flight, actor, target),
            (Command::Have(have), _) => self.tasks.spawn(read::have(flight, actor, have)),
            (Command::Lost(lost), _) => {
                // Before it is looked: what is lost from here on is told again.
                self.is_told = false;
                self.tasks.spawn(read::lost(flight, actor, lost))
            }
            (Command::Events(events), _) => self.tasks.spawn(read::events(flight, events)),
            (command, _) if is_of_people(&command) => {
                self.acts.spawn(people::carry_out(flight, actor, command))
            }
            (command, _) => return change::hand_over(flight, &actor, command),
        };
        self.common.requests.carried_out_by(id, task);
    }

    fn cancel(&self, id: RequestId, request: RequestId) {
        match self.common.requests.give_up(request) {
            Cancelled::Unknown => {
                let message = format!("cannot give up request {request}: there was none");
                return self.complain(Some(id), Refusal::new(ErrorCode::NotFound, message));
            }
            Cancelled::Now => {
                let refusal = Refusal::new(ErrorCode::Cancelled, "the request was given up");
                self.complain(Some(request), refusal);
            }
            Cancelled::TooLate => {}
        }
        self.common.outbox.push(imgrepo_proto::session::reply::encode_success(id, &Nothing {}));
    }

    /// A data message. Bytes for a request that has ended are on their way rightly and are dropped;
    /// for one that never was, or that takes none, there is an ERROR without id: it is no reply.
    fn data(&mut self, message: Bytes) {
        let bad = |message: String| Refusal::new(ErrorCode::BadRequest, message);
        let (header, bytes) = match DataHeader::decode(message) {
            Ok(split) => split,
            Err(error) => return self.complain(None, bad(error.to_string())),
        };
        let id = header.id;
        match self.common.requests.flow(id) {
            Ok(None) => {}
            Ok(Some(Flow::In(intake))) => {
                if let Err(refusal) = intake.put(header.offset, bytes) {
                    self.refuse(id, refusal);
                }
            }
            Ok(Some(_)) => self.complain(None, bad(format!("the request {id} takes no data"))),
            Err(()) => self.complain(None, bad(format!("there was no request {id}"))),
        }
    }

    fn ack(&mut self, id: RequestId, offset: u64) {
        let bad = |message: String| Refusal::new(ErrorCode::BadRequest, message);
        match self.common.requests.flow(id) {
            Ok(None) => {}
            Ok(Some(Flow::Out(flow))) => {
                if let Err(error) = flow.acked(offset) {
                    self.refuse(id, bad(error.to_string()));
                }
            }
            Ok(Some(_)) => self.complain(None, bad(format!("the request {id} sends no data"))),
            Err(()) => self.complain(None, bad(format!("there was no request {id}"))),
        }
    }

    /// Ends a request whose client broke its rules, unless it is past that.
    fn refuse(&self, id: RequestId, refusal: Refusal) {
        if self.common.requests.give_up(id) == Cancelled::Now {
            self.complain(Some(id), refusal);
        }
    }
}

/// Whether a command is one of `people`'s.
fn is_of_people(command: &Command) -> bool {
    use imgrepo_proto::session::command::CommandKind::{
        Audit, Devices, Disable, Invitations, Invite, People, Revoke, Role, Uninvite,
    };
    matches!(
        command.kind(),
        Audit | Devices | Disable | Invitations | Invite | People | Revoke | Role | Uninvite
    )
}

/// `data` of a reply that has nothing to tell.
#[derive(serde::Serialize)]
struct Nothing {}

/// For the log: a name of a peer.
fn named(program: &imgrepo_proto::session::command::Program) -> String {
    let mut text = shown(&program.name);
    text.push(' ');
    text.push_str(&shown(&program.version));
    text.chars().take(100).collect()
}

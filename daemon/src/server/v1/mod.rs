//! A v1 session: the classic dialect, one command at a time, for the old system's programs.
//!
//! [`run`] is the reader. A command, or the sending of new events, is one future that owns all it
//! needs; while it goes on, the reader keeps reading, so that pings are answered and a closed
//! session is noticed, and keeps a few commands for later. So nothing ever comes between the
//! messages of a download. Contents come in through the [`Gate`], which holds them to what was
//! announced, and go out in parts of one message, so that neither needs memory for what is not due.

mod command;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod texts;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use imgrepo_proto::session::v1::{BadCommand, Command, Reply};
use imgrepo_proto::{ErrorCode, Refusal, Seq};

use super::Context;
use super::entrance::Gone;
use super::registry::{Newcomer, Stand};
use crate::config::Guests;
use crate::link::{Inbox, Incoming, Origin, Outbox};
use crate::repository::{Actor, Receiving};
pub(super) use gate::{Gate, Keeper};

/// Commands that are kept while one is carried out. Old programs send one at a time.
const MAX_WAITING: usize = 8;

/// What has to come of a content each time that it is looked whether it still comes: once a minute,
/// so 4 KB/s. Its share of the memory for contents is taken from the others meanwhile.
pub(super) const MIN_PROGRESS_BYTES: u64 = 256 * 1024;

/// What a command needs.
#[derive(Clone)]
struct Scene {
    context: Arc<Context>,
    outbox: Outbox,
    origin: Origin,
}

/// An upload that was told READY.
struct Expected {
    size: u64,
    receiving: Receiving,
    /// Its share of the budget for contents in memory.
    share: OwnedSemaphorePermit,
    /// Comes when the reply to it was given.
    told: oneshot::Receiver<()>,
}

/// When it is looked whether a content still comes, and how much had come the last time.
#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    came: u64,
}

/// What a finished future leaves to the reader.
enum Left {
    Nothing,
    Person(Actor),
    Expects(Box<Expected>),
    Heard(Seq),
    /// Is let in no more, or nobody knows.
    Gone(Gone),
    Over,
}

type Act = Pin<Box<dyn Future<Output = Left> + Send>>;

struct Session {
    scene: Scene,
    /// None until the first command. Most programs begin with AUTH: who only looks in leaves no
    /// `anon` behind.
    actor: Option<Actor>,
    keeper: Keeper,
    act: Option<Act>,
    waiting: VecDeque<Result<Command, BadCommand>>,
    expected: Option<Box<Expected>>,
    look: Look,
    /// A content that came as announced and is to be stored as soon as the act under way has ended.
    arrived: Option<(Box<Expected>, Bytes)>,
    announced: watch::Receiver<Seq>,
    heard: Seq,
    /// Counts what may have become of the actor.
    people: watch::Receiver<u64>,
    closing: bool,
}

/// Serves a session until it is over.
pub(super) async fn run(
    outbox: Outbox,
    inbox: Inbox,
    keeper: Keeper,
    (origin, newcomer): (Origin, Newcomer),
    context: Arc<Context>,
) {
    let _entry = context.registry.enter(Stand::V1);
    let announced = context.repository.announced();
    let heard = *announced.borrow();
    if context.guests(origin) == Guests::No {
        return turn_away(outbox, inbox, texts::GUESTS_DENIED.to_owned(), 1008).await;
    }
    // It is somebody's from here on: there is nobody that it would have to prove to be.
    newcomer.settle();
    let people = context.repository.people_changed();
    let session = Session {
        scene: Scene { context, outbox, origin },
        actor: None,
        keeper,
        act: None,
        waiting: VecDeque::new(),
        expected: None,
        look: Look { at: Instant::now(), came: 0 },
        arrived: None,
        announced,
        heard,
        people,
        closing: false,
    };
    session.serve(inbox).await;
}

/// One ERROR with a text for people, and the close.
async fn turn_away(outbox: Outbox, mut inbox: Inbox, message: String, code: u16) {
    outbox.push(Reply::Error(message).encode());
    outbox.close(code, "not admitted");
    while inbox.next().await.is_ok() {}
    inbox.finish().await;
}

impl Session {
    async fn serve(mut self, mut inbox: Inbox) {
        let context = self.scene.context.clone();
        let mut stopping = pin!(context.registry.stopping());
        let end = loop {
            if self.act.is_none() && !self.closing {
                self.next_act();
            }
            let idle = self.act.is_none() && !self.closing;
            let room = self.waiting.len() < MAX_WAITING;
            // Dropping any branch is safe: the act stays in its place and goes on in the next round,
            // the next message stays in the socket, changes stay to be seen, and the other two are points
            // in time.
            tokio::select! {
                biased;
                () = &mut stopping, if !self.closing => {
                    if let Some(expected) = self.expected.take() {
                        let refusal = Refusal::new(ErrorCode::ShuttingDown, "the server stops");
                        expected.receiving.fail(refusal);
                    }
                    self.close(1001, "the server stops");
                }
                left = act(&mut self.act) => {
                    self.act = None;
                    self.take_up(left);
                }
                incoming = inbox.next(), if room || self.closing => match incoming {
                    Ok(_) if self.closing => {}
                    Ok(Incoming::Text(text)) => self.text(text.as_str()),
                    Ok(Incoming::Data(content)) => self.content(content),
                    Err(end) => break end,
                },
                () = sleep_until(self.look.at), if self.expected.is_some() => self.look_again(),
                // To be seen by `next_act`.
                Ok(()) = self.people.changed(), if idle => self.people.mark_changed(),
                changed = self.announced.changed(), if idle => {
                    if changed.is_err() {
                        self.close(1001, "the server stops");
                    }
                }
            }
        };
        tracing::debug!(reason = %end, "a v1 session ended");
        // An act under way is given up: an upload whose content is being stored is either committed
        // by the repository or not, and nobody is there to be told.
        inbox.finish().await;
    }

    fn say(&self, reply: Reply) {
        self.scene.outbox.push(reply.encode());
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.closing = true;
        self.expected = None;
        self.arrived = None;
        self.act = None;
        self.scene.outbox.close(code, reason);
    }

    fn text(&mut self, text: &str) {
        if let Some(expected) = self.expected.take() {
            self.keeper.allow(0);
            let refusal = Refusal::new(ErrorCode::Cancelled, "a text came instead of the content");
            return expected.receiving.fail(refusal);
        }
        self.waiting.push_back(Command::decode(text));
    }

    /// A binary message. One that was not announced is empty by now and ignored.
    fn content(&mut self, content: Bytes) {
        let Some(expected) = self.expected.take() else { return };
        self.keeper.allow(0);
        let claimed = self.keeper.claimed();
        if claimed != expected.size || content.len() as u64 != claimed {
            let refusal = Refusal::new(ErrorCode::WrongSize, "another size came than announced");
            return expected.receiving.fail(refusal);
        }
        self.arrived = Some((expected, content));
    }

    /// Ends the session of one whose content does not come: half of it may be on its way in.
    fn look_again(&mut self) {
        let came = self.keeper.came();
        if came - self.look.came >= MIN_PROGRESS_BYTES {
            return self.look_from(came);
        }
        if let Some(expected) = self.expected.take() {
            let refusal = Refusal::new(ErrorCode::Cancelled, "the content did not come");
            expected.receiving.fail(refusal);
        }
        self.close(1008, "the content did not come in time");
    }

    fn look_from(&mut self, came: u64) {
        let patience = self.scene.context.settings.timeouts.upload_stall;
        self.look = Look { at: Instant::now() + patience, came };
    }

    /// The next thing to do, if there is one.
    fn next_act(&mut self) {
        // Before what waits: commands that never end would keep it out.
        if self.people.has_changed().unwrap_or(false) {
            self.people.mark_unchanged();
            if let Some(actor) = self.actor.clone() {
                self.act = Some(Box::pin(command::refresh(self.scene.clone(), actor)));
                return;
            }
        }
        if let Some((expected, content)) = self.arrived.take() {
            self.act = Some(Box::pin(command::store(*expected, content)));
            return;
        }
        // While a content is due no other command is carried out; events go on.
        let command = match self.expected {
            Some(_) => None,
            None => self.waiting.pop_front(),
        };
        let scene = self.scene.clone();
        self.act = match command {
            Some(Ok(Command::Disconnect)) => {
                self.say(Reply::Bye(texts::GOODBYE.to_owned()));
                return self.close(1000, "goodbye");
            }
            Some(Ok(Command::Auth(user))) => Some(Box::pin(command::auth(scene, user))),
            Some(Ok(command)) => match self.actor.clone() {
                Some(actor) => Some(Box::pin(command::carry_out(scene, actor, command))),
                None => {
                    self.waiting.push_front(Ok(command));
                    Some(Box::pin(command::be_anon(scene)))
                }
            },
            Some(Err(bad)) => {
                let reply = Reply::Error(texts::bad_command(&bad));
                Some(Box::pin(command::say_in_order(scene, reply)))
            }
            None => {
                let newest = *self.announced.borrow_and_update();
                let behind = self.heard < newest;
                behind.then(|| -> Act { Box::pin(command::tell(scene, self.heard, newest)) })
            }
        };
    }

    fn take_up(&mut self, left: Left) {
        match left {
            Left::Nothing => {}
            Left::Person(actor) => self.actor = Some(actor),
            Left::Expects(expected) => {
                // First the gate, then the word: the content may come at once.
                self.keeper.allow(expected.size);
                self.look_from(self.keeper.came());
                self.expected = Some(expected);
                let scene = self.scene.clone();
                self.act = Some(Box::pin(command::say_in_order(scene, Reply::Ready)));
            }
            Left::Heard(seq) => self.heard = seq,
            Left::Gone(Gone { code, reason }) => self.close(code, reason),
            Left::Over => self.close(1011, "a fault of the server"),
        }
    }
}

/// The end of the act under way; never, where there is none.
async fn act(act: &mut Option<Act>) -> Left {
    match act {
        Some(act) => act.await,
        None => std::future::pending().await,
    }
}

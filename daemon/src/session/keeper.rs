//! The task behind a [`Session`]: dials, greets, takes what the server says, and starts over.
//!
//! [`Machine`] decides; this carries out. It alone reads a link's inbox and owns what was seen.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use imgrepo_proto::control::reply::{SessionState, SessionStatus};
use imgrepo_proto::invitation::HostPort;
use imgrepo_proto::{ErrorCode, PersonName, Seq};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::host::{self, Mutant, random};
use crate::link::{End, Incoming};

use super::attempt::{Failed, Reached, reach};
use super::feed::Whose;
use super::greet::lost;
use super::machine::{Action, Input, Machine};
use super::peer::{Dialog, Heard, v1::V1, v2::V2};
use super::seen::Seen;
use super::up::Up;
use super::wake::Sleeps;
use super::{Address, Connection, Dialect, Session, Settings, Wish};

/// How long after an event the last one seen is written down: after a crash at most the events of so
/// long are read again.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Told in the status of every session to an old server.
const OLD_SERVER: &str = "this is an old server: ids are places in its list, only uploads are told live, and after a cut an image may be stored twice";

/// Runs until [`Session::end`].
pub(super) async fn run(session: Session, settings: Settings) {
    let path = settings.seen.clone();
    let opened = host::blocking(move || Seen::open(path)).await;
    let Ok((seen, notice)) = opened else {
        // Only a runtime that shuts down does not run it.
        return;
    };
    let mut wished = session.0.wished.subscribe();
    let mut keeper = Keeper {
        session,
        settings,
        machine: Machine::new(host::now()),
        seen: Some(seen),
        saving: None,
        seen_notice: notice,
        histories: HashSet::new(),
        worked: None,
    };
    loop {
        wished.mark_unchanged();
        let (number, wish) = keeper.session.wish().clone();
        match wish {
            Wish::Online(address, user) => {
                keeper.keep(number, &address, &user, &mut wished).await;
            }
            Wish::Offline | Wish::Ended => {
                keeper.machine.handle(Input::Disconnect, host::now(), 0);
                keeper.save().await;
                let ended = wish == Wish::Ended;
                keeper.publish(number, None, ended);
                if ended || wished.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

struct Keeper {
    session: Session,
    settings: Settings,
    machine: Machine,
    /// None only while it is being written.
    seen: Option<Seen>,
    saving: Option<JoinHandle<()>>,
    seen_notice: Option<String>,
    /// Old servers whose HISTORY was told.
    histories: HashSet<String>,
    /// Which of a server's addresses worked last.
    worked: Option<HostPort>,
}

impl Keeper {
    /// Keeps the session to one server until the person wants something else.
    async fn keep(
        &mut self,
        number: u64,
        address: &Address,
        user: &PersonName,
        wished: &mut watch::Receiver<u64>,
    ) {
        let mut up: Option<Up> = None;
        let mut input = Input::Connect;
        // What the log says already: a server that is away for a week is one line of it.
        let mut told = None;
        loop {
            match &input {
                Input::Failed(failure, _) if told.as_ref() != Some(&failure.refusal) => {
                    let next = if failure.permanent { "not tried" } else { "tried" };
                    tracing::info!("{}; it is {next} again", failure.refusal);
                    told = Some(failure.refusal.clone());
                }
                Input::Greeted => {
                    tracing::info!("connected to `{address}`");
                    told = None;
                }
                _ => {}
            }
            let action = self.machine.handle(input, host::now(), random());
            self.publish(number, up.as_ref(), false);
            input = match (action, up.take()) {
                (Action::Rest, _) => {
                    let _ = wished.changed().await;
                    return;
                }
                (Action::Wait(wait), _) => tokio::select! {
                    biased;
                    // A wait that is dropped was for nothing that is wanted any more.
                    _ = wished.changed() => return,
                    () = tokio::time::sleep(wait) => Input::Woken,
                },
                (Action::Dial, _) => {
                    let outcome = tokio::select! {
                        biased;
                        // A connection that is dropped half-way closes itself.
                        _ = wished.changed() => return,
                        outcome = self.establish(address, user) => outcome,
                    };
                    match outcome {
                        Ok(established) => {
                            up = Some(established);
                            Input::Greeted
                        }
                        Err((failure, age)) => Input::Failed(failure, age),
                    }
                }
                (Action::Serve, None) => Input::Woken,
                (Action::Serve, Some(mut served)) => {
                    let end = tokio::select! {
                        biased;
                        // What the inbox has not given stays there for the goodbye.
                        _ = wished.changed() => None,
                        end = self.serve(number, address, &mut served) => Some(end),
                    };
                    let Some(end) = end else {
                        served.goodbye(&self.session).await;
                        self.note_seen(address);
                        return;
                    };
                    served.dialog.end(&end);
                    served.inbox.finish().await;
                    self.note_seen(address);
                    Input::Failed(lost(&end, address), Duration::ZERO)
                }
            };
        }
    }

    /// Reaches the server. Where what was remembered is not true any more the server is greeted once
    /// more without it; where another repository is there, with what is remembered of that.
    async fn establish(&mut self, address: &Address, user: &PersonName) -> Result<Up, Failed> {
        let key = address.to_string();
        let program = self.settings.program.clone();
        let time_out = self.settings.connect_timeout;
        let mut moved = false;
        loop {
            let known = self.seen.as_ref().and_then(|seen| seen.at(&key));
            let mut since = known.as_ref().map(|(_, seq)| *seq);
            if host::is_mutant(Mutant::SkipEvent) {
                since = since.map(Seq::next);
            }
            let worked = self.worked.as_ref();
            let reached = reach(address, worked, user, &program, since, time_out).await;
            let Reached { outbox, inbox, reply, place } = match reached {
                Err((failure, _))
                    if failure.refusal.code == ErrorCode::Ahead && known.is_some() =>
                {
                    tracing::warn!(server = %address, "{}; it is followed from its newest event on", failure.refusal);
                    if let Some(seen) = &mut self.seen {
                        seen.forget(&key);
                    }
                    continue;
                }
                reached => reached?,
            };
            if place.is_some() {
                self.worked = place;
            }
            let transport = address.transport();
            let Some(reply) = reply else {
                self.session.feed().begin(Whose::Old(key.clone()), Seq(0), Seq(0));
                let told = !self.histories.insert(key.clone());
                let v1 = V1::new(outbox.clone(), key, user.to_string(), told);
                return Ok(Up { outbox, inbox, dialog: Dialog::V1(Arc::new(v1)), transport });
            };
            if known.is_some_and(|(repository, _)| repository != reply.repository) {
                tracing::warn!(server = %address, repository = %reply.repository, "another repository is there now");
                if let Some(seen) = &mut self.seen {
                    seen.leads_to(&key, &reply.repository);
                }
                // One that names another each time is taken at its last word.
                if !std::mem::replace(&mut moved, true) {
                    continue;
                }
                since = None;
            }
            let received = since.unwrap_or(reply.seq);
            let whose = Whose::Repository(reply.repository.clone());
            self.session.feed().begin(whose, received, reply.seq);
            if let Some(seen) = &mut self.seen {
                seen.saw(&key, &reply.repository, received);
            }
            let v2 = V2::new(outbox.clone(), reply, key, user.clone());
            return Ok(Up { outbox, inbox, dialog: Dialog::V2(Arc::new(v2)), transport });
        }
    }

    /// Takes what the server says until the link ends.
    async fn serve(&mut self, number: u64, address: &Address, up: &mut Up) -> End {
        let session = self.session.clone();
        // What the greeting told is written down at once; then only what is new.
        let mut save_at = Some(Instant::now());
        let mut sleeps = Sleeps::new();
        loop {
            // All are cancel-safe: a message stays in the inbox, a moment comes again, a sleep is told.
            // What is rare goes first: a server that never pauses must not keep it away.
            tokio::select! {
                biased;
                slept = sleeps.next() => {
                    up.outbox.abort(&format!("this computer slept for {} s", slept.as_secs()));
                }
                () = sleep_until(save_at.unwrap_or_else(Instant::now)), if save_at.is_some() => {
                    self.note_seen(address);
                    save_at = (!self.start_saving()).then(|| Instant::now() + SAVE_EVERY);
                }
                message = up.inbox.next() => match message {
                    Ok(Incoming::Text(text)) => {
                        let before = session.feed().received();
                        match up.dialog.text(&text, &session).await {
                            Heard::Actor => self.publish_actor(number, &up.dialog),
                            Heard::Lost => session.0.losses.send_modify(|count| *count += 1),
                            Heard::Bye | Heard::Other => {}
                        }
                        let received = session.feed().received();
                        if received != before {
                            session.0.status.send_modify(|status| status.seq = Some(received));
                            save_at.get_or_insert_with(|| Instant::now() + SAVE_EVERY);
                        }
                    }
                    Ok(Incoming::Data(bytes)) => up.dialog.data(bytes),
                    Err(end) => return end,
                },
            }
        }
    }

    fn note_seen(&mut self, address: &Address) {
        let repository = self.session.0.status.borrow().repository.clone();
        if let (Some(seen), Some(repository)) = (&mut self.seen, repository) {
            seen.saw(&address.to_string(), &repository, self.session.feed().received());
        }
    }

    /// Writes down what was seen, beside everything else, one writing at a time. The task is waited
    /// for by [`Keeper::save`]. False where one is still under way.
    fn start_saving(&mut self) -> bool {
        if self.saving.as_ref().is_some_and(|saving| !saving.is_finished()) {
            return false;
        }
        if let Some(unsaved) = self.seen.as_mut().and_then(Seen::take_unsaved) {
            self.saving = Some(host::blocking(move || {
                if let Err(error) = unsaved.save() {
                    tracing::warn!(%error, "cannot write down the last event seen");
                }
            }));
        }
        true
    }

    async fn save(&mut self) {
        for _ in 0..2 {
            if let Some(saving) = self.saving.take() {
                // A panic in there was reported; there is nothing to do for it here.
                let _ = saving.await;
            }
            self.start_saving();
        }
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
    }

    /// Tells how it stands, unless the person has wished for something else meanwhile.
    fn publish(&self, number: u64, up: Option<&Up>, ended: bool) {
        let wish = self.session.wish();
        if wish.0 != number {
            return;
        }
        let machine = &self.machine;
        let dialog = up.map(|up| &up.dialog);
        let connection = match (machine.state, dialog) {
            (SessionState::Connected, Some(dialog)) => Connection::Up(dialog.clone()),
            (SessionState::Refused, _) => match machine.error.clone() {
                Some(refusal) => Connection::Refused(refusal),
                None => Connection::Offline,
            },
            (SessionState::Offline, _) if ended => Connection::Ended,
            (SessionState::Offline, _) => Connection::Offline,
            _ => Connection::Trying(machine.error.clone()),
        };
        self.session.0.status.send_modify(|status| {
            status.state = machine.state;
            status.since = machine.since;
            status.retry_at = machine.retry_at;
            status.error.clone_from(&machine.error);
            status.notice.clone_from(&self.seen_notice);
            status.transport = up.map(|up| up.transport);
            describe(status, dialog);
        });
        self.session.0.connection.set(connection);
    }

    /// Tells that we are something else at the server. Whoever waits for another server hears of it:
    /// this one may take now what it refused.
    fn publish_actor(&self, number: u64, dialog: &Dialog) {
        let wish = self.session.wish();
        if wish.0 != number {
            return;
        }
        let Dialog::V2(v2) = dialog else { return };
        let role = v2.actor().role;
        tracing::info!("the role here is {} now", imgrepo_proto::name::shown(&role));
        self.session.0.status.send_modify(|status| status.role = Some(role));
        self.session.0.connection.set(Connection::Up(dialog.clone()));
    }
}

/// What is known of the server, while it is there.
fn describe(status: &mut SessionStatus, dialog: Option<&Dialog>) {
    status.dialect = None;
    status.server = None;
    status.role = None;
    status.can.clear();
    match dialog {
        Some(Dialog::V2(v2)) => {
            status.dialect = Some(Dialect::V2.word().to_owned());
            status.server = Some(v2.greeting.server.clone());
            let actor = v2.actor();
            status.role = Some(actor.role);
            status.can = actor.can;
            if status.repository.as_ref() != Some(&v2.greeting.repository) {
                status.repository = Some(v2.greeting.repository.clone());
                status.seq = None;
            }
            // Never beyond the newest: the server may have been restored from a backup.
            let newest = v2.greeting.seq;
            status.seq = Some(status.seq.map_or(newest, |seq| seq.min(newest)));
        }
        Some(Dialog::V1(_)) => {
            status.dialect = Some(Dialect::V1.word().to_owned());
            status.repository = None;
            status.seq = None;
            status.notice = Some(OLD_SERVER.to_owned());
        }
        None => {}
    }
}

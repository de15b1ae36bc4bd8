//! The window's place at the daemon, and what the daemon tells of itself: how the session stands,
//! what is to be shown, what happens in the repository. Two threads for as long as the process
//! lives; each comes back by itself however often the daemon or the session goes away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use imgrepo_proto::control::reply::{SessionState, SessionStatus};
use imgrepo_proto::control::window::{WindowItem, WindowRequest};
use imgrepo_proto::control::{Client, Endpoint, Reply, Request};
use imgrepo_proto::{ErrorCode, Refusal, RepositoryId, Seq};

use crate::bridge::Told;
use crate::mailbox::{Mailbox, Turn};
use crate::program;

/// Between two tries to reach a daemon that is away: a connection that is refused costs nothing,
/// and a person who starts it looks at the window.
const AGAIN: Duration = Duration::from_millis(300);

/// What is known of the window's place at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// It is this window's.
    Own,
    /// Another window has it.
    Taken,
    /// No daemon answers, or not yet.
    Unknown,
}

/// The last that was heard of the session; None while there is no daemon.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    last: Mutex<Option<SessionStatus>>,
    changed: Condvar,
    /// How often the daemon went away.
    ends: AtomicU64,
}

/// What was started.
pub(crate) struct Attached {
    first: Receiver<First>,
    /// How the session stands, for who wants to know.
    pub(crate) standing: Arc<Standing>,
}

impl Attached {
    /// What the daemon says at first, where it does within this time.
    pub(crate) fn first(&self, within: Duration) -> First {
        self.first.recv_timeout(within).unwrap_or(First::Unknown)
    }
}

/// Begins to take the place, and to follow what happens.
pub(crate) fn start(endpoint: Endpoint, mailbox: Mailbox) -> Attached {
    let standing = Arc::new(Standing::default());
    let (say, first) = sync_channel(1);
    let place = Place { endpoint, mailbox, standing: Arc::clone(&standing) };
    let following = place.clone();
    // Neither is joined: they wait for the daemon, and end with the process.
    thread::spawn(move || place.keep(&say));
    thread::spawn(move || following.follow());
    Attached { first, standing }
}

#[derive(Clone)]
struct Place {
    endpoint: Endpoint,
    mailbox: Mailbox,
    standing: Arc<Standing>,
}

impl Place {
    /// Takes the place whenever it can be had, and hands on what comes over it.
    fn keep(&self, first: &SyncSender<First>) {
        let mut repository = None;
        let mut is_gone = false;
        loop {
            let request = Request::Window(WindowRequest::Attach);
            let ended = Client::connect(&self.endpoint, program()).and_then(|mut daemon| {
                daemon.call_with(&request, &mut |reply| {
                    let _ = first.try_send(First::Own);
                    is_gone = false;
                    match reply {
                        Reply::Window(WindowItem::Session(status)) => {
                            self.stands(*status, &mut repository);
                        }
                        Reply::Window(WindowItem::Show(image)) => {
                            self.mailbox.turn(Turn::Show(image));
                        }
                        _ => {}
                    }
                    Ok(())
                })
            });
            let refusal = match ended {
                Err(refusal) => refusal,
                // It never ends so.
                Ok(_) => Refusal::new(ErrorCode::NotRunning, "the daemon has ended"),
            };
            let is_taken = refusal.code == ErrorCode::Conflict;
            let _ = first.try_send(if is_taken { First::Taken } else { First::Unknown });
            // Told once: nobody hears three times a second that nothing has changed.
            if !is_taken && !std::mem::replace(&mut is_gone, true) {
                self.standing.set(None);
                self.mailbox.tell(Told::Session { state: "gone", message: refusal.message });
            }
            thread::sleep(AGAIN);
        }
    }

    fn stands(&self, status: SessionStatus, repository: &mut Option<RepositoryId>) {
        let before = repository.take();
        repository.clone_from(&status.repository);
        let is_other = match (&before, &status.repository) {
            (Some(before), Some(now)) => before != now,
            _ => false,
        };
        // While it is not known, the last that was.
        if repository.is_none() {
            *repository = before;
        }
        let told = told(&status);
        self.standing.set(Some(status));
        if is_other {
            self.mailbox.turn(Turn::Reload);
        }
        self.mailbox.tell(told);
    }

    /// Hands on what happens in the repository, each event once and in order.
    fn follow(&self) {
        let mut since: Option<Seq> = None;
        loop {
            // Kept from the first time on: the session's own number goes on without us.
            let connected = self.standing.connected();
            since = since.or(connected);
            let request = Request::Events { since, follow: true };
            let ended = Client::connect(&self.endpoint, program()).and_then(|mut daemon| {
                daemon.call_with(&request, &mut |reply| {
                    if let Reply::Event(event) = reply {
                        since = event.seq.or(since);
                        self.mailbox.tell(Told::Event { event });
                    }
                    Ok(())
                })
            });
            // Another repository, or one that was restored: its history begins anew for the page.
            let codes = [ErrorCode::Conflict, ErrorCode::Ahead];
            if ended.is_err_and(|refusal| codes.contains(&refusal.code)) {
                since = None;
                self.mailbox.turn(Turn::Reload);
            }
            thread::sleep(AGAIN);
        }
    }
}

impl Standing {
    fn lock(&self) -> MutexGuard<'_, Option<SessionStatus>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, status: Option<SessionStatus>) {
        if status.is_none() {
            self.ends.fetch_add(1, Ordering::Release);
        }
        *self.lock() = status;
        self.changed.notify_all();
    }

    /// The last that was heard.
    pub(crate) fn now(&self) -> Option<SessionStatus> {
        self.lock().clone()
    }

    /// How often the daemon went away: a connection from before such an end leads nowhere.
    pub(crate) fn ends(&self) -> u64 {
        self.ends.load(Ordering::Acquire)
    }

    /// Waits until the session is connected; the newest event that it knows.
    fn connected(&self) -> Option<Seq> {
        let is_up = |last: &mut Option<SessionStatus>| {
            last.as_ref().is_none_or(|status| status.state != SessionState::Connected)
        };
        let last = self.changed.wait_while(self.lock(), is_up);
        last.unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|status| status.seq)
    }
}

/// How the session stands, as the page is told.
fn told(status: &SessionStatus) -> Told {
    let state = match status.state {
        SessionState::Offline => "offline",
        SessionState::Connecting => "connecting",
        SessionState::Connected => "connected",
        SessionState::Waiting => "waiting",
        SessionState::Refused => "refused",
    };
    let message = status.error.as_ref().map(|refusal| refusal.message.clone());
    Told::Session { state, message: message.unwrap_or_default() }
}

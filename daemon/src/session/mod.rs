//! The client's session to a repository's server: one, kept up, whatever happens to it.
//!
//! [`Session`] is the handle that everyone above holds: it says where to connect, how it stands,
//! and gives the server's [`Peer`] to ask and [`Follower`]s of what happens. Behind it one task, the
//! keeper, dials, greets and takes what the server says. Here nothing is ever done twice for a
//! caller that changes something; transfers that outlive a cut are the `transfer` room's.

mod attempt;
mod backoff;
mod credentials;
mod current;
mod dial;
pub(crate) mod document;
mod feed;
mod follower;
mod greet;
mod join;
mod keeper;
mod machine;
mod peer;
mod race;
mod route;
mod seen;
mod turns;
mod up;
mod url;
mod wake;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imgrepo_proto::control::reply::{SessionState, SessionStatus, Transport};
use imgrepo_proto::invitation::Trust;
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{BlobHash, ErrorCode, PersonName, Refusal, Secret, Seq};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::host;

pub use credentials::{Credentials, Joined};
pub use follower::Follower;
pub use join::join;
pub use peer::{DownloadCall, DownloadStep, Peer, Turn, UploadCall, UploadStep};
pub use route::Route;
pub use url::ServerUrl;

pub(crate) use backoff::Backoff;
pub(crate) use dial::stream;
pub(crate) use peer::{CallError, classic};

use current::{Current, Seen};
use feed::Feed;
use peer::Dialog;
use turns::Turns;

/// How long a command waits for a session that is being opened: the command line's contract.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the server has to say BYE before the session is closed without it.
const GOODBYE: Duration = Duration::from_secs(2);

/// Where a server is.
#[derive(Clone)]
pub enum Address {
    /// At this URL, as somebody typed it; nothing else is known of it.
    Url(ServerUrl),
    /// Where it is by what is known of it: always by TLS.
    Route(Route),
    /// In this process: each call opens a pipe to it, on which v2 is spoken at once.
    Local(Arc<dyn Fn() -> DuplexStream + Send + Sync>),
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Url(url) => url.fmt(f),
            Address::Route(route) => route.url().fmt(f),
            Address::Local(_) => f.write_str("local"),
        }
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Address::Url(a), Address::Url(b)) => a == b,
            (Address::Route(a), Address::Route(b)) => a == b,
            (Address::Local(a), Address::Local(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Address {
    /// What AUTH says to the server that is there.
    fn credential(&self) -> Option<&Secret> {
        match self {
            Address::Route(route) => route.credential.as_ref(),
            Address::Url(_) | Address::Local(_) => None,
        }
    }

    /// How what is said on the way is kept from others.
    fn transport(&self) -> Transport {
        match self {
            Address::Local(_) => Transport::Local,
            Address::Url(url) if url.is_tls() => Transport::Authorities,
            Address::Url(_) => Transport::Plain,
            Address::Route(route) => match route.trust {
                Trust::Pin(_) => Transport::Pinned,
                Trust::Authorities => Transport::Authorities,
            },
        }
    }
}

/// The dialect of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The old system's.
    V1,
    /// `imgrepo.v2`.
    V2,
}

impl Dialect {
    /// Its word in a status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Dialect::V1 => "v1",
            Dialect::V2 => "v2",
        }
    }
}

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who we say we are.
    pub program: Program,
    /// The file that remembers the last event seen of each repository.
    pub seen: PathBuf,
    /// How long a connection, and then the reply to AUTH, may take.
    pub connect_timeout: Duration,
}

/// What the person wants.
#[derive(Debug, Clone, PartialEq)]
enum Wish {
    Offline,
    Online(Address, PersonName),
    /// The daemon stops.
    Ended,
}

/// What there is to ask, for those who wait for it.
#[derive(Debug, Clone)]
enum Connection {
    Offline,
    /// Being opened; why it is not yet, where something went wrong.
    Trying(Option<Refusal>),
    Up(Dialog),
    Refused(Refusal),
    Ended,
}

/// The session's handle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Session(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The person's wish and its number, which grows: what the keeper tells of an older wish is
    /// not published.
    wish: Mutex<(u64, Wish)>,
    wished: watch::Sender<u64>,
    status: watch::Sender<SessionStatus>,
    connection: Current<Connection>,
    feed: Feed,
    turns: Turns,
    /// How often a server said that it has lost contents.
    losses: watch::Sender<u64>,
}

impl Session {
    /// Starts the keeper, offline. Its task ends after [`Session::end`].
    #[must_use]
    pub fn start(settings: Settings) -> (Session, JoinHandle<()>) {
        let user = PersonName::anon().to_string();
        let status = SessionStatus::new(SessionState::Offline, None, user, host::now());
        let session = Session(Arc::new(Shared {
            wish: Mutex::new((0, Wish::Offline)),
            wished: watch::Sender::new(0),
            status: watch::Sender::new(status),
            connection: Current::new(Connection::Offline),
            feed: Feed::new(),
            turns: Turns::default(),
            losses: watch::Sender::new(0),
        }));
        let task = tokio::spawn(keeper::run(session.clone(), settings));
        (session, task)
    }

    /// Opens the session to this server as this person and keeps it open. One to another server, or
    /// as another person, ends. When this returns the status says `connecting` or better.
    pub fn connect(&self, address: Address, user: PersonName) {
        let mut wish = self.wish();
        let state = self.0.status.borrow().state;
        let wanted = Wish::Online(address.clone(), user.clone());
        let under_way = matches!(state, SessionState::Connecting | SessionState::Connected);
        if wish.1 == Wish::Ended || (wish.1 == wanted && under_way) {
            return;
        }
        *wish = (wish.0 + 1, wanted);
        self.0.status.send_modify(|status| {
            let (url, user) = (Some(address.to_string()), user.to_string());
            *status = SessionStatus::new(SessionState::Connecting, url, user, host::now());
        });
        self.0.connection.set(Connection::Trying(None));
        self.0.wished.send_replace(wish.0);
    }

    /// Ends the session in order and stays offline; returns when it has ended.
    pub async fn disconnect(&self) {
        self.leave(Wish::Offline).await;
    }

    /// Ends the session in order, and the keeper's task.
    pub async fn end(&self) {
        self.leave(Wish::Ended).await;
    }

    /// Waits until no other upload of this content is under way here, and keeps others waiting until
    /// what it returns is dropped. The server lets the newer of two take over from the older: two
    /// files of one content would drive each other out.
    pub async fn turn(&self, hash: BlobHash) -> impl Sized + use<> {
        self.0.turns.take(hash).await
    }

    async fn leave(&self, to: Wish) {
        let number = {
            let mut wish = self.wish();
            if wish.1 == Wish::Ended {
                return;
            }
            *wish = (wish.0 + 1, to);
            self.0.wished.send_replace(wish.0);
            wish.0
        };
        let mut connection = self.0.connection.seen();
        // Waits for the keeper, whose goodbye has a time limit. A newer wish is somebody else's.
        let left = connection
            .wait_for(|connection| matches!(connection, Connection::Offline | Connection::Ended));
        let mut wished = self.0.wished.subscribe();
        let overtaken = wished.wait_for(|newest| *newest != number);
        tokio::select! { biased; _ = left => {}, _ = overtaken => {} }
    }

    /// How the session stands, and each change of it.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<SessionStatus> {
        self.0.status.subscribe()
    }

    /// The server to ask. While the session is being opened this waits for 5 s.
    ///
    /// # Errors
    /// `not_connected` when it is not up by then, or at once where nobody wants it; the server's
    /// refusal where it refused.
    pub async fn peer(&self) -> Result<Peer, Refusal> {
        match tokio::time::timeout(PATIENCE, self.peer_unbounded()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.not_yet()),
        }
    }

    /// The server to ask, however long it takes.
    ///
    /// # Errors
    /// As [`Session::peer`], but for the time.
    pub async fn peer_unbounded(&self) -> Result<Peer, Refusal> {
        let mut connection = self.0.connection.seen();
        loop {
            let standing = self.standing(&connection.look())?;
            match standing {
                Some(dialog) => return Ok(Peer::new(self.clone(), dialog)),
                None => connection.changed().await,
            }
        }
    }

    /// Wakes when the server says that it has lost contents.
    pub(crate) fn losses(&self) -> watch::Receiver<u64> {
        self.0.losses.subscribe()
    }

    /// The server to ask, as it comes and goes.
    pub(crate) fn servers(&self) -> Servers {
        Servers { session: self.clone(), connection: self.0.connection.seen() }
    }

    /// Events after this one, or from now on: see [`Follower`].
    #[must_use]
    pub fn follow(&self, since: Option<Seq>) -> Follower {
        Follower::new(self.clone(), since)
    }

    /// What a connection is to someone who waits: something to ask, nothing yet, or no use waiting.
    fn standing(&self, connection: &Connection) -> Result<Option<Dialog>, Refusal> {
        match connection {
            // Over already, and the keeper is about to say so.
            Connection::Up(dialog) if dialog.is_over() => Ok(None),
            Connection::Up(dialog) => Ok(Some(dialog.clone())),
            Connection::Trying(_) => Ok(None),
            Connection::Refused(refusal) => Err(refusal.clone()),
            Connection::Ended => Err(ended()),
            Connection::Offline => Err(offline()),
        }
    }

    fn not_yet(&self) -> Refusal {
        let url = self.0.status.borrow().url.clone().unwrap_or_default();
        let why = match &*self.0.connection.look() {
            Connection::Trying(Some(refusal)) => refusal.message.clone(),
            _ => format!("not connected to `{url}` yet"),
        };
        Refusal::new(ErrorCode::NotConnected, why)
            .hint("it is tried again by itself; `imgctl status` says how it stands")
    }

    fn feed(&self) -> &Feed {
        &self.0.feed
    }

    fn wish(&self) -> MutexGuard<'_, (u64, Wish)> {
        self.0.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server to ask, as it comes and goes: for whoever does something whenever there is one.
#[derive(Debug)]
pub(crate) struct Servers {
    session: Session,
    connection: Seen<Connection>,
}

impl Servers {
    /// The one that there is.
    pub(crate) fn now(&mut self) -> Option<Peer> {
        let standing = self.session.standing(&self.connection.look());
        standing.ok().flatten().map(|dialog| Peer::new(self.session.clone(), dialog))
    }

    /// Waits until that may be another than it was. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        self.connection.changed().await;
    }
}

fn offline() -> Refusal {
    Refusal::new(ErrorCode::NotConnected, "there is no session: the daemon is offline")
        .hint("`imgctl connect HOST` opens one")
}

fn ended() -> Refusal {
    Refusal::new(ErrorCode::ShuttingDown, "the daemon is about to end")
}

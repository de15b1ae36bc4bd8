//! The server: everybody's sessions to one repository.
//!
//! [`Server::start`] binds and serves; sessions of both dialects come in by TCP, with TLS or without
//! it as the first byte says, the owner's own by the [`LocalDoor`] without leaving the process. Who is
//! let in is `entrance`'s. A session reads and changes the repository, and learns of changes from its
//! feed alone: nothing here assumes to be the only server of it, and nothing here keeps anything.

mod entrance;
mod feed;
mod figures;
mod http;
mod inviting;
mod listener;
mod proxy;
mod rates;
mod reach;
mod registry;
mod v1;
mod v2;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::DuplexStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use imgrepo_proto::invitation::HostPort;
use imgrepo_proto::limits::{self, SessionLimits};
use imgrepo_proto::session::command::Program;
use imgrepo_proto::session::data::HEADER_BYTES;

use crate::config::Guests;
use crate::link::{self, LinkSettings, Origin};
use crate::repository::Repository;
use crate::tls::Identity;
use figures::Figures;
use rates::Rates;
use registry::Registry;

pub use http::HEAD_BYTES;
#[cfg(feature = "fuzzing")]
pub use http::fuzzing as fuzzing_http;
pub use rates::{FAILED_BY_ADDRESS, FAILED_BY_NAME, GUESTS_BY_ADDRESS};
pub use reach::{addresses, public_name};
#[cfg(feature = "fuzzing")]
pub use v1::fuzzing as fuzzing_v1;

/// How a server serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What people without an account may do.
    pub guests: Guests,
    /// Whether those who come from elsewhere without encryption are spoken with: as guests alone, for
    /// programs that know no better. Else they are told how to get in.
    pub plaintext_guests: bool,
    /// With what it encrypts; without, only what comes from the loopback or by a proxy is private.
    pub identity: Option<Identity>,
    /// The proxies whose word on their clients is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// The name by which others reach this server, for requests' Host and Origin.
    pub public_host: Option<String>,
    /// What v2 clients are told.
    pub limits: SessionLimits,
    /// The largest image that is taken over v1.
    pub v1_max_image_bytes: u64,
    /// All v1 contents that may be in memory together.
    pub v1_budget_bytes: u64,
    /// Connections at once; more wait in the kernel, where none of these is silent.
    pub max_sessions: u32,
    /// Sessions at once from one address, but from this computer's own.
    pub sessions_per_address: u32,
    /// Sessions at once of one account.
    pub sessions_per_person: u32,
    /// How long peers are waited for.
    pub timeouts: Timeouts,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], limits::DEFAULT_PORT)),
            guests: Guests::Upload,
            plaintext_guests: false,
            identity: None,
            trusted_proxies: Vec::new(),
            public_host: None,
            limits: SessionLimits::default(),
            v1_max_image_bytes: limits::V1_MAX_IMAGE_BYTES,
            v1_budget_bytes: limits::V1_BUDGET_BYTES,
            max_sessions: 10_000,
            sessions_per_address: 100,
            sessions_per_person: 64,
            timeouts: Timeouts::default(),
        }
    }
}

/// How long a server waits for its peers.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For TLS and the head of the first HTTP request together, and for each request after it.
    pub handshake: Duration,
    /// For a browser's next request.
    pub idle: Duration,
    /// For AUTH, in v2.
    pub auth: Duration,
    /// For an acknowledgement of a download's bytes.
    pub download_stall: Duration,
    /// For the next bytes of a v1 content, or of a browser's.
    pub upload_stall: Duration,
    /// As in [`LinkSettings`].
    pub ping_every: Duration,
    /// As in [`LinkSettings`].
    pub write_stall: Duration,
    /// For a session to end, and for all of them when the server stops.
    pub stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let link = LinkSettings::default();
        Timeouts {
            handshake: Duration::from_secs(5),
            // A person who looks through pictures asks for the next within it, and a place is not held
            // much longer than by one who never came.
            idle: Duration::from_secs(30),
            auth: Duration::from_secs(10),
            // A window of 1 MiB takes this long at 17 KB/s, and most clients acknowledge sooner.
            download_stall: Duration::from_secs(60),
            // As long: see `v1` for how much has to come.
            upload_stall: Duration::from_secs(60),
            ping_every: link.ping_every,
            write_stall: link.write_stall,
            stop: Duration::from_secs(5),
        }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on `{0}`: {1}")]
    Bind(SocketAddr, #[source] io::Error),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    door: LocalDoor,
    context: Arc<Context>,
    /// Owns every session.
    task: JoinHandle<()>,
}

impl Server {
    /// Binds and serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(settings: Settings, repository: Repository) -> Result<Server, StartError> {
        let listen = settings.listen;
        let listener = reach::listen(listen).map_err(|error| StartError::Bind(listen, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Bind(listen, error))?;
        let (sender, door) = mpsc::channel(LOCAL_SESSIONS);
        let context = Arc::new(Context::new(settings, address, repository));
        let task = tokio::spawn(listener::serve(listener, door, context.clone()));
        Ok(Server { address, door: LocalDoor(sender), context, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The owner's way in.
    #[must_use]
    pub fn local(&self) -> LocalDoor {
        self.door.clone()
    }

    /// Sessions that are open, local ones included.
    #[must_use]
    pub fn sessions(&self) -> u32 {
        self.context.registry.open()
    }

    /// Where others come to it, as invitations say it. Blocks for a moment.
    #[must_use]
    pub fn addresses(&self) -> Vec<HostPort> {
        match self.context.way_in() {
            Ok(way) => way.addresses,
            Err(_) => addresses(self.address, self.context.settings.public_host.as_deref()),
        }
    }

    /// By what its key is known, where it encrypts by itself.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        self.context.settings.identity.as_ref().map(Identity::fingerprint)
    }

    /// Ends every session (1001) and the server; sessions that do not end in time are cut.
    pub async fn stop(mut self) {
        self.context.registry.stop();
        let patience = self.context.settings.timeouts.stop;
        if tokio::time::timeout(patience, &mut self.task).await.is_err() {
            tracing::warn!("some sessions did not end in time and were cut");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Takes every session with it: they are the task's.
        self.task.abort();
    }
}

/// Local sessions that may wait to be taken up: there is one, and its redials.
const LOCAL_SESSIONS: usize = 16;

/// What a local stream holds in either direction: a few data messages.
const LOCAL_BUFFER_BYTES: usize = 256 * 1024;

/// The owner's way in: a v2 session that never leaves the process.
#[derive(Debug, Clone)]
pub struct LocalDoor(mpsc::Sender<(DuplexStream, Origin)>);

impl LocalDoor {
    /// A stream on which WebSocket frames may go at once, without an HTTP request before. It is at
    /// its end at once where the server has stopped.
    #[must_use]
    pub fn open(&self) -> DuplexStream {
        self.open_from(Origin::Local)
    }

    /// As [`LocalDoor::open`], of somebody who came from elsewhere by a way that the caller knows: over
    /// a network that a test made up.
    #[must_use]
    pub fn open_from(&self, origin: Origin) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(LOCAL_BUFFER_BYTES);
        if self.0.try_send((theirs, origin)).is_err() {
            tracing::debug!("the server takes no local session now");
        }
        ours
    }
}

/// What every session knows.
struct Context {
    settings: Settings,
    /// Where it listens.
    address: SocketAddr,
    repository: Repository,
    registry: Registry,
    rates: Rates,
    figures: Figures,
    /// For the page of figures.
    started_at_seconds: f64,
    /// In KiB, of [`Settings::v1_budget_bytes`].
    v1_budget: Arc<Semaphore>,
    program: Program,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Context {
    fn new(settings: Settings, address: SocketAddr, repository: Repository) -> Self {
        let budget = usize::try_from(settings.v1_budget_bytes / 1024).unwrap_or(usize::MAX);
        let program = Program {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Context {
            settings,
            address,
            repository,
            registry: Registry::default(),
            rates: Rates::default(),
            figures: Figures::default(),
            started_at_seconds: jiff::Timestamp::now().as_millisecond() as f64 / 1000.0,
            v1_budget: Arc::new(Semaphore::new(budget.min(Semaphore::MAX_PERMITS))),
            program,
        }
    }

    fn link_settings_v2(&self) -> LinkSettings {
        let chunk = self.settings.limits.chunk as usize + HEADER_BYTES;
        self.link_settings(chunk.max(limits::MAX_TEXT_BYTES))
    }

    fn link_settings_v1(&self) -> LinkSettings {
        // The gate below holds each message to what is due; this is only tungstenite's own bound.
        let image = usize::try_from(self.settings.v1_max_image_bytes).unwrap_or(usize::MAX);
        self.link_settings(image.max(limits::MAX_TEXT_BYTES))
    }

    fn link_settings(&self, max_message_bytes: usize) -> LinkSettings {
        LinkSettings {
            max_message_bytes,
            // Thousands of sessions are idle: what much is read into is gathered below.
            read_buffer_bytes: link::SPARSE_BYTES,
            ping_every: self.settings.timeouts.ping_every,
            write_stall: self.settings.timeouts.write_stall,
        }
    }
}

#[cfg(test)]
mod tests;

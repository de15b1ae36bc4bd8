//! The control plane: what `imgctl` and the window may ask of their own daemon over the local
//! socket. `daemon` listens first of all (a second daemon must not touch anything) and serves last.
//!
//! One task a connection, one file a family of requests. Nothing here knows whether the daemon is
//! client or server, but for [`Mode`]; all work is the session's and the transfers'.

mod change;
mod connect;
mod connection;
mod download;
mod enqueue;
mod events;
mod examine;
mod images;
mod join;
mod leave;
mod limits;
mod listening;
mod maintenance;
mod people;
mod queue;
mod remember;
mod resolve;
mod spool;
mod status;
mod upload;
mod view;
mod watch;
mod window;
mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use imgrepo_proto::PersonName;
use imgrepo_proto::session::command::Program;
use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::tokio::Listener as _;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use listening::Listening;
pub use remember::Memory;
pub use spool::Spool;
pub use window::Windows;

use crate::config::ServerConfig;
use crate::paths::Paths;
use crate::repository::Repository;
use crate::server::Server;
use crate::service::Service;
use crate::session::Session;
use crate::transfer::Transfers;
use crate::transfer::queue::Queue;
use crate::watch::Watch;

/// Connections at once: many programs of one person, and far below a process's descriptors.
const MAX_CONNECTIONS: usize = 256;

/// The pause after the system gave no connection (out of descriptors): it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What requests act on.
pub struct Context {
    /// This daemon.
    pub program: Program,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// The configuration file that it was told by.
    pub config: PathBuf,
    /// Where everything is.
    pub paths: Paths,
    /// What starts it at login.
    pub service: Arc<Service>,
    /// Free space below which nothing more is taken.
    pub reserve_bytes: u64,
    /// The person's name, unless a request says another.
    pub user: PersonName,
    /// The session that every request goes over.
    pub session: Session,
    /// What the daemon is.
    pub mode: Mode,
    /// Where streamed contents wait.
    pub spool: Arc<Spool>,
    /// Told when a request asks the daemon to end.
    pub stop: CancellationToken,
    /// Transfers under way.
    pub transfers: Transfers,
    /// Uploads that are kept until their receipt.
    pub queue: Queue,
    /// The watched folders.
    pub watch: Watch,
    /// Whether there is a window, and what it is to show.
    pub windows: Windows,
}

/// What the daemon is.
pub enum Mode {
    /// A client, and what it remembers.
    Client(Arc<Memory>),
    /// The server.
    Server(Box<ServerFacts>),
}

/// What status tells of the server in this process.
pub struct ServerFacts {
    /// The server itself.
    pub server: Arc<Server>,
    /// What it was told.
    pub told: ServerConfig,
    /// Where it keeps its images.
    pub data: PathBuf,
    /// The images.
    pub repository: Repository,
}

/// The serving control plane.
pub struct Control {
    task: JoinHandle<Listening>,
    end: CancellationToken,
    farewells: Farewells,
}

/// Connections of programs that asked the daemon to end. They learn by the connection's end that it
/// has, so whoever ends last drops this last.
#[derive(Clone, Default)]
pub struct Farewells(Arc<Mutex<Vec<Stream>>>);

impl Farewells {
    fn keep(&self, stream: Stream) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
    }
}

impl Control {
    /// Begins to answer.
    #[must_use]
    pub fn serve(listening: Listening, context: Arc<Context>) -> Control {
        let end = CancellationToken::new();
        let farewells = Farewells::default();
        // Joined by `stop`.
        let task = tokio::spawn(accept(listening, context, end.clone(), farewells.clone()));
        Control { task, end, farewells }
    }

    /// Ends every request and stops listening; the socket is free afterwards.
    pub async fn stop(self) -> Farewells {
        self.end.cancel();
        match self.task.await {
            Ok(listening) => drop(listening),
            Err(error) => tracing::error!(%error, "the control plane failed"),
        }
        self.farewells
    }
}

async fn accept(
    listening: Listening,
    context: Arc<Context>,
    end: CancellationToken,
    farewells: Farewells,
) -> Listening {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Dropping any branch is safe: a permit goes back, `accept` and `join_next` lose nothing.
        let permit = tokio::select! {
            // What has ended goes first: left to chance, ever more of it would wait to be joined.
            biased;
            () = end.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            permit = permits.clone().acquire_owned() => permit,
        };
        let stream = tokio::select! {
            () = end.cancelled() => break,
            stream = listening.listener().accept() => stream,
        };
        match stream {
            Ok(stream) => {
                let (context, farewells) = (context.clone(), farewells.clone());
                // Aborted and joined below.
                connections.spawn(async move {
                    let _permit = permit;
                    connection::run(stream, &context, &farewells).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection on the local socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.shutdown().await;
    listening
}

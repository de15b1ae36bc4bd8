//! The daemon as a whole: everything started in order, stopped in reverse. `main` runs one.
//!
//! The local socket is taken first, because a second daemon of the same person must not touch
//! anything, and answered last. A server's own session reaches it by a stream in memory, so that
//! from the session upwards nothing knows whether this is the client or the server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imgrepo_proto::session::command::Program;
use imgrepo_proto::{ErrorCode, Refusal};
use jiff::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::config::{Config, Mode, Remembered};
use crate::control::{self, Context, Control, Farewells, Listening, Memory, Spool, Windows};
use crate::paths::Paths;
use crate::service::{self, Service};
use crate::session::{self, Address, ServerUrl, Session};
use crate::state::State;
use crate::transfer::Transfers;
use crate::transfer::queue::{self, Queue};
use crate::watch::{self, QueueSide, Watch};
use serving::{Serving, reserve};

mod serving;

/// Free space that a client leaves: for its queue, which must go on when contents no longer fit.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// How long a connection, and then the reply to AUTH, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What stands before anything of the daemon is started: its paths and what it remembers. The
/// configuration depends on the latter.
pub struct Ground {
    paths: Paths,
    listening: Listening,
    memory: Memory,
}

/// A running daemon.
pub struct Daemon {
    ready: String,
    stop: CancellationToken,
    control: Control,
    watch: Watch,
    watch_task: JoinHandle<()>,
    queue_end: CancellationToken,
    queue_task: JoinHandle<()>,
    session: Session,
    session_task: JoinHandle<()>,
    state: State,
    serving: Option<Serving>,
}

impl Ground {
    /// Takes the local socket and reads what is remembered. In a runtime's context.
    ///
    /// # Errors
    /// Another daemon runs, or a directory or a file of the state cannot be used.
    pub fn take(paths: Paths) -> Result<Ground, Refusal> {
        let listening = Listening::open(&paths.endpoint, &program())?;
        make_directory(&paths.state)?;
        let memory = Memory::open(&paths.state)?;
        Ok(Ground { paths, listening, memory })
    }

    /// What is remembered.
    #[must_use]
    pub fn remembered(&self) -> Remembered {
        self.memory.remembered()
    }
}

impl Daemon {
    /// Starts everything.
    ///
    /// # Errors
    /// Whatever cannot be started, with what to do about it; all that was started is stopped again.
    pub async fn start(ground: Ground, config: Config) -> Result<Daemon, Refusal> {
        let Ground { paths, listening, memory } = ground;
        let program = program();
        let spool = Spool::open(paths.state.join("spool"))?;
        let database = paths.state.join("queue.db");
        let opened = spawn_blocking(move || State::open(&database)).await;
        let state = opened.map_err(|error| internal("open the queue", &error))??;
        // Read before anything is started.
        let address = match &config.mode {
            Mode::Client { connect: Some(url) } => {
                Some(memory.credentials().address(&ServerUrl::parse(url)?, &config.user))
            }
            _ => None,
        };
        let serving = match &config.mode {
            Mode::Client { .. } => None,
            Mode::Server(told) => Some(Serving::start(told, &config, &paths).await?),
        };

        let settings = session::Settings {
            program: program.clone(),
            seen: paths.state.join("seen.json"),
            connect_timeout: CONNECT_TIMEOUT,
        };
        let (session, session_task) = Session::start(settings);
        let transfers = Transfers::new(session.clone()).keeping(looked_at(&config, &paths));
        let remembered = memory.remembered().url;
        let leads_to = match (&serving, &address) {
            (Some(_), _) => Some("local".to_owned()),
            (None, Some(address)) => Some(address.to_string()),
            (None, None) => remembered,
        };
        let queue_end = CancellationToken::new();
        let settings = queue::Settings {
            spool: paths.state.join("queue"),
            last: leads_to.map(|url| (url, config.user.clone())),
            end: queue_end.clone(),
        };
        let queue = Queue::start(state.clone(), transfers.clone(), settings).await;
        let (queue, queue_task) = match queue {
            Ok(started) => started,
            Err(refusal) => {
                session.end().await;
                if let Some(serving) = serving {
                    serving.stop().await;
                }
                return Err(refusal);
            }
        };
        let (ready, mode) = match (&serving, &config.mode) {
            (Some(serving), Mode::Server(told)) => {
                let door = serving.server.local();
                let address = Address::Local(Arc::new(move || door.open()));
                session.connect(address, config.user.clone());
                let listen = serving.server.address();
                let data = paths.data.display();
                // From elsewhere it is reached encrypted.
                let scheme = if listen.ip().is_loopback() { "ws" } else { "wss" };
                let ready = format!("serving {scheme}://{listen}/ (repository in {data})");
                (ready, control::Mode::Server(Box::new(serving.facts(told, &paths))))
            }
            _ => {
                let ready = match address {
                    Some(address) => {
                        let ready = format!("session to {address} as {}", config.user);
                        session.connect(address, config.user.clone());
                        ready
                    }
                    None => "offline (imgctl connect URL)".to_owned(),
                };
                (ready, control::Mode::Client(Arc::new(memory)))
            }
        };
        let settings = watch::Settings {
            settle: config.watch.settle,
            torn: config.watch.torn,
            rescan: config.watch.rescan,
            poll: config.watch.poll,
            flags: config.watch.folders,
            own: vec![paths.state.clone(), paths.data.clone(), paths.cache.clone()],
        };
        let (watch, watch_task) = Watch::start(state.clone(), QueueSide::of(&queue), settings);
        let stop = CancellationToken::new();
        let reserve_bytes = match &config.mode {
            Mode::Server(told) => reserve(told, &paths),
            Mode::Client { .. } => RESERVE_BYTES,
        };
        let context = Context {
            program,
            started_at: Timestamp::now(),
            config: config.file,
            service: Arc::new(Service::new(&paths, service::System)),
            paths,
            reserve_bytes,
            user: config.user,
            session: session.clone(),
            mode,
            spool: Arc::new(spool),
            stop: stop.clone(),
            transfers,
            queue,
            watch: watch.clone(),
            windows: Windows::default(),
        };
        let control = Control::serve(listening, Arc::new(context));
        let ready = format!("imgrepod is ready: {ready}");
        Ok(Daemon {
            ready,
            stop,
            control,
            watch,
            watch_task,
            queue_end,
            queue_task,
            session,
            session_task,
            state,
            serving,
        })
    }

    /// The line that says that it is ready, and for what.
    #[must_use]
    pub fn ready(&self) -> &str {
        &self.ready
    }

    /// Returns when a program has asked the daemon to end.
    pub async fn asked_to_stop(&self) {
        self.stop.cancelled().await;
    }

    /// Stops everything, the last first. Who asked for it learns that it is done when what this
    /// returns is dropped.
    pub async fn stop(self) -> Farewells {
        let farewells = self.control.stop().await;
        self.watch.end();
        joined("the watch", self.watch_task).await;
        self.queue_end.cancel();
        joined("the queue", self.queue_task).await;
        self.session.end().await;
        joined("the session", self.session_task).await;
        self.state.close().await;
        if let Some(serving) = self.serving {
            serving.stop().await;
        }
        farewells
    }
}

/// Where a client keeps the pictures that it has looked at. A server has its own.
fn looked_at(config: &Config, paths: &Paths) -> Cache {
    let budget_bytes = match config.mode {
        Mode::Client { .. } => config.variants_budget_bytes,
        Mode::Server(_) => 0,
    };
    // They are the server's, whatever made them there.
    Cache::new(paths.cache.join("variants"), 0, budget_bytes)
}

fn program() -> Program {
    Program {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

async fn joined(what: &str, task: JoinHandle<()>) {
    match task.await {
        Err(error) if error.is_panic() => tracing::error!(%error, "{what} failed"),
        _ => {}
    }
}

fn make_directory(directory: &Path) -> Result<(), Refusal> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|error| {
        let shown = directory.display();
        Refusal::new(ErrorCode::FileError, format!("cannot make the directory `{shown}`: {error}"))
    })
}

fn internal(act: &str, error: &tokio::task::JoinError) -> Refusal {
    Refusal::new(ErrorCode::Internal, format!("cannot {act}: {error}"))
}

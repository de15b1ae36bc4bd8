//! The daemon as a whole: everything started in order, stopped in reverse. `main` runs one.
//!
//! The local socket is taken first, because a second daemon of the same person must not touch
//! anything, and answered last. A server's own session reaches it by a stream in memory, so that
//! from the session upwards nothing knows whether this is the client or the server.

use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imgrepo_proto::limits::SessionLimits;
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{ErrorCode, Refusal};
use jiff::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::config::{Config, Mode, Remembered, ServerConfig};
use crate::control::{self, Context, Control, Farewells, Listening, Memory, Spool, Windows};
use crate::paths::Paths;
use crate::repository::{self, Repository};
use crate::server::{self, Server, StartError};
use crate::service::{self, Service};
use crate::session::{self, Address, ServerUrl, Session};
use crate::state::State;
use crate::tls::Identity;
use crate::transfer::Transfers;
use crate::transfer::queue::{self, Queue};
use crate::watch::{self, QueueSide, Watch};

/// Free space that a client leaves: for its queue, which must go on when contents no longer fit.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// How often expired trash and partial uploads are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

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

/// What a server has beside.
struct Serving {
    server: Arc<Server>,
    repository: Repository,
    sweep: JoinHandle<()>,
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

impl Serving {
    async fn start(
        told: &ServerConfig,
        config: &Config,
        paths: &Paths,
    ) -> Result<Serving, Refusal> {
        let settings = repository::Settings {
            data: paths.data.clone(),
            owner: config.user.clone(),
            max_image_bytes: told.max_image_bytes,
            staging_keep_hours: told.staging_days.saturating_mul(24),
            staging_quota_bytes: told.staging_quota_bytes,
            trash_days: told.trash_days,
            reserve_bytes: reserve(told, paths),
            person_quota_bytes: told.person_quota_bytes,
            repository_quota_bytes: told.repository_quota_bytes,
            making: told.variants.then(|| making(told)),
        };
        let opened = spawn_blocking(move || Repository::open(settings)).await;
        let repository = opened.map_err(|error| internal("open the repository", &error))?;
        let repository =
            repository.map_err(|error| Refusal::new(ErrorCode::FileError, error.to_string()))?;
        let identity = match identity(told, paths).await {
            Ok(identity) => identity,
            Err(refusal) => {
                repository.close().await;
                return Err(refusal);
            }
        };
        let settings = server::Settings {
            listen: told.listen,
            guests: told.guests,
            plaintext_guests: told.plaintext_guests,
            identity: Some(identity),
            trusted_proxies: told.behind_proxy.clone(),
            public_host: told.public_host.clone(),
            limits: SessionLimits {
                max_image_size: told.max_image_bytes,
                max_requests: told.requests_per_session,
                ..SessionLimits::default()
            },
            v1_max_image_bytes: told.v1_max_image_bytes,
            v1_budget_bytes: told.v1_budget_bytes,
            max_sessions: told.max_sessions,
            sessions_per_address: told.sessions_per_address,
            sessions_per_person: told.sessions_per_person,
            ..server::Settings::default()
        };
        let server = match Server::start(settings, repository.clone()).await {
            Ok(server) => Arc::new(server),
            Err(error) => {
                repository.close().await;
                return Err(not_serving(&error));
            }
        };
        let sweep = tokio::spawn(sweep(repository.clone()));
        Ok(Serving { server, repository, sweep })
    }

    fn facts(&self, told: &ServerConfig, paths: &Paths) -> control::ServerFacts {
        control::ServerFacts {
            server: self.server.clone(),
            told: told.clone(),
            data: paths.data.clone(),
            repository: self.repository.clone(),
        }
    }

    async fn stop(self) {
        self.sweep.abort();
        joined("the sweep", self.sweep).await;
        // The control plane, which tells its status, has ended: nobody else holds it.
        match Arc::into_inner(self.server) {
            Some(server) => server.stop().await,
            None => tracing::error!("the server is still in use and is cut"),
        }
        self.repository.close().await;
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

/// How pictures are made: with a processor left to everything else, where there are several.
fn making(told: &ServerConfig) -> repository::Making {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    repository::Making {
        program: repository::this_program(),
        threads: processors.saturating_sub(1).max(1),
        budget_bytes: told.variants_budget_bytes,
    }
}

/// What contents leave free of their disk.
fn reserve(told: &ServerConfig, paths: &Paths) -> u64 {
    // At the first start it is not there yet.
    let disk_bytes = paths.data.ancestors().find_map(repository::disk_bytes);
    told.reserve.bytes(disk_bytes)
}

/// Who the server is: its own key, made at the first start of every server, so that it can be opened
/// to others later without becoming another; or what it was given.
async fn identity(told: &ServerConfig, paths: &Paths) -> Result<Identity, Refusal> {
    let (folder, files) = (paths.data.join("tls"), told.tls_files.clone());
    let public_host = told.public_host.as_deref().and_then(server::public_name);
    let made = spawn_blocking(move || match files {
        None => Identity::own(&folder, public_host.as_deref()),
        Some(files) => Identity::files(&files.certificate, &files.key, public_host.as_deref()),
    });
    made.await.map_err(|error| internal("make the server's key", &error))?
}

fn program() -> Program {
    Program {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn not_serving(error: &StartError) -> Refusal {
    let refusal = Refusal::new(ErrorCode::Conflict, error.to_string());
    match error {
        StartError::Bind(_, why) if why.kind() == io::ErrorKind::AddrInUse => refusal
            .hint("another program has that port: end it, or choose one with --listen HOST:PORT"),
        StartError::Bind(..) => {
            refusal.hint("--listen takes an address of this machine, such as 127.0.0.1:8765")
        }
    }
}

/// Looks for what has expired, at once and then every hour. Aborted by [`Serving::stop`].
async fn sweep(repository: Repository) {
    let mut hours = tokio::time::interval(SWEEP_EVERY);
    loop {
        hours.tick().await;
        repository.sweep(Timestamp::now()).await;
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

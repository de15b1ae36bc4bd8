//! What a daemon that serves has beside: the repository, the server before it, and what looks for the
//! expired. Started and stopped by the daemon, which alone knows of it.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use imgrepo_proto::limits::SessionLimits;
use imgrepo_proto::{ErrorCode, Refusal};
use jiff::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{internal, joined};
use crate::config::{Config, ServerConfig};
use crate::control;
use crate::paths::Paths;
use crate::repository::{self, Repository};
use crate::server::{self, Server, StartError};
use crate::tls::Identity;

/// How often expired trash and partial uploads are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// What a server has beside.
pub(super) struct Serving {
    pub(super) server: Arc<Server>,
    repository: Repository,
    sweep: JoinHandle<()>,
}

impl Serving {
    pub(super) async fn start(
        told: &ServerConfig,
        config: &Config,
        paths: &Paths,
    ) -> Result<Serving, Refusal> {
        let settings = repository::Settings {
            max_image_bytes: told.max_image_bytes,
            staging_keep_hours: told.staging_days.saturating_mul(24),
            staging_quota_bytes: told.staging_quota_bytes,
            trash_days: told.trash_days,
            reserve_bytes: reserve(told, paths),
            person_quota_bytes: told.person_quota_bytes,
            repository_quota_bytes: told.repository_quota_bytes,
            making: told.variants.then(|| making(told)),
            config: Some(config.file.clone()),
            ..repository::Settings::new(paths.data.clone(), config.user.clone())
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

    pub(super) fn facts(&self, told: &ServerConfig, paths: &Paths) -> control::ServerFacts {
        control::ServerFacts {
            server: self.server.clone(),
            told: told.clone(),
            data: paths.data.clone(),
            repository: self.repository.clone(),
        }
    }

    pub(super) async fn stop(self) {
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
pub(super) fn reserve(told: &ServerConfig, paths: &Paths) -> u64 {
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

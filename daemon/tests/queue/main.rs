//! The durable queue with real sockets, files and state: against the real server, and against one
//! that says exactly what a test wants.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod files;
mod full;
mod servers;
mod whole;

#[path = "../session/scripted.rs"]
#[allow(dead_code, reason = "other tests say more of it")]
mod scripted;

#[path = "../repository/small_disk.rs"]
mod small_disk;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgrepo_proto::control::queue::{QueueStatus, QueuedUpload, UploadId, UploadState};
use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::session::command::{List, Program};
use imgrepo_proto::{PersonName, Refusal};
use imgrepod::repository::{self, Repository};
use imgrepod::server::{self, Server};
use imgrepod::session::{self, Address, ServerUrl, Session};
use imgrepod::state::State;
use imgrepod::transfer::Transfers;
use imgrepod::transfer::queue::{Queue, Settings};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What every wait is bounded by: long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client: its state, session and queue.
struct Client {
    home: PathBuf,
    state: State,
    session: Session,
    transfers: Transfers,
    queue: Queue,
    runner: JoinHandle<()>,
    end: CancellationToken,
}

impl Client {
    async fn start(home: &Path) -> Client {
        let state = State::open(&home.join("queue.db")).unwrap();
        let (session, _) = Session::start(session::Settings {
            program: Program { name: "test".to_owned(), version: "1".to_owned() },
            seen: home.join("seen.json"),
            connect_timeout: Duration::from_secs(5),
        });
        let transfers = Transfers::new(session.clone());
        let end = CancellationToken::new();
        let settings = Settings { spool: home.join("queue"), last: None, end: end.clone() };
        let started = Queue::start(state.clone(), transfers.clone(), settings).await;
        let (queue, runner) = started.unwrap();
        Client { home: home.to_owned(), state, session, transfers, queue, runner, end }
    }

    /// As the daemon ends it.
    async fn stop(self) {
        self.end.cancel();
        self.runner.await.unwrap();
        self.session.end().await;
        self.state.close().await;
    }

    fn connect(&self, address: SocketAddr) {
        self.connect_as(address, "ana");
    }

    fn connect_as(&self, address: SocketAddr, person: &str) {
        let url = ServerUrl::parse(&address.to_string()).unwrap();
        self.session.connect(Address::Url(url), PersonName::parse(person).unwrap());
    }

    /// Meets a repository, and is offline again.
    async fn meet(&self, address: SocketAddr) {
        self.connect(address);
        let mut status = self.session.status();
        status.wait_for(|now| now.state == SessionState::Connected).await.unwrap();
        let mut membership = self.queue.membership();
        bounded(membership.wait_for(Option::is_some)).await.unwrap();
        self.session.disconnect().await;
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.home.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    async fn enqueue(&self, name: &str, content: &[u8]) -> UploadId {
        let path = self.file(name, content);
        self.queue.enqueue(path, name.to_owned(), false).await.unwrap()
    }

    async fn upload(&self, id: UploadId) -> QueuedUpload {
        let after = Some(UploadId(id.0 - 1));
        self.queue.page(true, after, 1).await.unwrap().remove(0)
    }

    /// Waits until an upload stands so.
    async fn until(&self, id: UploadId, state: UploadState) -> QueuedUpload {
        let mut changed = self.queue.changed();
        let wait = async {
            loop {
                changed.mark_unchanged();
                let upload = self.upload(id).await;
                if upload.state == state {
                    return upload;
                }
                changed.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(upload) => upload,
            Err(_) => panic!("never {state:?}: {:?}", self.upload(id).await),
        }
    }

    /// Waits until the queue stands so.
    async fn settled(&self, is_so: impl Fn(&QueueStatus) -> bool) -> QueueStatus {
        let mut changed = self.queue.changed();
        let wait = async {
            loop {
                changed.mark_unchanged();
                let status = self.queue.status().await.unwrap();
                if is_so(&status) {
                    return status;
                }
                changed.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(status) => status,
            Err(_) => panic!("never so: {:?}", self.queue.status().await),
        }
    }

    async fn done(&self) -> QueueStatus {
        self.settled(|status| status.counts.open() == 0).await
    }
}

/// The real server, on a repository that outlives it.
struct Served {
    repository: Repository,
    server: Server,
    data: TempDir,
}

impl Served {
    async fn start() -> Served {
        Served::on(tempfile::tempdir().unwrap(), SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn on(data: TempDir, listen: SocketAddr) -> Served {
        let owner = PersonName::parse("olga").unwrap();
        let mut settings = repository::Settings::new(data.path().join("data"), owner);
        settings.reserve_bytes = 0;
        let open = move || Repository::open(settings).unwrap();
        let repository = tokio::task::spawn_blocking(open).await.unwrap();
        let settings = server::Settings { listen, ..server::Settings::default() };
        let server = Server::start(settings, repository.clone()).await.unwrap();
        Served { repository, server, data }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    async fn stop(self) -> (TempDir, SocketAddr) {
        let address = self.address();
        self.server.stop().await;
        self.repository.close().await;
        (self.data, address)
    }

    /// The names that it has, sorted.
    async fn names(&self) -> Vec<String> {
        let all = List { limit: Some(1000), ..List::default() };
        let page = self.repository.list(&self.repository.owner(), all).await.unwrap();
        let mut names: Vec<_> = page.images.into_iter().map(|image| image.name).collect();
        names.sort();
        names
    }
}

async fn bounded<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.expect("it took too long")
}

/// A picture of so many bytes, about; its bytes differ by `seed`.
fn picture(seed: u32, bytes: usize) -> Vec<u8> {
    let rows = bytes.div_ceil(30).max(1);
    let mut content = format!("P6\n10 {rows}\n255\n").into_bytes();
    content.extend(seed.to_be_bytes());
    content.extend((4..30 * rows).map(|at| (at * 7 + at / 251) as u8 ^ seed as u8));
    content
}

fn refusal_of(upload: &QueuedUpload) -> &Refusal {
    upload.error.as_ref().unwrap()
}

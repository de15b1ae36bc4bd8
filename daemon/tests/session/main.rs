//! The client's side of a session against small servers that say exactly what a test wants: real
//! sockets, real cuts. And with the real server.

#![allow(clippy::unwrap_used)] // A test fails so.

mod authorities;
mod hostile;
mod keeping;
mod known;
mod old_server;
mod scripted;
mod silence;
mod slow;
mod transfers;
mod views;
mod whole;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use imgrepo_proto::control::reply::{Phase, Progress, SessionState, Size};
use imgrepo_proto::session::command::Program;
use imgrepo_proto::session::reply::UploadReply;
use imgrepo_proto::{BlobHash, ImageId, ImageRecord, PersonName, Refusal};
use imgrepod::session::{Address, ServerUrl, Session, Settings};
use imgrepod::transfer::{AsyncSink, Source, Transfers, UploadMeta};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use scripted::Server;

struct Daemon {
    session: Session,
    keeper: JoinHandle<()>,
    folder: TempDir,
}

fn daemon() -> Daemon {
    daemon_in(tempfile::tempdir().unwrap())
}

fn daemon_in(folder: TempDir) -> Daemon {
    let (session, keeper) = Session::start(Settings {
        program: Program { name: "test".to_owned(), version: "1".to_owned() },
        seen: folder.path().join("session.json"),
        connect_timeout: Duration::from_secs(5),
    });
    Daemon { session, keeper, folder }
}

impl Daemon {
    fn connect(&self, server: &Server) {
        self.connect_to(server.address());
    }

    fn connect_to(&self, address: SocketAddr) {
        let url = ServerUrl::parse(&address.to_string()).unwrap();
        self.session.connect(Address::Url(url), PersonName::parse("ana").unwrap());
    }

    async fn state(&self, state: SessionState) {
        let mut status = self.session.status();
        status.wait_for(|status| status.state == state).await.unwrap();
    }

    /// A file in the daemon's folder.
    fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join("a.png");
        std::fs::write(&path, content).unwrap();
        path
    }

    fn upload(&self, path: &Path) -> JoinHandle<Result<UploadReply, Refusal>> {
        self.upload_watched(path, watch::Sender::new(NO_PROGRESS))
    }

    fn upload_watched(
        &self,
        path: &Path,
        progress: watch::Sender<Progress>,
    ) -> JoinHandle<Result<UploadReply, Refusal>> {
        let session = self.session.clone();
        let source = Source::open(path).unwrap();
        let meta = UploadMeta { name: "a.png".to_owned(), unless_deleted: false };
        tokio::spawn(async move { Transfers::new(session).upload(source, meta, progress).await })
    }
}

const NO_PROGRESS: Progress = Progress { phase: Phase::Hashing, done: 0, total: 0 };

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn hash(content: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(content).as_bytes())
}

fn record(id: u64) -> ImageRecord {
    ImageRecord::bare(ImageId(id), "a.png", "ana")
}

/// What a download brought: sizes that were told, and bytes.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<(Vec<Size>, Vec<u8>)>>);

impl AsyncSink for Collected {
    async fn size(&mut self, size: Size) -> Result<(), Refusal> {
        self.0.lock().unwrap().0.push(size);
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        self.0.lock().unwrap().1.extend_from_slice(&bytes);
        Ok(())
    }
}

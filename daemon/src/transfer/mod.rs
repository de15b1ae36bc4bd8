//! Contents to and from a repository, through cuts of the session.
//!
//! `control` asks [`Transfers`] for one that somebody waits for, and the [`queue`] for one that is
//! kept until the server's receipt. A pure machine decides (what is sent next, what a cut or a refusal
//! means), a thin shell around it reads the file and talks to the session. A transfer lives as long
//! as its future: dropped, it is given up, and what the server holds of it stays there for the next
//! attempt.

mod active;
mod download;
mod fetching;
mod machine;
mod opening;
mod pictures;
pub mod queue;
mod rate;
mod reader;
mod source;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use imgrepo_proto::control::queue::{Direction, Rates, TransferStatus, UploadId};
use imgrepo_proto::control::reply::{Phase, Progress, Size};
use imgrepo_proto::session::command::{Target, Variant};
use imgrepo_proto::session::reply::UploadReply;
use imgrepo_proto::{BlobHash, ErrorCode, ImageRecord, Refusal};
use tokio::sync::watch;

use crate::cache::Cache;
use crate::session::{Peer, Session};

pub use download::AsyncSink;
pub use pictures::Picture;
pub use source::Source;
pub use upload::UploadMeta;

use active::{Active, Listed};
use opening::NotOpened;
use pictures::Pictures;
use rate::Gate;

/// Transfers that a status tells of, at most.
const SHOWN: usize = 100;

/// All transfers of this daemon: the session that they go over, the rates that they share, and which
/// of them are under way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transfers {
    session: Session,
    gates: Arc<Gates>,
    active: Active,
    pictures: Pictures,
}

#[derive(Debug)]
struct Gates {
    up: Gate,
    down: Gate,
}

/// An upload of the queue.
#[derive(Debug)]
struct Bound {
    source: Source,
    meta: UploadMeta,
    hash: BlobHash,
    /// The session that it is for: it is given to no other, unless that is of the same person in
    /// the same repository of an old server.
    peer: Peer,
    /// Whether an earlier attempt may have stored it, unheard; set when this one may have.
    maybe_stored: Arc<AtomicBool>,
}

impl Transfers {
    /// None yet, over this session.
    #[must_use]
    pub fn new(session: Session) -> Transfers {
        let gates = Arc::new(Gates { up: Gate::new(), down: Gate::new() });
        let pictures = Pictures::new(session.clone(), Cache::new(PathBuf::new(), 0, 0));
        Transfers { session, gates, active: Active::default(), pictures }
    }

    /// The same, which keeps pictures that were looked at in this cache.
    #[must_use]
    pub fn keeping(mut self, cache: Cache) -> Transfers {
        self.pictures = Pictures::new(self.session.clone(), cache);
        self
    }

    /// Stores a file's content, through cuts of the session. Dropping the future gives it up.
    ///
    /// # Errors
    /// The server's refusal; `file_error` where the file cannot be read or changed meanwhile;
    /// `not_connected` where the person went offline.
    pub async fn upload(
        &self,
        source: Source,
        meta: UploadMeta,
        progress: watch::Sender<Progress>,
    ) -> Result<UploadReply, Refusal> {
        let (name, seen) = (meta.name.clone(), progress.subscribe());
        let _listed = self.active.begin(name, Direction::Up, seen, None);
        source.check_not_empty()?;
        // Whoever has no session hears of it before a long file is read.
        self.session.peer().await?;
        let hash = source.hash(&progress).await?;
        upload::Sending::new(self, source, meta, hash, progress, None).run().await
    }

    /// Stores a content of the queue over one session: with that it ends, `not_connected`, and one
    /// that the server has no time for ends as well. To an old server it goes on, as there a cut may
    /// store twice what is begun anew.
    async fn upload_bound(
        &self,
        upload: Bound,
        progress: watch::Sender<Progress>,
    ) -> Result<UploadReply, Refusal> {
        let Bound { source, meta, hash, peer, maybe_stored } = upload;
        let bound = Some((peer, maybe_stored));
        upload::Sending::new(self, source, meta, hash, progress, bound).run().await
    }

    /// Fetches a content from this offset on, through cuts of the session, and checks the whole of it
    /// against its hash (which an old server does not tell). Only after that is it an image: what the
    /// sink had before is to be thrown away when this fails. With an offset whoever has the beginning
    /// checks the whole. Dropping the future gives it up.
    ///
    /// # Errors
    /// The server's refusal, the sink's error, `wrong_hash`, `not_connected` where the person went
    /// offline.
    pub async fn download(
        &self,
        target: Target,
        offset: u64,
        sink: impl AsyncSink,
    ) -> Result<ImageRecord, Refusal> {
        let progress = watch::Sender::new(Progress { phase: Phase::Waiting, done: 0, total: 0 });
        // Its name comes with its size.
        let named = target.name.as_ref().map(ToString::to_string).unwrap_or_default();
        let listed = self.active.begin(named, Direction::Down, progress.subscribe(), None);
        let sink = Told { sink, progress, listed };
        download::download(&self.session, &self.gates.down, target, offset, sink).await
    }

    /// A picture of an image, whole: one that was looked at before costs no network. Dropping the future
    /// gives it up.
    ///
    /// # Errors
    /// The server's refusal, `not_viewable` among them; `not_connected`; `unsupported` by an old server
    /// where the image itself cannot be shown.
    pub async fn view(&self, target: Target, variant: Variant) -> Result<Picture, Refusal> {
        self.pictures.view(&self.gates.down, target, variant).await
    }

    /// Takes note of records that passed: their pictures are found without asking for them again.
    pub fn learn<'a>(&self, records: impl IntoIterator<Item = &'a ImageRecord>) {
        self.pictures.learn(records);
    }

    /// How many are under way.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.active.count()
    }

    /// Those under way, the oldest first, at most 100.
    #[must_use]
    pub fn active(&self) -> Vec<TransferStatus> {
        self.active.list(SHOWN)
    }

    /// The limits that they share.
    #[must_use]
    pub fn rates(&self) -> Rates {
        Rates { up: self.gates.up.rate(), down: self.gates.down.rate() }
    }

    /// Limits all of them together from now on, those under way too.
    pub fn limit(&self, rates: Rates) {
        self.gates.up.set(rates.up);
        self.gates.down.set(rates.down);
    }

    /// Lists one of the queue until what it returns is dropped.
    fn list_queued(
        &self,
        id: UploadId,
        name: String,
        progress: &watch::Sender<Progress>,
    ) -> impl Sized + use<> {
        self.active.begin(name, Direction::Up, progress.subscribe(), Some(id))
    }
}

/// A sink that tells how far it is.
struct Told<S> {
    sink: S,
    progress: watch::Sender<Progress>,
    listed: Listed,
}

impl<S: AsyncSink> AsyncSink for Told<S> {
    async fn size(&mut self, size: Size) -> Result<(), Refusal> {
        let total = size.info.size;
        self.listed.rename(&size.info.name);
        self.progress.send_modify(|now| *now = Progress { phase: Phase::Sending, total, ..*now });
        self.sink.size(size).await
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        let len = bytes.len();
        self.sink.write(bytes).await?;
        self.progress.send_modify(|now| now.done += len as u64);
        Ok(())
    }
}

/// The session that an upload was for has ended, or leads elsewhere.
fn cut() -> Refusal {
    Refusal::new(ErrorCode::NotConnected, "the session to the server was cut")
}

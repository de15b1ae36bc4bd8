//! What a server keeps: contents, who uploaded what, and the history of changes, in one order: the
//! blob is durable, then the catalog commits, then who asked hears, then everyone does.
//!
//! Called by the server, for each session's [`Actor`]. The handle is cheap to clone; nothing here
//! blocks an async thread, and nothing else writes into the data directory. It never learns how
//! people are connected.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use imgrepo_proto::{PersonName, Refusal, RepositoryId, Seq};
use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::host;
use appending::Appends;
use catalog::Catalog;
use commit::Ended;
use latest::Latest;
use pins::Pins;
use questions::Questions;
use queue::{Answer, Purge, Queue, Work};
use staging::Staging;
use variants::Variants;

mod announced;
mod appending;
pub mod backup;
pub mod blobs;
pub mod catalog;
mod changes;
mod changing;
pub mod classic;
mod commit;
mod content;
pub mod durable;
mod faults;
mod figures;
mod finding;
mod fsck;
mod gather;
mod latest;
mod lock;
mod losses;
mod maintenance;
mod open;
pub mod people;
pub mod picture;
mod pins;
mod questions;
mod queue;
mod quota;
mod receiving;
mod room;
mod staging;
mod stepped;
mod variants;

pub use content::Content;
pub(crate) use faults::not_an_image;
pub use figures::{Figures, JournalStanding, Standing};
pub use maintenance::Told;
pub use open::OpenError;
pub use people::{Action, Actor, Authentication, LOCAL, Object, Role, authorize};
pub use quota::Usage;
pub use receiving::Receiving;
pub use room::disk_bytes;
pub use stepped::Steps;
pub use variants::{Making, MakingStatus, Seen, Shown, this_program};

/// Hears of the outcome of a change, once: right after the commit and before the change is
/// announced, on the committer's thread, so it must not block.
pub type Done<T> = Box<dyn FnOnce(Result<T, Refusal>) + Send>;

/// Contents that are synced at the same time: more gains nothing (measured: 16 parallel fdatasyncs).
const SYNCS_IN_FLIGHT: usize = 16;

/// Bytes of small contents that may wait in memory for the appender, of all sessions together, those
/// that are gone included: several groups. Beyond it contents go through files.
const IN_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// How a repository is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its directory.
    pub data: PathBuf,
    /// The name of the person who runs it.
    pub owner: PersonName,
    /// The largest image, in bytes.
    pub max_image_bytes: u64,
    /// How long an interrupted upload is kept.
    pub staging_keep_hours: u32,
    /// Bytes of interrupted uploads that are kept; the oldest go first.
    pub staging_quota_bytes: u64,
    /// After so many bytes of a large upload they are synced: what a power cut may cost it.
    pub staging_sync_bytes: u64,
    /// How long an image stays in the trash.
    pub trash_days: u32,
    /// Bytes of the disk that contents leave free, for the catalog.
    pub reserve_bytes: u64,
    /// Bytes that the images of one person may have together, those in the trash too.
    pub person_quota_bytes: Option<u64>,
    /// The same of everybody's images together.
    pub repository_quota_bytes: Option<u64>,
    /// How pictures are made for looking at images; None: they are not.
    pub making: Option<Making>,
    /// The configuration file that goes along with a backup, whether or not it is there.
    pub config: Option<PathBuf>,
}

impl Settings {
    /// The defaults: images to 4 GiB; interrupted uploads for 7 days, 32 GiB of them; the trash for
    /// 30 days; 64 MiB of the disk left free; no quotas, no pictures.
    #[must_use]
    pub fn new(data: PathBuf, owner: PersonName) -> Settings {
        Settings {
            data,
            owner,
            max_image_bytes: imgrepo_proto::limits::MAX_IMAGE_BYTES,
            staging_keep_hours: 7 * 24,
            staging_quota_bytes: 32 * 1024 * 1024 * 1024,
            staging_sync_bytes: staging::SYNC_EVERY_BYTES,
            trash_days: 30,
            reserve_bytes: 64 * 1024 * 1024,
            person_quota_bytes: None,
            repository_quota_bytes: None,
            making: None,
            config: None,
        }
    }
}

/// An open repository.
#[derive(Clone)]
pub struct Repository {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    owner: Actor,
    catalog: Arc<dyn Catalog>,
    blobs: Arc<dyn blobs::BlobStore>,
    /// The same, for who must know what is lost.
    sound: Arc<blobs::sound::SoundBlobs>,
    staging: Arc<Staging>,
    pins: Arc<Pins>,
    queue: Arc<Queue>,
    appends: Arc<Appends>,
    questions: Questions,
    sealing: Arc<Semaphore>,
    in_memory: Arc<Semaphore>,
    announced: watch::Receiver<Seq>,
    latest: Arc<Latest>,
    /// See [`Repository::people_changed`].
    people: watch::Sender<u64>,
    /// Whoever acts on people has it, so that what they may is still so when it is committed.
    people_turn: Mutex<()>,
    coming: Arc<quota::Coming>,
    variants: Arc<Variants>,
    /// Bytes of pictures that may be whole in memory.
    shown: Arc<Semaphore>,
    figures: Arc<Figures>,
    appender: Mutex<Option<JoinHandle<()>>>,
    committer: Mutex<Option<JoinHandle<Ended>>>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("data", &self.inner.settings.data).finish()
    }
}

impl Repository {
    /// Which repository this is.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        self.inner.catalog.repository_id()
    }

    /// Takes no more changes, waits for those that wait, and makes the next start a quick one.
    /// Afterwards only reading works.
    pub async fn close(&self) {
        let closed = self
            .hop(|inner| {
                inner.close();
                Ok(())
            })
            .await;
        if let Err(refusal) = closed {
            tracing::warn!("the repository did not close in order: {refusal}");
        }
    }

    /// Empties what has been in the trash too long, and drops interrupted uploads that are too old
    /// or too many. For once an hour.
    pub async fn sweep(&self, now: Timestamp) {
        let hours = |count: i64| jiff::SignedDuration::from_hours(count);
        let keep = hours(i64::from(self.inner.settings.trash_days) * 24);
        if let Ok(before) = now.checked_sub(keep) {
            let (tell, told) = oneshot::channel();
            let answer = Answer::new(Box::new(move |outcome: Result<u64, Refusal>| {
                // Nobody waits any more where this fails.
                let _ = tell.send(outcome);
            }));
            let by = self.inner.owner.person;
            let before = Some(before);
            let from = LOCAL.to_owned();
            let purge = Purge { by, from, person: None, before, purged: 0, answer };
            self.inner.queue.push(Work::Purge(purge));
            match told.await {
                Ok(Ok(0)) | Err(_) => {}
                Ok(Ok(count)) => tracing::info!("emptied the trash of {count} old images"),
                Ok(Err(refusal)) => tracing::warn!("cannot empty the trash: {refusal}"),
            }
        }
        let keep = hours(i64::from(self.inner.settings.staging_keep_hours));
        let before = now.checked_sub(keep).map_or(SystemTime::UNIX_EPOCH, SystemTime::from);
        let trimmed = self
            .hop(move |inner| {
                inner.staging.trim(before);
                Ok(())
            })
            .await;
        if let Err(refusal) = trimmed {
            tracing::warn!("cannot drop old interrupted uploads: {refusal}");
        }
    }

    /// Runs something that blocks, away from the async threads.
    async fn hop<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Arc<Inner>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let inner = self.inner.clone();
        match host::blocking(move || act(&inner)).await {
            Ok(outcome) => outcome,
            Err(_) if self.inner.queue.is_closed() => Err(faults::shutting_down()),
            Err(error) => Err(faults::internal(&error)),
        }
    }
}

impl Inner {
    /// Ends the appender and the committer and writes the last word. Blocks for as long as the last group takes.
    fn close(&self) {
        self.variants.close();
        self.appends.close();
        let appender = self.appender.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle may go in a refusal, on the appender's own thread.
        let appender = appender.filter(|it| it.thread().id() != std::thread::current().id());
        if appender.is_some_and(|appender| appender.join().is_err()) {
            tracing::error!("the appender panicked");
        }
        self.queue.close();
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(committer) = committer else { return };
        if committer.thread().id() == std::thread::current().id() {
            // The last handle went in an answer: the committer ends by itself, its end unclean.
            return;
        }
        let Ended { lock, is_clean } = match committer.join() {
            Ok(ended) => ended,
            Err(_) => return tracing::error!("the committer panicked"),
        };
        self.staging.sync_suspended(host::now());
        self.blobs.close();
        let Some(mut lock) = lock.filter(|_| is_clean) else { return };
        let closed = self
            .catalog
            .newest_seq()
            .map_err(|error| error.to_string())
            .and_then(|newest| lock.close(newest).map_err(|error| error.to_string()));
        if let Err(error) = closed {
            tracing::warn!("cannot note that the repository closed in order: {error}");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// How long opening may look for garbage before it goes on doing so beside the work.
const SWEEP_AT_OPEN: Duration = Duration::from_millis(250);

//! The durable queue: uploads that are kept until the server's receipt, whatever happens meanwhile.
//!
//! `control` queues by hand and asks, `watch` adds rows of its own to the state and wakes the queue.
//! One task, the runner, gives every upload its turn; `schedule` and `verdict` decide. Rows are
//! the state's: whatever ends the process, a row says what is left to do, and doing it again is safe,
//! because the server tells a content that it has from one that it has not.

mod attempt;
mod enqueue;
mod healing;
#[cfg(test)]
mod histories;
mod runner;
mod schedule;
mod spool;
mod unheard;
mod verdict;
mod whose;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use imgrepo_proto::control::queue::{QueueStatus, QueuedUpload, Rates, UploadId, Which};
use imgrepo_proto::control::reply::Phase;
use imgrepo_proto::{ErrorCode, PersonName, Refusal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::host;
use crate::state::{FolderId, MembershipId, State, Told};

use super::Transfers;

pub use spool::Spooling;

use spool::Spool;
use unheard::Unheard;

/// Files to settle again that may wait for the watcher; it finds more by itself, in the state.
const UNSETTLED: usize = 1024;

/// How long what was queued by hand and has ended is remembered.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long a new session waits for those who follow it.
const MOMENT: Duration = Duration::from_secs(1);

/// What the queue needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where contents that were streamed wait.
    pub spool: PathBuf,
    /// Address and person of the last session, should there be none at first.
    pub last: Option<(String, PersonName)>,
    /// Ends the runner.
    pub end: CancellationToken,
}

/// The queue's handle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: State,
    transfers: Transfers,
    spool: Spool,
    last: Option<(String, PersonName)>,
    told: watch::Sender<Told>,
    membership: watch::Sender<Option<MembershipId>>,
    receipts: watch::Sender<u64>,
    unheard: Unheard,
    /// Rows came, or are not as they were.
    wake: Notify,
    unsettle: mpsc::Sender<(FolderId, PathBuf)>,
    unsettled: Mutex<Option<mpsc::Receiver<(FolderId, PathBuf)>>>,
}

impl Queue {
    /// Starts the runner, as it was told across restarts. Its task ends after `settings.end`, and
    /// before that the uploads that are under way are stopped; they have their turn the next time.
    ///
    /// # Errors
    /// A directory that cannot be made, or a state that cannot be read.
    pub async fn start(
        state: State,
        transfers: Transfers,
        settings: Settings,
    ) -> Result<(Queue, JoinHandle<()>), Refusal> {
        let Settings { spool, last, end } = settings;
        let spool = blocking(move || Spool::open(spool)).await?;
        let told = state.told().await?;
        transfers.limit(told.rates);
        let membership = match &last {
            Some((url, person)) => state.membership_at(url.clone(), person.clone()).await?,
            None => None,
        };
        let (unsettle, unsettled) = mpsc::channel(UNSETTLED);
        let queue = Queue(Arc::new(Shared {
            state,
            transfers,
            spool,
            last,
            told: watch::Sender::new(told),
            membership: watch::Sender::new(membership),
            receipts: watch::Sender::new(0),
            unheard: Unheard::default(),
            wake: Notify::new(),
            unsettle,
            unsettled: Mutex::new(Some(unsettled)),
        }));
        if let Ok(before) = host::now().checked_sub(REMEMBERED) {
            queue.0.state.prune(before).await?;
        }
        queue.sweep().await?;
        let healing = healing::run(queue.0.clone(), end.clone());
        let runner = runner::Runner::new(queue.0.clone(), end);
        // Joined by who started the queue.
        let task = tokio::spawn(async {
            tokio::join!(runner.run(), healing);
        });
        Ok((queue, task))
    }

    /// Whose queue it is, as it changes: [`Queue::current`], a moment later.
    #[must_use]
    pub fn membership(&self) -> watch::Receiver<Option<MembershipId>> {
        self.0.membership.subscribe()
    }

    /// Says that rows were added or are not as they were.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Files of watched folders that are not as they were queued; their rows are `settling` again.
    /// For the watcher: there is one.
    #[must_use]
    pub fn unsettled(&self) -> Option<mpsc::Receiver<(FolderId, PathBuf)>> {
        self.0.unsettled.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Grows when a file of a watched folder has its receipt.
    #[must_use]
    pub fn receipts(&self) -> watch::Receiver<u64> {
        self.0.receipts.subscribe()
    }

    /// Grows with every change of a row.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.state.changed()
    }

    /// Whose queue it is at this moment: of the session, or of the last one; None until one is known.
    ///
    /// # Errors
    /// The state's.
    pub async fn current(&self) -> Result<Option<MembershipId>, Refusal> {
        let peer = self.0.transfers.session.servers().now();
        self.0.whose(peer.as_ref()).await
    }

    /// Waits a moment until everyone who follows [`Queue::membership`] hears of the current one:
    /// what a person asks next is meant for that.
    pub async fn caught_up(&self) {
        let mut membership = self.membership();
        let caught_up = async {
            // Where it cannot be asked there is nothing to wait for.
            let Ok(peer) = self.0.transfers.session.peer().await else { return };
            let Ok(current) = self.0.whose(Some(&peer)).await else { return };
            let _ = membership.wait_for(|known| *known == current).await;
        };
        let _ = tokio::time::timeout(MOMENT, caught_up).await;
    }

    /// As [`Queue::current`], for who cannot do without; while the first session is being opened this
    /// waits a moment.
    ///
    /// # Errors
    /// `not_connected` where no repository is known yet; the state's.
    pub async fn whose(&self) -> Result<MembershipId, Refusal> {
        if let Some(known) = self.current().await? {
            return Ok(known);
        }
        let unknown = |refusal: Refusal| match refusal.code {
            ErrorCode::NotConnected => {
                let message = "it is not known yet for which repository: there was no session";
                Refusal::new(ErrorCode::NotConnected, message).hint("imgctl connect HOST")
            }
            _ => refusal,
        };
        let peer = self.0.transfers.session.peer().await.map_err(unknown)?;
        let met = self.0.whose(Some(&peer)).await?;
        met.ok_or_else(|| Refusal::new(ErrorCode::NotConnected, "not connected yet"))
    }

    /// A page of it, the oldest first; with `all` also what is done, ignored or given up.
    ///
    /// # Errors
    /// The state's.
    pub async fn page(
        &self,
        all: bool,
        after: Option<UploadId>,
        limit: u32,
    ) -> Result<Vec<QueuedUpload>, Refusal> {
        let Some(membership) = self.current().await? else { return Ok(Vec::new()) };
        let mut page = self.0.state.page(membership, all, after, limit).await?;
        let active = self.0.transfers.active();
        for upload in &mut page {
            let of = active.iter().find(|transfer| transfer.queued == Some(upload.id));
            // What was read for its hash is not what the server has.
            upload.done = of.map(|transfer| match transfer.phase {
                Phase::Hashing => 0,
                Phase::Sending | Phase::Waiting => transfer.done,
            });
        }
        Ok(page)
    }

    /// Has what ended without a receipt tried again; how many there were.
    ///
    /// # Errors
    /// `not_found` where one of them is not there; the state's.
    pub async fn retry(&self, which: Which) -> Result<u64, Refusal> {
        let Some(membership) = self.current().await? else { return nothing(which) };
        let changed = self.0.state.retry(membership, which).await?;
        self.wake();
        Ok(changed)
    }

    /// Gives up what is not done; how many there were.
    ///
    /// # Errors
    /// As [`Queue::retry`].
    pub async fn cancel(&self, which: Which) -> Result<u64, Refusal> {
        let Some(membership) = self.current().await? else { return nothing(which) };
        let changed = self.0.state.cancel(membership, which, host::now()).await?;
        self.wake();
        self.sweep().await?;
        Ok(changed)
    }

    /// Forgets a membership that is left for good, with its folders and uploads. Nobody may watch
    /// these any more.
    ///
    /// # Errors
    /// The state's.
    pub async fn leave(&self, membership: MembershipId) -> Result<(), Refusal> {
        self.0.state.forget_membership(membership).await?;
        self.wake();
        self.sweep().await
    }

    /// Sends nothing more, or goes on; across restarts too.
    ///
    /// # Errors
    /// The state's.
    pub async fn pause(&self, paused: bool) -> Result<(), Refusal> {
        self.0.state.tell_paused(paused).await?;
        self.0.told.send_modify(|told| told.paused = paused);
        Ok(())
    }

    /// Limits all transfers together, across restarts too.
    ///
    /// # Errors
    /// The state's.
    pub async fn set_rates(&self, rates: Rates) -> Result<(), Refusal> {
        self.0.state.tell_rates(rates).await?;
        self.0.told.send_modify(|told| told.rates = rates);
        self.0.transfers.limit(rates);
        Ok(())
    }

    /// How it stands.
    ///
    /// # Errors
    /// The state's.
    pub async fn status(&self) -> Result<QueueStatus, Refusal> {
        let membership = self.current().await?;
        let counts = match membership {
            Some(membership) => self.0.state.counts(None, membership).await?,
            None => Default::default(),
        };
        let waits = match membership.filter(|_| counts.waiting > 0) {
            Some(membership) => self.0.state.waits(membership).await?,
            None => None,
        };
        let (bytes_left, elsewhere) = self.0.state.left(membership).await?;
        let paused = self.0.told.borrow().paused;
        Ok(QueueStatus { counts, bytes_left, paused, elsewhere, waits })
    }

    /// Removes spooled contents that no row needs.
    async fn sweep(&self) -> Result<(), Refusal> {
        let spool = self.0.spool.clone();
        let here = blocking(move || spool.here().map_err(|error| cannot_spool(&error))).await?;
        // Only now: what was spooled when they were listed has its row, or none will come.
        let needed: HashSet<u64> = self.0.state.spooled().await?.into_iter().collect();
        let spool = self.0.spool.clone();
        blocking(move || {
            spool.sweep(here, &needed);
            Ok(())
        })
        .await
    }
}

/// What changes where nobody's queue is known.
fn nothing(which: Which) -> Result<u64, Refusal> {
    match which {
        Which::These(ids) if !ids.is_empty() => {
            Err(Refusal::new(ErrorCode::NotFound, format!("the queue has no upload {}", ids[0])))
        }
        _ => Ok(0),
    }
}

fn cannot_spool(error: &std::io::Error) -> Refusal {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            ErrorCode::StorageFull
        }
        _ => ErrorCode::FileError,
    };
    Refusal::new(code, format!("cannot spool the content: {error}"))
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    host::blocking(act).await.unwrap_or_else(|error| {
        Err(Refusal::new(ErrorCode::Internal, format!("a task of the queue failed: {error}")))
    })
}

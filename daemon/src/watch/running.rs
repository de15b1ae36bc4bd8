//! A watched folder's tasks: given up when they are told to end, and told of when they end by
//! themselves. The keeper starts and stops them; nothing here knows what they do.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use imgrepo_proto::Refusal;
use imgrepo_proto::name::shown;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::state::{Folder, FolderId};

use super::folder::{Command, Live};

/// A folder with its tasks.
pub(super) struct Running {
    /// As it was when they were started.
    pub(super) folder: Folder,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) lost: Arc<Notify>,
    pub(super) live: watch::Receiver<Live>,
    pub(super) trouble: watch::Receiver<Option<Refusal>>,
    pub(super) end: CancellationToken,
    /// Joined by [`Running::stop`].
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Ends its tasks, and waits for it.
    pub(super) async fn stop(self) {
        self.end.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "looking after `{}` failed", show(&self.folder.path));
            }
        }
    }
}

/// Says that a folder's task has ended, which it never does by itself.
#[derive(Clone)]
pub(super) struct Failed {
    pub(super) id: FolderId,
    pub(super) path: PathBuf,
    pub(super) told: mpsc::Sender<FolderId>,
    /// Before it is said: what fails at once again must not keep the processor busy.
    pub(super) pause: Duration,
}

/// A task that is given up when it is told to end. Joined by [`Running::stop`].
pub(super) fn spawn_until(
    end: &CancellationToken,
    failed: Failed,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let end = end.clone();
    let work = async move {
        // Nothing of it is used after a panic.
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            tracing::error!("looking after `{}` failed", show(&failed.path));
        }
        tokio::time::sleep(failed.pause).await;
        // Where nobody hears it the keeper has ended, and this with it.
        let _ = failed.told.send(failed.id).await;
    };
    tokio::spawn(async move {
        // Dropping the work is safe at any point: it says so itself.
        tokio::select! {
            () = end.cancelled() => {}
            () = work => {}
        }
    })
}

fn show(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

//! Which sessions are open, and the word that ends them all. Every session enters itself and leaves
//! by dropping its [`Entry`]; the server counts them and says when to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_util::sync::CancellationToken;

/// The open sessions of a server.
#[derive(Debug, Default)]
pub(super) struct Registry {
    open: Arc<AtomicU32>,
    stopping: CancellationToken,
}

/// A session's place in the registry.
#[derive(Debug)]
pub(super) struct Entry(Arc<AtomicU32>);

impl Registry {
    pub(super) fn enter(&self) -> Entry {
        self.open.fetch_add(1, Ordering::Relaxed);
        Entry(self.open.clone())
    }

    pub(super) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Tells every session to end, now and from now on.
    pub(super) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits for the word to end. Cancel-safe.
    pub(super) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

//! What is on its way to the page and to the window's thread, from whatever thread learns it.
//!
//! What is told waits here until the page is ready to hear it, and who tells waits once that is too
//! much: then the daemon is not read further, and nothing grows. Turns of the window are few.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use imgrepo_proto::ImageId;
use tao::event_loop::EventLoopProxy;

use crate::bridge::{Asked, Told};

/// Messages that wait at most: a page that is being read holds up a burst of events, no more.
const WAITING: usize = 1024;

/// What has the window's thread do something.
#[derive(Debug)]
pub(crate) enum Turn {
    /// There is something to tell the page.
    Look,
    /// Come to the front and show this image.
    Show(Option<ImageId>),
    /// What is shown is of another repository.
    Reload,
    /// Files were dropped.
    Dropped(Vec<std::path::PathBuf>),
    /// The page asks for something.
    Asked(Asked),
}

/// The way to the window.
#[derive(Clone)]
pub(crate) struct Mailbox {
    told: SyncSender<Told>,
    waiting: Arc<Mutex<Receiver<Told>>>,
    turns: EventLoopProxy<Turn>,
}

impl Mailbox {
    /// Of the window whose turns these are.
    pub(crate) fn new(turns: EventLoopProxy<Turn>) -> Self {
        let (told, waiting) = sync_channel(WAITING);
        Mailbox { told, waiting: Arc::new(Mutex::new(waiting)), turns }
    }

    /// Tells the page something. Waits while too much waits; never called by the window's thread.
    pub(crate) fn tell(&self, told: Told) {
        // The window may be closing: then nobody needs it.
        let _ = self.told.send(told);
        self.turn(Turn::Look);
    }

    /// The same where it may be left out: how far something has come.
    pub(crate) fn mention(&self, told: Told) {
        if self.told.try_send(told).is_ok() {
            self.turn(Turn::Look);
        }
    }

    /// Has the window's thread do something.
    pub(crate) fn turn(&self, turn: Turn) {
        let _ = self.turns.send_event(turn);
    }

    /// All that waits. For the window's thread, once the page is ready.
    pub(crate) fn take(&self) -> Vec<Told> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_iter()
            .take(WAITING)
            .collect()
    }
}

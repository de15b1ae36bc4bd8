//! How far the transfers of a command have come, as one bar on the terminal: bytes, rate and time
//! left. Drawn on standard error, and only where that is a terminal.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imgrepo_proto::control::reply::{Phase, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::context::Context;
use crate::output::Output;

/// Often enough to look alive.
const TICK: Duration = Duration::from_millis(100);

/// The bar of a command.
pub(crate) struct Bar {
    bar: ProgressBar,
    out: Arc<Output>,
    objects: usize,
    over: AtomicUsize,
    waiting: AtomicUsize,
}

impl Bar {
    /// A bar over this many objects of so many bytes in all.
    pub(crate) fn new(context: &Context, objects: usize, bytes: u64) -> Arc<Self> {
        let shown = context.progress && std::io::stderr().is_terminal();
        let target = match shown {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        let template =
            "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let bar = Bar {
            bar,
            out: Arc::clone(&context.out),
            objects,
            over: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        };
        if shown {
            bar.describe();
            bar.bar.enable_steady_tick(TICK);
            bar.out.set_bar(Some(bar.bar.clone()));
        }
        Arc::new(bar)
    }

    /// The transfer of one object, of this many bytes where that is known.
    pub(crate) fn track(self: &Arc<Self>, size: Option<u64>) -> Track {
        Track { bar: Arc::clone(self), size, counted: 0, waiting: false }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.out.set_bar(None);
        self.bar.finish_and_clear();
    }

    fn describe(&self) {
        let over = self.over.load(Ordering::Relaxed);
        self.bar.set_message(match self.waiting.load(Ordering::Relaxed) {
            0 => format!("{over}/{}", self.objects),
            _ => format!("{over}/{}, waiting for the session", self.objects),
        });
    }
}

/// How far one object has come. Dropped, it counts as over, whatever came of it.
pub(crate) struct Track {
    bar: Arc<Bar>,
    size: Option<u64>,
    counted: u64,
    waiting: bool,
}

impl Track {
    /// The bar that it is on.
    pub(crate) fn bar(&self) -> &Bar {
        &self.bar
    }

    /// What the daemon says of an upload.
    pub(crate) fn take(&mut self, progress: Progress) {
        self.wait(progress.phase == Phase::Waiting);
        if progress.phase == Phase::Sending {
            self.known(progress.total);
            self.at(progress.done);
        }
    }

    /// Its size, where it was not known from the start.
    pub(crate) fn known(&mut self, size: u64) {
        if self.size.is_none() {
            self.size = Some(size);
            self.bar.bar.inc_length(size);
        }
    }

    /// So many of its bytes are over.
    pub(crate) fn at(&mut self, done: u64) {
        let done = done.min(self.size.unwrap_or(done));
        self.bar.bar.inc(done.saturating_sub(self.counted));
        self.counted = self.counted.max(done);
    }

    fn wait(&mut self, waiting: bool) {
        if waiting != self.waiting {
            self.waiting = waiting;
            let count = &self.bar.waiting;
            match waiting {
                true => count.fetch_add(1, Ordering::Relaxed),
                false => count.fetch_sub(1, Ordering::Relaxed),
            };
            self.bar.describe();
        }
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        self.wait(false);
        self.at(self.size.unwrap_or(self.counted));
        self.bar.over.fetch_add(1, Ordering::Relaxed);
        self.bar.describe();
    }
}

/// One line of words that changes in place, for what has no measure.
pub(crate) struct Line {
    bar: ProgressBar,
    out: Arc<Output>,
}

impl Line {
    /// Drawn where a bar would be.
    pub(crate) fn new(context: &Context) -> Self {
        let shown = context.progress && std::io::stderr().is_terminal();
        let target = match shown {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        if shown {
            bar.enable_steady_tick(TICK);
            context.out.set_bar(Some(bar.clone()));
        }
        Line { bar, out: Arc::clone(&context.out) }
    }

    /// What it says from now on.
    pub(crate) fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.out.set_bar(None);
        self.bar.finish_and_clear();
    }
}

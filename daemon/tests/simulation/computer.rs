//! A simulated computer: a runtime of its own whose clock is paused, so that it stands still until the
//! world lets it go on, and the host that the daemon's code finds there. Dropping one is a crash: every
//! task ends where it stands.

use std::rc::Rc;
use std::time::Duration;

use imgrepod::host::{Mutant, Simulation};
use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};

pub(crate) struct Computer {
    runtime: Runtime,
    host: Rc<Simulation>,
}

impl Computer {
    /// One that is switched on so long after the world began.
    pub(crate) fn new(seed: u64, now_ms: u64, mutant: Option<Mutant>) -> Computer {
        let runtime =
            Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let wall = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * 365 * 60);
        let wall = wall + jiff::SignedDuration::from_millis(now_ms.cast_signed());
        let host = {
            let _context = runtime.enter();
            Simulation::new(seed, wall)
        };
        host.put_in(mutant);
        Computer { runtime, host }
    }

    /// Lets it go on for so long by its own clock.
    pub(crate) fn run(&self, millis: u64) {
        let pause = Duration::from_millis(millis);
        self.wait_for(async { tokio::time::sleep(pause).await });
    }

    /// Lets it go on until this is done.
    pub(crate) fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.host.within(|| self.runtime.block_on(work))
    }

    /// Does something there at once.
    pub(crate) fn act<T>(&self, act: impl FnOnce() -> T) -> T {
        let _context = self.runtime.enter();
        self.host.within(act)
    }

    /// Has it do something beside all else.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// From now on what blocks takes no time.
    pub(crate) fn calm(&self) {
        self.host.take_time(false);
    }

    pub(crate) fn set_clock(&self, by_ms: i64) {
        self.host.set_clock(by_ms);
    }
}

//! Transfers that are surely under way: a process that they need is stopped for as long as the test
//! wants, and goes on when it is told.

use rustix::process::{Pid, Signal, kill_process};

use crate::house::House;

/// A process that stands still until it is dropped.
pub(crate) struct Frozen(Pid);

impl Frozen {
    /// Stops a daemon where it is.
    pub(crate) fn new(house: &House, home: &str) -> Self {
        let pid = Pid::from_child(house.process(home));
        kill_process(pid, Signal::STOP).unwrap();
        Frozen(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // One that was killed meanwhile has nothing to go on with.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// Tells a daemon something.
pub(crate) fn signal(house: &House, home: &str, signal: Signal) {
    kill_process(Pid::from_child(house.process(home)), signal).unwrap();
}

/// Waits until a daemon has this many transfers under way.
pub(crate) fn transfers(house: &House, home: &str, count: u64) {
    let now = || house.json(home, &["status"]).1["daemon"]["transfers"].as_u64();
    // Each asking is a process: no need to rest between them.
    while now() != Some(count) {}
}

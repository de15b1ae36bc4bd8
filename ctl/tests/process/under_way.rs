//! Transfers that are surely under way: a process that they need is stopped for as long as the test
//! wants, and goes on when it is told.

use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process};

use crate::house::House;

/// A process that stands still until it is dropped.
pub(crate) struct Frozen(Pid);

impl Frozen {
    /// Stops a daemon where it is. A thread that runs on another processor stops a little later than
    /// the signal was sent: long enough for an answer, so all of them are waited for.
    pub(crate) fn new(house: &House, home: &str) -> Self {
        let pid = Pid::from_child(house.process(home));
        kill_process(pid, Signal::STOP).unwrap();
        let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
        while cfg!(target_os = "linux") && !fs::read_dir(&tasks).unwrap().all(is_stopped) {
            std::thread::yield_now();
        }
        Frozen(pid)
    }
}

/// Whether this thread stands still; one that has ended does.
fn is_stopped(task: io::Result<fs::DirEntry>) -> bool {
    let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
    // `17 (name) T ...`: the name may have anything in it, but it ends with the last parenthesis.
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with(['T', 'Z', 'X']))
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

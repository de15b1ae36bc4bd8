//! What a process costs by the word of Linux: processor time and memory.

use std::collections::HashMap;
use std::ffi::OsString;

use anyhow::Context as _;

/// `USER_HZ`, in which Linux tells the times of processes.
const TICKS_PER_SECOND: f64 = 100.0;

/// How long processors have worked for a process.
pub(crate) fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // Behind the name, which may be of any letters: the state, ten numbers, then the user's and the
    // system's time.
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = numbers.skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// How often each thread of a process has begun to wait for something: each time it had been woken.
pub(crate) fn waits(process: u32) -> anyhow::Result<HashMap<OsString, u64>> {
    let path = format!("/proc/{process}/task");
    let mut waits = HashMap::new();
    for task in std::fs::read_dir(&path).with_context(|| format!("cannot read {path}"))? {
        let task = task?;
        // A thread that has just ended waits no more.
        let Ok(status) = std::fs::read_to_string(task.path().join("status")) else { continue };
        let count = number(&status, "voluntary_ctxt_switches:").unwrap_or_default();
        waits.insert(task.file_name(), count);
    }
    Ok(waits)
}

/// How often the threads waited between two counts: those that are there at both. One that has ended in
/// between was waited for no longer, and counts no more.
pub(crate) fn waited(before: &HashMap<OsString, u64>, after: &HashMap<OsString, u64>) -> u64 {
    let since = |(thread, after): (&OsString, &u64)| {
        before.get(thread).map_or(*after, |before| after - before)
    };
    after.iter().map(since).sum()
}

/// A process's resident size and the highest that it ever was, in KiB.
pub(crate) fn resident(process: u32) -> anyhow::Result<(u64, u64)> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let sizes = number(&status, "VmRSS:").zip(number(&status, "VmHWM:"));
    sizes.with_context(|| format!("{path} tells no sizes"))
}

/// A process's share of the memory that it uses, in KiB; its resident size where the system does not
/// tell that of a process which gives nothing away of its memory.
pub(crate) fn share(process: u32) -> anyhow::Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
    match rollup.ok().and_then(|rollup| number(&rollup, "Pss:")) {
        Some(share) => Ok(share),
        None => Ok(resident(process)?.0),
    }
}

/// The number behind this name.
fn number(lines: &str, name: &str) -> Option<u64> {
    let line = lines.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

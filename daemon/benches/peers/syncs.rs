//! What a server promises by SUCCESS, as the kernel sees it: how often it asks for its data to be on the
//! disk while it takes uploads. Counted by strace, which has to be installed and allowed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::peer::Peer;
use crate::picture::Picture;
use crate::work;

const UPLOADS: u64 = 20;

/// How long strace may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);

/// The calls while 20 images are uploaded one after the other; None where nobody can tell.
pub(crate) fn count(peer: &Peer, place: &Path, runtime: &Runtime) -> anyhow::Result<Option<f64>> {
    let kept = place.join(format!("syncs-{}", peer.pid()));
    let mut command = Command::new("strace");
    command
        .args(["-e", "trace=fsync,fdatasync,syncfs,sync,sync_file_range,msync", "-o"])
        .arg(&kept);
    let threads = threads(peer.pid());
    if peer.is_ours() {
        // Not its children, which make pictures and write no files: strace and a thread that makes a
        // process by vfork have been seen to wait for each other. Its threads that sync are there.
        for thread in &threads {
            command.arg("-p").arg(thread.to_string());
        }
    } else {
        command.args(["-f", "-p", &peer.pid().to_string()]);
    }
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut strace) = spawned else { return Ok(None) };
    let began = Instant::now();
    while !threads.iter().all(|thread| is_traced(peer.pid(), *thread)) {
        if strace.try_wait()?.is_some() || began.elapsed() > PATIENCE {
            let _ = strace.kill();
            let _ = strace.wait();
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let one = |n| Picture::new(format!("synced-{n}.bmp"), 7 << 48 | n, 111_000);
    let uploaded = work::upload(peer, &Arc::new((0..UPLOADS).map(one).collect()), 1, runtime);
    if let Some(pid) = Pid::from_raw(strace.id() as i32) {
        let _ = kill_process(pid, Signal::INT);
    }
    strace.wait()?;
    uploaded?;
    let lines = std::fs::read_to_string(&kept)?;
    // A call that was interrupted by another thread's line ends on one of its own.
    let is_call = |line: &&str| line.contains("sync") && !line.contains("resumed>");
    Ok(Some(lines.lines().filter(is_call).count() as f64))
}

fn threads(process: u32) -> Vec<u32> {
    let folder = std::fs::read_dir(format!("/proc/{process}/task"));
    let names = folder.into_iter().flatten().flatten().map(|thread| thread.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// Whether a thread is looked at, or is no more.
fn is_traced(process: u32, thread: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/status"));
    !status.is_ok_and(|status| status.contains("TracerPid:\t0\n"))
}

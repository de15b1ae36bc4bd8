//! What a daemon has in memory (credentials, the key of its certificate) is in no core dump,
//! whatever the system's limits and wherever it writes or sends them.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use crate::process::{Daemon, imgrepod};

/// Lets this process dump as much as the system lets it; false where that is nothing.
fn allow_dumps(pid: u32) -> bool {
    let most = getrlimit(Resource::Core).maximum;
    let limit = Rlimit { current: most, maximum: most };
    most != Some(0) && prlimit(Pid::from_raw(pid as i32), Resource::Core, limit).is_ok()
}

/// Whether another program that may dump and is aborted in this directory does dump.
fn others_dump(directory: &Path) -> bool {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    // Elsewhere, or by a program, it would be left behind.
    if pattern.starts_with(['/', '|']) {
        return false;
    }
    let mut other = std::process::Command::new("sleep")
        .arg("600")
        .current_dir(directory)
        .spawn()
        .expect("it starts");
    let may_dump = allow_dumps(other.id());
    kill_process(Pid::from_child(&other), Signal::ABORT).expect("it is there");
    other.wait().expect("it ends").core_dumped() && may_dump
}

#[test]
fn a_daemon_that_is_aborted_leaves_no_core() {
    let scene = tempfile::tempdir().expect("a temporary directory");
    let (home, log) = (scene.path().join("home"), scene.path().join("log"));
    let there = scene.path().to_str().expect("it is text");
    let program = imgrepod();
    let program = program.to_str().expect("it is text");
    let arguments = ["-C", there, program, "--serve", "--listen", "127.0.0.1:0"];
    let daemon = Daemon::start(Path::new("env"), &home, &log, &arguments, &[]).expect("it starts");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid()));
    let limits = limits.expect("it runs");
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    assert_eq!(core.expect("there is such a limit").split_whitespace().next(), Some("0"));
    // Whatever raises that limit, or does not go by it: the process itself is none to be dumped.
    if !allow_dumps(daemon.pid()) || !others_dump(scene.path()) {
        println!(
            "*** NOT PROVEN HERE: without its limit it dumps no core (needs a kernel.core_pattern \
             of a plain name, and a hard limit of more than 0)"
        );
    }
    let status = daemon.abort();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!status.core_dumped());
}

//! `imgctl stop`: ends the daemon, and waits until it has.

use imgrepo_proto::control::Request;
use serde::Serialize;

use crate::commands::status;
use crate::context::Context;
use crate::failure::Failure;

/// `{"v":1,"stopped":true}`.
#[derive(Serialize)]
struct Document {
    stopped: bool,
}

/// Asks for it and waits.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let act = "stop the daemon";
    let status = status::of(act, context.ask(act, &Request::Status)?)?;
    // Taken before the daemon knows: its number cannot be another process's by then.
    let process = Process::of(status.daemon.pid);
    context.ask(act, &Request::Stop)?;
    process.wait();
    if context.out.json() {
        return context.out.document(&Document { stopped: true });
    }
    context.out.confirm("stopped");
    Ok(())
}

/// The daemon's process, so that what is started next finds its socket and its data free.
struct Process {
    #[cfg(target_os = "linux")]
    descriptor: Option<rustix::fd::OwnedFd>,
}

impl Process {
    #[cfg(target_os = "linux")]
    fn of(pid: u32) -> Self {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        // An old kernel without it, or a daemon in another container: then nothing is waited for.
        Process { descriptor: pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_: u32) -> Self {
        Process {}
    }

    #[cfg(target_os = "linux")]
    fn wait(&self) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        // The daemon gives its sessions 5 s to end; it says itself what takes longer.
        const PATIENCE: Timespec = Timespec { tv_sec: 15, tv_nsec: 0 };
        if let Some(descriptor) = &self.descriptor {
            let mut ended = [PollFd::new(descriptor, PollFlags::IN)];
            let _ = poll(&mut ended, Some(&PATIENCE));
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn wait(&self) {}
}

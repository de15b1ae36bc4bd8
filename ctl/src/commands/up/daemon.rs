//! A daemon that answers: the one that runs, or one that is started as it was before.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use imgrepo_proto::control::reply::Status;
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};

use super::service::{self, Service};
use super::wanted::{self, Act, Wanted};
use crate::context::{Context, unexpected};

/// What was done, and what starts it from now on.
pub(super) struct Brought {
    /// It did not run before.
    pub(super) started: bool,
    /// How it stands with what starts it.
    pub(super) service: Service,
    /// How it was before.
    before: Service,
    /// How the daemon is.
    pub(super) status: Status,
}

/// Has the daemon run as wanted, and answer.
pub(super) fn bring(context: &Context, wanted: &Wanted) -> Result<Brought, Refusal> {
    let running = match status(context) {
        Ok(status) => Some(status),
        Err(refusal) if refusal.code == ErrorCode::NotRunning => None,
        Err(refusal) => return Err(refusal),
    };
    let before = service::call(&["status".into()])?;
    let words = match (wanted.act(&before, running.as_ref())?, running) {
        (Act::Nothing, Some(status)) => {
            return Ok(Brought { started: false, service: before.clone(), before, status });
        }
        (Act::Nothing, None) => vec!["status".into()],
        (Act::Service(words), _) => words,
    };
    let service = service::call(&words).inspect_err(|_| {
        if wanted::is_in_background(&before) {
            // It has taken back what never ran.
            return show_log(context);
        }
        // What has never run must not stand in the way of what is tried next. One that is merely
        // slow answers late.
        let is_gone = status(context).is_err_and(|why| why.code == ErrorCode::NotRunning);
        if !before.installed && is_gone {
            let _ = service::call(&["uninstall".into()]);
        }
    })?;
    let status = status(context)?;
    wanted.may_be(&service, Some(&status))?;
    Ok(Brought { started: true, service, before, status })
}

fn status(context: &Context) -> Result<Status, Refusal> {
    match context.open()?.call(&Request::Status)? {
        Outcome::Status(status) => Ok(*status),
        other => Err(unexpected(&other)),
    }
}

impl Brought {
    /// In a line, such as `started, and at every login (systemd)`.
    pub(super) fn said(&self) -> String {
        let did = if self.started { "started" } else { "runs" };
        let by = match (self.service.enabled, &self.status.daemon.autostart) {
            (true, _) => Some(&self.service.manager),
            (false, by) => by.as_ref(),
        };
        match by {
            Some(by) => format!("{did}, and starts at every login ({})", shown(by)),
            None => format!("{did}, but nothing starts it at the next login"),
        }
    }

    /// What to do so that it starts at login, where nothing does.
    pub(super) fn advice(&self) -> Option<String> {
        let Brought { service, before, status, .. } = self;
        if service.enabled || status.daemon.autostart.is_some() {
            let ends = status.server.is_some() && service.lingering == Some(false);
            let advice = "it ends with your last logout; to have it go on: loginctl enable-linger";
            return ends.then(|| advice.to_owned());
        }
        Some(match (service.installed, &before.absent) {
            (true, Some(why)) => {
                let (manager, why) = (&before.manager, shown(why));
                format!("{manager} does not answer here ({why}): after a restart, imgctl up again")
            }
            (true, None) => "after a restart: imgctl up".to_owned(),
            (false, _) => {
                let serve = if status.server.is_some() { " --serve" } else { "" };
                format!("it was started by hand; to change that: imgctl stop && imgctl up{serve}")
            }
        })
    }
}

/// Passes on what is wrong with a service that was made, such as a program that may soon be gone.
/// That nothing starts it at login is said where it is said how it runs.
pub(super) fn pass_on(context: &Context, brought: &Brought) {
    let problems = brought.service.problems.iter();
    for problem in problems.filter(|_| brought.started && brought.service.enabled) {
        context.out.note(&shown(&problem.message));
        if let Some(hint) = &problem.hint {
            context.out.note(&format!("hint: {}", shown(hint)));
        }
    }
}

/// Shows what a daemon in the background said last.
fn show_log(context: &Context) {
    /// Enough to see what went wrong.
    const LINES: usize = 10;
    /// These are in it.
    const TAIL_BYTES: u64 = 8 * 1024;
    let Some(path) = service::call(&["status".into()]).ok().and_then(|service| service.log) else {
        return;
    };
    let mut tail = Vec::new();
    // What cannot be read is not shown; why it does not run is said all the same.
    if let Ok(mut file) = File::open(&path) {
        let length = file.metadata().map_or(0, |meta| meta.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)));
        let _ = file.take(TAIL_BYTES).read_to_end(&mut tail);
    }
    let tail = String::from_utf8_lossy(&tail);
    let lines: Vec<_> = tail.lines().collect();
    if !lines.is_empty() {
        context.out.note(&format!("the end of {}:", shown(&path)));
    }
    for line in &lines[lines.len().saturating_sub(LINES)..] {
        context.out.note(&format!("  {}", shown(line)));
    }
}

//! The daemon at login: what has this system start it, made, looked at and taken away again.
//! `main` carries out a person's commands with it, `control` tells what it finds.
//!
//! One file says what is started (a systemd user unit, a launchd agent, a logon task) and is this
//! room's alone: one that somebody else wrote is never touched, and where something else starts the
//! daemon already, none is made. Nothing here prints, or knows what the daemon does.

mod acts;
mod background;
mod commands;
mod file;
mod launchd;
mod manager;
mod owners;
mod start;
mod systemd;
mod unit;
mod windows;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use imgrepo_proto::control::{Client, Endpoint};
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{ErrorCode, Refusal};
use serde::Serialize;

pub use commands::{Answer, Commands, System};
pub use start::{Start, program};

use crate::paths::{Login, Paths};
use file::Found;
use manager::{Look, Manager};
use owners::Owner;

/// The service of one user and home.
pub struct Service {
    login: Login,
    state: PathBuf,
    endpoint: Endpoint,
    commands: Box<dyn Commands + Send + Sync>,
    /// Looked for once: it reads some hundred files.
    others: OnceLock<Vec<Owner>>,
    /// Whether the daemon is started in the background, and not by this system's manager.
    in_background: bool,
}

/// How it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServiceStatus {
    /// Whether the file is there, and is ours.
    pub installed: bool,
    /// Whether it has the daemon start at the next login.
    pub enabled: bool,
    /// Whether the daemon runs by it. Without a manager that could tell: whether it runs.
    pub running: bool,
    /// What starts it, such as `systemd`; `background` where nothing does but a person.
    pub manager: &'static str,
    /// Why that cannot start anything now.
    pub absent: Option<String>,
    /// Whether the file is there and starts the daemon of another home of this user.
    pub elsewhere: bool,
    /// The file, whether or not it is there.
    pub unit: Option<String>,
    /// Whether it runs without a login too; None where that is not known or not so.
    pub lingering: Option<bool>,
    /// The program that it starts.
    pub program: Option<String>,
    /// What that is told.
    pub arguments: Option<Vec<String>>,
    /// The log of daemons in the background, where there is one.
    pub log: Option<String>,
    /// What is not as it should be.
    pub problems: Vec<Problem>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { message: message.into(), hint: Some(hint.into()) }
    }
}

/// What came of a command: what was done, a line each.
pub type Steps = Vec<String>;

impl Service {
    /// The service of whose files these are.
    #[must_use]
    pub fn new(paths: &Paths, commands: impl Commands + Send + Sync + 'static) -> Service {
        Service {
            login: paths.login.clone(),
            state: paths.state.clone(),
            endpoint: paths.endpoint.clone(),
            commands: Box::new(commands),
            others: OnceLock::new(),
            in_background: false,
        }
    }

    /// The same, without a manager of services.
    #[must_use]
    pub fn in_background(mut self) -> Service {
        self.in_background = true;
        self
    }

    /// The same by what is installed: in the background where it was started so, unless this
    /// system's manager has it and answers.
    #[must_use]
    pub fn as_installed(self) -> Service {
        let is_by_manager = || {
            let manager = self.system();
            let found = manager.file().map(|file| self.found(&*manager, &file));
            matches!(found, Some(Ok(Found::Ours { .. })))
                && !matches!(manager.look(), Look::Absent(_))
        };
        match background::file_in(&self.state).exists() && !is_by_manager() {
            true => self.in_background(),
            false => self,
        }
    }

    fn manager(&self) -> Box<dyn Manager + '_> {
        if !self.in_background {
            return self.system();
        }
        Box::new(self.background())
    }

    /// No manager.
    fn background(&self) -> background::Background<'_> {
        background::Background {
            state: &self.state,
            endpoint: &self.endpoint,
            home: self.login.home.as_deref(),
            child: Mutex::new(None),
        }
    }

    fn found_in_background(&self) -> Result<Found, Refusal> {
        self.found(&self.background(), &background::file_in(&self.state))
    }

    /// This system's manager.
    fn system(&self) -> Box<dyn Manager + '_> {
        let (login, commands) = (&self.login, &*self.commands);
        if cfg!(target_os = "macos") {
            Box::new(launchd::Launchd { login, commands })
        } else if cfg!(windows) {
            Box::new(windows::Tasks { login, commands })
        } else {
            Box::new(systemd::Systemd { login, commands })
        }
    }

    /// What starts the daemon at the next login, by looking at files alone; None where nothing does.
    #[must_use]
    pub fn autostart(&self) -> Option<String> {
        let manager = self.system();
        let file = manager.file();
        if let Some(file) = &file
            && let Ok(Found::Ours { .. }) = self.found(&*manager, file)
            && manager.is_enabled(file)
        {
            return Some(manager.name().to_owned());
        }
        let others = self.others.get_or_init(|| owners::owners(&self.login, file.as_deref()));
        others.first().map(|owner| owner.kind.to_owned())
    }

    /// How it stands.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn status(&self) -> Result<ServiceStatus, Refusal> {
        let manager = self.manager();
        let look = manager.look();
        let file = manager.file();
        let mut status = ServiceStatus {
            manager: manager.name(),
            absent: match &look {
                Look::Absent(why) => Some(why.clone()),
                _ => None,
            },
            unit: file.as_ref().map(|file| file.display().to_string()),
            lingering: manager.lingering(),
            log: Some(self.background().log())
                .filter(|log| log.is_file())
                .map(|log| log.display().to_string()),
            ..ServiceStatus::default()
        };
        let found = match &file {
            Some(file) => self.found(&*manager, file)?,
            None => Found::Nothing,
        };
        let problems = &mut status.problems;
        let owners = owners::owners(&self.login, self.system().file().as_deref());
        problems.extend(owners.iter().map(|owner| Problem::new(owner.message(), &owner.remove)));
        match &found {
            Found::Nothing => {}
            Found::Another(refusal) | Found::Elsewhere(refusal) => {
                status.elsewhere = matches!(found, Found::Elsewhere(_));
                let (message, hint) = (refusal.message.clone(), refusal.hint.clone());
                problems.push(Problem { message, hint });
            }
            Found::Ours { start, .. } => {
                status.installed = true;
                status.enabled = file.as_ref().is_some_and(|file| manager.is_enabled(file));
                status.program = Some(start.program.display().to_string());
                let arguments = start.arguments.iter().map(|word| word.display().to_string());
                status.arguments = Some(arguments.collect());
                let is_there = self.is_there();
                status.running = match look {
                    Look::Absent(_) => is_there,
                    _ => look == Look::Running,
                };
                // What starts nothing tomorrow need not be there then.
                if !self.in_background {
                    problems.extend(start::fleeting(&start.program, &self.login));
                }
                if !status.enabled {
                    problems.push(manager.not_at_login());
                }
                problems.extend(what_is_wrong(&*manager, &look, start, is_there));
            }
        }
        Ok(status)
    }

    /// Whether a daemon of this home runs and is ready, however it was started.
    fn answers(&self) -> bool {
        // Of another version it is one that says no more than that it is there.
        matches!(self.greeting(), None | Some(ErrorCode::Unsupported))
    }

    /// Whether one runs at all: it may be busy with its start, or stopped.
    fn is_there(&self) -> bool {
        matches!(self.greeting(), None | Some(ErrorCode::Unsupported | ErrorCode::TimedOut))
    }

    /// Why a daemon does not answer; None where it does.
    fn greeting(&self) -> Option<ErrorCode> {
        Client::connect(&self.endpoint, this_program()).err().map(|refusal| refusal.code)
    }

    fn file(&self, manager: &dyn Manager) -> Result<PathBuf, Refusal> {
        manager.file().ok_or_else(|| {
            Refusal::new(ErrorCode::FileError, "there is no place for this user's services")
                .hint("set HOME")
        })
    }

    fn found(&self, manager: &dyn Manager, file: &Path) -> Result<Found, Refusal> {
        file::find(file, self.login.home.as_deref(), |text| manager.read(text))
    }

    /// What is started, where it is installed.
    ///
    /// # Errors
    /// `not_found` where none is, `conflict` where the file is another's.
    pub fn told(&self) -> Result<Start, Refusal> {
        self.installed(&*self.manager())
    }

    fn installed(&self, manager: &dyn Manager) -> Result<Start, Refusal> {
        match self.found(manager, &self.file(manager)?)? {
            Found::Ours { start, .. } => Ok(start),
            Found::Another(refusal) | Found::Elsewhere(refusal) => Err(refusal),
            Found::Nothing => Err(Refusal::new(ErrorCode::NotFound, "no service is installed")
                .hint("imgrepod service install")),
        }
    }
}

/// This program, to the daemon.
fn this_program() -> Program {
    Program {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// What keeps an installed service from running as it should.
fn what_is_wrong(
    manager: &dyn Manager,
    look: &Look,
    start: &Start,
    is_there: bool,
) -> Option<Problem> {
    let refusal = match look {
        Look::Absent(why) => absent(manager, why, start),
        Look::Unknown => Refusal::new(
            ErrorCode::NotFound,
            format!("{} does not see the file", manager.name()),
        )
        .hint("imgrepod service restart; if that does not help, its XDG_CONFIG_HOME is another"),
        Look::Failed if !is_there => {
            Refusal::new(ErrorCode::Internal, "the daemon ended with a fault")
                .hint(manager.log_hint())
        }
        Look::Stopped | Look::Failed if is_there => by_hand(),
        _ => return None,
    };
    Some(Problem { message: refusal.message, hint: refusal.hint })
}

fn absent(manager: &dyn Manager, why: &str, start: &Start) -> Refusal {
    let name = manager.name();
    let why = if why.is_empty() { "no reason given" } else { why };
    let message =
        format!("{name} does not answer for this user here, so it starts nothing now: {why}");
    Refusal::new(ErrorCode::Unsupported, message)
        .hint(format!("start the daemon by hand: {}", start.command()))
}

fn by_hand() -> Refusal {
    Refusal::new(ErrorCode::Conflict, "a daemon runs that was not started by the service")
        .hint("imgctl stop && imgrepod service start")
}

impl Owner {
    fn message(&self) -> String {
        format!("something else starts the daemon: the {} `{}`", self.kind, self.file.display())
    }
}

#[cfg(test)]
mod tests;

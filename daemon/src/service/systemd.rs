//! systemd's manager of this user: a unit file, a link that has it start at login, `systemctl`.
//!
//! The link is made here and not by `systemctl enable`: it is the same one, and can be made where
//! no manager runs at this moment (a container, a shell of `su`).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgrepo_proto::control::endpoint;
use imgrepo_proto::{ErrorCode, Refusal};

use super::commands::Commands;
use super::manager::{Look, Manager};
use super::start::Start;
use super::unit;
use crate::paths::Login;

/// The unit.
pub(super) const UNIT: &str = "imgrepod.service";

/// A question: the manager answers from memory.
const ASK: Duration = Duration::from_secs(10);

/// A stop: a unit has 90 s to end before systemd ends it, and some for that.
const STOP: Duration = Duration::from_secs(120);

/// The manager.
pub(super) struct Systemd<'a> {
    pub(super) login: &'a Login,
    pub(super) commands: &'a dyn Commands,
}

impl Systemd<'_> {
    fn systemctl(&self, act: &str, words: &[&str], limit: Duration) -> Result<(), Refusal> {
        let words: Vec<&str> =
            ["--user", "--no-ask-password"].iter().chain(words).copied().collect();
        let why = match self.commands.run("systemctl", &words, limit) {
            Ok(answer) if answer.success => return Ok(()),
            Ok(answer) => answer.complaint,
            Err(error) => error.to_string(),
        };
        Err(Refusal::new(ErrorCode::Internal, format!("systemd cannot {act} `{UNIT}`: {why}"))
            .hint(self.log_hint()))
    }

    fn link(file: &Path) -> Option<PathBuf> {
        Some(file.parent()?.join("default.target.wants").join(UNIT))
    }
}

impl Manager for Systemd<'_> {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn file(&self) -> Option<PathBuf> {
        self.login.units.as_ref().map(|units| units.join(UNIT))
    }

    fn write(&self, start: &Start) -> Result<String, Refusal> {
        unit::write(start)
    }

    fn read(&self, text: &str) -> Option<Start> {
        unit::read(text)
    }

    fn is_enabled(&self, file: &Path) -> bool {
        // Wherever it leads, systemd takes it by its name.
        Self::link(file).is_some_and(|link| link.symlink_metadata().is_ok())
    }

    fn enable(&self, file: &Path) -> Result<(), Refusal> {
        let Some(link) = Self::link(file) else { return Ok(()) };
        let made = link.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| make_link(file, &link)).map_err(|error| {
            let shown = link.display();
            Refusal::new(ErrorCode::FileError, format!("cannot make the link `{shown}`: {error}"))
        })
    }

    fn disable(&self, file: &Path) -> Result<(), Refusal> {
        let Some(link) = Self::link(file) else { return Ok(()) };
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let shown = link.display();
                let message = format!("cannot remove the link `{shown}`: {error}");
                return Err(Refusal::new(ErrorCode::FileError, message));
            }
            _ => {}
        }
        if let Some(wants) = link.parent() {
            // As systemctl does; others' links keep it.
            let _ = std::fs::remove_dir(wants);
        }
        Ok(())
    }

    fn look(&self) -> Look {
        let words = ["--user", "show", UNIT, "--property=LoadState,ActiveState,SubState"];
        let said = match self.commands.run("systemctl", &words, ASK) {
            Ok(answer) if answer.success => answer.said,
            Ok(answer) => return Look::Absent(answer.complaint),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Look::Absent("there is no systemctl".to_owned());
            }
            Err(error) => return Look::Absent(error.to_string()),
        };
        let value = |key: &str| {
            let of = |line: &'_ str| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
            said.lines().find_map(of).unwrap_or_default()
        };
        match (&*value("ActiveState"), &*value("SubState"), &*value("LoadState")) {
            ("failed", ..) | (_, "auto-restart", _) => Look::Failed,
            ("active" | "activating" | "reloading" | "deactivating", ..) => Look::Running,
            (.., "not-found") => Look::Unknown,
            _ => Look::Stopped,
        }
    }

    fn reload(&self) -> Result<(), Refusal> {
        self.systemctl("read", &["daemon-reload"], ASK)
    }

    fn start(&self) -> Result<(), Refusal> {
        // A unit that failed too often is not started before this. It may never have failed.
        let _ = self.systemctl("forget the faults of", &["reset-failed", UNIT], ASK);
        self.systemctl("start", &["start", UNIT], STOP)
    }

    fn stop(&self) -> Result<(), Refusal> {
        self.systemctl("stop", &["stop", UNIT], STOP)?;
        // One that was killed for it stays listed as failed.
        let _ = self.systemctl("forget the faults of", &["reset-failed", UNIT], ASK);
        Ok(())
    }

    fn lingering(&self) -> Option<bool> {
        let user = endpoint::user().to_string();
        let words = ["show-user", user.as_str(), "--property=Linger"];
        let answer =
            self.commands.run("loginctl", &words, ASK).ok().filter(|answer| answer.success)?;
        match answer.said.trim() {
            "Linger=yes" => Some(true),
            "Linger=no" => Some(false),
            _ => None,
        }
    }

    fn linger(&self) -> Result<(), Refusal> {
        let user = endpoint::user().to_string();
        let words = ["--no-ask-password", "enable-linger", user.as_str()];
        let why = match self.commands.run("loginctl", &words, ASK) {
            Ok(answer) if answer.success => return Ok(()),
            Ok(answer) => answer.complaint,
            Err(error) => error.to_string(),
        };
        let message = format!("cannot let it go on after your logout: {why}");
        Err(Refusal::new(ErrorCode::Denied, message)
            .hint(format!("ask for it as root: sudo loginctl enable-linger {user}")))
    }

    fn log_hint(&self) -> String {
        "read why: journalctl --user -u imgrepod -n 20".to_owned()
    }
}

#[cfg(unix)]
fn make_link(file: &Path, link: &Path) -> io::Result<()> {
    if std::fs::read_link(link).is_ok_and(|leads| leads == file) {
        return Ok(());
    }
    match std::fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(file, link)
}

#[cfg(not(unix))]
fn make_link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

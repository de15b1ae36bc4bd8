//! The Task Scheduler of Windows: a task at logon, `schtasks`. Written by its documentation and not
//! tested.
//!
//! The task runs a file of one command, as a task's own command line is short. It gives its program
//! no variables, so one that would need them is refused.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgrepo_proto::{ErrorCode, Refusal};

use super::commands::Commands;
use super::manager::{Look, Manager};
use super::start::Start;
use crate::paths::Login;

/// The task's name.
const TASK: &str = "imgrepod";

/// The beginning of what we wrote.
const OURS: &str = "rem Written by `imgrepod service install`";

/// Any command.
const LIMIT: Duration = Duration::from_secs(30);

/// The manager.
pub(super) struct Tasks<'a> {
    pub(super) login: &'a Login,
    pub(super) commands: &'a dyn Commands,
}

impl Tasks<'_> {
    fn schtasks(&self, words: &[&str]) -> Result<(), Refusal> {
        let why = match self.commands.run("schtasks", words, LIMIT) {
            Ok(answer) if answer.success => return Ok(()),
            Ok(answer) => answer.complaint,
            Err(error) => error.to_string(),
        };
        let act = words.first().unwrap_or(&"").trim_start_matches('/').to_lowercase();
        let message = format!("the Task Scheduler cannot {act} the task `{TASK}`: {why}");
        Err(Refusal::new(ErrorCode::Internal, message).hint(self.log_hint()))
    }
}

impl Manager for Tasks<'_> {
    fn name(&self) -> &'static str {
        "task scheduler"
    }

    fn file(&self) -> Option<PathBuf> {
        self.login.units.as_ref().map(|directory| directory.join("imgrepod-at-logon.cmd"))
    }

    fn write(&self, start: &Start) -> Result<String, Refusal> {
        if let Some((name, _)) = start.environment.first() {
            let message =
                format!("a task at logon gives its program no variables, but {name} is set");
            return Err(Refusal::new(ErrorCode::Usage, message)
                .hint(format!("set it for your user (setx {name} ...), or use the flag")));
        }
        let words = std::iter::once(start.program.as_os_str())
            .chain(start.arguments.iter().map(OsString::as_os_str));
        let words = words.map(quoted).collect::<Result<Vec<_>, _>>()?;
        Ok(format!("{OURS}\r\n@{}\r\n", words.join(" ")))
    }

    fn read(&self, text: &str) -> Option<Start> {
        let mut lines = text.lines();
        lines.next().filter(|line| *line == OURS)?;
        let line = lines.next()?.strip_prefix('@')?;
        let line = line.strip_prefix('"')?.strip_suffix('"')?;
        let mut words = line.split("\" \"").map(|word| OsString::from(word.replace("%%", "%")));
        let program = PathBuf::from(words.next()?);
        Some(Start { program, arguments: words.collect(), environment: Vec::new() })
    }

    fn is_enabled(&self, _: &Path) -> bool {
        self.schtasks(&["/Query", "/TN", TASK]).is_ok()
    }

    fn enable(&self, file: &Path) -> Result<(), Refusal> {
        let run = format!("\"{}\"", file.display());
        self.schtasks(&["/Create", "/TN", TASK, "/SC", "ONLOGON", "/TR", &run, "/F"])
    }

    fn disable(&self, file: &Path) -> Result<(), Refusal> {
        if !self.is_enabled(file) {
            return Ok(());
        }
        self.schtasks(&["/Delete", "/TN", TASK, "/F"])
    }

    fn look(&self) -> Look {
        let words = ["/Query", "/TN", TASK, "/FO", "LIST"];
        match self.commands.run("schtasks", &words, LIMIT) {
            Ok(answer) if answer.success && answer.said.contains("Running") => Look::Running,
            Ok(answer) if answer.success => Look::Stopped,
            Ok(_) => Look::Unknown,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Look::Absent("there is no schtasks".to_owned())
            }
            Err(error) => Look::Absent(error.to_string()),
        }
    }

    fn reload(&self) -> Result<(), Refusal> {
        Ok(())
    }

    fn start(&self) -> Result<(), Refusal> {
        self.schtasks(&["/Run", "/TN", TASK])
    }

    fn stop(&self) -> Result<(), Refusal> {
        self.schtasks(&["/End", "/TN", TASK])
    }

    fn lingering(&self) -> Option<bool> {
        None
    }

    fn linger(&self) -> Result<(), Refusal> {
        let message = "a task at logon ends with the logout: there is no lingering";
        Err(Refusal::new(ErrorCode::Unsupported, message))
    }

    fn log_hint(&self) -> String {
        "start it by hand to read why: imgrepod".to_owned()
    }
}

/// A word of a batch file.
fn quoted(word: &OsStr) -> Result<String, Refusal> {
    match word.to_str() {
        Some(word) if !word.contains(|c: char| c == '"' || c.is_control()) => {
            Ok(format!("\"{}\"", word.replace('%', "%%")))
        }
        _ => {
            let message = format!("a task at logon cannot say `{}`", word.display());
            Err(Refusal::new(ErrorCode::Usage, message))
        }
    }
}

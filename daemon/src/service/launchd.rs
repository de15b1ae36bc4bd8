//! macOS's launchd: an agent of this user, `launchctl`. Written by its documentation and not tested.
//!
//! An agent that is in its place is loaded at login, so there is nothing more to enable.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgrepo_proto::control::endpoint;
use imgrepo_proto::{ErrorCode, Refusal};

use super::commands::Commands;
use super::manager::{Look, Manager};
use super::start::Start;
use crate::paths::Login;

/// The agent's label.
const LABEL: &str = "imgrepo.imgrepod";

/// The beginning of what we wrote.
const OURS: &str = "<!-- Written by `imgrepod service install` -->";

/// Any command: a stop waits for the daemon's end, which launchd gives 20 s.
const LIMIT: Duration = Duration::from_secs(60);

/// The manager.
pub(super) struct Launchd<'a> {
    pub(super) login: &'a Login,
    pub(super) commands: &'a dyn Commands,
}

impl Launchd<'_> {
    fn launchctl(&self, words: &[&str]) -> Result<(), Refusal> {
        let why = match self.commands.run("launchctl", words, LIMIT) {
            Ok(answer) if answer.success => return Ok(()),
            Ok(answer) => answer.complaint,
            Err(error) => error.to_string(),
        };
        let act = words.first().unwrap_or(&"");
        let message = format!("launchd cannot {act} `{LABEL}`: {why}");
        Err(Refusal::new(ErrorCode::Internal, message).hint(self.log_hint()))
    }

    fn domain() -> String {
        format!("gui/{}", endpoint::user())
    }
}

impl Manager for Launchd<'_> {
    fn name(&self) -> &'static str {
        "launchd"
    }

    fn file(&self) -> Option<PathBuf> {
        self.login.units.as_ref().map(|agents| agents.join(format!("{LABEL}.plist")))
    }

    fn write(&self, start: &Start) -> Result<String, Refusal> {
        let string = |text: &std::ffi::OsStr| match text.to_str() {
            Some(text) => Ok(format!("<string>{}</string>", escaped(text))),
            None => {
                let message = format!("launchd does not take `{}`: it is no text", text.display());
                Err(Refusal::new(ErrorCode::Usage, message))
            }
        };
        let mut arguments = format!("    {}\n", string(start.program.as_os_str())?);
        for argument in &start.arguments {
            arguments.push_str(&format!("    {}\n", string(argument)?));
        }
        let mut variables = String::new();
        for (name, value) in &start.environment {
            variables.push_str(&format!("    <key>{}</key>{}\n", escaped(name), string(value)?));
        }
        Ok(format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
{OURS}
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
  <key>Label</key><string>{LABEL}</string>
  <key>ProgramArguments</key><array>
{arguments}  </array>
  <key>EnvironmentVariables</key><dict>
{variables}  </dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
</dict></plist>
"#
        ))
    }

    fn read(&self, text: &str) -> Option<Start> {
        text.lines().nth(1).filter(|line| *line == OURS)?;
        let (_, rest) = text.split_once("<key>ProgramArguments</key>")?;
        let (arguments, rest) = rest.split_once("</array>")?;
        let (_, rest) = rest.split_once("<key>EnvironmentVariables</key>")?;
        let (variables, _) = rest.split_once("</dict>")?;
        let mut arguments = between(arguments, "string").map(OsString::from);
        let program = PathBuf::from(arguments.next()?);
        let names = between(variables, "key");
        let values = between(variables, "string").map(OsString::from);
        Some(Start {
            program,
            arguments: arguments.collect(),
            environment: names.zip(values).collect(),
        })
    }

    fn is_enabled(&self, file: &Path) -> bool {
        file.is_file()
    }

    fn enable(&self, _: &Path) -> Result<(), Refusal> {
        Ok(())
    }

    fn disable(&self, _: &Path) -> Result<(), Refusal> {
        Ok(())
    }

    fn look(&self) -> Look {
        let label = format!("{}/{LABEL}", Self::domain());
        match self.commands.run("launchctl", &["print", label.as_str()], LIMIT) {
            Ok(answer) if answer.success && answer.said.contains("state = running") => {
                Look::Running
            }
            Ok(_) => Look::Stopped,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Look::Absent("there is no launchctl".to_owned())
            }
            Err(error) => Look::Absent(error.to_string()),
        }
    }

    fn reload(&self) -> Result<(), Refusal> {
        Ok(())
    }

    fn start(&self) -> Result<(), Refusal> {
        let Some(file) = self.file() else { return Ok(()) };
        // One that is loaded would be started as it was before the file was written.
        let _ = self.stop();
        self.launchctl(&["bootstrap", &Self::domain(), &file.display().to_string()])
    }

    fn stop(&self) -> Result<(), Refusal> {
        self.launchctl(&["bootout", &format!("{}/{LABEL}", Self::domain())])
    }

    fn lingering(&self) -> Option<bool> {
        None
    }

    fn linger(&self) -> Result<(), Refusal> {
        let message = "an agent of launchd ends with the logout: there is no lingering";
        Err(Refusal::new(ErrorCode::Unsupported, message))
    }

    fn log_hint(&self) -> String {
        "start it by hand to read why: imgrepod".to_owned()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The texts of these elements, in order.
fn between<'a>(text: &'a str, element: &str) -> impl Iterator<Item = String> + use<'a> {
    let close = format!("</{element}>");
    let open = format!("<{element}>");
    text.split(close.as_str())
        .filter_map(|part| Some(part.rsplit_once(open.as_str())?.1))
        .map(|text| text.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))
        .collect::<Vec<_>>()
        .into_iter()
}

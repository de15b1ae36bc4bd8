//! No manager at all: a daemon in the background, in a session of its own, for systems where none
//! answers (a container, a shell of `su`) and for further homes of a user. Nothing starts it at
//! login; what it was told is kept beside its state, so that the next start tells it the same.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use imgrepo_proto::control::{Client, Endpoint, Request};
use imgrepo_proto::{ErrorCode, Refusal};
use serde::{Deserialize, Serialize};

use super::file::{self, Found};
use super::manager::{Look, Manager};
use super::start::Start;
use super::{Problem, this_program};
use crate::config;

/// What it was told, in the folder of its state.
const FILE: &str = "background.json";

/// The version of that file.
const VERSION: u32 = 1;

/// What it says, in the folder of its state.
const LOG: &str = "daemon.log";

/// A log longer than this is set aside when the next daemon starts: years of a quiet one, and one
/// that complained all night fills no disk twice.
const MAX_LOG_BYTES: u64 = 8 * 1024 * 1024;

/// A daemon in the background.
pub(super) struct Background<'a> {
    pub(super) state: &'a Path,
    pub(super) endpoint: &'a Endpoint,
    pub(super) home: Option<&'a Path>,
    /// The process that was started here. It goes on without this one.
    pub(super) child: Mutex<Option<Child>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    v: u32,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// The file that says what is started in the background.
pub(super) fn file_in(state: &Path) -> PathBuf {
    state.join(FILE)
}

impl Background<'_> {
    /// What a daemon in the background says.
    pub(super) fn log(&self) -> PathBuf {
        self.state.join(LOG)
    }

    fn kept(&self) -> Result<Start, Refusal> {
        match file::find(&file_in(self.state), self.home, |text| self.read(text))? {
            Found::Ours { start, .. } => Ok(start),
            Found::Another(refusal) | Found::Elsewhere(refusal) => Err(refusal),
            Found::Nothing => {
                Err(Refusal::new(ErrorCode::NotFound, "it is not kept what is started"))
            }
        }
    }

    /// The log to write on, at its end.
    fn open_log(&self) -> io::Result<File> {
        let log = self.log();
        if fs::metadata(&log).is_ok_and(|meta| meta.len() > MAX_LOG_BYTES) {
            fs::rename(&log, self.state.join("daemon.log.old"))?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        // Names of images stand in it.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&log)
    }
}

impl Manager for Background<'_> {
    fn name(&self) -> &'static str {
        "background"
    }

    fn file(&self) -> Option<PathBuf> {
        Some(file_in(self.state))
    }

    fn write(&self, start: &Start) -> Result<String, Refusal> {
        let text = |word: &OsString| {
            word.clone().into_string().map_err(|word| {
                let message = format!("cannot keep `{}`: it is not UTF-8", word.display());
                Refusal::new(ErrorCode::Usage, message)
            })
        };
        let arguments = start.arguments.iter().map(text).collect::<Result<_, _>>()?;
        let pairs = start.environment.iter();
        let environment = pairs.map(|(name, value)| Ok((name.clone(), text(value)?)));
        let kept = Kept {
            v: VERSION,
            program: start.program.clone(),
            arguments,
            environment: environment.collect::<Result<_, Refusal>>()?,
        };
        serde_json::to_string(&kept).map_err(|error| {
            Refusal::new(ErrorCode::Usage, format!("cannot keep what is started: {error}"))
        })
    }

    fn read(&self, text: &str) -> Option<Start> {
        let kept: Kept = serde_json::from_str(text).ok()?;
        let pairs = kept.environment.into_iter().map(|(name, value)| (name, value.into()));
        (kept.v == VERSION).then(|| Start {
            program: kept.program,
            arguments: kept.arguments.into_iter().map(OsString::from).collect(),
            environment: pairs.collect(),
        })
    }

    fn is_enabled(&self, _: &Path) -> bool {
        false
    }

    fn enable(&self, _: &Path) -> Result<(), Refusal> {
        Ok(())
    }

    fn disable(&self, _: &Path) -> Result<(), Refusal> {
        Ok(())
    }

    fn look(&self) -> Look {
        // Until its socket is there, its process tells.
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        match child.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => Look::Running,
            Some(_) => Look::Failed,
            None => match Client::connect(self.endpoint, this_program()) {
                Ok(_) => Look::Running,
                Err(refusal) if refusal.code == ErrorCode::Unsupported => Look::Running,
                Err(_) => Look::Stopped,
            },
        }
    }

    fn reload(&self) -> Result<(), Refusal> {
        Ok(())
    }

    fn start(&self) -> Result<(), Refusal> {
        let start = self.kept()?;
        let log = self.open_log().map_err(|error| {
            let shown = self.log().display().to_string();
            Refusal::new(ErrorCode::FileError, format!("cannot write `{shown}`: {error}"))
        })?;
        let mut command = Command::new(&start.program);
        // What this shell has set is not what was told.
        for name in config::VARIABLES {
            command.env_remove(name);
        }
        command.arg("--own-session").args(&start.arguments).envs(start.environment);
        // No folder of anybody's is kept from being unmounted; all paths are absolute.
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| {
            let shown = start.program.display();
            Refusal::new(ErrorCode::FileError, format!("cannot start `{shown}`: {error}"))
        })?;
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    }

    fn stop(&self) -> Result<(), Refusal> {
        // Answered when it has ended.
        Client::connect(self.endpoint, this_program())?.call(&Request::Stop).map(drop)
    }

    fn lingering(&self) -> Option<bool> {
        None
    }

    fn linger(&self) -> Result<(), Refusal> {
        Err(Refusal::new(ErrorCode::Unsupported, "nothing starts it without a login"))
    }

    fn log_hint(&self) -> String {
        format!("read why: tail {}", self.log().display())
    }

    fn not_at_login(&self) -> Problem {
        Problem::new(
            "it runs in the background, and nothing starts it at login",
            "imgctl up, after the next login; or imgrepod service install, where a service \
             manager answers",
        )
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_as_it_was_told() {
        let state = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::at(state.path(), "s");
        let background = Background {
            state: state.path(),
            endpoint: &endpoint,
            home: Some(Path::new("/h")),
            child: Mutex::new(None),
        };
        let start = Start {
            program: "/opt/imgrepod".into(),
            arguments: vec!["--serve".into(), "--user=é \"x\"".into()],
            environment: vec![("IMGREPO_HOME".to_owned(), "/h".into())],
        };
        let text = background.write(&start).unwrap();
        assert_eq!(background.read(&text), Some(start.clone()));
        assert_eq!(background.read(&text.replace("\"v\":1", "\"v\":2")), None);
        assert_eq!(background.read("{"), None);
        assert_eq!(background.kept().unwrap_err().code, ErrorCode::NotFound);
        fs::write(file_in(state.path()), text).unwrap();
        assert_eq!(background.kept().unwrap(), start);
        let odd = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
        let start = Start { arguments: vec![odd], ..start };
        assert_eq!(background.write(&start).unwrap_err().code, ErrorCode::Usage);
    }
}

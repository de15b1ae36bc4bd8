//! What starts the daemon here, by `imgrepod service`: that program knows the system's manager, and
//! where this user's files are.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use imgrepo_proto::{ErrorCode, Refusal};
use serde::Deserialize;

use crate::failure::cause;
use crate::programs::program;

/// What `imgrepod service ... --json` says.
#[derive(Deserialize)]
struct Document {
    service: Option<Service>,
    error: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    code: ErrorCode,
    message: String,
    hint: Option<String>,
}

/// How it stands.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Service {
    pub(super) installed: bool,
    pub(super) enabled: bool,
    pub(super) manager: String,
    /// Why the manager starts nothing now.
    #[serde(default)]
    pub(super) absent: Option<String>,
    /// Another home of this user has it.
    #[serde(default)]
    pub(super) elsewhere: bool,
    /// What the daemon is told.
    #[serde(default)]
    pub(super) arguments: Option<Vec<String>>,
    /// Whether it runs without a login too, where that is known.
    #[serde(default)]
    pub(super) lingering: Option<bool>,
    /// The log of daemons in the background.
    #[serde(default)]
    pub(super) log: Option<String>,
    /// What is not as it should be.
    #[serde(default)]
    pub(super) problems: Vec<Problem>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Service {
    /// Whether the daemon is told this flag.
    pub(super) fn is_told(&self, flag: &str) -> bool {
        self.arguments.iter().flatten().any(|word| word == flag)
    }

    /// With which value it is told this flag, such as `--listen`.
    pub(super) fn told<'a>(&'a self, flag: &str) -> Option<&'a str> {
        let value = |word: &'a str| word.strip_prefix(flag)?.strip_prefix('=');
        self.arguments.iter().flatten().find_map(|word| value(word))
    }
}

/// Has `imgrepod service` do this, and gives how it stands then.
pub(super) fn call(words: &[OsString]) -> Result<Service, Refusal> {
    let program = program("imgrepod");
    let output = Command::new(&program)
        .arg("service")
        .args(words)
        .arg("--json")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            let message = format!("cannot run `{}`: {}", program.display(), cause(&error));
            Refusal::new(ErrorCode::FileError, message).hint("install it beside imgctl")
        })?;
    let document = serde_json::from_slice(&output.stdout);
    match document.unwrap_or(Document { service: None, error: None }) {
        Document { error: Some(Refused { code, message, hint }), .. } => {
            Err(Refusal { hint, ..Refusal::new(code, message) })
        }
        Document { service: Some(service), .. } => Ok(service),
        Document { .. } => {
            let words = String::from_utf8_lossy(&output.stderr);
            let first = words.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
            let message = format!("`imgrepod service` ended with {}: {first}", output.status);
            Err(Refusal::new(ErrorCode::Internal, message)
                .hint("install imgctl and imgrepod of the same version"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_daemon_is_told_is_found() {
        let words = ["--serve", "--listen=[::]:8765", "--user=a=b"].map(str::to_owned);
        let service = Service { arguments: Some(words.to_vec()), ..Service::default() };
        assert!(service.is_told("--serve") && !service.is_told("--listen"));
        assert_eq!(service.told("--listen"), Some("[::]:8765"));
        assert_eq!(service.told("--user"), Some("a=b"));
        assert_eq!(service.told("--use"), None);
    }
}

//! What a system's manager of services must be able to do for [`super::Service`]. One file a system
//! carries it out; the order of things is the same everywhere and is not theirs.

use std::path::{Path, PathBuf};

use imgrepo_proto::Refusal;

use super::Problem;
use super::start::Start;

/// A manager of services.
pub(super) trait Manager {
    /// What it is called in reports, such as `systemd`.
    fn name(&self) -> &'static str;

    /// The file that says what is started; None where this user has no place for it.
    fn file(&self) -> Option<PathBuf>;

    /// What that file says for this.
    fn write(&self, start: &Start) -> Result<String, Refusal>;

    /// What such a file starts, where we wrote it.
    fn read(&self, text: &str) -> Option<Start>;

    /// Whether the file takes effect at login, by looking at files alone.
    fn is_enabled(&self, file: &Path) -> bool;

    /// Has the file take effect at login. It need not answer for that.
    fn enable(&self, file: &Path) -> Result<(), Refusal>;

    /// Has it take effect no longer; nothing where it did not.
    fn disable(&self, file: &Path) -> Result<(), Refusal>;

    /// How things are at this moment.
    fn look(&self) -> Look;

    /// Reads the file again.
    fn reload(&self) -> Result<(), Refusal>;

    /// Starts, without waiting until it is ready.
    fn start(&self) -> Result<(), Refusal>;

    /// Stops, and waits for it.
    fn stop(&self) -> Result<(), Refusal>;

    /// Whether this user's services go on after the logout; None where it does not tell or that
    /// is not so here.
    fn lingering(&self) -> Option<bool>;

    /// Lets them go on.
    fn linger(&self) -> Result<(), Refusal>;

    /// How a person reads what a failed start said.
    fn log_hint(&self) -> String;

    /// What is said where the file does not take effect at login.
    fn not_at_login(&self) -> Problem {
        Problem::new(
            "it does not start at login: the unit is there, but not enabled",
            "imgrepod service install",
        )
    }
}

/// How things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// The manager does not answer, and why: no session of this user, or another system.
    Absent(String),
    /// It does not know the file, although it is there.
    Unknown,
    /// Nothing of it runs.
    Stopped,
    /// It runs, or is being started.
    Running,
    /// It ended with a fault, and may be tried again soon.
    Failed,
}

//! What `imgctl connect` and `disconnect` said last, kept across restarts in `state/session.json`,
//! and beside it what lets this computer in.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};

use crate::config::Remembered;
use crate::session::{Credentials, document};

/// The files and what is in them.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    now: Mutex<Remembered>,
    credentials: Credentials,
}

impl Memory {
    /// Reads the files in this directory; one that is missing remembers nothing. One that cannot be
    /// understood is kept aside under another name and said in the log. Blocking.
    ///
    /// # Errors
    /// A file that cannot be read, or that a newer version wrote: it is left as it is.
    pub fn open(state: &Path) -> Result<Memory, Refusal> {
        let path = state.join("session.json");
        let now = document::read(&path)?.unwrap_or_default();
        let credentials = Credentials::open(state.join("credentials.json"))?;
        Ok(Memory { path, now: Mutex::new(now), credentials })
    }

    /// What lets this computer in.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What is remembered.
    #[must_use]
    pub fn remembered(&self) -> Remembered {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was corrupt of the files and is kept aside, for as long as it lies there: the log told of
    /// it once. Blocking.
    pub(super) fn aside(&self) -> Vec<Refusal> {
        let told = |aside: Option<PathBuf>, lost: &str, hint: &str| {
            let aside = shown(&aside?.to_string_lossy());
            let message = format!("a state file was corrupt and is kept as `{aside}`: {lost}");
            let hint = format!("{hint}; then delete that file");
            Some(Refusal::new(ErrorCode::FileError, message).hint(hint))
        };
        let joined = told(
            self.credentials.aside(),
            "what let this computer in is not known any more",
            "ask an admin, or another device of yours, for a link of `imgctl devices add` and take \
             it up: imgctl join",
        );
        let lost = "where to connect is not known any more";
        let session = told(document::kept_aside(&self.path), lost, "imgctl connect HOST");
        joined.into_iter().chain(session).collect()
    }

    /// Remembers something else, durably. Blocking.
    pub(super) fn remember(&self, change: impl FnOnce(&mut Remembered)) -> Result<(), Refusal> {
        // Held while the file is written, so that two requests leave it as the later one said.
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = now.clone();
        change(&mut next);
        if *now == next {
            return Ok(());
        }
        document::write(&self.path, &next)?;
        *now = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_said_outlives_the_process() {
        let home = tempfile::tempdir().unwrap();
        let memory = Memory::open(home.path()).unwrap();
        assert_eq!(memory.remembered(), Remembered::default());
        memory.remember(|now| now.url = Some("ws://h:1/".to_owned())).unwrap();
        memory.remember(|now| now.offline = true).unwrap();
        let again = Memory::open(home.path()).unwrap().remembered();
        assert_eq!((again.url.as_deref(), again.offline), (Some("ws://h:1/"), true));
    }

    #[test]
    fn what_was_corrupt_is_told_until_somebody_has_seen_to_it() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Memory::open(home.path()).unwrap().aside(), []);
        fs::write(home.path().join("credentials.json"), "{").unwrap();
        for _start in 0..2 {
            let told = Memory::open(home.path()).unwrap().aside();
            assert_eq!(told.len(), 1);
            assert!(told[0].message.contains("credentials.json.corrupt"), "{told:?}");
            assert!(told[0].hint.as_ref().unwrap().contains("imgctl join"), "{told:?}");
        }
        fs::remove_file(home.path().join("credentials.json.corrupt")).unwrap();
        assert_eq!(Memory::open(home.path()).unwrap().aside(), []);
    }

    #[test]
    fn the_first_format_is_read_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let sample = r#"{"v": 1, "url": "ws://h:1/", "user": "ana", "offline": false}"#;
        fs::write(home.path().join("session.json"), sample).unwrap();
        let remembered = Memory::open(home.path()).unwrap().remembered();
        assert_eq!(remembered.user.unwrap().as_str(), "ana");
    }
}

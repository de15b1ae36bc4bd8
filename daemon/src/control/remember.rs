//! What `imgctl connect` and `disconnect` said last, kept across restarts in `state/session.json`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use imgrepo_proto::{ErrorCode, Refusal};
use serde::{Deserialize, Serialize};

use crate::config::Remembered;

/// The version of the file that this build writes, and the highest that it reads.
const VERSION: u32 = 1;

/// The file and what is in it.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    now: Mutex<Remembered>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    v: u32,
    #[serde(flatten)]
    remembered: Remembered,
}

impl Memory {
    /// Reads the file; one that is missing remembers nothing. One that cannot be understood is
    /// kept aside under another name and said in the log. Blocking.
    ///
    /// # Errors
    /// A file that cannot be read, or that a newer version wrote: it is left as it is.
    pub fn open(path: PathBuf) -> Result<Memory, Refusal> {
        let refused = |why: String| {
            let path = path.display();
            Refusal::new(ErrorCode::FileError, format!("cannot use the state file `{path}`: {why}"))
        };
        let now = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Remembered::default(),
            Err(error) => return Err(refused(error.to_string())),
            Ok(bytes) => match serde_json::from_slice::<Document>(&bytes) {
                Ok(document) if document.v > VERSION => {
                    return Err(refused(format!(
                        "a newer version wrote it (format {}, this version knows {VERSION})",
                        document.v
                    ))
                    .hint("start the newer imgrepod"));
                }
                Ok(document) => document.remembered,
                Err(error) => {
                    let aside = aside(&path).map_err(|error| refused(error.to_string()))?;
                    tracing::error!(
                        file = %path.display(), kept = %aside.display(), %error,
                        "the state file is corrupt: what was remembered is kept aside and not used"
                    );
                    Remembered::default()
                }
            },
        };
        Ok(Memory { path, now: Mutex::new(now) })
    }

    /// What is remembered.
    #[must_use]
    pub fn remembered(&self) -> Remembered {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        self.write(&next).map_err(|error| {
            let code = match error.kind() {
                io::ErrorKind::StorageFull => ErrorCode::StorageFull,
                _ => ErrorCode::FileError,
            };
            let path = self.path.display();
            Refusal::new(code, format!("cannot write the state file `{path}`: {error}"))
        })?;
        *now = next;
        Ok(())
    }

    fn write(&self, remembered: &Remembered) -> io::Result<()> {
        let document = Document { v: VERSION, remembered: remembered.clone() };
        let mut bytes = serde_json::to_vec_pretty(&document)?;
        bytes.push(b'\n');
        let new = self.path.with_extension("json.new");
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        // Without this the name may be gone after a power cut.
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

/// Moves a file to the first name beside it that is free.
fn aside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".corrupt");
    let mut to = PathBuf::from(&name);
    for number in 2.. {
        if !to.try_exists()? {
            break;
        }
        let mut name = name.clone();
        name.push(format!("-{number}"));
        to = PathBuf::from(name);
    }
    fs::rename(path, &to)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_outlives_the_process() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("session.json");
        let memory = Memory::open(path.clone()).unwrap();
        assert_eq!(memory.remembered(), Remembered::default());
        memory.remember(|now| now.url = Some("ws://h:1/".to_owned())).unwrap();
        memory.remember(|now| now.offline = true).unwrap();
        let again = Memory::open(path).unwrap().remembered();
        assert_eq!((again.url.as_deref(), again.offline), (Some("ws://h:1/"), true));
    }

    #[test]
    fn the_first_format_is_read_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("session.json");
        let sample = r#"{"v": 1, "url": "ws://h:1/", "user": "ana", "offline": false}"#;
        fs::write(&path, sample).unwrap();
        let remembered = Memory::open(path).unwrap().remembered();
        assert_eq!(remembered.user.unwrap().as_str(), "ana");
    }

    #[test]
    fn corrupt_is_kept_aside_and_newer_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("session.json");
        for kept in ["session.json.corrupt", "session.json.corrupt-2"] {
            fs::write(&path, kept).unwrap();
            assert_eq!(Memory::open(path.clone()).unwrap().remembered(), Remembered::default());
            assert_eq!(fs::read_to_string(home.path().join(kept)).unwrap(), kept);
            assert!(!path.exists());
        }
        fs::write(&path, r#"{"v": 2, "url": "x"}"#).unwrap();
        assert_eq!(Memory::open(path.clone()).unwrap_err().code, ErrorCode::FileError);
        assert!(path.exists());
    }
}

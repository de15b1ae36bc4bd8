//! The file that says what is started at login: found, written whole or not at all, removed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use imgrepo_proto::{ErrorCode, Refusal};

use super::start::Start;

/// What stands where the file would be.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// Our file, for this home.
    Ours {
        /// All of it.
        text: String,
        /// What it starts.
        start: Start,
    },
    /// One that is not ours to touch, and why.
    Another(Refusal),
    /// Ours, but it starts the daemon of another home of this user, and what to do about it.
    Elsewhere(Refusal),
}

/// Looks at the file. `read` understands those that we wrote.
pub(super) fn find(
    file: &Path,
    home: Option<&Path>,
    read: impl Fn(&str) -> Option<Start>,
) -> Result<Found, Refusal> {
    let shown = file.display();
    let text = match fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed("read", file, &error)),
    };
    let Some(start) = read(&text) else {
        let message = format!("`{shown}` was not written by `imgrepod service install`");
        let refusal = Refusal::new(ErrorCode::Conflict, message);
        return Ok(Found::Another(refusal.hint("remove it, or keep it and use it as it is")));
    };
    if start.home() != home {
        let (whose, variable) = match start.home() {
            Some(other) => {
                let other = other.display();
                (format!("of IMGREPO_HOME `{other}`"), format!("IMGREPO_HOME='{other}' "))
            }
            None => ("of this user's own home".to_owned(), "env -u IMGREPO_HOME ".to_owned()),
        };
        let message = format!("`{shown}` starts the daemon {whose}, not this one");
        let hint = format!(
            "one of a user starts at login; the other one gives way: {variable}imgrepod service uninstall"
        );
        return Ok(Found::Elsewhere(Refusal::new(ErrorCode::Conflict, message).hint(hint)));
    }
    Ok(Found::Ours { text, start })
}

/// Writes the file, so that it is whole whatever happens meanwhile.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Refusal> {
    let write = || -> io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let unfinished = file.with_extension("imgrepo-new");
        let mut new = File::create(&unfinished)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&unfinished, file)?;
        #[cfg(unix)]
        File::open(directory)?.sync_all()?;
        Ok(())
    };
    write().map_err(|error| failed("write", file, &error))
}

/// Removes it; one that is gone is removed.
pub(super) fn remove(file: &Path) -> Result<(), Refusal> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", file, &error))
        }
        _ => Ok(()),
    }
}

fn failed(act: &str, file: &Path, error: &io::Error) -> Refusal {
    let shown = file.display();
    Refusal::new(ErrorCode::FileError, format!("cannot {act} `{shown}`: {error}"))
}

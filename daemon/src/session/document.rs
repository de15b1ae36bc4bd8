//! A small JSON file of what is remembered: read, kept aside where it is corrupt, replaced whole.
//!
//! The credentials and the control plane's memory are such files; each says what stands in its own.
//! Nothing here knows what it writes, and nothing is ever written over what could not be read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::private;

/// The version of all these files that this build writes, and the highest that it reads.
const VERSION: u32 = 1;

/// The member that every version of every such file has.
#[derive(serde::Deserialize)]
struct Versioned {
    v: u32,
}

/// Why bytes are not what they should be.
#[derive(Debug, PartialEq, Eq)]
enum Bad {
    /// This newer version wrote them.
    Newer(u32),
    /// They are no such document, and why.
    Corrupt(String),
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Bad> {
    // Where only, not what: serde's own words quote what it found, and that may be a secret.
    let corrupt = |error: serde_json::Error| {
        Bad::Corrupt(format!("it breaks off or errs in line {}", error.line()))
    };
    match serde_json::from_slice::<Versioned>(bytes) {
        Ok(Versioned { v }) if v > VERSION => Err(Bad::Newer(v)),
        Ok(_) => serde_json::from_slice(bytes).map_err(corrupt),
        Err(error) => Err(corrupt(error)),
    }
}

/// Reads the file; None where there is none. One that cannot be understood is kept aside under
/// another name and said in the log. Blocks.
///
/// # Errors
/// A file that cannot be read, or that a newer version wrote: it is left as it is.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Refusal> {
    let refused = |why: String| {
        let path = shown(&path.to_string_lossy());
        Refusal::new(ErrorCode::FileError, format!("cannot use the state file `{path}`: {why}"))
    };
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(error.to_string())),
        Ok(bytes) => bytes,
    };
    match parse(&bytes) {
        Ok(document) => Ok(Some(document)),
        Err(Bad::Newer(v)) => Err(refused(format!(
            "a newer version wrote it (format {v}, this version knows {VERSION})"
        ))
        .hint("start the newer imgrepod")),
        Err(Bad::Corrupt(why)) => {
            let aside = aside(path).map_err(|error| refused(error.to_string()))?;
            tracing::error!(
                file = %path.display(), kept = %aside.display(),
                "the state file is corrupt ({why}): it is kept aside and not used"
            );
            Ok(None)
        }
    }
}

/// Where what was corrupt of this file lies. Blocks.
pub(crate) fn kept_aside(path: &Path) -> Option<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".corrupt");
    let aside = PathBuf::from(name);
    aside.exists().then_some(aside)
}

/// Replaces the file, durably, by one that nobody but its user reads. Blocks.
///
/// # Errors
/// `storage_full` or `file_error`; the file is as it was.
pub(crate) fn write(path: &Path, document: &impl Serialize) -> Result<(), Refusal> {
    replace(path, document).map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::StorageFull => ErrorCode::StorageFull,
            _ => ErrorCode::FileError,
        };
        let path = shown(&path.to_string_lossy());
        Refusal::new(code, format!("cannot write the state file `{path}`: {error}"))
    })
}

#[derive(Serialize)]
struct Document<'a, T> {
    v: u32,
    #[serde(flatten)]
    contents: &'a T,
}

fn replace(path: &Path, contents: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(&Document { v: VERSION, contents })?;
    bytes.push(b'\n');
    private::put(path, &bytes)
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
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Sample {
        word: String,
    }

    #[test]
    fn corrupt_is_kept_aside_and_newer_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.json");
        assert_eq!(read::<Sample>(&path).unwrap(), None);
        for kept in ["a.json.corrupt", "a.json.corrupt-2"] {
            fs::write(&path, kept).unwrap();
            assert_eq!(read::<Sample>(&path).unwrap(), None);
            assert_eq!(fs::read_to_string(home.path().join(kept)).unwrap(), kept);
            assert!(!path.exists());
        }
        assert_eq!(kept_aside(&path), Some(home.path().join("a.json.corrupt")));
        assert_eq!(kept_aside(&home.path().join("b.json")), None);
        // What it has beside the version is that version's own.
        fs::write(&path, r#"{"v": 2, "other": 1}"#).unwrap();
        assert_eq!(read::<Sample>(&path).unwrap_err().code, ErrorCode::FileError);
        assert!(path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn it_is_for_its_user_alone_whatever_lay_there() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.json");
        for left in [&path, &home.path().join("a.json.new")] {
            fs::write(left, "{}").unwrap();
            fs::set_permissions(left, fs::Permissions::from_mode(0o666)).unwrap();
        }
        let sample = Sample { word: "x".to_owned() };
        write(&path, &sample).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read::<Sample>(&path).unwrap(), Some(sample));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_wrong_is_told_without_quoting_it() {
        let Err(Bad::Corrupt(why)) = parse::<Sample>(br#"{"v":1,"word":["s3cret"]}"#) else {
            panic!()
        };
        assert!(!why.contains("s3cret"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Sample>(&bytes);
        }
    }
}

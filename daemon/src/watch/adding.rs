//! Whether a folder may be watched: it is there, apart from the other watched ones, from where their
//! files are moved to, and from what the daemon itself keeps. Asked by the keeper; blocks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use imgrepo_proto::control::watch::After;
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};

use crate::state::Folder;

use super::mounts;

/// A path without a slash at its end and the like; what it leads to is not looked at.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|step| *step != Component::CurDir).collect()
}

/// Refuses what is no folder, or is not there.
pub(super) fn is_there(path: &Path) -> Result<(), Refusal> {
    if !path.is_absolute() {
        return refused(path, ErrorCode::BadRequest, "its path is not absolute");
    }
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => Ok(()),
        Ok(_) => refused(path, ErrorCode::BadRequest, "it is no folder"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            refused(path, ErrorCode::NotFound, "it is not there")
        }
        Err(error) => refused(path, ErrorCode::FileError, &error.to_string()),
    }
}

/// Refuses the whole system, and what the system shows of itself as files: none of it was put there
/// by a person, and reading some of it does things.
pub(super) fn is_a_persons(path: &Path) -> Result<(), Refusal> {
    let real = real(path);
    if real.parent().is_none() {
        return refused(path, ErrorCode::BadRequest, "it is the whole system; name a folder in it");
    }
    match mounts::kind_of(path) {
        Some(kind) if mounts::is_systems(&kind) => {
            let why = format!("what is there is the system's own ({kind})");
            refused(path, ErrorCode::BadRequest, &why)
        }
        // In a container it is a file system of another kind.
        _ if real == Path::new("/dev") => {
            refused(path, ErrorCode::BadRequest, "what is there are devices")
        }
        _ => Ok(()),
    }
}

/// Refuses a folder that cannot be watched beside these.
pub(super) fn is_apart(
    path: &Path,
    after: &After,
    others: &[Folder],
    own: &[PathBuf],
) -> Result<(), Refusal> {
    let real = real(path);
    for own in own {
        let kept = self::real(own);
        // What is in a hidden folder is passed over anyway.
        let is_hidden = kept.strip_prefix(&real).is_ok_and(|below| below.iter().any(is_hidden));
        if overlap(&kept, &real) && !is_hidden {
            let why = format!("the daemon keeps its own files in `{}`", show(own));
            return refused(path, ErrorCode::Conflict, &why);
        }
    }
    for other in others {
        let there = self::real(&other.path);
        if overlap(&there, &real) {
            let why = match real.starts_with(&there) {
                true => format!("it is in `{}`, which is watched", show(&other.path)),
                false => format!("`{}` in it is watched already", show(&other.path)),
            };
            return refused(path, ErrorCode::Conflict, &why);
        }
    }
    // A file that is moved must not be found again.
    let targets = others.iter().map(|other| &other.after).chain([after]);
    for target in targets.filter_map(target) {
        let target_real = self::real(target);
        let roots = others.iter().map(|other| self::real(&other.path)).chain([real.clone()]);
        if roots.into_iter().any(|root| target_real.starts_with(root)) {
            let why = format!("files are moved to `{}`, which would be watched", show(target));
            return refused(path, ErrorCode::Conflict, &why);
        }
    }
    Ok(())
}

fn refused(path: &Path, code: ErrorCode, why: &str) -> Result<(), Refusal> {
    Err(Refusal::new(code, format!("cannot watch `{}`: {}", show(path), shown(why))))
}

fn is_hidden(step: &OsStr) -> bool {
    step.as_bytes().starts_with(b".")
}

fn target(after: &After) -> Option<&PathBuf> {
    match after {
        After::Move(to) => Some(to),
        After::Keep | After::Trash => None,
    }
}

fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// Without links, where it is there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn show(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

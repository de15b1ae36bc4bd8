//! Whether a folder may be watched: it is there, apart from the other watched ones, from where their
//! files are moved to, and from what the daemon itself keeps. Asked by the keeper; blocks.

use std::path::{Component, Path, PathBuf};

use imgrepo_proto::control::watch::After;
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};

use crate::state::Folder;

/// A path without a slash at its end and the like; what it leads to is not looked at.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|step| *step != Component::CurDir).collect()
}

/// Refuses a folder that cannot be watched beside these.
pub(super) fn check(
    path: &Path,
    after: &After,
    others: &[Folder],
    own: &[PathBuf],
) -> Result<(), Refusal> {
    let refused = |code, why: String| {
        Err(Refusal::new(code, format!("cannot watch `{}`: {why}", show(path))))
    };
    if !path.is_absolute() {
        return refused(ErrorCode::BadRequest, "its path is not absolute".to_owned());
    }
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => {}
        Ok(_) => return refused(ErrorCode::BadRequest, "it is no folder".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return refused(ErrorCode::NotFound, "it is not there".to_owned());
        }
        Err(error) => return refused(ErrorCode::FileError, error.to_string()),
    }
    super::after::check(after)?;
    let real = real(path);
    if let Some(own) = own.iter().find(|own| overlap(&self::real(own), &real)) {
        let why = format!("the daemon keeps its own files in `{}`", show(own));
        return refused(ErrorCode::Conflict, why);
    }
    for other in others {
        let there = self::real(&other.path);
        if overlap(&there, &real) {
            let why = match real.starts_with(&there) {
                true => format!("it is in `{}`, which is watched", show(&other.path)),
                false => format!("`{}` in it is watched already", show(&other.path)),
            };
            return refused(ErrorCode::Conflict, why);
        }
    }
    // A file that is moved must not be found again.
    let targets = others.iter().map(|other| &other.after).chain([after]);
    for target in targets.filter_map(target) {
        let target_real = self::real(target);
        let roots = others.iter().map(|other| self::real(&other.path)).chain([real.clone()]);
        if roots.into_iter().any(|root| target_real.starts_with(root)) {
            let why = format!("files are moved to `{}`, which would be watched", show(target));
            return refused(ErrorCode::Conflict, why);
        }
    }
    Ok(())
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

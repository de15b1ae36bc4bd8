//! From the paths of a command line to the objects that are to be uploaded: files as they are named,
//! and everything in folders. Reads folders, never a content.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use imgrepo_proto::{ErrorCode, Refusal};

use crate::failure::file_error;

/// An object to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its path, from where the person named it.
    pub(crate) path: PathBuf,
    /// Whether the person named it, and not a folder that it is in.
    pub(crate) named: bool,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file of this many bytes, which the daemon can read itself.
    File(u64),
    /// What can only be read in this process: a pipe, a device, `/dev/fd/3`.
    Stream,
    /// Standard input.
    Stdin,
    /// It cannot be uploaded.
    Not(Refusal),
}

/// Everything that `paths` name, folders in the order of their names. Links to folders inside of
/// folders are not followed, so that no loop is walked; `note` is told.
pub(crate) fn expand(paths: &[PathBuf], note: &mut dyn FnMut(String)) -> Vec<Found> {
    let mut found = Vec::new();
    for path in paths {
        let named = |kind| Found { path: path.clone(), named: true, kind };
        if path.as_os_str() == "-" {
            found.push(named(Kind::Stdin));
            continue;
        }
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => walk(path, &mut found, note),
            Ok(meta) if meta.is_file() && !is_of_this_process(path) => {
                found.push(named(Kind::File(meta.len())));
            }
            Ok(_) => found.push(named(Kind::Stream)),
            Err(error) => found.push(named(unreadable(path, &error))),
        }
    }
    found
}

/// Whether a path means something else to every process.
fn is_of_this_process(path: &Path) -> bool {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    cfg!(unix) && (path.starts_with("/dev") || path.starts_with("/proc"))
}

fn unreadable(path: &Path, error: &io::Error) -> Kind {
    Kind::Not(file_error("read", path, error))
}

fn walk(root: &Path, found: &mut Vec<Found>, note: &mut dyn FnMut(String)) {
    // Depth first, by a stack of what is still to be looked at: no depth of folders overflows it.
    let mut stack = vec![root.to_owned()];
    while let Some(path) = stack.pop() {
        let is_root = path == root;
        let mut push = |kind| found.push(Found { path: path.clone(), named: is_root, kind });
        let linked = match fs::symlink_metadata(&path) {
            Ok(meta) => meta.is_symlink(),
            Err(error) => {
                push(unreadable(&path, &error));
                continue;
            }
        };
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() && linked && !is_root => {
                note(format!("did not follow the link `{}` to a folder", path.display()));
            }
            Ok(meta) if meta.is_dir() => match entries(&path) {
                Ok(entries) => stack.extend(entries),
                Err(error) => push(unreadable(&path, &error)),
            },
            Ok(meta) if meta.is_file() => push(Kind::File(meta.len())),
            Ok(_) => {
                let message = format!("`{}` is neither a file nor a folder", path.display());
                push(Kind::Not(Refusal::new(ErrorCode::NotAnImage, message)));
            }
            Err(error) => push(unreadable(&path, &error)),
        }
    }
}

/// What is in a folder, the last name first.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort_unstable_by(|one, other| other.cmp(one));
    Ok(paths)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_are_walked_in_order_and_loops_are_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("b/deep")).unwrap();
        fs::write(at("c.jpg"), "ccc").unwrap();
        fs::write(at("a.jpg"), "a").unwrap();
        fs::write(at("b/deep/d.jpg"), "").unwrap();
        symlink(root.path(), at("b/loop")).unwrap();
        symlink(at("a.jpg"), at("b/linked.jpg")).unwrap();
        symlink(at("gone"), at("z.jpg")).unwrap();
        let mut notes = Vec::new();
        let found = expand(&[root.path().to_owned()], &mut |note| notes.push(note));
        let short = |found: &Found| {
            let path = found.path.strip_prefix(root.path()).unwrap().display().to_string();
            match &found.kind {
                Kind::File(size) => format!("{path} {size}"),
                Kind::Not(refusal) => format!("{path} {:?}", refusal.code),
                kind => format!("{path} {kind:?}"),
            }
        };
        let shorts: Vec<_> = found.iter().map(short).collect();
        assert_eq!(
            shorts,
            ["a.jpg 1", "b/deep/d.jpg 0", "b/linked.jpg 1", "c.jpg 3", "z.jpg FileError"]
        );
        assert!(found.iter().all(|found| !found.named));
        assert_eq!(notes.len(), 1);
    }

    #[test]
    fn what_is_named_is_known_as_such() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.jpg");
        fs::write(&file, "abc").unwrap();
        let paths = ["-".into(), file, "/dev/null".into(), root.path().join("gone")];
        let found = expand(&paths, &mut |_| {});
        assert!(found.iter().all(|found| found.named));
        assert_eq!(found[0].kind, Kind::Stdin);
        assert_eq!(found[1].kind, Kind::File(3));
        assert_eq!(found[2].kind, Kind::Stream);
        assert!(
            matches!(&found[3].kind, Kind::Not(refusal) if refusal.code == ErrorCode::FileError)
        );
    }
}

//! Files that were dropped on the window: each is uploaded by the daemon from where it is, one after
//! the other, and the page is told how far. A folder stands for the files below it. A thread of its
//! own; asked by `window`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::{Client, Endpoint, Outcome, Reply, Request};
use imgrepo_proto::{ErrorCode, ImageName, Refusal};

use crate::bridge::Told;
use crate::mailbox::Mailbox;
use crate::program;

/// Drops that wait while one is uploaded.
const WAITING: usize = 64;

/// Files of one drop at most: more is a folder to watch.
const FILES: usize = 10_000;

/// How deep folders are looked into.
const DEPTH: u32 = 32;

/// Who uploads.
pub(crate) struct Drops(SyncSender<Vec<PathBuf>>);

impl Drops {
    /// By this daemon.
    pub(crate) fn start(endpoint: Endpoint, mailbox: Mailbox) -> Drops {
        let (drop, dropped) = sync_channel::<Vec<PathBuf>>(WAITING);
        // Not joined: it ends with the process; what is under way then is given up in the daemon.
        thread::spawn(move || {
            for paths in dropped {
                for path in files(paths) {
                    upload(&endpoint, &mailbox, &path);
                }
            }
        });
        Drops(drop)
    }

    /// Uploads these. False where too much waits already.
    pub(crate) fn upload(&self, paths: Vec<PathBuf>) -> bool {
        !matches!(self.0.try_send(paths), Err(TrySendError::Full(_)))
    }
}

/// The files among these paths and below them, in the order of their names. Hidden ones and links
/// below a folder are left out: nobody sees what they would upload.
fn files(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left: Vec<(PathBuf, u32)> = paths.into_iter().rev().map(|path| (path, 0)).collect();
    while let Some((path, depth)) = left.pop() {
        if found.len() >= FILES {
            break;
        }
        if !path.is_dir() {
            found.push(path);
        } else if depth < DEPTH {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            let seen = entries.filter(|entry| {
                !entry.file_name().as_encoded_bytes().starts_with(b".")
                    && entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir())
            });
            let mut below: Vec<PathBuf> = seen.map(|entry| entry.path()).take(FILES).collect();
            below.sort_by(|one, other| other.cmp(one));
            left.extend(below.into_iter().map(|path| (path, depth + 1)));
        }
    }
    found
}

fn upload(endpoint: &Endpoint, mailbox: &Mailbox, path: &Path) {
    let told = |name: &str, done, total, state| {
        let (name, code, message) = (name.to_owned(), None, None);
        Told::Upload { name, done, total, state, code, message }
    };
    let failed = |name: &str, total, refusal: Refusal| {
        let (name, code) = (name.to_owned(), Some(refusal.code));
        let message = Some(refusal.message);
        Told::Upload { name, done: 0, total, state: "failed", code, message }
    };
    let name = match image_name(path) {
        Ok(name) => name.as_str().to_owned(),
        Err(refusal) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return mailbox.tell(failed(&name, 0, refusal));
        }
    };
    let total = fs::metadata(path).map_or(0, |file| file.len());
    mailbox.tell(told(&name, 0, total, "sending"));
    let progress = |done| mailbox.mention(told(&name, done, total, "sending"));
    mailbox.tell(match store(endpoint, path, &name, progress) {
        Ok(Outcome::Stored { duplicate: true, .. }) => told(&name, total, total, "duplicate"),
        Ok(Outcome::Queued(_)) => told(&name, 0, total, "queued"),
        Ok(_) => told(&name, total, total, "stored"),
        Err(refusal) => failed(&name, total, refusal),
    });
}

/// Stores it now; where there is no session, once there is one.
fn store(
    endpoint: &Endpoint,
    path: &Path,
    name: &str,
    progress: impl Fn(u64),
) -> Result<Outcome, Refusal> {
    let mut daemon = Client::connect(endpoint, program())?;
    let content = Content::Path(path.to_owned());
    let upload = Upload { name: name.to_owned(), content, unless_deleted: false };
    let mut item = |reply| {
        if let Reply::Progress(how_far) = reply {
            progress(how_far.done);
        }
        Ok(())
    };
    match daemon.call_with(&Request::Upload(upload.clone()), &mut item) {
        // The daemon sees another file system than this window, or not as much of it.
        Ok(Outcome::OutOfReach) => {
            let mut file = open(path)?;
            daemon.upload_stream(&upload, &mut file, &mut item)
        }
        Err(refusal) if refusal.code == ErrorCode::NotConnected => {
            match daemon.call(&Request::Enqueue(upload.clone()))? {
                Outcome::OutOfReach => daemon.enqueue_stream(&upload, &mut open(path)?),
                queued => Ok(queued),
            }
        }
        done => done,
    }
}

fn open(path: &Path) -> Result<File, Refusal> {
    File::open(path).map_err(|error| {
        let message = format!("cannot read `{}`: {error}", path.display());
        Refusal::new(ErrorCode::FileError, message)
    })
}

/// The name of the image that a file becomes.
fn image_name(path: &Path) -> Result<ImageName, Refusal> {
    let name = path.file_name().unwrap_or_else(|| OsStr::new(""));
    #[cfg(unix)]
    let parsed = ImageName::from_disk(std::os::unix::ffi::OsStrExt::as_bytes(name));
    #[cfg(not(unix))]
    let parsed = ImageName::parse(&name.to_string_lossy());
    parsed.map_err(|error| Refusal::new(ErrorCode::BadName, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_the_files_below_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("d/deep")).unwrap();
        fs::create_dir_all(at("d/.hidden")).unwrap();
        for name in ["b.jpg", "d/2.jpg", "d/1.jpg", "d/deep/3.jpg", "d/.x.jpg", "d/.hidden/y.jpg"] {
            fs::write(at(name), name).unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("b.jpg"), at("d/link.jpg")).unwrap();
        let names = ["b.jpg", "d/1.jpg", "d/2.jpg", "d/deep/3.jpg", "gone.jpg"];
        let found = files(vec![at("b.jpg"), at("d"), at("gone.jpg")]);
        // What is not there is said when it is uploaded.
        assert_eq!(found, names.map(at));
    }
}

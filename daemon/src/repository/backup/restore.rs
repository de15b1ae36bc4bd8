//! A repository out of a backup, in a home that has none: every content compared with its hash, all of
//! it on disk, and nothing served before. Called by the program's command line; the backup is only read.
//!
//! The first thing that is written is a mark, the last that is done is to take it away: a repository
//! that bears it is not opened. Where a restore was cut short the next one goes on with what is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::maintenance::Step;
use imgrepo_proto::name::shown;
use imgrepo_proto::{BlobHash, ErrorCode, Refusal, RepositoryId, Seq};
use serde::{Deserialize, Serialize};

use super::carry::{self, Carried, Carrier};
use super::folder::{contents, listed, read_manifest, snapshot};
use super::manifest::Manifest;
use super::{CATALOG, CONFIG, IDENTITY, TLS, conflict, failed, lost, make_directory, unreadable};
use crate::private;
use crate::repository::catalog::Catalog;
use crate::repository::catalog::sqlite::snapshot::Snapshot;
use crate::repository::catalog::sqlite::{SqliteCatalog, SqliteOptions};
use crate::repository::durable::{self, SyncPoint};
use crate::repository::lock::Lock;
use crate::repository::maintenance::Told;

/// Says that a restore has not come to its end, and of what.
const MARK: &str = "restoring.json";

/// The lock's file, which may be there: whoever looks whether a repository is free makes it.
const LOCK: &str = "repository.lock";

/// What is to be restored, and where to.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The backup's folder.
    pub folder: PathBuf,
    /// The repository's directory, which must have nothing in it.
    pub data: PathBuf,
    /// Where the configuration goes, if none is there.
    pub config: PathBuf,
    /// To come to an end though contents are missing or damaged in the backup.
    pub accept_missing: bool,
}

/// What came of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Which repository.
    pub repository: RepositoryId,
    /// Under which name its owner kept it.
    pub owner: String,
    /// The newest change in it.
    pub seq: Seq,
    /// When the backup was made.
    pub made_at: jiff::Timestamp,
    /// Images in it, those in the trash too.
    pub images: u64,
    /// Contents that these have.
    pub contents: u64,
    /// Bytes of them.
    pub content_bytes: u64,
    /// Contents that the backup does not have, or has damaged.
    pub missing: u64,
    /// Whether it can be served: all is there, or what is missing was accepted.
    #[serde(rename = "finished")]
    pub is_finished: bool,
}

/// The mark: of which backup.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    v: u32,
    repository: RepositoryId,
    seq: Seq,
    catalog: BlobHash,
}

/// Whether a directory holds a repository that is not restored to its end.
pub(in crate::repository) fn is_unfinished(data: &Path) -> bool {
    // Where that cannot be told, the files themselves cannot be read either, which is said then.
    data.join(MARK).exists()
}

/// Restores a backup. Blocks; gives up, and can be taken up again, when nobody hears any more.
///
/// # Errors
/// `not_found` where there is no backup; `conflict` where there is a repository already; faults of
/// either disk.
pub fn restore(wanted: &Restore, mut told: Told) -> Result<Restored, Refusal> {
    let Restore { folder, data, config, accept_missing } = wanted;
    let Some(manifest) = read_manifest(folder)? else {
        let folder = shown(&folder.to_string_lossy());
        let message = format!("there is no backup in `{folder}`, or none that came to its end");
        return Err(Refusal::new(ErrorCode::NotFound, message));
    };
    let from = snapshot(folder, manifest.snapshot);
    told.step(|| Step {
        act: "reading the catalog".to_owned(),
        done: 0,
        total: None,
        bytes: false,
    })?;
    check_files(&manifest, &from)?;
    let lock = begin(&manifest, data)?;
    let catalog = from.join(CATALOG);
    let snapshot = Snapshot::open(&catalog).map_err(|error| unreadable(&catalog, &error))?;
    let identity = snapshot.identity().map_err(|error| unreadable(&catalog, &error))?;
    if identity != (manifest.repository.clone(), manifest.seq) {
        return Err(unreadable(&catalog, &"it is not the one of its backup.json"));
    }
    let missing = contents_of(&manifest, folder, data, &snapshot, &mut told)?;
    let is_finished = missing == 0 || *accept_missing;
    if is_finished {
        finish(&manifest, &from, data, config)?;
    }
    // Held to here: nobody opens what is not whole.
    drop(lock);
    Ok(Restored {
        repository: manifest.repository,
        owner: manifest.owner,
        seq: manifest.seq,
        made_at: manifest.made_at,
        images: manifest.images,
        contents: manifest.contents,
        content_bytes: manifest.content_bytes,
        missing,
        is_finished,
    })
}

/// Reads the files of the snapshot and compares them with their hashes.
fn check_files(manifest: &Manifest, from: &Path) -> Result<(), Refusal> {
    let damaged = |path: &Path, why: &dyn std::fmt::Display| {
        let path = shown(&path.to_string_lossy());
        let message = format!("the backup cannot be restored: `{path}` {why}");
        Refusal::new(ErrorCode::FileError, message)
            .hint("take another backup; nothing was restored")
    };
    if manifest.file(CATALOG).is_none() {
        return Err(damaged(&from.join(CATALOG), &"is not in it"));
    }
    for file in &manifest.files {
        let path = from.join(&file.name);
        match listed(&path, &file.name, false) {
            Ok(found) if found == *file => {}
            Ok(_) => {
                return Err(damaged(&path, &"is damaged: its bytes are not those of its hash"));
            }
            Err(error) => return Err(damaged(&path, &format!("cannot be read: {error}"))),
        }
    }
    Ok(())
}

/// Takes the directory, which has nothing in it or a restore of this very backup, and marks it.
fn begin(manifest: &Manifest, data: &Path) -> Result<Lock, Refusal> {
    let name = shown(&data.to_string_lossy());
    let in_use = || {
        let message = format!("cannot restore into `{name}`: an imgrepod has it open");
        conflict(message, "stop that one first (imgctl stop)")
    };
    make_directory(data)?;
    let mark = Mark {
        v: 1,
        repository: manifest.repository.clone(),
        seq: manifest.seq,
        catalog: manifest.file(CATALOG).map(|file| file.hash).unwrap_or(BlobHash([0; 32])),
    };
    let lock = Lock::take(data).map_err(|error| failed("lock", data, &error))?;
    let (lock, _) = lock.ok_or_else(in_use)?;
    let path = data.join(MARK);
    match fs::read(&path) {
        Ok(found) => match serde_json::from_slice::<Mark>(&found) {
            Ok(found) if found == mark => return Ok(lock),
            _ => {
                let message =
                    format!("cannot restore into `{name}`: another restore was begun there");
                return Err(conflict(message, "finish that one, or move the directory away"));
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", &path, &error)),
    }
    let entries = fs::read_dir(data).map_err(|error| failed("look into", data, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failed("look into", data, &error))?;
        if entry.file_name() != LOCK {
            let message = format!("cannot restore into `{name}`: there is a repository already");
            let hint = "move it away, or give the restored one a home of its own with IMGREPO_HOME";
            return Err(conflict(message, hint));
        }
    }
    let text = serde_json::to_vec(&mark).unwrap_or_default();
    private::put(&path, &text).map_err(|error| failed("write", &path, &error))?;
    Ok(lock)
}

/// Copies all contents; how many of them could not be had, each of which is told.
fn contents_of(
    manifest: &Manifest,
    folder: &Path,
    data: &Path,
    snapshot: &Snapshot,
    told: &mut Told,
) -> Result<u64, Refusal> {
    let from = contents(folder);
    let mut carrier = Carrier::open(&data.join("blobs"))?;
    let (mut done, mut missing) = (0, 0);
    let total = manifest.contents;
    for first_byte in 0..=u8::MAX {
        let present = carrier.present(first_byte)?;
        let wanted = snapshot.slice(first_byte);
        for (hash, size_bytes) in wanted.map_err(|error| unreadable(folder, &error))? {
            done += 1;
            let step = || Step {
                act: "copying contents".to_owned(),
                done,
                total: Some(total),
                bytes: false,
            };
            // Only a content that was compared with its hash, and synced, has its name here.
            if present.get(&hash) == Some(&size_bytes) {
                told.step(step)?;
                continue;
            }
            let why = match carry::open(&from, hash) {
                Ok(Some(blob)) => {
                    match carrier.take(hash, size_bytes, blob, &mut || told.step(step))? {
                        Carried::Taken => None,
                        Carried::Damaged(why) => Some(Some(why)),
                    }
                }
                Ok(None) => Some(None),
                Err(error) => Some(Some(format!("cannot be read: {error}"))),
            };
            if let Some(why) = why {
                let remedy = match manifest.missing.contains(&hash) {
                    true => "it was missing already when the backup was made",
                    false => "it is lost, unless another backup has it",
                };
                told.fault(lost(snapshot, hash, why.as_deref(), remedy))?;
                missing += 1;
            }
            if carrier.is_full() {
                carrier.land()?;
            }
        }
    }
    carrier.land()?;
    carrier.sync_names()?;
    Ok(missing)
}

/// Puts the catalog and what goes along with it into their places, looks whether it can be opened, and
/// takes the mark away.
fn finish(manifest: &Manifest, from: &Path, data: &Path, config: &Path) -> Result<(), Refusal> {
    for name in IDENTITY {
        if manifest.file(name).is_some() {
            let tls = data.join(TLS);
            make_directory(&tls)?;
            bring(&from.join(name), &tls.join(name))?;
        }
    }
    if manifest.file(CONFIG).is_some() && !config.exists() {
        if let Some(folder) = config.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| failed("make the folder", folder, &error))?;
        }
        bring(&from.join(CONFIG), config)?;
    }
    let catalog = data.join(CATALOG);
    bring_large(&from.join(CATALOG), &catalog)?;
    let opened = SqliteCatalog::open(&catalog, &SqliteOptions::default());
    let opened = opened.map_err(|error| Refusal::new(ErrorCode::FileError, error.to_string()))?;
    let seq = opened.newest_seq().map_err(|error| unreadable(&catalog, &error))?;
    if (opened.repository_id(), seq) != (manifest.repository.clone(), manifest.seq) {
        return Err(unreadable(&catalog, &"it is not the one of the backup"));
    }
    drop(opened);
    let sync = || durable::sync_directory(SyncPoint::Backup, data);
    sync().map_err(|error| failed("write", data, &error))?;
    let mark = data.join(MARK);
    fs::remove_file(&mark).map_err(|error| failed("remove", &mark, &error))?;
    sync().map_err(|error| failed("write", data, &error))
}

/// Copies a small private file.
fn bring(from: &Path, to: &Path) -> Result<(), Refusal> {
    let bytes = fs::read(from).map_err(|error| failed("read", from, &error))?;
    private::put(to, &bytes).map_err(|error| failed("write", to, &error))
}

/// Copies a file that is not for the memory; whatever was there of a restore before is replaced.
fn bring_large(from: &Path, to: &Path) -> Result<(), Refusal> {
    let written = |error: io::Error| failed("write", to, &error);
    // Of an open that was cut short: a log of the file that is replaced.
    for end in ["", "-wal", "-shm", "-journal"] {
        let mut path = to.as_os_str().to_owned();
        path.push(end);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(written(error)),
            _ => {}
        }
    }
    let mut source = fs::File::open(from).map_err(|error| failed("read", from, &error))?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(to).map_err(written)?;
    io::copy(&mut source, &mut file).map_err(written)?;
    durable::sync_bytes(SyncPoint::Backup, &file).map_err(written)
}

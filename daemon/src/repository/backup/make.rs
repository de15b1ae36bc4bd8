//! Making a backup of an open repository: the catalog at one place of its history, then every content
//! that it refers to, then the manifest. Called by maintenance on a thread that may block; uploads and
//! readers go on beside it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgrepo_proto::control::maintenance::{BackedUp, Backup, Step};
use imgrepo_proto::name::shown;
use imgrepo_proto::{BlobHash, Refusal, Seq};
use jiff::Timestamp;

use super::carry::{Carried, Carrier};
use super::folder::{Folder, listed};
use super::manifest::{Listed, Manifest};
use super::{CATALOG, CONFIG, IDENTITY, TLS, conflict, failed, lost, unreadable};
use crate::private;
use crate::repository::catalog::CatalogError;
use crate::repository::catalog::sqlite::snapshot::Snapshot;
use crate::repository::maintenance::Told;
use crate::repository::{Inner, faults};

/// The longest pause between two batches of contents: somebody waits for the backup too.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Makes or renews the backup in a folder.
pub(in crate::repository) fn make(
    inner: &Arc<Inner>,
    wanted: &Backup,
    told: &mut Told,
) -> Result<BackedUp, Refusal> {
    outside(&wanted.folder, &inner.settings.data)?;
    let mut folder = Folder::take(&wanted.folder)?;
    is_same(inner, &folder, &wanted.folder)?;
    // Before the catalog is looked at: what it refers to then is there to the end.
    let hold = inner.pins.hold(&inner.queue).ok_or_else(faults::shutting_down)?;
    told.step(|| Step {
        act: "copying the catalog".to_owned(),
        done: 0,
        total: None,
        bytes: false,
    })?;
    let (number, path) = folder.new_snapshot()?;
    let copied = copy(inner, wanted, &folder, number, &path, told);
    let (manifest, mut backed_up, snapshot) = match copied {
        Ok(copied) => copied,
        Err(refusal) => {
            // The former backup is as it was; what contents came stay for the next try.
            let _ = fs::remove_dir_all(&path);
            return Err(refusal);
        }
    };
    folder.finish(manifest)?;
    drop(hold);
    backed_up.removed = clean(&folder, &snapshot, told)?;
    Ok(backed_up)
}

/// A folder below the repository's own would be part of what it is a copy of.
fn outside(folder: &Path, data: &Path) -> Result<(), Refusal> {
    // Of what is not there yet, what is there above it.
    let real = |path: &Path| path.ancestors().find_map(|path| path.canonicalize().ok());
    let (Some(folder), Some(data)) = (real(folder), real(data)) else { return Ok(()) };
    match folder.starts_with(&data) {
        false => Ok(()),
        true => {
            let name = shown(&folder.to_string_lossy());
            let message = format!("cannot back up to `{name}`: it is in the repository itself");
            Err(conflict(message, "name a folder elsewhere, best on another disk"))
        }
    }
}

/// Whether what is in the folder is a former state of this repository: a backup never replaces what
/// the repository does not have any more.
fn is_same(inner: &Inner, folder: &Folder, path: &Path) -> Result<(), Refusal> {
    let Some(former) = &folder.former else { return Ok(()) };
    let refused = |why: &str| {
        let name = shown(&path.to_string_lossy());
        let message = format!("cannot back up to `{name}`: {why}");
        Err(conflict(message, "name another folder; nothing of that backup was changed"))
    };
    if former.repository != inner.catalog.repository_id() {
        return refused("it is the backup of another repository");
    }
    let Some(before) = former.seq.0.checked_sub(1) else { return Ok(()) };
    let newest = inner.catalog.newest_seq().map_err(|error| faults::catalog(&error))?;
    if newest < former.seq {
        let why = format!(
            "it has changes up to {}, and the repository only up to {newest}: it was restored from \
             an older backup",
            former.seq
        );
        return refused(&why);
    }
    let changes = inner.catalog.changes(Seq(before), 1).map_err(|error| faults::catalog(&error))?;
    let changed_at = changes.events.first().and_then(|event| event.at);
    match changed_at == former.changed_at {
        true => Ok(()),
        false => refused(
            "its history is another one: the repository was restored from an older backup and has \
             gone on since",
        ),
    }
}

/// All that is copied, up to the manifest.
fn copy(
    inner: &Arc<Inner>,
    wanted: &Backup,
    folder: &Folder,
    number: u64,
    path: &Path,
    told: &mut Told,
) -> Result<(Manifest, BackedUp, Snapshot), Refusal> {
    let catalog = path.join(CATALOG);
    let made_at = Timestamp::now();
    let seq = inner.catalog.snapshot(&catalog).map_err(|error| {
        let error = match error {
            CatalogError::Full => io::ErrorKind::StorageFull.into(),
            CatalogError::Failed(why) => io::Error::other(why),
        };
        failed("copy the catalog to", &catalog, &error)
    })?;
    let written = |error: io::Error| failed("write", &catalog, &error);
    keep_private(&catalog).map_err(written)?;
    let mut files = vec![listed(&catalog, CATALOG, true).map_err(written)?];
    for name in IDENTITY {
        files.extend(bring(&inner.settings.data.join(TLS).join(name), path, name)?);
    }
    if let Some(config) = &inner.settings.config {
        files.extend(bring(config, path, CONFIG)?);
    }
    let snapshot = Snapshot::open(&catalog).map_err(|error| unreadable(&catalog, &error))?;
    let unread = |error| unreadable(&catalog, &error);
    let totals = snapshot.totals().map_err(unread)?;
    let changed_at = snapshot.changed_at(seq).map_err(unread)?;
    let repository = inner.catalog.repository_id();
    let mut backed_up = BackedUp {
        repository: repository.clone(),
        seq,
        images: totals.images,
        contents: totals.contents,
        content_bytes: totals.bytes,
        copied: 0,
        copied_bytes: 0,
        removed: 0,
        missing: 0,
    };
    let mut copying = Copying {
        inner,
        snapshot: &snapshot,
        carrier: Carrier::open(&folder.contents())?,
        told,
        missing: Vec::new(),
        pace: Pace { begun: Instant::now(), newest: seq },
        done: (0, totals.contents),
    };
    for first_byte in 0..=u8::MAX {
        copying.slice(first_byte, wanted.check, &mut backed_up)?;
    }
    copying.carrier.land()?;
    copying.carrier.sync_names()?;
    let missing = copying.missing;
    backed_up.missing = missing.len() as u64;
    let manifest = Manifest {
        v: Manifest::VERSION,
        program: Manifest::PROGRAM.to_owned(),
        repository,
        owner: inner.settings.owner.as_str().to_owned(),
        made_at,
        seq,
        changed_at,
        snapshot: number,
        files,
        images: totals.images,
        contents: totals.contents,
        content_bytes: totals.bytes,
        missing,
    };
    Ok((manifest, backed_up, snapshot))
}

/// Copies a small file into the snapshot, where there is one.
fn bring(from: &Path, to: &Path, name: &str) -> Result<Option<Listed>, Refusal> {
    let bytes = match fs::read(from) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", from, &error)),
    };
    let to = to.join(name);
    let written = |error: io::Error| failed("write", &to, &error);
    private::put(&to, &bytes).map_err(written)?;
    listed(&to, name, false).map(Some).map_err(written)
}

/// What stands in a catalog is its owner's alone: credentials' hashes, names.
fn keep_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        match fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
            // A disk without rights has none to take away.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            done => done,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// Removes what the backup does not need; how many contents there were.
fn clean(folder: &Folder, snapshot: &Snapshot, told: &mut Told) -> Result<u64, Refusal> {
    let carrier = Carrier::open(&folder.contents())?;
    let mut removed = 0;
    for first_byte in 0..=u8::MAX {
        let mut unneeded = carrier.present(first_byte)?;
        let needed = snapshot.slice(first_byte);
        for (hash, _) in needed.map_err(|error| unreadable(&folder.contents(), &error))? {
            unneeded.remove(&hash);
        }
        for hash in unneeded.into_keys() {
            carrier.remove(hash)?;
            removed += 1;
        }
        let act = || "removing what no image has any more".to_owned();
        told.step(|| Step { act: act(), done: removed, total: None, bytes: false })?;
    }
    Ok(removed)
}

/// The contents of one backup, while they are copied.
struct Copying<'a> {
    inner: &'a Arc<Inner>,
    snapshot: &'a Snapshot,
    carrier: Carrier,
    told: &'a mut Told,
    missing: Vec<BlobHash>,
    pace: Pace,
    /// So many of so many contents were looked at.
    done: (u64, u64),
}

impl Copying<'_> {
    fn slice(
        &mut self,
        first_byte: u8,
        check: bool,
        backed_up: &mut BackedUp,
    ) -> Result<(), Refusal> {
        let present = self.carrier.present(first_byte)?;
        let wanted = self.snapshot.slice(first_byte);
        let wanted = wanted.map_err(|error| faults::internal(&error))?;
        for (hash, size_bytes) in wanted {
            self.go_on()?;
            self.done.0 += 1;
            let is_there = present.get(&hash) == Some(&size_bytes);
            if is_there && (!check || self.carrier.is_whole(hash, size_bytes)?) {
                continue;
            }
            match self.content(hash, size_bytes)? {
                None => {
                    backed_up.copied += 1;
                    backed_up.copied_bytes += size_bytes;
                }
                Some((kind, why)) => {
                    tracing::error!(%hash, "a content is not in the backup: it {why}");
                    let remedy = "it is missing in the backup; the others are in it";
                    let why = (kind == Lost::Damaged).then_some(why.as_str());
                    self.told.fault(lost(self.snapshot, hash, why, remedy))?;
                    self.missing.push(hash);
                }
            }
            if self.carrier.is_full() {
                self.carrier.land()?;
                self.pace.rest(*self.inner.announced.borrow());
            }
        }
        Ok(())
    }

    /// Copies one content; why it cannot be had, if so.
    fn content(
        &mut self,
        hash: BlobHash,
        size_bytes: u64,
    ) -> Result<Option<(Lost, String)>, Refusal> {
        let source = match self.inner.blobs.open(hash) {
            Ok(Some(source)) => source,
            Ok(None) => return Ok(Some((Lost::Missing, "is missing".to_owned()))),
            Err(error) => {
                return Ok(Some((Lost::Damaged, format!("cannot be read: {error}"))));
            }
        };
        let (inner, told, done) = (self.inner, &mut *self.told, self.done);
        let mut go_on = || look(inner, told, done);
        match self.carrier.take(hash, size_bytes, source, &mut go_on)? {
            Carried::Taken => Ok(None),
            Carried::Damaged(why) => Ok(Some((Lost::Damaged, why))),
        }
    }

    fn go_on(&mut self) -> Result<(), Refusal> {
        look(self.inner, self.told, self.done)
    }
}

/// Why a content cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Missing,
    Damaged,
}

/// Tells how far it is; an error where it is to end.
fn look(inner: &Inner, told: &mut Told, (done, total): (u64, u64)) -> Result<(), Refusal> {
    if inner.queue.is_closed() {
        return Err(faults::shutting_down());
    }
    told.step(|| Step {
        act: "copying contents".to_owned(),
        done,
        total: Some(total),
        bytes: false,
    })
}

/// Leaves the disk to others while they change something: then the backup takes half of its time at
/// most.
struct Pace {
    begun: Instant,
    newest: Seq,
}

impl Pace {
    /// Called after each batch, with the newest change.
    fn rest(&mut self, newest: Seq) {
        if newest != self.newest {
            std::thread::sleep(self.begun.elapsed().min(LONGEST_PAUSE));
        }
        *self = Pace { begun: Instant::now(), newest };
    }
}

//! What becomes of a file once the server has it: it stays, is moved to a folder, or goes to the
//! trash. The one room that takes files out of a watched folder, and only on a receipt.
//!
//! A task beside the folder's own carries it out. A file is touched only as long as it is the one
//! that the receipt is for; nothing that is in the way is ever overwritten; a crash at any point
//! leaves the file in one place at least, and the next start goes on.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgrepo_proto::control::queue::UploadId;
use imgrepo_proto::control::watch::After;
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::state::{Receipt, Stamp, State};

use super::carry;
use super::root::{Entry, Found, Root};
use super::scan::Place;

/// Receipts that are taken up together.
const BATCH: u32 = 64;

/// After a fault: a folder that cannot be written, or is full, is looked at again.
const AGAIN: Duration = Duration::from_secs(60);

/// Files that could not be put away and are passed over until the next round; beyond it the round
/// ends.
const FAULTS: usize = 1_024;

/// What is to be done with a file that has its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is what the server has.
    PutAway,
    /// It is not: it changed, or is something else. It will be an image of its own.
    Changed,
    /// It is not there.
    Gone,
}

/// Decides by what is at the file's place.
pub(super) fn fate(receipt: &Stamp, there: Option<Entry>) -> Fate {
    match there {
        Some(Entry::File(stamp)) if is_same(receipt, &stamp) => Fate::PutAway,
        Some(_) => Fate::Changed,
        None => Fate::Gone,
    }
}

/// But for the device: its number is another one each time that it is mounted.
pub(super) fn is_same(receipt: &Stamp, now: &Stamp) -> bool {
    Stamp { device: now.device, ..*receipt } == *now
}

/// Puts away what has its receipt, now and whenever there are more; until dropped, which leaves a
/// file at worst in both places. What goes wrong is told by `trouble`.
pub(super) async fn run(
    state: State,
    place: Place,
    after: After,
    mut receipts: watch::Receiver<u64>,
    trouble: watch::Sender<Option<Refusal>>,
) {
    let mut faults = HashSet::new();
    loop {
        receipts.borrow_and_update();
        let fault = round(&state, &place, &after, &mut faults).await.err();
        if let Some(fault) = &fault
            && trouble.borrow().as_ref() != Some(fault)
        {
            tracing::warn!("{fault}");
        }
        let pause = if faults.is_empty() { Duration::MAX } else { AGAIN };
        trouble.send_replace(fault);
        // Either only wakes.
        tokio::select! {
            changed = receipts.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => faults.clear(),
        }
    }
}

/// Everything that can be put away now; the last of what could not be.
async fn round(
    state: &State,
    place: &Place,
    after: &After,
    faults: &mut HashSet<UploadId>,
) -> Result<(), Refusal> {
    let mut last = Ok(());
    while faults.len() < FAULTS {
        let limit = BATCH + u32::try_from(faults.len()).unwrap_or(u32::MAX);
        let mut receipts = state.receipts(place.id, limit).await?;
        receipts.retain(|receipt| !faults.contains(&receipt.id));
        if receipts.is_empty() {
            break;
        }
        for receipt in receipts {
            let id = receipt.id;
            let (place, after) = (place.clone(), after.clone());
            // Until its row says where it went.
            let _leave = state.leave(id);
            let done = spawn_blocking(move || put_away(&place, &after, &receipt)).await;
            match done.unwrap_or_else(|error| Err(internal(&error))) {
                Ok(Some(moved_to)) => state.put_away(id, moved_to).await?,
                // A scan takes it up, or forgets it.
                Ok(None) => drop(faults.insert(id)),
                Err(fault) => {
                    faults.insert(id);
                    last = Err(fault);
                }
            }
        }
    }
    last
}

/// Does it: where to, or None where the file is not the receipt's any more. Blocks.
fn put_away(
    place: &Place,
    after: &After,
    receipt: &Receipt,
) -> Result<Option<Option<PathBuf>>, Refusal> {
    let Receipt { path, stamp, .. } = receipt;
    let cannot = |act: &str, why: &str| {
        let path = shown(&path.to_string_lossy());
        Refusal::new(ErrorCode::FileError, format!("cannot {act} `{path}`: {}", shown(why)))
    };
    let root = match Root::open(&place.path, place.identity) {
        Found::Here(root) => root,
        Found::Vanished(_) => return Ok(None),
    };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let Ok(folder) = root.folder(parent) else { return Ok(None) };
    let there = folder.entry(name).map_err(|error| cannot("look at", &error.to_string()))?;
    if fate(stamp, there) != Fate::PutAway {
        return Ok(None);
    }
    match after {
        After::Keep => Ok(None),
        After::Move(to) => {
            let moved = carry::carry(&folder, name, receipt, to).map_err(|error| {
                let to = shown(&to.to_string_lossy());
                cannot("move", &format!("to `{to}`: {error}"))
            })?;
            Ok(moved.map(|name| Some(to.join(name))))
        }
        After::Trash => {
            let read = |error: io::Error| cannot("read", &error.to_string());
            let file = folder.file(name).map_err(read)?;
            if !carry::is_stored(&file, receipt).map_err(read)? {
                return Ok(None);
            }
            // By its path: what takes its place in this moment goes to the trash instead, from
            // where it can be taken back.
            trash::delete(path).map_err(|error| cannot("put into the trash", &trashing(&error)))?;
            Ok(Some(None))
        }
    }
}

fn trashing(error: &trash::Error) -> String {
    match error {
        trash::Error::FileSystem { path, source } => format!("`{}`: {source}", path.display()),
        other => other.to_string(),
    }
}

/// Whether files may be put there: a folder that is there, by an absolute path. Blocks.
pub(super) fn check(after: &After) -> Result<(), Refusal> {
    let After::Move(to) = after else { return Ok(()) };
    let is_folder = |path: &Path| std::fs::metadata(path).is_ok_and(|there| there.is_dir());
    match to.is_absolute() && is_folder(to) {
        true => Ok(()),
        false => {
            let to = shown(&to.to_string_lossy());
            let message = format!("cannot move files to `{to}`: it is no folder");
            Err(Refusal::new(ErrorCode::NotFound, message).hint(format!("mkdir -p '{to}'")))
        }
    }
}

fn internal(error: &tokio::task::JoinError) -> Refusal {
    Refusal::new(ErrorCode::Internal, format!("putting a file away failed: {error}"))
}

//! Whether there is room where the daemon keeps its files, and whether that place is fit for them.

use std::path::PathBuf;

use imgrepo_proto::control::finding::{Finding, FindingState};

use crate::watch::mounts;

const CHECK: &str = "space";

/// So much above the reserve is warned of: room for some hundred photos yet, time to act.
const WARN_BYTES: u64 = 576 * 1024 * 1024;

/// A place, and how it is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// What is kept there.
    what: String,
    path: PathBuf,
    free_bytes: Option<u64>,
    /// Whether no more files can be made, whatever the bytes.
    is_out_of_files: bool,
    kind: Kind,
    device: Option<u64>,
}

/// The kind of a file system, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Disk,
    /// Another computer's, as far as can be told.
    Shared,
    Memory,
}

/// Looks at these places; those of one disk come as one.
pub(super) fn look(places: &[(&str, PathBuf)]) -> Vec<Place> {
    let mut seen: Vec<Place> = Vec::new();
    for (what, path) in places {
        let place = at(what, path);
        match seen.iter_mut().find(|one| one.device.is_some() && one.device == place.device) {
            Some(one) => one.what = format!("{} and {what}", one.what),
            None => seen.push(place),
        }
    }
    seen
}

fn at(what: &str, path: &std::path::Path) -> Place {
    // One that was not needed yet will be made there.
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(path);
    let mut place = Place {
        what: what.to_owned(),
        path: there.to_owned(),
        free_bytes: None,
        is_out_of_files: false,
        kind: kind(mounts::kind_of(there).as_deref()),
        device: None,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        place.device = std::fs::metadata(there).ok().map(|meta| meta.dev());
        if let Ok(disk) = rustix::fs::statvfs(there) {
            // File systems without a limit say that they have no blocks, or no files, at all.
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            place.free_bytes = (disk.f_blocks > 0).then_some(free);
            place.is_out_of_files = disk.f_files > 0 && disk.f_favail == 0;
        }
    }
    place
}

/// By the name of the file system, where the system tells it.
fn kind(name: Option<&str>) -> Kind {
    match name {
        Some(name) if mounts::is_shared(name) => Kind::Shared,
        Some(name) if mounts::is_in_memory(name) => Kind::Memory,
        _ => Kind::Disk,
    }
}

pub(super) fn findings(places: &[Place], reserve_bytes: u64) -> Vec<Finding> {
    places.iter().map(|place| of_place(place, reserve_bytes)).collect()
}

fn of_place(place: &Place, reserve_bytes: u64) -> Finding {
    let Place { what, path, .. } = place;
    let shown = path.display();
    let (mut state, mut message, mut hint) = match place.free_bytes {
        None => (FindingState::Ok, format!("free for {what}: not known"), None),
        Some(free) => {
            let state = match free {
                _ if free < reserve_bytes => FindingState::Problem,
                _ if free < reserve_bytes.saturating_add(WARN_BYTES) => FindingState::Warning,
                _ => FindingState::Ok,
            };
            let keeps = if state == FindingState::Problem {
                format!("; nothing more is taken below {}", size(reserve_bytes))
            } else {
                String::new()
            };
            let hint =
                (state > FindingState::Ok).then(|| format!("make room on the disk of `{shown}`"));
            (state, format!("{} free for {what}{keeps}", size(free)), hint)
        }
    };
    if place.is_out_of_files {
        state = FindingState::Problem;
        message.push_str("; the disk takes no more files, whatever their size");
        hint = Some(format!("remove files from the disk of `{shown}`"));
    }
    let unfit = match place.kind {
        Kind::Disk => None,
        Kind::Shared => {
            Some(("may be another computer's", "what is acknowledged there may be lost"))
        }
        Kind::Memory => Some(("is in memory", "it is lost when the computer is switched off")),
    };
    if let Some((where_it_is, why)) = unfit {
        state = state.max(FindingState::Warning);
        message.push_str(&format!("; its file system {where_it_is}: {why}"));
        hint.get_or_insert_with(|| {
            "keep it on a disk of this computer (IMGREPO_HOME, XDG_STATE_HOME, XDG_DATA_HOME)"
                .to_owned()
        });
    }
    Finding::new(CHECK, state, message, hint)
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes < 10 * 1024 * MIB {
        format!("{} MiB", bytes / MIB)
    } else {
        format!("{} GiB", bytes / 1024 / MIB)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn little_room_is_told_before_there_is_none() {
        let of = |free, kind, is_out_of_files| {
            let what = "the state".to_owned();
            let (path, device) = ("/s".into(), None);
            let place = Place { what, path, free_bytes: free, is_out_of_files, kind, device };
            let told = of_place(&place, 64 * MIB);
            (told.state, told.message)
        };
        let plenty = Some(20 * 1024 * MIB);
        assert_eq!(
            of(plenty, Kind::Disk, false),
            (FindingState::Ok, "20 GiB free for the state".to_owned())
        );
        assert_eq!(of(Some(640 * MIB - 1), Kind::Disk, false).0, FindingState::Warning);
        assert_eq!(
            of(Some(64 * MIB - 1), Kind::Disk, false),
            (
                FindingState::Problem,
                "63 MiB free for the state; nothing more is taken below 64 MiB".to_owned()
            )
        );
        assert_eq!(of(plenty, Kind::Disk, true).0, FindingState::Problem);
        assert_eq!(of(plenty, Kind::Shared, false).0, FindingState::Warning);
        assert_eq!(of(None, Kind::Memory, false).0, FindingState::Warning);
    }

    #[test]
    fn what_is_no_disk_of_this_computer_is_known_by_its_name() {
        let of = |name| kind(Some(name));
        assert!(["nfs4", "cifs", "smb3", "fuse.sshfs"].iter().all(|name| of(name) == Kind::Shared));
        assert!(["tmpfs", "ramfs"].iter().all(|name| of(name) == Kind::Memory));
        assert!(["ext4", "overlay", "fuseblk"].iter().all(|name| of(name) == Kind::Disk));
        assert_eq!(kind(None), Kind::Disk);
    }

    #[test]
    fn places_of_one_disk_are_one_and_a_missing_one_is_where_it_will_be() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let seen = look(&[("the state", at("a")), ("the cache", at("b/c"))]);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].what, "the state and the cache");
        assert_eq!(seen[0].path, home.path());
        assert!(seen[0].free_bytes.is_some());
    }
}

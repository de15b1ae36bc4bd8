//! The kind of file system that a folder is on, and whether changes there are told as events. Asked
//! when a folder is begun to be watched, and by whoever keeps files of the daemon's own there; the
//! deciding part is pure.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

/// File systems whose files change without this machine: by other machines, or by the host of this
/// one. No event tells of that.
const SHARED: [&str; 22] = [
    "9p",
    "afs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "drvfs",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "prl_fs",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
    "wslfs",
];

/// Whether no event tells of all changes there. What is mounted through FUSE is mostly far away
/// (sshfs, rclone, GVFS), but for disks (`fuseblk`).
pub(crate) fn is_shared(kind: &str) -> bool {
    SHARED.binary_search(&kind).is_ok() || kind == "fuse" || kind.starts_with("fuse.")
}

/// File systems that have no files of anyone's: the system shows itself in them.
const SYSTEMS: [&str; 15] = [
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "mqueue",
    "proc",
    "pstore",
    "securityfs",
    "sysfs",
    "tracefs",
];

/// Whether nothing there was put there by a person.
pub(super) fn is_systems(kind: &str) -> bool {
    SYSTEMS.binary_search(&kind).is_ok()
}

/// Whether what is there is gone when the computer is switched off.
pub(crate) fn is_in_memory(kind: &str) -> bool {
    matches!(kind, "tmpfs" | "ramfs")
}

/// Whether a file keeps its number there from one mount to the next.
pub(super) fn keeps_inodes(kind: &str) -> bool {
    !matches!(kind, "vfat" | "msdos" | "exfat" | "fuse" | "9p" | "cifs" | "smb3" | "smbfs")
        && !kind.starts_with("fuse.")
}

/// The kind of the file system that this folder is on, such as `ext4`, `nfs4` or `fuse.sshfs`; None
/// where the system does not tell. Blocks.
pub(crate) fn kind_of(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = std::fs::read("/proc/self/mountinfo").ok()?;
    kind_in(&mounts, &folder)
}

/// Tells when something is mounted or unmounted, which no folder's own events do.
#[derive(Debug)]
pub(super) struct Mounts {
    #[cfg(target_os = "linux")]
    table: Option<tokio::io::unix::AsyncFd<std::fs::File>>,
    poll: Duration,
}

impl Mounts {
    /// From now on; where the system does not tell, each `poll` counts as a change. In a runtime's
    /// context.
    pub(super) fn new(poll: Duration) -> Mounts {
        #[cfg(target_os = "linux")]
        {
            use tokio::io::unix::AsyncFd;
            // proc_pid_mounts(5): a change of the table is an event of priority.
            let table = std::fs::File::open("/proc/self/mountinfo").ok();
            // Its successor is unsafe for what may close its file behind its back; this owns it.
            #[expect(deprecated)]
            let watched = |file| AsyncFd::with_interest(file, tokio::io::Interest::PRIORITY).ok();
            let table = table.and_then(watched);
            Mounts { table, poll }
        }
        #[cfg(not(target_os = "linux"))]
        Mounts { poll }
    }

    /// The next change. Cancel-safe.
    pub(super) async fn changed(&self) {
        #[cfg(target_os = "linux")]
        if let Some(table) = &self.table
            && let Ok(mut ready) = table.ready(tokio::io::Interest::PRIORITY).await
        {
            return ready.clear_ready();
        }
        tokio::time::sleep(self.poll).await;
    }
}

/// By the mount with the longest path above the folder; of several in one place the last one counts,
/// which hides the others (proc_pid_mountinfo(5)).
fn kind_in(mounts: &[u8], folder: &Path) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for line in mounts.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let Some(point) = fields.nth(4).map(unescaped) else { continue };
        let Some(kind) = fields.skip_while(|field| *field != b"-").nth(1) else { continue };
        let point = Path::new(std::ffi::OsStr::from_bytes(&point));
        let len = point.as_os_str().len();
        if folder.starts_with(point) && best.as_ref().is_none_or(|(longest, _)| len >= *longest) {
            best = Some((len, String::from_utf8_lossy(kind).into_owned()));
        }
    }
    best.map(|(_, kind)| kind)
}

/// Spaces and the like stand there as `\040`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(value) if byte == b'\\' => {
                plain.push(value);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:30 / /home rw - btrfs /dev/sdb1 rw,subvol=/home
41 22 0:31 / /home/ana/far\\040away rw master:2 shared:3 - fuse.sshfs host: rw
42 22 0:32 / /mnt rw - autofs systemd-1 rw
43 42 0:33 / /mnt rw - nfs4 host:/x rw
";

    #[test]
    fn the_kind_is_that_of_the_closest_mount() {
        let kind = |path: &str| kind_in(MOUNTS, Path::new(path)).unwrap();
        assert_eq!(kind("/tmp/a"), "ext4");
        assert_eq!(kind("/home/ana"), "btrfs");
        assert_eq!(kind("/homes"), "ext4");
        assert_eq!(kind("/home/ana/far away/b"), "fuse.sshfs");
        assert_eq!(kind("/mnt/b"), "nfs4", "the later one hides the earlier");
        assert_eq!(kind_in(b"garbage\n1 2 3", Path::new("/")), None);
        #[cfg(target_os = "linux")]
        assert!(kind_of(&std::env::temp_dir()).is_some());
    }

    #[test]
    fn what_other_machines_change_is_polled() {
        assert!(SHARED.is_sorted() && SYSTEMS.is_sorted());
        for kind in ["nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.rclone", "virtiofs"] {
            assert!(is_shared(kind), "{kind}");
        }
        for kind in ["ext4", "btrfs", "xfs", "tmpfs", "fuseblk", "vfat", "overlay"] {
            assert!(!is_shared(kind), "{kind}");
        }
        assert!(keeps_inodes("nfs4") && !keeps_inodes("exfat"));
    }
}

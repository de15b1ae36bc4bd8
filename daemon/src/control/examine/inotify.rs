//! Linux's limits of inotify, by which watched folders hear of changes, against what is used.
//!
//! The limits are each user's, so all programs of this user are counted.

use imgrepo_proto::control::finding::Finding;

const CHECK: &str = "inotify";

/// Linux's own default. Fewer, and a folder that is copied in is looked through more often.
const QUEUED: u64 = 16_384;

/// The limits, where there are such, and what is used of them.
#[derive(Debug, Default)]
pub(super) struct Inotify {
    max_watches: Option<u64>,
    max_instances: Option<u64>,
    max_queued: Option<u64>,
    /// Of all programs of this user.
    watches: u64,
    instances: u64,
    /// Of this daemon: one a directory.
    own: u64,
}

#[cfg(not(target_os = "linux"))]
pub(super) fn look() -> Inotify {
    Inotify::default()
}

#[cfg(target_os = "linux")]
pub(super) fn look() -> Inotify {
    let limit = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/max_{name}")).ok()?;
        text.trim().parse().ok()
    };
    let mut found = Inotify {
        max_watches: limit("user_watches"),
        max_instances: limit("user_instances"),
        max_queued: limit("queued_events"),
        ..Inotify::default()
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let name = process.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        use std::os::unix::fs::MetadataExt as _;
        // Another user's count for that user; one that has just ended for nobody.
        let user = imgrepo_proto::control::endpoint::user();
        if !process.metadata().is_ok_and(|meta| meta.uid() == user) {
            continue;
        }
        let (instances, watches) = used_by(&process.path());
        found.instances += instances;
        found.watches += watches;
        if number == std::process::id() {
            found.own = watches;
        }
    }
    found
}

/// Instances and watches of a process.
#[cfg(target_os = "linux")]
fn used_by(process: &std::path::Path) -> (u64, u64) {
    let (mut instances, mut watches) = (0, 0);
    let files = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    for file in files {
        let leads = std::fs::read_link(file.path()).unwrap_or_default();
        if leads.as_os_str() == "anon_inode:inotify" {
            instances += 1;
            let info = process.join("fdinfo").join(file.file_name());
            let info = std::fs::read_to_string(info).unwrap_or_default();
            let is_watch = |line: &&str| line.starts_with("inotify ");
            watches += info.lines().filter(is_watch).count() as u64;
        }
    }
    (instances, watches)
}

pub(super) fn findings(found: &Inotify) -> Vec<Finding> {
    let Some(max_watches) = found.max_watches else { return Vec::new() };
    let mut findings = Vec::new();
    let raise = |name: &str, value: u64| {
        Some(format!(
            "echo fs.inotify.max_{name}={value} | sudo tee /etc/sysctl.d/60-imgrepo-{name}.conf \
             && sudo sysctl --system"
        ))
    };
    let limits = [
        ("user_watches", found.watches, Some(max_watches)),
        ("user_instances", found.instances, found.max_instances),
    ];
    for (name, used, max) in limits {
        let Some(max) = max else { continue };
        // Nine tenths: a folder more, and the daemon would have to look from time to time.
        if used.saturating_mul(10) >= max.saturating_mul(9) {
            let message = format!("{used} of {max} are used (fs.inotify.max_{name})");
            findings.push(Finding::warning(CHECK, message, raise(name, max.saturating_mul(4))));
        }
    }
    if let Some(max) = found.max_queued.filter(|max| *max < QUEUED) {
        let message = format!(
            "only {max} changes can wait (fs.inotify.max_queued_events): when many files come at \
             once, everything is looked through"
        );
        findings.push(Finding::warning(CHECK, message, raise("queued_events", QUEUED)));
    }
    if findings.is_empty() {
        let Inotify { watches, own, .. } = found;
        let message =
            format!("{watches} of {max_watches} watches are used, {own} of them by this daemon");
        findings.push(Finding::ok(CHECK, message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::control::finding::FindingState;

    use super::*;

    #[test]
    fn limits_that_are_nearly_reached_are_told_with_the_fix() {
        let fine = Inotify {
            max_watches: Some(1000),
            max_instances: Some(128),
            max_queued: Some(16_384),
            watches: 10,
            instances: 2,
            own: 3,
        };
        assert_eq!(
            findings(&fine)[0].message,
            "10 of 1000 watches are used, 3 of them by this daemon"
        );
        let full = Inotify { watches: 990, instances: 127, max_queued: Some(16), ..fine };
        let told = findings(&full);
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|told| told.state == FindingState::Warning));
        assert!(
            told[0].hint.as_deref().unwrap().starts_with("echo fs.inotify.max_user_watches=4000 ")
        );
        assert!(findings(&Inotify::default()).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_used_is_counted() {
        use rustix::fs::inotify;
        let before = look();
        let one = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        let directory = tempfile::tempdir().unwrap();
        inotify::add_watch(&one, directory.path(), inotify::WatchFlags::CREATE).unwrap();
        let now = look();
        assert!(now.max_watches.is_some());
        // Other tests of this process may come and go at the same time.
        assert!(now.own >= 1 && now.watches >= now.own && now.instances >= 1, "{before:?} {now:?}");
    }
}

//! On what it was measured, as far as it matters to figures; no names of computers and no paths.

use std::path::Path;

/// In one line.
pub(crate) fn description(place: &Path) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, word: &str| {
        let line = text.lines().find(|line| line.starts_with(word)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let cpu = after(&read("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    let kib: f64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
    let gib = kib / 1024.0 / 1024.0;
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{cpu}, {cores} processors, {gib:.0} GiB, Linux {}, {}; load at the end {load}.",
        kernel.trim(),
        file_system(place)
    )
}

/// The kind of file system that a directory is on: that of the longest mount point above it.
fn file_system(place: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let place = place.canonicalize().unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|it| it.len() > 2 && place.starts_with(it[1]));
    let nearest = above.max_by_key(|it| it[1].len());
    nearest.map_or_else(String::new, |it| it[2].to_owned())
}

//! The program's own text in memory. Called once by `main`, some time after the start.

use std::io;
use std::time::Duration;

/// When what the start alone needed is given back: sessions are there by then.
const AFTER: Duration = Duration::from_secs(10);

/// Gives back the text that is mapped, once the start is over. Around each page that is used the kernel
/// maps fifteen more, so that after a start nearly all of the program is counted as this process's: 13 of
/// 20 MiB. What is used again is mapped again, from the page cache and in microseconds.
pub(crate) async fn give_back() {
    tokio::time::sleep(AFTER).await;
    if let Err(error) = unmap() {
        tracing::debug!(%error, "cannot give back the text of the start");
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // Advice on memory is unsafe in every crate.
fn unmap() -> io::Result<()> {
    let program = std::fs::read_link("/proc/self/exe")?;
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let Some((range, rest)) = line.split_once(' ') else { continue };
        // Only text: it is never written. Other parts that cannot be written hold relocations.
        let is_text = rest.starts_with("r-xp ");
        if !is_text || rest.find('/').map(|at| &rest[at..]) != program.to_str() {
            continue;
        }
        let bounds = range
            .split_once('-')
            .map(|(from, to)| (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16)));
        let Some((Ok(from), Ok(to))) = bounds else { continue };
        let start = std::ptr::with_exposed_provenance_mut(from);
        // SAFETY: these are whole pages of a private mapping of the program's file, which cannot be
        // written and has not been: what is used of them again is read from the same file, the same.
        if unsafe { libc::madvise(start, to - from, libc::MADV_DONTNEED) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Elsewhere nothing is known of what this would be good for.
#[cfg(not(target_os = "linux"))]
fn unmap() -> io::Result<()> {
    Ok(())
}

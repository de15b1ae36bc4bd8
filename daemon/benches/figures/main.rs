//! Figures of this machine, each beside its yardstick in the same run: `make bench`. They are printed
//! as a table and kept as JSON in the target directory. A figure is never a failure: machines differ,
//! and a test that is about time tests the machine.

// The tests' own, of which they use more.
#[allow(dead_code, reason = "the figures need a part of it")]
#[path = "../../tests/catalog/many.rs"]
mod many;
// The proofs' own clients and processes.
#[allow(clippy::print_stdout, reason = "it tells people its seed")]
#[allow(dead_code, reason = "the figures need a part of it")]
#[path = "../../tests/proofs/picture.rs"]
mod picture;
#[allow(dead_code, reason = "the figures need a part of it")]
#[path = "../../tests/proofs/process.rs"]
mod process;
#[allow(dead_code, reason = "the figures need a part of it")]
#[path = "../../tests/proofs/session.rs"]
mod session;

mod bare;
mod catalog;
mod command;
mod cost;
mod dropped;
mod flow;
mod fsck;
mod http;
mod idle;
mod listing;
mod memory;
mod pictures;
mod proxy;
mod raw;
mod report;
mod requests;
mod small;
mod stalled;
mod synchroniser;
mod tls;
mod variants;

use std::path::{Path, PathBuf};

use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::endpoint;
use imgrepo_proto::control::request::{Content, Request, Upload};
use imgrepo_proto::session::command::Program;

use crate::picture::Picture;
use crate::report::Report;

/// Bytes of the image of which many listings and the memory of two daemons are measured.
const LARGE_BYTES: usize = 200_000_000;

fn main() -> anyhow::Result<()> {
    // Without this word of `cargo bench` somebody asks for tests, and there are none here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if runtime.block_on(flow::is_bare())? {
        return Ok(());
    }
    if let Some(reply_bytes) = raw::reply_bytes() {
        return runtime.block_on(raw::serve(reply_bytes));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let kept = target.join("bench");
    std::fs::create_dir_all(&kept)?;
    spread(&kept);
    // On the disk that the build is on: the temporary directory may be memory.
    let work = tempfile::tempdir_in(&kept)?;
    let only = std::env::var("ONLY").ok();
    let is_wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let mut report = Report::default();
    if is_wanted("small") {
        runtime.block_on(small::measure(&work.path().join("small"), &mut report))?;
    }
    if is_wanted("flow") {
        runtime.block_on(flow::measure(&work.path().join("flow"), &mut report))?;
    }
    if is_wanted("idle") {
        runtime.block_on(idle::measure(&work.path().join("idle"), &mut report))?;
    }
    if is_wanted("stalled") {
        runtime.block_on(stalled::measure(&work.path().join("stalled"), &mut report))?;
    }
    if is_wanted("process") {
        runtime.block_on(command::measure(&work.path().join("process"), &mut report))?;
    }
    if is_wanted("listing") {
        runtime.block_on(listing::measure(&work.path().join("listing"), &mut report))?;
    }
    if is_wanted("memory") {
        runtime.block_on(memory::measure(&work.path().join("memory"), &mut report))?;
    }
    if is_wanted("dropped") {
        runtime.block_on(dropped::measure(&work.path().join("dropped"), &mut report))?;
    }
    if is_wanted("tls") {
        runtime.block_on(tls::measure(&work.path().join("tls"), &mut report))?;
    }
    if is_wanted("picture") {
        pictures::measure(&work.path().join("pictures"), &mut report)?;
    }
    if is_wanted("variants") {
        runtime.block_on(variants::measure(&work.path().join("variants"), &mut report))?;
    }
    if is_wanted("http") {
        runtime.block_on(http::measure(&work.path().join("http"), &mut report))?;
    }
    if is_wanted("requests") {
        runtime.block_on(requests::measure(&work.path().join("requests"), &mut report))?;
    }
    if is_wanted("catalog") {
        runtime.block_on(catalog::measure(&work.path().join("catalog"), &mut report))?;
    }
    if is_wanted("fsck") {
        fsck::measure(&work.path().join("fsck"), &mut report)?;
    }
    report.finish(&kept.join("figures.json"))
}

/// Has every new directory in this one begin in a part of the disk of its own, where the system can.
/// Without a journal ext4 gives no number of a removed file again for a minute and searches on: a run
/// that came to where the last one was would make files at a fifth of the disk's speed.
fn spread(directory: &Path) {
    #[cfg(target_os = "linux")]
    if let Ok(directory) = std::fs::File::open(directory)
        && let Ok(flags) = rustix::fs::ioctl_getflags(&directory)
    {
        // Elsewhere than on ext4 it says nothing, or is not known.
        let _ = rustix::fs::ioctl_setflags(&directory, flags | rustix::fs::IFlags::TOPDIR);
    }
}

/// A connection to the daemon of this home.
fn control(home: &Path) -> anyhow::Result<Client> {
    let home = home.as_os_str().to_owned();
    let endpoint = endpoint::from_env(|name| (name == "IMGREPO_HOME").then(|| home.clone()));
    let program = Program { name: "figures".to_owned(), version: String::new() };
    Ok(Client::connect(&endpoint, program)?)
}

/// Writes a large image into a directory, and gives the request that uploads it.
fn large(directory: &Path, seed: u64) -> anyhow::Result<Request> {
    let name = format!("large-{seed}.bmp");
    let path = directory.join(&name);
    std::fs::write(&path, &Picture::new("", seed, LARGE_BYTES).content)?;
    Ok(Request::Upload(Upload { name, content: Content::Path(path), unless_deleted: false }))
}

//! The same work for imgrepod and for two servers of files that many people run, dufs and copyparty, in
//! turn in one run: `make bench-peers`. They promise less: neither syncs what it has acknowledged, which is
//! looked at by strace where there is one. What is not installed is left out, with the command that
//! installs it. The table is for people, in Markdown; a figure is never a failure.

// The proofs' own clients and processes, of which they use more.
#[allow(dead_code, reason = "the figures need a part of it")]
#[path = "../figures/cost.rs"]
mod cost;
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

mod http;
mod machine;
mod peer;
mod syncs;
mod table;
mod work;

use std::path::{Path, PathBuf};

use crate::peer::Peer;
use crate::table::Table;

/// Of which the first warms up and does not count.
const ROUNDS: u64 = 4;

#[allow(clippy::print_stdout, reason = "a benchmark is a program for the terminal")]
fn main() -> anyhow::Result<()> {
    // Without this word of `cargo bench` somebody asks for tests, and there are none here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let kept = target.join("bench");
    std::fs::create_dir_all(&kept)?;
    // On the disk that the build is on: the temporary directory may be memory.
    let place = tempfile::tempdir_in(&kept)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _within = runtime.enter();
    let peers = Peer::all(&target, place.path(), &runtime)?;
    let mut table = Table::new(peers.iter().map(|peer| peer.name.clone()).collect());
    for (at, peer) in peers.iter().enumerate() {
        peer.fill(&runtime)?;
        work::list(peer, &runtime)?.into_iter().for_each(|figure| table.add(at, figure));
    }
    let mut bare = Vec::new();
    for round in 0..ROUNDS {
        bare.push(work::bare(&place.path().join(format!("bare-{round}")))?);
        for (at, peer) in peers.iter().enumerate() {
            println!("round {round}: {}", peer.name);
            for figure in work::round(peer, round, &runtime)? {
                if round > 0 {
                    table.add(at, figure);
                }
            }
        }
    }
    for (at, peer) in peers.iter().enumerate() {
        let (_, highest) = cost::resident(peer.pid())?;
        table.add(at, ("peak resident memory, MiB", highest as f64 / 1024.0));
        if let Some(count) = syncs::count(peer, place.path(), &runtime)? {
            table.add(at, ("fsync and its kin in 20 uploads, calls", count));
        }
    }
    let text = format!(
        "{}\n\n{}\nA bare loop that writes, syncs and renames files of 111 KB and syncs their folder, one at a \
         time: {} a second.\n",
        machine::description(place.path()),
        table.markdown(),
        table::shown(table::middle(&bare))
    );
    println!("\n{text}");
    let path = kept.join("peers.md");
    std::fs::write(&path, text)?;
    println!("kept in {}", path.display());
    Ok(())
}

//! Clients, network and server in one thread, in an order that a seed decides: the daemon's own code
//! over connections and disks that fail, and what it promises held against what became of it.
//!
//! `IMGREPO_SEEDS=N` runs so many worlds, `IMGREPO_SEED=S` just that one with all that happened in it.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod chance;
mod check;
mod client;
mod computer;
mod disk;
mod frames;
mod ledger;
mod network;
mod plans;
mod server;
mod tap;
mod trace;
mod world;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use disk::Lie;
use trace::Trace;
use world::{World, Wrong};

/// Worlds in `make test`.
const SEEDS: u64 = 500;

thread_local! {
    /// What panicked in this thread: a task's panic ends in the runtime.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn take_panics() -> Vec<String> {
    PANICS.take()
}

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            before(panic);
        }));
    });
}

/// One world, from its beginning to its end.
fn run(seed: u64, wrong: Wrong) -> Trace {
    note_panics();
    // Nothing here needs to outlive this machine's own crash.
    let memory = Path::new("/dev/shm");
    let root = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    }
    .unwrap();
    let trace = Trace::default();
    tracing::subscriber::with_default(journal(&trace), || {
        World::new(seed, wrong, root.path(), trace.clone()).run();
    });
    trace
}

/// What the daemon's own journal says becomes part of the trace: its errors, or as much as
/// `IMGREPO_LOG` asks for.
fn journal(trace: &Trace) -> impl tracing::Subscriber + Send + Sync + use<> {
    let level = std::env::var("IMGREPO_LOG").ok().and_then(|level| level.parse().ok());
    let trace = trace.clone();
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing::Level::ERROR))
        .with_ansi(false)
        .without_time()
        .with_writer(move || trace.clone())
        .finish()
}

fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The first of these seeds whose world has a fault.
fn first_fault(seeds: std::ops::Range<u64>, wrong: Wrong) -> Option<(u64, Trace)> {
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found = std::sync::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || found.lock().unwrap().is_some() {
                        return;
                    }
                    let trace = run(seed, wrong);
                    if trace.found().is_some() {
                        found.lock().unwrap().get_or_insert((seed, trace));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn what_is_promised_holds_in_every_world() {
    if let Some(seed) = told("IMGREPO_SEED") {
        let trace = run(seed, Wrong::Nothing);
        trace.lines().iter().for_each(|line| println!("{line}"));
        assert_eq!(trace.found(), None, "in the world of seed {seed}");
        return;
    }
    let seeds = told("IMGREPO_SEEDS").unwrap_or(SEEDS);
    let first = told("IMGREPO_FIRST_SEED").unwrap_or(0);
    if let Some((seed, trace)) = first_fault(first..first + seeds, Wrong::Nothing) {
        let lines = trace.lines();
        lines[lines.len().saturating_sub(60)..].iter().for_each(|line| println!("{line}"));
        panic!(
            "{}\nall of it: IMGREPO_SEED={seed} cargo test -p imgrepod --test simulation \
             what_is_promised -- --nocapture",
            trace.found().unwrap_or_default()
        );
    }
    println!("{seeds} worlds, from seed {first} on");
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 1_000_000..1_000_012 {
        let [one, two] = [(); 2].map(|()| run(seed, Wrong::Nothing).lines());
        let other = one.iter().zip(&two).position(|(one, two)| one != two);
        if let Some(at) = other {
            let from = at.saturating_sub(5);
            panic!("seed {seed}, line {at}:\n{:#?}\n{:#?}", &one[from..=at], &two[from..=at]);
        }
        assert_eq!(one.len(), two.len(), "seed {seed}");
        assert!(one.len() > 100, "nothing happened");
    }
}

/// Worlds in which something is wrong, until that is found.
const UNTIL_FOUND: u64 = 200;

/// Which seed found it, and as what.
fn is_found(wrong: Wrong) -> String {
    let seeds = told("IMGREPO_SEEDS").unwrap_or(UNTIL_FOUND).min(UNTIL_FOUND);
    let (seed, trace) = first_fault(0..seeds, wrong)
        .unwrap_or_else(|| panic!("{wrong:?} was not found in {seeds} worlds"));
    format!("{wrong:?}: found by seed {seed}: {}", trace.found().unwrap_or_default())
}

#[test]
fn a_disk_that_does_not_sync_is_found() {
    for lie in Lie::ALL {
        println!("{}", is_found(Wrong::Disk(lie)));
    }
}

#[test]
#[cfg_attr(not(feature = "mutants"), ignore = "this build has no faults to put in")]
fn a_daemon_that_breaks_its_promises_is_found() {
    for mutant in imgrepod::host::Mutant::ALL {
        println!("{}", is_found(Wrong::Daemon(mutant)));
    }
}

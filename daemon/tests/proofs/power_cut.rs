//! The power is cut from the server's file system while people upload; what was acknowledged is there
//! afterwards. Then the same with one sync left out at a time (a build with the feature `mutants`):
//! there the test must find something missing, or it would prove nothing. Needs root.
//!
//! `IMGREPO_POWER_CUTS` says how often, `IMGREPO_MUTANT` where the other build is, and with
//! `IMGREPO_MUTANTS=all` every sync is left out in turn, not just one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgrepod::repository::durable::SyncPoint;

use crate::crew::{Crew, Moment, Outage};
use crate::ledger::Ledger;
use crate::picture::{Random, count};
use crate::process::{Daemon, imgrepod};
use crate::volume::{Switch, Volume};

/// Cuts after which a left out sync must have been noticed; most are at the first.
const MUTANT_CUTS: u64 = 12;

/// How a repository's files lie on volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// All on one, as most people have it. There a sync of the catalog often takes a blob's
    /// directory along, which hides a sync that was left out.
    Together,
    /// The catalog on a volume of its own, so that every sync must stand for itself.
    Apart,
}

/// A server on volumes, and those who upload to it.
struct Site {
    volumes: Vec<Volume>,
    program: PathBuf,
    home: PathBuf,
    log: PathBuf,
    skipped: Option<SyncPoint>,
    ledger: Arc<Ledger>,
    crews: [Crew; 3],
    _directory: tempfile::TempDir,
}

impl Site {
    fn new(
        program: &Path,
        layout: Layout,
        skipped: Option<SyncPoint>,
        random: &mut Random,
    ) -> Result<Site, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut volumes = vec![Volume::new(directory.path(), "files")?];
        if layout == Layout::Apart {
            volumes.push(Volume::new(directory.path(), "catalog")?);
        }
        let ledger = Arc::<Ledger>::default();
        let mut crew =
            |prefix, people, sizes| Crew::new(random, prefix, people, sizes, Arc::clone(&ledger));
        let crews = [
            // Both by the journal and by files of their own.
            crew("lone", (0, 1), (1_000, 600_000)),
            crew("many", (3, 5), (50_000, 3 << 20)),
            crew("large", (0, 1), (80 << 20, 90 << 20)),
        ];
        let home = volumes[0].mounted_at.join("home");
        let log = directory.path().join("server.log");
        let program = program.to_owned();
        let site =
            Site { volumes, program, home, log, skipped, ledger, crews, _directory: directory };
        site.start()?.stop();
        if layout == Layout::Apart {
            site.move_catalog()?;
        }
        Ok(site)
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Moves the catalog to the second volume. SQLite keeps its log beside the file that a link
    /// leads to.
    fn move_catalog(&self) -> Result<(), String> {
        let there = self.volumes[1].mounted_at.join("catalog.db");
        let here = self.data().join("catalog.db");
        let moved = std::fs::copy(&here, &there)
            .and_then(|_| std::fs::remove_file(&here))
            .and_then(|()| std::os::unix::fs::symlink(&there, &here))
            // All of it on disk before the first cut: this is not the server's doing.
            .and_then(|()| std::fs::File::open(&there)?.sync_all())
            .and_then(|()| std::fs::File::open(self.data())?.sync_all());
        moved.map_err(|error| format!("cannot move the catalog: {error}"))
    }

    fn start(&self) -> Result<Daemon, String> {
        let skip = self.skipped.map(|point| ("IMGREPO_SKIP_SYNC", point.word()));
        Daemon::serve_with(&self.program, &self.home, &self.log, skip.as_slice())
    }

    /// One cut: a lone person right after a SUCCESS, many in the middle of everything, or a large
    /// upload of which more was acknowledged than is let go.
    async fn cut(&mut self, number: u64, random: &mut Random) -> Result<(), String> {
        let kind = match self.skipped {
            // Small uploads never get that far.
            Some(SyncPoint::Partial) => 2,
            _ => number % 3,
        };
        let (crew, moment) = match kind {
            0 => (0, Moment::Successes(random.between(1, 4))),
            1 => (1, Moment::Messages(random.between(1, 80))),
            _ => (2, Moment::Bytes(random.between(45 << 20, 75 << 20))),
        };
        let mut server = self.start()?;
        let switch = Switch::of(&self.volumes);
        let url = server.url();
        let strike = || {
            // Without power nothing goes on. A server that did would hear of syncs that never were:
            // ext4 reports some that the cut overtakes as done.
            server.freeze();
            switch.cut();
            server.kill();
        };
        self.crews[crew].work(&url, Outage::Power, moment, strike).await?;
        for volume in &mut self.volumes {
            volume.unmount()?;
            volume.mount()?;
        }
        let server = self.start()?;
        let partials = self.crews.iter().map(Crew::partials).sum();
        let checked = self.ledger.check(&server.url(), &self.data(), partials).await;
        drop(server);
        checked
    }

    /// All cuts, up to the first after which something is wrong.
    async fn cuts(&mut self, cuts: u64, random: &mut Random) -> Result<(), (u64, String)> {
        for number in 1..=cuts {
            self.cut(number, random).await.map_err(|what| (number, what))?;
        }
        Ok(())
    }
}

/// Whether the volumes can be had here; where not, it is said as loudly as a test can.
fn is_possible() -> bool {
    let directory = tempfile::tempdir().expect("a temporary directory");
    match Volume::new(directory.path(), "probe") {
        Ok(_) => true,
        Err(why) => {
            println!("*** NOT PROVEN HERE: no power was cut ({why}); run it as root");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let cuts = count("IMGREPO_POWER_CUTS", 15);
    if cuts == 0 || !is_possible() {
        return;
    }
    let mut random = Random::from_environment();
    for (layout, cuts) in [(Layout::Together, cuts / 2), (Layout::Apart, cuts - cuts / 2)] {
        let mut site = Site::new(&imgrepod(), layout, None, &mut random).expect("a site");
        if let Err((cut, what)) = site.cuts(cuts, &mut random).await {
            let log = std::fs::read_to_string(&site.log).unwrap_or_default();
            panic!("{layout:?}, after cut {cut} of {cuts}: {what}\n{log}");
        }
        let resumed: u64 = site.crews.iter().map(Crew::resumed).sum();
        println!(
            "{cuts} cuts, {layout:?}: {} uploads were acknowledged and are there, {resumed} were resumed",
            site.ledger.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_is_left_out_is_noticed() {
    let Some(program) = std::env::var_os("IMGREPO_MUTANT").map(PathBuf::from) else {
        println!("*** NOT PROVEN HERE: IMGREPO_MUTANT names no build that can leave out a sync");
        return;
    };
    if !is_possible() {
        return;
    }
    let mut random = Random::from_environment();
    let all = std::env::var("IMGREPO_MUTANTS").is_ok_and(|word| word == "all");
    let points = if all { &SyncPoint::ALL[..] } else { &[SyncPoint::BlobDirectory] };
    let mut unnoticed = Vec::new();
    for point in points {
        let word = point.word();
        if *point == SyncPoint::Layout {
            println!("without `{word}`: not tried, ext4 writes a new directory with what is in it");
            continue;
        }
        let mut site =
            Site::new(&program, Layout::Apart, Some(*point), &mut random).expect("a site");
        match site.cuts(MUTANT_CUTS, &mut random).await {
            Err((cut, what)) => println!("without `{word}`: noticed at cut {cut}: {what}"),
            Ok(()) => {
                println!("without `{word}`: NOT NOTICED in {MUTANT_CUTS} cuts");
                unnoticed.push(word);
            }
        }
    }
    assert!(unnoticed.is_empty(), "these syncs can be left out unnoticed: {unnoticed:?}");
}

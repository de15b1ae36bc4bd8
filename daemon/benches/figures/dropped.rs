//! A file that is dropped into a watched folder: how long until another member's daemon tells of it,
//! beside a synchroniser; what 100,000 at once cost; and a start with 100,000 known ones.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use imgrepo_proto::control::reply::Outcome;
use imgrepo_proto::control::watch::{FolderState, FolderStatus, WatchRequest};
use imgrepo_proto::control::{Reply, Request};
use imgrepo_proto::session::event::EventKind;
use jiff::Timestamp;

use crate::control;
use crate::cost::{cpu_seconds, resident};
use crate::picture::Picture;
use crate::process::Daemon;
use crate::report::{Report, quantile};
use crate::synchroniser::Pair;

/// Bytes of a picture from a chat program, of which these figures are.
const BYTES: usize = 111_000;

/// Files that are dropped one after the other.
const ONE_BY_ONE: u64 = 100;

/// Between two of them: a machine that has nothing else to do.
const PAUSE: Duration = Duration::from_millis(50);

/// The same for the synchroniser, which takes its time.
const OTHERS: u64 = 20;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// Bytes of one of very many.
const TINY_BYTES: usize = 2_000;

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    tokio::task::block_in_place(|| {
        one_by_one(&work.join("one-by-one"), report)?;
        let many = std::env::var("DROPPED").ok().and_then(|many| many.parse().ok());
        at_once(&work.join("at-once"), many.unwrap_or(100_000), report)
    })
}

fn one_by_one(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    let folder = work.join("folder");
    std::fs::create_dir_all(&folder)?;
    let server = Daemon::serve(&work.join("home")).map_err(|what| anyhow!(what))?;
    let _ana = watching(&work.join("ana"), &server.url(), &folder)?;
    let friend = work.join("friend");
    let _friend = Daemon::client(&friend, &server.url(), "friend").map_err(|what| anyhow!(what))?;
    let arrivals = arrivals(&friend)?;
    let synchroniser = Pair::start(&work.join("synchroniser"))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for n in 0..ONE_BY_ONE {
        let name = format!("dropped-{n}.bmp");
        let outside = work.join("outside.bmp");
        std::fs::write(&outside, &Picture::new("", 1_000 + n, BYTES).content)?;
        let started = Instant::now();
        std::fs::rename(&outside, folder.join(&name))?;
        let arrived = arrivals.recv_timeout(PATIENCE).context("no event came")?;
        if arrived.0 != name {
            bail!("`{}` arrived and not `{name}`", arrived.0);
        }
        // The first opens what stays open.
        if n > 0 {
            ours.push((arrived.1 - started).as_secs_f64() * 1000.0);
        }
        // Interleaved, so that both have the same machine.
        if let Some(pair) = &synchroniser
            && n % (ONE_BY_ONE / OTHERS) == 0
        {
            std::fs::write(&outside, &Picture::new("", 9_000 + n, BYTES).content)?;
            theirs.push(pair.bring(&outside, &name)?);
        }
        std::thread::sleep(PAUSE);
    }
    report.add("dropped 111 KB, to a member's event, median", quantile(&ours, 0.5), "ms", "<= 60");
    report.add("dropped 111 KB, to a member's event, p99", quantile(&ours, 0.99), "ms", "<= 250");
    match theirs.is_empty() {
        true => report.add("  syncthing is not installed here", f64::NAN, "", ""),
        false => {
            report.add("  the same by syncthing, median", quantile(&theirs, 0.5), "ms", "");
            report.add("  the same by syncthing, worst", quantile(&theirs, 1.0), "ms", "");
        }
    }
    Ok(())
}

fn at_once(work: &Path, many: u64, report: &mut Report) -> anyhow::Result<()> {
    let folder = work.join("folder");
    std::fs::create_dir_all(&folder)?;
    // Beside it, so that all come with one rename.
    let outside = work.join("outside");
    for n in 0..many {
        let place = outside.join(format!("{:03}", n / 1_000));
        if n % 1_000 == 0 {
            std::fs::create_dir_all(&place)?;
        }
        let picture = Picture::new("", 100_000 + n, TINY_BYTES);
        std::fs::write(place.join(format!("{n}.bmp")), &picture.content)?;
    }
    let server = Daemon::serve(&work.join("home")).map_err(|what| anyhow!(what))?;
    let home = work.join("ana");
    let begun = Timestamp::now();
    let ana = watching(&home, &server.url(), &folder)?;
    let started = Instant::now();
    std::fs::rename(&outside, folder.join("moved in"))?;
    until_stored(&home, many, begun)?;
    let took = started.elapsed().as_secs_f64();
    report.add("files moved in at once", many as f64, "files", "");
    report.add("  until all are in the repository", took, "s", "");
    report.add("  a second", many as f64 / took, "files/s", "");
    report.add("  highest memory of the daemon", highest(&ana)?, "MiB", "< 150");
    let before = cpu_seconds(ana.pid())?;
    std::thread::sleep(Duration::from_secs(3));
    report.add("  CPU of the next 3 s", (cpu_seconds(ana.pid())? - before) * 1000.0, "ms", "idle");
    let code = ana.stop();
    if !code.success() {
        bail!("the daemon ended with {code}");
    }
    let (started, begun) = (Instant::now(), Timestamp::now());
    let ana = watching(&home, &server.url(), &folder)?;
    let scanned = until_stored(&home, many, begun)?;
    report.add("start with all known: first scan", started.elapsed().as_secs_f64(), "s", "<= 5");
    let io = std::fs::read_to_string(format!("/proc/{}/io", ana.pid()))?;
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap_or("0");
    report.add("  read meanwhile, queue included", read.parse::<f64>()? / 1e6, "MB", "");
    report.add("  highest memory of the daemon", highest(&ana)?, "MiB", "");
    if scanned.counts.open() + scanned.counts.faults() > 0 {
        bail!("not all are known: {:?}", scanned.counts);
    }
    Ok(())
}

/// Waits until a whole scan is done since then and so many files of the only folder have their receipt.
fn until_stored(home: &Path, many: u64, since: Timestamp) -> anyhow::Result<FolderStatus> {
    let mut client = control(home)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let Outcome::Folders(folders) = client.call(&Request::Watch(WatchRequest::Ls))? else {
            bail!("no folders were told");
        };
        // There is none before the session tells whose it is.
        let folder = folders.into_iter().next();
        let counts = folder.as_ref().map(|folder| folder.counts).unwrap_or_default();
        if let Some(folder) = folder
            && folder.scanned_at.is_some_and(|at| at >= since)
            && folder.state == FolderState::Watching
            && counts.stored + counts.duplicate == many
        {
            return Ok(folder);
        }
        if Instant::now() > until || counts.faults() > 0 {
            bail!("not all came: {counts:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A daemon that watches this folder.
fn watching(home: &Path, url: &str, folder: &Path) -> anyhow::Result<Daemon> {
    let arguments = ["--watch", folder.to_str().context("it is text")?];
    Daemon::client_with(home, url, "ana", &arguments).map_err(|what| anyhow!(what))
}

/// The names of new images as the daemon of this home tells them, and when it did.
fn arrivals(home: &Path) -> anyhow::Result<Receiver<(String, Instant)>> {
    let mut client = control(home)?;
    let (sender, receiver) = channel();
    // It ends with the daemon, or when nobody listens any more.
    std::thread::spawn(move || {
        let request = Request::Events { since: Some(imgrepo_proto::Seq(0)), follow: true };
        let _ = client.call_with(&request, &mut |reply| {
            let Reply::Event(event) = reply else { return Ok(()) };
            if event.event == EventKind::NewUpload
                && let Some(image) = event.image
            {
                let _ = sender.send((image.name, Instant::now()));
            }
            Ok(())
        });
    });
    Ok(receiver)
}

/// The most memory that a daemon ever had, in MiB.
fn highest(daemon: &Daemon) -> anyhow::Result<f64> {
    let (_, highest) = resident(daemon.pid())?;
    Ok(highest as f64 / 1024.0)
}

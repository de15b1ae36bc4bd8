//! A command of people from its start to its end, beside `/bin/true`, in turn: `imgctl list` of a small
//! repository whose daemon has a session, of few images and of a screenful.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};

use crate::listing::{RECORDS, add};
use crate::process::{Daemon, imgrepod};
use crate::report::{Report, median};

const ROUNDS: usize = 400;

/// Images of a repository that has just begun, where the process itself is what takes its time.
const FEW: usize = 10;

const TRUE: &str = "/bin/true";

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let imgctl = imgrepod().with_file_name("imgctl");
    ensure!(imgctl.is_file(), "`{}` is missing: cargo build --release -p imgctl", imgctl.display());
    let server = Daemon::serve(&work.join("home")).map_err(|what| anyhow!(what))?;
    add(&server.url(), 0..FEW).await?;
    let home = work.join("client");
    let _client = Daemon::client(&home, &server.url(), "ana").map_err(|what| anyhow!(what))?;
    let until = Instant::now() + Duration::from_secs(30);
    while !list(&imgctl, &home).stderr(Stdio::null()).output()?.status.success() {
        ensure!(Instant::now() < until, "the daemon gets no session");
    }
    let few = ["imgctl list of few images, from start to end", "  /bin/true", "  ratio"];
    let names = ["imgctl list of a screenful", "  /bin/true", "  ratio"];
    tokio::task::block_in_place(|| beside_true(&imgctl, &home, few, "<= 3 [2]", report))?;
    add(&server.url(), FEW..RECORDS).await?;
    tokio::task::block_in_place(|| beside_true(&imgctl, &home, names, "", report))
}

fn list(imgctl: &Path, home: &Path) -> Command {
    let mut command = Command::new(imgctl);
    command.arg("list").env("IMGREPO_HOME", home);
    command
}

fn beside_true(
    imgctl: &Path,
    home: &Path,
    names: [&'static str; 3],
    goal: &'static str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let us = time(&mut list(imgctl, home))?;
        let it = time(&mut Command::new(TRUE))?;
        ours.push(us);
        bare.push(it);
        ratios.push(us / it);
    }
    report.add(names[0], median(&ours), "ms", "");
    report.add(names[1], median(&bare), "ms", "");
    report.add(names[2], median(&ratios), "", goal);
    Ok(())
}

/// Milliseconds of a process.
fn time(command: &mut Command) -> anyhow::Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status()?;
    let time = started.elapsed().as_secs_f64() * 1000.0;
    ensure!(status.success(), "it failed: {status}");
    Ok(time)
}

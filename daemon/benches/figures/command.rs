//! A command of people from its start to its end, beside `/bin/true`, in turn: `imgctl list` of a small
//! repository whose daemon has a session.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};

use crate::listing::fill;
use crate::process::{Daemon, imgrepod};
use crate::report::{Report, median};

const ROUNDS: usize = 400;

const TRUE: &str = "/bin/true";

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let imgctl = imgrepod().with_file_name("imgctl");
    ensure!(imgctl.is_file(), "`{}` is missing: cargo build --release -p imgctl", imgctl.display());
    let server = Daemon::serve(&work.join("home")).map_err(|what| anyhow!(what))?;
    fill(&server.url()).await?;
    let home = work.join("client");
    let _client = Daemon::client(&home, &server.url(), "ana").map_err(|what| anyhow!(what))?;
    tokio::task::block_in_place(|| {
        let list = |home: &Path| {
            let mut command = Command::new(&imgctl);
            command.arg("list").env("IMGREPO_HOME", home);
            command
        };
        // Until its session is there.
        let until = Instant::now() + Duration::from_secs(30);
        while !list(&home).stderr(Stdio::null()).output()?.status.success() {
            ensure!(Instant::now() < until, "the daemon gets no session");
        }
        let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let us = time(&mut list(&home))?;
            let it = time(&mut Command::new(TRUE))?;
            ours.push(us);
            bare.push(it);
            ratios.push(us / it);
        }
        report.add("imgctl list, from start to end", median(&ours), "ms", "");
        report.add("  /bin/true", median(&bare), "ms", "");
        report.add("  ratio", median(&ratios), "", "<= 3 [2]");
        Ok(())
    })
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

//! How much memory two daemons take more while a 200 MB image goes from one to the other: the highest
//! resident size that the system saw, less what it was before.

use std::path::Path;

use anyhow::anyhow;

use crate::cost::resident;
use crate::process::Daemon;
use crate::report::Report;
use crate::{control, large};

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let server = Daemon::serve(&work.join("home")).map_err(|what| anyhow!(what))?;
    let home = work.join("client");
    let client = Daemon::client(&home, &server.url(), "ana").map_err(|what| anyhow!(what))?;
    tokio::task::block_in_place(|| {
        let mut uploader = control(&home)?;
        // What a daemon takes once, for its first transfer, is not what an image takes.
        let request = large(work, 20)?;
        let before = [resident(client.pid())?.0, resident(server.pid())?.0];
        uploader.call_with(&request, &mut |_| Ok(()))?;
        let after = [resident(client.pid())?, resident(server.pid())?];
        let mib = |kib: u64| kib as f64 / 1024.0;
        report.add(
            "200 MB up: growth of the client's daemon",
            mib(after[0].1.saturating_sub(before[0])),
            "MiB",
            "< 32",
        );
        report.add(
            "200 MB up: growth of the server",
            mib(after[1].1.saturating_sub(before[1])),
            "MiB",
            "< 32",
        );
        report.add("  the client's daemon before", mib(before[0]), "MiB", "");
        report.add("  the server before", mib(before[1]), "MiB", "");
        Ok(())
    })
}

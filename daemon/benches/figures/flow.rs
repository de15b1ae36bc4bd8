//! Images of 3 MB up and down on one session, hashed and durable, beside bare tokio-tungstenite with
//! the same messages in the same run, in turn. The server's processor time for each gigabyte stands
//! beside the bare one's, which keeps nothing, and beside that of writing the same files and no more: it
//! depends on what else the machine does only where its memory does.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use tokio::task::block_in_place;

use crate::bare::{self, Bare};
use crate::cost::cpu_seconds;
use crate::picture::Picture;
use crate::process::Daemon;
use crate::report::{Report, median};
use crate::session::V2;
use crate::small;
use crate::tls::{down, up};

const IMAGE_BYTES: usize = 3_000_000;
const IMAGES: usize = 48;
const ROUNDS: u64 = 7;

/// One end's figures of one direction.
#[derive(Default)]
struct Way {
    /// Megabytes a second, of each round.
    rates: Vec<f64>,
    server_seconds: f64,
    client_seconds: f64,
}

impl Way {
    async fn time(
        &mut self,
        server: u32,
        counts: bool,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let processes = [server, std::process::id()];
        let before = processes.map(cpu_seconds);
        let started = Instant::now();
        work.await?;
        let seconds = started.elapsed().as_secs_f64();
        let [server, client] = processes.map(cpu_seconds);
        let [server_before, client_before] = before;
        if counts {
            self.rates.push((IMAGES * IMAGE_BYTES) as f64 / 1e6 / seconds);
            self.server_seconds += server? - server_before?;
            self.client_seconds += client? - client_before?;
        }
        Ok(())
    }
}

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let server = Daemon::serve(&work.join("home")).map_err(|what| anyhow!(what))?;
    let session = V2::open(&server.url(), "bench").await.map_err(|end| anyhow!("{end:?}"))?;
    let session = Arc::new(session);
    let bare = Bare::start()?;
    let mut plain = bare.open().await?;
    let mut ways: [[Way; 2]; 2] = Default::default();
    let mut files = Way::default();
    // The first round warms up and does not count.
    for round in 0..=ROUNDS {
        let picture = |n: usize| {
            Picture::new(format!("{round}-{n}.bmp"), round << 32 | n as u64, IMAGE_BYTES)
        };
        let pictures: Arc<Vec<Picture>> = Arc::new((0..IMAGES).map(picture).collect());
        let counts = round > 0;
        let [[our_up, bare_up], [our_down, bare_down]] = &mut ways;
        let mut images = Vec::new();
        let upload = async {
            images = up(&session, &pictures).await?;
            Ok(())
        };
        our_up.time(server.pid(), counts, upload).await?;
        bare_up.time(bare.pid(), counts, plain.up(&pictures)).await?;
        our_down.time(server.pid(), counts, down(&session, &images, &pictures)).await?;
        bare_down.time(bare.pid(), counts, plain.down(IMAGES, IMAGE_BYTES)).await?;
        let directory = work.join(format!("files-{round}"));
        let write = || small::files(&directory, &pictures).map(drop);
        files.time(std::process::id(), counts, async { block_in_place(write) }).await?;
        std::fs::remove_dir_all(&directory)?;
    }
    let names = [
        [
            "images of 3 MB up, 4 in flight, hashed, durable",
            "  a bare tokio-tungstenite sink",
            "  ratio, up",
            "  processor time of the server for 1 GB up",
            "  the same of the bare sink",
            "  processor time of the client for 1 GB up",
            "  the same of the bare client",
        ],
        [
            "images of 3 MB down, 4 in flight",
            "  a bare tokio-tungstenite stream",
            "  ratio, down",
            "  processor time of the server for 1 GB down",
            "  the same of the bare stream",
            "  processor time of the client for 1 GB down",
            "  the same of the bare client",
        ],
    ];
    let goals = [[">= 0.35 [0.6]", "<= 1.8 [1.2]"], [">= 0.5 [0.9]", "<= 0.8 [0.5]"]];
    let gigabytes = (ROUNDS as usize * IMAGES * IMAGE_BYTES) as f64 / 1e9;
    for (([ours, bare], names), [ratio, cpu]) in ways.iter().zip(names).zip(goals) {
        let ratios: Vec<f64> =
            ours.rates.iter().zip(&bare.rates).map(|(ours, bare)| ours / bare).collect();
        report.add(names[0], median(&ours.rates), "MB/s", "");
        report.add(names[1], median(&bare.rates), "MB/s", "");
        report.add(names[2], median(&ratios), "", ratio);
        report.add(names[3], ours.server_seconds / gigabytes, "s", cpu);
        report.add(names[4], bare.server_seconds / gigabytes, "s", "");
        report.add(names[5], ours.client_seconds / gigabytes, "s", "");
        report.add(names[6], bare.client_seconds / gigabytes, "s", "");
    }
    report.add("the same files, written and synced alone", median(&files.rates), "MB/s", "");
    report.add("  processor time for 1 GB", files.server_seconds / gigabytes, "s", "");
    Ok(())
}

/// Whether this process is the yardstick's server; it serves until it is killed then.
pub(crate) async fn is_bare() -> anyhow::Result<bool> {
    match std::env::var_os(bare::ROLE) {
        Some(_) => bare::serve().await.map(|()| true),
        None => Ok(false),
    }
}

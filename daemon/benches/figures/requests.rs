//! Small requests over one real session to a real server: INFO by number, one after the other and many
//! at once, and a request that reads no catalog. Beside each a bare server that answers texts of the
//! same sizes. Round by round in turn: what else the machine does meets both.

use std::path::Path;
use std::time::Instant;

use anyhow::anyhow;

use crate::cost::cpu_seconds;
use crate::many;
use crate::process::Daemon;
use crate::raw::{Bare, Raw};
use crate::report::{Report, median, quantile};

/// Images in the catalog.
const IMAGES: u64 = 10_000;

/// Requests under way at once: as many as a server takes of a session.
const IN_FLIGHT: u64 = imgrepo_proto::limits::MAX_REQUESTS as u64;

/// Requests of a round, one after the other and many at once.
const SINGLE: u64 = 3_000;
const PIPELINED: u64 = 40_000;

const ROUNDS: usize = 7;

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    let home = work.join("home");
    std::fs::create_dir_all(home.join("data"))?;
    tokio::task::block_in_place(|| {
        many::fill(&home.join("data/catalog.db"), IMAGES, jiff::Timestamp::now())
    })?;
    let server = Daemon::serve(&home).map_err(|what| anyhow!(what))?;
    let mut session = Raw::open(&server.url(), "bench").await?;
    // In no order, as people ask.
    let info = |n: u64| {
        let image = 1 + n.wrapping_mul(7919) % IMAGES;
        format!(r#""cmd":"INFO","args":{{"image":{image}}}"#)
    };
    // Of a request that has ended: it is answered from what the session itself knows.
    let cancel = |_: u64| r#""cmd":"CANCEL","args":{"request":1}"#.to_owned();
    let sizes = [session.ask(&info(7)).await?.len(), session.ask(&cancel(0)).await?.len()];
    let bare = [Bare::start(sizes[0])?, Bare::start(sizes[1])?];
    let mut echoes = [Raw::bare(&bare[0].url).await?, Raw::bare(&bare[1].url).await?];

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut infos = Rates::default();
    let mut cancels = Rates::default();
    // The first round warms up and does not count.
    for round in 0..=ROUNDS {
        let (asked, answered) =
            (single(&mut session, info).await?, single(&mut echoes[0], info).await?);
        let mut rates = [(&mut infos, 0), (&mut cancels, 1)];
        for (rates, at) in &mut rates {
            let ask: &dyn Fn(u64) -> String = if *at == 0 { &info } else { &cancel };
            let ours = rate(&mut session, server.pid(), ask).await?;
            let bare = rate(&mut echoes[*at], bare[*at].pid(), ask).await?;
            if round > 0 {
                rates.ours.push(ours.0);
                rates.bare.push(bare.0);
                rates.ratios.push(ours.0 / bare.0);
                rates.cpu[0].push(ours.1);
                rates.cpu[1].push(bare.1);
            }
        }
        if round > 0 {
            ours.extend(asked);
            theirs.extend(answered);
        }
    }
    report.add("INFO by number, one at a time, p50", quantile(&ours, 0.5), "us", "<= 150 [60]");
    report.add("  p99", quantile(&ours, 0.99), "us", "");
    report.add("  a bare server of the same sizes, p50", quantile(&theirs, 0.5), "us", "");
    report.add("INFO by number, 64 in flight", median(&infos.ours), "a second", ">= 20000 [40000]");
    report.add("  best round", quantile(&infos.ours, 1.0), "a second", "");
    report.add("  a bare server of the same sizes", median(&infos.bare), "a second", "");
    report.add("  ratio", median(&infos.ratios), "", "");
    report.add("  processor time of the server for one", median(&infos.cpu[0]), "us", "");
    report.add("  that of the bare server", median(&infos.cpu[1]), "us", "");
    report.add("CANCEL, 64 in flight: no catalog", median(&cancels.ours), "a second", ">= 60000");
    report.add("  best round", quantile(&cancels.ours, 1.0), "a second", "");
    report.add("  a bare server of the same sizes", median(&cancels.bare), "a second", "");
    report.add("  ratio", median(&cancels.ratios), "", "");
    report.add("  processor time of the server for one", median(&cancels.cpu[0]), "us", "");
    report.add("  that of the bare server", median(&cancels.cpu[1]), "us", "");
    Ok(())
}

#[derive(Default)]
struct Rates {
    ours: Vec<f64>,
    bare: Vec<f64>,
    ratios: Vec<f64>,
    cpu: [Vec<f64>; 2],
}

/// Microseconds of each, one after the other.
async fn single(session: &mut Raw, ask: impl Fn(u64) -> String) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for n in 0..SINGLE {
        let command = ask(n);
        let started = Instant::now();
        session.ask(&command).await?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

/// Answers a second, and microseconds of processor time that the server has for one.
async fn rate(
    session: &mut Raw,
    server: u32,
    ask: &dyn Fn(u64) -> String,
) -> anyhow::Result<(f64, f64)> {
    let worked = cpu_seconds(server)?;
    let took = session.pipelined(PIPELINED, IN_FLIGHT, ask).await?;
    let worked = cpu_seconds(server)? - worked;
    Ok((PIPELINED as f64 / took.as_secs_f64(), worked * 1e6 / PIPELINED as f64))
}

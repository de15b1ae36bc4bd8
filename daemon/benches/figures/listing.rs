//! How long a LIST takes while 200 MB go up on the same session: through two real daemons, over
//! loopback and over a line of 1 MB/s. Beside it the same LIST with nothing else on the session.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::reply::{Phase, Reply};
use imgrepo_proto::control::request::Request;
use imgrepo_proto::session::command::List;
use imgrepo_proto::{ErrorCode, Refusal};

use crate::process::Daemon;
use crate::proxy::Proxy;
use crate::report::{Report, quantile};
use crate::session::V2;
use crate::{control, large};

/// Bytes a second of the slow line, each way.
const SLOW: u64 = 1_000_000;

/// How long it is listed over the slow line, on which 200 MB would take minutes.
const SLOW_FOR: Duration = Duration::from_secs(30);

/// Between two LISTs, as people and windows leave some.
const PAUSE: Duration = Duration::from_millis(10);

/// Records in the repository and in the page: a screenful.
pub(crate) const RECORDS: usize = 50;

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let server = Daemon::serve(&work.join("home")).map_err(|what| anyhow!(what))?;
    fill(&server.url()).await?;
    let proxy = Proxy::start(&server.url(), SLOW).await?;
    tokio::task::block_in_place(|| {
        let names = ["LIST, idle session, p50", "LIST, idle session, p99"];
        direct(work, &server.url(), names, None, report)?;
        let names = ["LIST during a 200 MB upload, p50", "LIST during a 200 MB upload, p99"];
        direct(work, &server.url(), names, Some(11), report)?;
        slow(work, &proxy.url, report)
    })
}

/// Puts a screenful into the repository.
pub(crate) async fn fill(url: &str) -> anyhow::Result<()> {
    add(url, 0..RECORDS).await
}

/// Puts these of a screenful into the repository.
pub(crate) async fn add(url: &str, some: Range<usize>) -> anyhow::Result<()> {
    let session = V2::open(url, "somebody").await.map_err(|end| anyhow!("{end:?}"))?;
    for n in some {
        let picture = crate::picture::Picture::new(format!("picture-{n}.bmp"), n as u64, 10_000);
        session.upload(&picture, |_| {}).await.map_err(|end| anyhow!("{end:?}"))?;
    }
    Ok(())
}

/// Lists for as long as `goes_on` says; the milliseconds of each.
fn list_while(client: &mut Client, goes_on: impl Fn() -> bool) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    while goes_on() {
        let started = Instant::now();
        client.call(&Request::List(List { limit: Some(RECORDS as u32), ..List::default() }))?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(PAUSE);
    }
    Ok(times)
}

fn direct(
    work: &Path,
    url: &str,
    [p50, p99]: [&'static str; 2],
    upload: Option<u64>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let home = work.join(if upload.is_some() { "busy" } else { "idle" });
    let _daemon = Daemon::client(&home, url, "ana").map_err(|what| anyhow!(what))?;
    let times = match upload {
        None => {
            let mut lister = control(&home)?;
            let until = Instant::now() + Duration::from_secs(3);
            list_while(&mut lister, || Instant::now() < until)?
        }
        Some(seed) => list_during_upload(work, &home, seed)?,
    };
    report.add(p50, quantile(&times, 0.5), "ms", "");
    report.add(p99, quantile(&times, 0.99), "ms", if upload.is_some() { "< 20" } else { "" });
    Ok(())
}

/// Lists through the daemon of this home while a large image goes up through it; the milliseconds of
/// each.
pub(crate) fn list_during_upload(work: &Path, home: &Path, seed: u64) -> anyhow::Result<Vec<f64>> {
    let request = large(work, seed)?;
    let (mut lister, mut uploader) = (control(home)?, control(home)?);
    let (is_sending, is_done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let uploading = scope.spawn(|| {
            let outcome = uploader.call_with(&request, &mut |reply| {
                note_sending(&reply, &is_sending);
                Ok(())
            });
            is_done.store(true, Ordering::SeqCst);
            outcome
        });
        wait_for(&is_sending, &is_done);
        let times = list_while(&mut lister, || !is_done.load(Ordering::SeqCst))?;
        uploading.join().map_err(|_| anyhow!("the upload died"))??;
        Ok(times)
    })
}

fn slow(work: &Path, url: &str, report: &mut Report) -> anyhow::Result<()> {
    let home = work.join("slow");
    let _daemon = Daemon::client(&home, url, "ana").map_err(|what| anyhow!(what))?;
    let request = large(work, 12)?;
    let (mut lister, mut uploader) = (control(&home)?, control(&home)?);
    let is_sending = Arc::new(AtomicBool::new(false));
    let is_over = Arc::new(AtomicBool::new(false));
    let times = std::thread::scope(|scope| {
        let (sending, over) = (Arc::clone(&is_sending), Arc::clone(&is_over));
        let uploading = scope.spawn(move || {
            // Given up by the first progress after the time is over.
            uploader.call_with(&request, &mut |reply| {
                note_sending(&reply, &sending);
                match over.load(Ordering::SeqCst) {
                    true => Err(Refusal::new(ErrorCode::Cancelled, "enough was listed")),
                    false => Ok(()),
                }
            })
        });
        wait_for(&is_sending, &is_over);
        let until = Instant::now() + SLOW_FOR;
        let times = list_while(&mut lister, || Instant::now() < until);
        is_over.store(true, Ordering::SeqCst);
        let _ = uploading.join();
        times
    })?;
    report.add("  over a line of 1 MB/s, p50", quantile(&times, 0.5), "ms", "");
    report.add("  over a line of 1 MB/s, p99", quantile(&times, 0.99), "ms", "< 300");
    Ok(())
}

fn note_sending(reply: &Reply, is_sending: &AtomicBool) {
    if matches!(reply, Reply::Progress(progress) if progress.phase == Phase::Sending && progress.done > 0)
    {
        is_sending.store(true, Ordering::SeqCst);
    }
}

fn wait_for(is_sending: &AtomicBool, is_done: &AtomicBool) {
    while !is_sending.load(Ordering::SeqCst) && !is_done.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

//! Many small images, durable: 111 KB each, 32 in flight on one session, beside bare loops of the same
//! bytes: one writes, syncs and renames files, one appends to a single file and syncs once for 32. And
//! with one in flight, beside a loop that syncs each. Round by round in turn, because disks have moods.
//! Beside the rate stands the time that the processors work on one upload: what others do on the
//! machine meanwhile hardly changes it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::anyhow;

use crate::cost::cpu_seconds;
use crate::picture::Picture;
use crate::process::Daemon;
use crate::report::{Report, median};
use crate::session::V2;

const IMAGE_BYTES: usize = 111_000;
const IMAGES: usize = 600;
const IN_FLIGHT: usize = 32;
/// The same with one in flight, which takes as long.
const ONE_BY_ONE: usize = 100;
const BARE_THREADS: usize = 16;
const ROUNDS: u64 = 7;

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let server = Daemon::serve(&work.join("home")).map_err(|what| anyhow!(what))?;
    let session = V2::open(&server.url(), "bench").await.map_err(|end| anyhow!("{end:?}"))?;
    let session = Arc::new(session);
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut journals, mut of_journal) = (Vec::new(), Vec::new());
    let (mut singles, mut synced, mut of_synced) = (Vec::new(), Vec::new(), Vec::new());
    let mut cpu = [0.0; 2];
    // The first round warms up and does not count.
    for round in 0..=ROUNDS {
        let pictures: Arc<Vec<Picture>> = Arc::new(
            (0..IMAGES)
                .map(|n| {
                    Picture::new(format!("{round}-{n}.bmp"), round << 32 | n as u64, IMAGE_BYTES)
                })
                .collect(),
        );
        let worked = [std::process::id(), server.pid()].map(cpu_seconds);
        let by_session = uploads(&session, &pictures, IN_FLIGHT).await?;
        let has_worked = [std::process::id(), server.pid()].map(cpu_seconds);
        let directory = work.join(format!("bare-{round}"));
        // Nothing is removed before the end: see `spread`.
        let by_loop = tokio::task::block_in_place(|| files(&directory, &pictures))?;
        let by_journal = tokio::task::block_in_place(|| {
            journal(&directory.join("journal"), &pictures, IN_FLIGHT)
        })?;
        let picture = |n| {
            let name = format!("{round}-one-{n}.bmp");
            Picture::new(name, round << 32 | 1 << 24 | n as u64, IMAGE_BYTES)
        };
        let few: Arc<Vec<Picture>> = Arc::new((0..ONE_BY_ONE).map(picture).collect());
        let one_by_one = uploads(&session, &few, 1).await?;
        let each_synced =
            tokio::task::block_in_place(|| journal(&directory.join("single"), &few, 1))?;
        if round == 0 {
            continue;
        }
        for (sum, (before, after)) in cpu.iter_mut().zip(worked.into_iter().zip(has_worked)) {
            *sum += after? - before?;
        }
        ours.push(by_session);
        bare.push(by_loop);
        ratios.push(by_session / by_loop);
        journals.push(by_journal);
        of_journal.push(by_session / by_journal);
        singles.push(one_by_one);
        synced.push(each_synced);
        of_synced.push(one_by_one / each_synced);
    }
    let each = |seconds: f64| seconds * 1e6 / (ROUNDS as f64 * IMAGES as f64);
    let goal = ">= 1,500 [4,000]";
    report.add("small uploads, 111 KB, 32 in flight, durable", median(&ours), "a second", goal);
    report.add("  processor time of the client for one", each(cpu[0]), "us", "");
    report.add("  processor time of the server for one", each(cpu[1]), "us", "");
    report.add("  a bare loop of the same files, 16 threads", median(&bare), "a second", "");
    report.add("  ratio", median(&ratios), "", ">= 0.6");
    report.add("  a bare journal, synced every 32", median(&journals), "a second", "");
    report.add("  ratio", median(&of_journal), "", ">= 0.25 [0.67]");
    report.add("the same with one in flight", median(&singles), "a second", "");
    report.add("  a bare file, synced after each", median(&synced), "a second", "");
    report.add("  ratio", median(&of_synced), "", ">= 0.33");
    Ok(())
}

/// Uploads a second, with so many in flight.
pub(crate) async fn uploads(
    session: &Arc<V2>,
    pictures: &Arc<Vec<Picture>>,
    in_flight: usize,
) -> anyhow::Result<f64> {
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut working = tokio::task::JoinSet::new();
    for _ in 0..in_flight {
        let (session, pictures, next) =
            (Arc::clone(session), Arc::clone(pictures), Arc::clone(&next));
        working.spawn(async move {
            while let Some(picture) = pictures.get(next.fetch_add(1, Ordering::Relaxed)) {
                session.upload(picture, |_| {}).await.map_err(|end| anyhow!("{end:?}"))?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(joined) = working.join_next().await {
        joined??;
    }
    Ok(pictures.len() as f64 / started.elapsed().as_secs_f64())
}

/// Files a second.
pub(crate) fn files(directory: &Path, pictures: &[Picture]) -> anyhow::Result<f64> {
    std::fs::create_dir(directory)?;
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let write = || {
            while let Some(picture) = pictures.get(next.fetch_add(1, Ordering::Relaxed)) {
                let staged = directory.join(format!("{}.part", picture.name));
                let mut file = File::create(&staged)?;
                file.write_all(&picture.content)?;
                file.sync_data()?;
                std::fs::rename(&staged, directory.join(&picture.name))?;
                File::open(directory)?.sync_all()?;
            }
            anyhow::Ok(())
        };
        let threads: Vec<_> = (0..BARE_THREADS).map(|_| scope.spawn(write)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread died"))?)
    })?;
    Ok(pictures.len() as f64 / started.elapsed().as_secs_f64())
}

/// Contents a second that are appended to one file, synced after each group.
fn journal(path: &Path, pictures: &[Picture], group: usize) -> anyhow::Result<f64> {
    let mut file = File::create(path)?;
    let started = Instant::now();
    for group in pictures.chunks(group) {
        for picture in group {
            file.write_all(&picture.content)?;
        }
        file.sync_data()?;
    }
    Ok(pictures.len() as f64 / started.elapsed().as_secs_f64())
}

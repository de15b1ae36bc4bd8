//! The work: many small uploads at once and one by one, large ones, downloads, the whole list.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, anyhow, ensure};
use imgrepo_proto::ImageId;
use tokio::runtime::Runtime;

use crate::cost::cpu_seconds;
use crate::http::Connection;
use crate::peer::{LISTED, Peer, Way};
use crate::picture::Picture;
use crate::table::Figure;

const SMALL_BYTES: usize = 111_000;
const SMALL: usize = 320;
const SMALL_ALONE: usize = 64;
const LARGE_BYTES: usize = 3_000_000;
/// A hundred in the three rounds that count.
const LARGE: usize = 34;
/// How many large ones go at once, up and down.
const LARGE_AT_ONCE: usize = 4;

/// What a piece of work took: seconds, and those of processors for the server.
struct Spent {
    seconds: f64,
    cpu: f64,
}

fn spend(peer: &Peer, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Spent> {
    let (before, began) = (cpu_seconds(peer.pid())?, Instant::now());
    work()?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Spent { seconds, cpu: cpu_seconds(peer.pid())? - before })
}

/// One round of everything but the list.
pub(crate) fn round(peer: &Peer, round: u64, runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    let made = |kind: u64, count: usize, bytes: usize| {
        let one = |n| {
            Picture::new(format!("{round}-{kind}-{n}.bmp"), round << 40 | kind << 32 | n, bytes)
        };
        Arc::new((0..count as u64).map(one).collect::<Vec<_>>())
    };
    let mut figures = Vec::new();
    let small = made(1, SMALL, SMALL_BYTES);
    let spent = spend(peer, || upload(peer, &small, 32, runtime))?;
    figures.push(("111 KB up, 32 in flight, a second", SMALL as f64 / spent.seconds));
    figures.push(("- server CPU for one, us", spent.cpu * 1e6 / SMALL as f64));
    let alone = made(2, SMALL_ALONE, SMALL_BYTES);
    let spent = spend(peer, || upload(peer, &alone, 1, runtime))?;
    figures.push(("111 KB up, one at a time, a second", SMALL_ALONE as f64 / spent.seconds));
    let large = made(3, LARGE, LARGE_BYTES);
    let megabytes = (LARGE * LARGE_BYTES) as f64 / 1e6;
    let spent = spend(peer, || upload(peer, &large, LARGE_AT_ONCE, runtime))?;
    figures.push(("3 MB up, 4 in flight, MB a second", megabytes / spent.seconds));
    figures.push(("- server CPU, s a GB", spent.cpu * 1e3 / megabytes));
    // Ours have numbers in their order: these are the last that came.
    let newest = LISTED + (round + 1) * (SMALL + SMALL_ALONE + LARGE) as u64;
    let spent = spend(peer, || download(peer, &large, newest, runtime))?;
    figures.push(("3 MB down, 4 in flight, MB a second", megabytes / spent.seconds));
    figures.push(("- server CPU, s a GB down", spent.cpu * 1e3 / megabytes));
    Ok(figures)
}

/// What the disk gives to whoever promises as much as we do, with nothing else to do: files written,
/// synced and renamed, and their folder synced, one at a time; a second.
pub(crate) fn bare(folder: &Path) -> anyhow::Result<f64> {
    std::fs::create_dir_all(folder)?;
    let pictures: Vec<Picture> =
        (0..SMALL_ALONE as u64).map(|n| Picture::new(format!("{n}.bmp"), n, SMALL_BYTES)).collect();
    let began = Instant::now();
    for picture in &pictures {
        let staged = folder.join("staged");
        let mut file = File::create(&staged)?;
        file.write_all(&picture.content)?;
        file.sync_data()?;
        std::fs::rename(&staged, folder.join(&picture.name))?;
        File::open(folder)?.sync_all()?;
    }
    Ok(pictures.len() as f64 / began.elapsed().as_secs_f64())
}

/// Uploads all, so many at once.
pub(crate) fn upload(
    peer: &Peer,
    pictures: &Arc<Vec<Picture>>,
    at_once: usize,
    runtime: &Runtime,
) -> anyhow::Result<()> {
    if let Way::Session(session) = &peer.way {
        let (session, pictures) = (session.clone(), pictures.clone());
        return each_in_task(pictures.len(), at_once, runtime, move |n| {
            let (session, pictures) = (session.clone(), pictures.clone());
            async move {
                let reply = session.upload(&pictures[n], |_| {}).await;
                reply.map(drop).map_err(|end| anyhow!("{end:?}"))
            }
        });
    }
    each_on_connection(peer, pictures.len(), at_once, |connection, n| {
        let picture = &pictures[n];
        let (method, path) = match &peer.way {
            Way::Files { .. } => ("PUT", format!("/up/{}", picture.name)),
            _ => ("POST", format!("/api/images?name={}", picture.name)),
        };
        connection.send(method, &path, &picture.content)
    })
}

fn download(
    peer: &Peer,
    pictures: &Arc<Vec<Picture>>,
    newest: u64,
    runtime: &Runtime,
) -> anyhow::Result<()> {
    if let Way::Session(session) = &peer.way {
        let session = session.clone();
        return each_in_task(pictures.len(), LARGE_AT_ONCE, runtime, move |n| {
            let session = session.clone();
            async move {
                let content = session.download(ImageId(newest - n as u64)).await;
                let (_, bytes) = content.map_err(|end| anyhow!("{end:?}"))?;
                ensure!(bytes == LARGE_BYTES as u64, "another image came");
                Ok(())
            }
        });
    }
    each_on_connection(peer, pictures.len(), LARGE_AT_ONCE, |connection, n| {
        let path = match &peer.way {
            Way::Files { .. } => format!("/up/{}", pictures[n].name),
            _ => format!("/api/images/{}/original", newest - n as u64),
        };
        ensure!(connection.get(&path, |_| ())? == LARGE_BYTES, "another image came");
        Ok(())
    })
}

/// The whole list, of which a server of ours gives 500 at a time.
pub(crate) fn list(peer: &Peer, runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    const TIMES: usize = 5;
    // The first looks at the folder for the first time.
    listed(peer, runtime)?;
    let spent = spend(peer, || (0..TIMES).try_for_each(|_| listed(peer, runtime)))?;
    let each = |seconds: f64| seconds * 1e3 / TIMES as f64;
    Ok(vec![
        ("the whole list of 10,000, ms", each(spent.seconds)),
        ("- server CPU, ms", each(spent.cpu)),
    ])
}

fn listed(peer: &Peer, runtime: &Runtime) -> anyhow::Result<()> {
    let mut count = 0;
    match &peer.way {
        Way::Session(session) => {
            let images = runtime.block_on(session.list());
            count = images.map_err(|end| anyhow!("{end:?}"))?.len();
        }
        Way::Api => {
            let mut connection = Connection::open(&peer.host)?;
            let mut cursor = String::new();
            loop {
                let mut page = Vec::new();
                let path = format!("/api/images?limit=500&sort=oldest{cursor}");
                connection.get(&path, |piece| page.extend_from_slice(piece))?;
                let page: serde_json::Value = serde_json::from_slice(&page)?;
                count += page["images"].as_array().context("no images")?.len();
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
        }
        Way::Files { list, .. } => {
            let mut connection = Connection::open(&peer.host)?;
            let mut text = Vec::new();
            connection.get(&format!("/many/{list}"), |piece| text.extend_from_slice(piece))?;
            count += text.windows(7).filter(|window| window == b"listed-").count();
        }
    }
    ensure!(count as u64 == LISTED, "{} lists {count} of {LISTED}", peer.name);
    Ok(())
}

/// Does each piece of work once, on as many connections as go at once.
fn each_on_connection(
    peer: &Peer,
    count: usize,
    at_once: usize,
    work: impl Fn(&mut Connection, usize) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let go = || {
            let mut connection = Connection::open(&peer.host)?;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return anyhow::Ok(());
                }
                work(&mut connection, n)?;
            }
        };
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(go)).collect();
        let mut threads = threads.into_iter();
        threads.try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread died"))?)
    })
}

/// Does each piece of work once, so many at a time on the one session.
fn each_in_task<F>(
    count: usize,
    at_once: usize,
    runtime: &Runtime,
    work: impl Fn(usize) -> F + Clone + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        let mut working = tokio::task::JoinSet::new();
        for _ in 0..at_once {
            let (next, work) = (next.clone(), work.clone());
            working.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return anyhow::Ok(());
                    }
                    work(n).await?;
                }
            });
        }
        while let Some(joined) = working.join_next().await {
            joined??;
        }
        Ok(())
    })
}

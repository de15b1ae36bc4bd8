//! Readers that ask for a large image and then read nothing: what they take of the server's memory,
//! when they are dropped, and how long a LIST of the others takes meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use futures_util::SinkExt as _;
use imgrepo_proto::session::Request;
use imgrepo_proto::session::command::{Command, Download, Target};
use imgrepo_proto::{ImageId, limits};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::cost::share;
use crate::idle::{dial, lists, load};
use crate::listing::fill;
use crate::picture::Picture;
use crate::process::{Daemon, imgrepod};
use crate::report::{Report, quantile};
use crate::session::V2;
use crate::tls::settled;

const READERS: usize = 200;
const IMAGE_BYTES: usize = 100_000_000;

/// Sessions that list beside them.
const OTHERS: usize = 20;

/// How long they are waited for.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let home = work.join("home");
    let arguments = ["--serve", "--listen", "127.0.0.1:0", "--allow-guests"];
    let server = Daemon::start(&imgrepod(), &home, &home.with_extension("log"), &arguments, &[]);
    let server = server.map_err(|what| anyhow!(what))?;
    let url = server.url();
    fill(&url).await?;
    let session = V2::open(&url, "bench").await.map_err(|end| anyhow!("{end:?}"))?;
    let picture = Picture::new("large.bmp", 1, IMAGE_BYTES);
    let stored = session.upload(&picture, |_| {}).await.map_err(|end| anyhow!("{end:?}"))?;
    session.download(stored.image.id).await.map_err(|end| anyhow!("{end:?}"))?;
    drop((session, picture));
    let alone = lists(&url, OTHERS, Duration::from_secs(10)).await?;
    let before = settled(server.pid()).await?;
    let others = sockets(&url)?;
    let mut readers = Vec::with_capacity(READERS);
    for n in 0..READERS {
        readers.push(ask(&url, n, stored.image.id).await?);
    }
    let started = Instant::now();
    // While the server still waits for them: it drops those that take nothing for 40 s.
    let beside = lists(&url, OTHERS, Duration::from_secs(10)).await?;
    let after = share(server.pid())?;
    let each = (after as f64 - before as f64) / READERS as f64;
    let window = f64::from(u32::try_from(limits::WINDOW_BYTES)?) / 1024.0;
    report.add("a reader who stops, of the server's memory", each, "KiB", "<= 2048");
    report.add("  beyond its window", (each - window).max(0.0), "KiB", "<= 1024");
    let dropped = dropped(&url, others, started).await?;
    drop(readers);
    report.add("  all of 200 dropped within", dropped, "s", "<= 60");
    let [alone, beside] = [alone, beside].map(|times| quantile(&times, 0.99));
    report.add("LIST of others before, p99", alone, "ms", "");
    report.add("LIST of others beside them, p99", beside, "ms", "");
    report.add("  ratio", beside / alone, "", "<= 2");
    report.add("  load of the machine meanwhile", load()?, "", "");
    Ok(())
}

/// A session that asked for the image, and of which nothing is read any more.
async fn ask(url: &str, n: usize, image: ImageId) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let mut socket = dial(url, n % 10).await?;
    let download = Download { target: Target::id(image), offset: 0, length: None };
    let text = Request { id: 2, command: Command::Download(download) }.encode();
    socket.send(Message::text(text)).await?;
    Ok(socket)
}

/// Seconds until the server has let go of all who are still there beside these.
async fn dropped(url: &str, others: usize, started: Instant) -> anyhow::Result<f64> {
    while started.elapsed() < PATIENCE {
        if sockets(url)? <= others {
            return Ok(started.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("the server keeps readers who take nothing for {} s", PATIENCE.as_secs())
}

/// Connections that the server holds, by the word of the system: who reads nothing does not hear of
/// an end that is behind all of it.
fn sockets(url: &str) -> anyhow::Result<usize> {
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap_or_default();
    let local = format!(":{:04X}", port.parse::<u16>()?);
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let is_held = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Listening, its state would be another; that of nobody any more has no inode.
        matches!(words[..], [_, at, _, "01", _, _, _, _, _, inode, ..]
            if at.ends_with(&local) && inode != "0")
    };
    Ok(table.lines().filter(is_held).count())
}

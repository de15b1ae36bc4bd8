//! Pictures over HTTP, as the page asks for them: thumbnails that are in the cache, and originals of
//! their size, over a few connections that are kept. The client is sockets and nothing else, so that
//! the server is what is measured; both share the machine.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};

use crate::picture::Picture;
use crate::process::Daemon;
use crate::report::{Report, median};
use crate::session::V2;

const IMAGES: u64 = 50;

/// About a thumbnail's.
const IMAGE_BYTES: usize = 20_000;

/// As many as a browser opens to one host.
const CONNECTIONS: u64 = 6;

const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let server = Daemon::serve(&work.join("home")).map_err(|what| anyhow!(what))?;
    let session = V2::open(&server.url(), "bench").await.map_err(|end| anyhow!("{end:?}"))?;
    for n in 0..IMAGES {
        let picture = Picture::new(format!("{n}.bmp"), n, IMAGE_BYTES);
        session.upload(&picture, |_| {}).await.map_err(|end| anyhow!("{end:?}"))?;
    }
    let url = server.url();
    let host = url.trim_start_matches("ws://").trim_end_matches('/');
    tokio::task::block_in_place(|| {
        // Each is made by the first who wants it.
        for n in 1..=IMAGES {
            let mut connection = Connection::open(host)?;
            connection.get(&format!("/api/images/{n}/256"))?;
        }
        for (name, path, goal) in [
            ("thumbnails from the cache over HTTP", "256", ">= 3,000"),
            ("  originals of 20 KB", "original", ""),
        ] {
            report.add(name, median(&rounds(host, path)?), "a second", goal);
        }
        anyhow::Ok(())
    })
}

fn rounds(host: &str, path: &str) -> anyhow::Result<Vec<f64>> {
    let mut rates = Vec::new();
    // The first round warms up and does not count.
    for round in 0..=ROUNDS {
        let (count, began) = (AtomicU64::new(0), Instant::now());
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..CONNECTIONS)
                .map(|first| {
                    let count = &count;
                    scope.spawn(move || {
                        let mut connection = Connection::open(host)?;
                        let mut image = first;
                        while began.elapsed() < ROUND {
                            image = image % IMAGES + 1;
                            connection.get(&format!("/api/images/{image}/{path}"))?;
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        anyhow::Ok(())
                    })
                })
                .collect();
            asking.into_iter().try_for_each(|it| it.join().map_err(|_| anyhow!("a panic"))?)
        })?;
        if round > 0 {
            rates.push(count.into_inner() as f64 / began.elapsed().as_secs_f64());
        }
    }
    Ok(rates)
}

/// One that is kept.
struct Connection<'a> {
    stream: TcpStream,
    host: &'a str,
    buffer: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn open(host: &'a str) -> anyhow::Result<Connection<'a>> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, host, buffer: vec![0; 64 * 1024] })
    }

    /// Asks for a picture and takes all of it.
    fn get(&mut self, path: &str) -> anyhow::Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: same-origin\r\n\
             Accept: image/avif,image/webp,image/*,*/*;q=0.8\r\n\r\n",
            self.host
        );
        self.stream.write_all(request.as_bytes())?;
        let mut came = 0;
        let (head, length) = loop {
            let read = self.stream.read(self.buffer.get_mut(came..).context("a long head")?)?;
            ensure!(read > 0, "the server closed the connection");
            came += read;
            let text = String::from_utf8_lossy(&self.buffer[..came.min(2048)]);
            if let Some(end) = text.find("\r\n\r\n") {
                ensure!(text.starts_with("HTTP/1.1 200"), "{path}: {}", &text[..end]);
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
                break (end + 4, length.context("no length")?.parse::<usize>()?);
            }
        };
        let mut left = (head + length).saturating_sub(came);
        while left > 0 {
            let most = left.min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..most])?;
            ensure!(read > 0, "the server closed the connection");
            left -= read;
        }
        Ok(())
    }
}

//! What encryption costs: images of 3 MB, durable, up and down over TLS beside the same without it,
//! in turn; the memory of idle sessions of both kinds; and a LIST while 200 MB go up over TLS. The
//! proofs' own client is at the other end, but for the LIST, which is through a whole daemon.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use imgrepo_proto::ImageId;
use imgrepo_proto::invitation::Trust;
use imgrepod::tls::Identity;
use tokio::task::JoinSet;

use crate::cost::{cpu_seconds, share};
use crate::listing::{fill, list_during_upload};
use crate::picture::Picture;
use crate::process::{Daemon, imgrepod};
use crate::report::{Report, median, quantile};
use crate::session::{Ended, V2, tcp};

const IMAGE_BYTES: usize = 3_000_000;

/// Images of one way and round.
const IMAGES: usize = 48;

/// Transfers at once of the one session.
const IN_FLIGHT: usize = 4;

const ROUNDS: u64 = 7;

/// Idle sessions of either kind.
const SESSIONS: usize = 500;

/// Guests whose they are: nobody may have all of them, and a server takes few new names a minute.
const GUESTS: usize = 10;

/// Sessions that a server has had before its memory is looked at: what it takes once is no session's.
const BEFORE: usize = 50;

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    images(&work.join("images"), report).await?;
    let plain = idle(&work.join("idle-plain"), false).await?;
    let encrypted = idle(&work.join("idle-tls"), true).await?;
    report.add("an idle session of the server, plain", plain, "KiB", "");
    report.add("  more for one over TLS", encrypted - plain, "KiB", "<= 24");
    listing(work, report).await
}

/// A server that lets guests in over TLS too, and by what it is known.
fn serve(home: &Path) -> anyhow::Result<(Daemon, Trust)> {
    let log = home.with_extension("log");
    let arguments = ["--serve", "--listen", "127.0.0.1:0", "--allow-guests"];
    let server = Daemon::start(&imgrepod(), home, &log, &arguments, &[]);
    let server = server.map_err(|what| anyhow!(what))?;
    // It is there by now: nothing is made anew.
    let identity = Identity::own(&home.join("data/tls"), None)?;
    Ok((server, identity.trust()))
}

/// A session over TLS, or in the clear where there is nothing to trust.
async fn open(url: &str, trust: Option<&Trust>, user: &str) -> anyhow::Result<V2> {
    let ended = |end: Ended| anyhow!("cannot open a session: {end:?}");
    let Some(trust) = trust else { return V2::open(url, user).await.map_err(ended) };
    let stream = tcp(url).await.map_err(ended)?;
    let stream = imgrepod::tls::connect(stream, "127.0.0.1", trust).await?;
    V2::begin(stream, url, user).await.map_err(ended)
}

/// One way of coming to the server, and what was measured of it.
struct Way {
    session: Arc<V2>,
    /// Megabytes a second, of each round: up and down.
    rates: [Vec<f64>; 2],
    /// Of the server and of the client, up and down.
    cpu_seconds: [[f64; 2]; 2],
}

impl Way {
    async fn new(url: &str, trust: Option<&Trust>) -> anyhow::Result<Way> {
        let session = Arc::new(open(url, trust, "bench").await?);
        Ok(Way { session, rates: Default::default(), cpu_seconds: Default::default() })
    }

    async fn round(&mut self, pictures: Vec<Picture>, server: &Daemon) -> anyhow::Result<()> {
        let processes = [server.pid(), std::process::id()];
        let pictures = Arc::new(pictures);
        let mut images = Vec::new();
        for (direction, spent) in self.cpu_seconds.iter_mut().enumerate() {
            let before = processes.map(cpu_seconds);
            let started = Instant::now();
            match direction {
                0 => images = up(&self.session, &pictures).await?,
                _ => down(&self.session, &images, &pictures).await?,
            }
            let megabytes = (IMAGES * IMAGE_BYTES) as f64 / 1e6;
            self.rates[direction].push(megabytes / started.elapsed().as_secs_f64());
            for ((sum, process), before) in spent.iter_mut().zip(processes).zip(before) {
                *sum += cpu_seconds(process)? - before?;
            }
        }
        Ok(())
    }

    /// Forgets what was measured so far.
    fn forget(&mut self) {
        (self.rates, self.cpu_seconds) = Default::default();
    }
}

async fn images(home: &Path, report: &mut Report) -> anyhow::Result<()> {
    let (server, trust) = serve(home)?;
    let mut plain = Way::new(&server.url(), None).await?;
    let mut encrypted = Way::new(&server.url(), Some(&trust)).await?;
    // The first round warms up and does not count.
    for round in 0..=ROUNDS {
        let mut ways = [(0, &mut plain), (1, &mut encrypted)];
        // Whoever is second finds the disk as the first left it.
        if round % 2 == 1 {
            ways.reverse();
        }
        for (kind, way) in ways {
            let picture = |n: usize| {
                let name = format!("{round}-{kind}-{n}.bmp");
                Picture::new(name, round << 32 | kind << 16 | n as u64, IMAGE_BYTES)
            };
            way.round((0..IMAGES).map(picture).collect(), &server).await?;
            if round == 0 {
                way.forget();
            }
        }
    }
    let names = [
        [
            "images of 3 MB up over TLS, 4 in flight, durable",
            "  the same without TLS",
            "  ratio, up",
            "  processor time of the server for 1 GB up over TLS",
            "  the same without TLS",
            "  processor time of the client for 1 GB up over TLS",
            "  the same without TLS",
        ],
        [
            "images of 3 MB down over TLS, 4 in flight",
            "  the same without TLS",
            "  ratio, down",
            "  processor time of the server for 1 GB down over TLS",
            "  the same without TLS",
            "  processor time of the client for 1 GB down over TLS",
            "  the same without TLS",
        ],
    ];
    let gigabytes = (ROUNDS as usize * IMAGES * IMAGE_BYTES) as f64 / 1e9;
    for (direction, [tls, clear, ratio, cpu @ ..]) in names.into_iter().enumerate() {
        let rates = [&encrypted.rates[direction], &plain.rates[direction]];
        let ratios: Vec<f64> =
            rates[0].iter().zip(rates[1]).map(|(ours, bare)| ours / bare).collect();
        report.add(tls, median(rates[0]), "MB/s", "");
        report.add(clear, median(rates[1]), "MB/s", "");
        report.add(ratio, median(&ratios), "", ">= 0.65");
        let spent =
            (0..2).flat_map(|end| [&encrypted, &plain].map(|way| way.cpu_seconds[direction][end]));
        for (name, seconds) in cpu.into_iter().zip(spent) {
            report.add(name, seconds / gigabytes, "s", "");
        }
    }
    Ok(())
}

/// Does something for each of so many, some at once, and gives the outcomes in no order.
async fn each<T, F, W>(many: usize, work: F) -> anyhow::Result<Vec<T>>
where
    T: Send + 'static,
    F: Fn(usize) -> W + Clone + Send + 'static,
    W: Future<Output = anyhow::Result<T>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut working = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (next, work) = (next.clone(), work.clone());
        working.spawn(async move {
            let mut outcomes = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= many {
                    return anyhow::Ok(outcomes);
                }
                outcomes.push(work(n).await?);
            }
        });
    }
    let mut outcomes = Vec::with_capacity(many);
    while let Some(joined) = working.join_next().await {
        outcomes.extend(joined??);
    }
    Ok(outcomes)
}

/// Uploads all, and tells which image each of them is.
pub(crate) async fn up(
    session: &Arc<V2>,
    pictures: &Arc<Vec<Picture>>,
) -> anyhow::Result<Vec<(usize, ImageId)>> {
    let (session, all) = (session.clone(), pictures.clone());
    each(pictures.len(), move |n| {
        let (session, all) = (session.clone(), all.clone());
        async move {
            let reply = session.upload(&all[n], |_| {}).await;
            Ok((n, reply.map_err(|end| anyhow!("{end:?}"))?.image.id))
        }
    })
    .await
}

pub(crate) async fn down(
    session: &Arc<V2>,
    images: &[(usize, ImageId)],
    pictures: &Arc<Vec<Picture>>,
) -> anyhow::Result<()> {
    let (session, all, images) = (session.clone(), pictures.clone(), images.to_vec());
    let outcomes = each(images.len(), move |at| {
        let (session, all, (n, image)) = (session.clone(), all.clone(), images[at]);
        async move {
            let (hash, bytes) = session.download(image).await.map_err(|end| anyhow!("{end:?}"))?;
            if (hash, bytes) != (all[n].hash, all[n].size()) {
                bail!("`{}` came back as something else", all[n].name);
            }
            Ok(())
        }
    });
    outcomes.await.map(drop)
}

/// What an idle session of this kind takes of a server's memory, in KiB.
async fn idle(home: &Path, encrypted: bool) -> anyhow::Result<f64> {
    let (server, trust) = serve(home)?;
    let trust = encrypted.then_some(&trust);
    let open = async |many: usize| {
        let mut sessions = Vec::with_capacity(many);
        for n in 0..many {
            sessions
                .push(self::open(&server.url(), trust, &format!("guest-{}", n % GUESTS)).await?);
        }
        anyhow::Ok(sessions)
    };
    drop(open(BEFORE).await?);
    let before = settled(server.pid()).await?;
    let sessions = open(SESSIONS).await?;
    let after = settled(server.pid()).await?;
    drop(sessions);
    Ok((after as f64 - before as f64) / SESSIONS as f64)
}

/// A change of memory that is none.
const REST_KIB: u64 = 64;

/// A process's memory once it has stopped changing, in KiB.
pub(crate) async fn settled(process: u32) -> anyhow::Result<u64> {
    let until = Instant::now() + Duration::from_secs(60);
    let (mut size, mut since) = (share(process)?, Instant::now());
    while since.elapsed() < Duration::from_secs(2) {
        if Instant::now() > until {
            bail!("the server's memory does not come to rest");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = share(process)?;
        // What others do with the same pages of the program moves it a little all the time.
        if now.abs_diff(size) > REST_KIB {
            (size, since) = (now, Instant::now());
        }
    }
    Ok(size)
}

async fn listing(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    let home = work.join("listed");
    let (server, _) = serve(&home)?;
    fill(&server.url()).await?;
    let url = server.url().replacen("ws://", "wss://", 1);
    // To the lister's daemon the server's own certificate is the one authority.
    let authority = home.join("data/tls/cert.pem");
    let authority = authority.to_str().context("the path is no text")?;
    let lister = work.join("lister");
    let _daemon = Daemon::start(
        &imgrepod(),
        &lister,
        &lister.with_extension("log"),
        &["--connect", &url, "--user", "ana"],
        &[("SSL_CERT_FILE", authority)],
    )
    .map_err(|what| anyhow!(what))?;
    let times = tokio::task::block_in_place(|| list_during_upload(work, &lister, 13))?;
    report.add("LIST during a 200 MB upload over TLS, p50", quantile(&times, 0.5), "ms", "");
    report.add("LIST during a 200 MB upload over TLS, p99", quantile(&times, 0.99), "ms", "< 20");
    Ok(())
}

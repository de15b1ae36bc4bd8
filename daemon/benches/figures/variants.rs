//! Uploads while pictures are made, beside a server that makes none: small images, 32 in flight, and
//! photographs, 4 in flight; round by round in turn. And how many pictures a second are given that are
//! kept. The images are real ones (each told apart by a comment), so that there is something to make.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::session::command::{List, Target, Variant, View};
use imgrepo_proto::{BlobHash, PersonName};
use imgrepod::repository::{self, Making, Repository};

use crate::control;
use crate::picture::Picture;
use crate::process::{Daemon, imgrepod};
use crate::report::{Report, median};
use crate::session::V2;
use crate::small;

const ROUNDS: u64 = 5;

/// Images that are asked for again and again, and how often in all.
const LOOKED_AT: u32 = 200;
const LOOKS: usize = 20_000;

/// Who asks at once.
const LOOKING: usize = 32;

/// How long it may take until all pictures of a round are made.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is uploaded in a round.
struct Load {
    name: &'static str,
    ratio: &'static str,
    sides: (u32, u32),
    /// Of noise, from 0 to 255: what makes its bytes.
    noise: u8,
    images: u64,
    in_flight: usize,
}

const LOADS: [Load; 2] = [
    Load {
        name: "uploads while pictures are made, 111 KB, 32 in flight",
        ratio: "  ratio to a server that makes none",
        sides: (1000, 750),
        noise: 21,
        images: 400,
        in_flight: 32,
    },
    Load {
        name: "uploads while pictures are made, 3 MB, 4 in flight",
        ratio: "  ratio to a server that makes none",
        sides: (4000, 3000),
        noise: 42,
        // Somewhat more than a second, which a row has for itself: little of it is beside pictures.
        images: 240,
        in_flight: 4,
    },
];

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let (with, without) = (work.join("with"), work.join("without"));
    for (home, variants) in [(&with, true), (&without, false)] {
        std::fs::create_dir_all(home.join("config"))?;
        let config = format!("[server]\nvariants = {variants}\n");
        std::fs::write(home.join("config/config.toml"), config)?;
    }
    {
        let servers = [&with, &without].map(|home| Daemon::serve(home));
        let [making, plain] = servers.map(|server| server.map_err(|what| anyhow!(what)));
        let (making, plain) = (making?, plain?);
        for load in &LOADS {
            uploads(load, (&with, &making), &plain, report).await?;
        }
        making.stop();
        plain.stop();
    }
    looks(&with.join("data"), report).await
}

async fn uploads(
    load: &Load,
    (home, making): (&Path, &Daemon),
    plain: &Daemon,
    report: &mut Report,
) -> anyhow::Result<()> {
    let open = async |server: &Daemon| {
        let session = V2::open(&server.url(), "bench").await;
        session.map(Arc::new).map_err(|end| anyhow!("{end:?}"))
    };
    let (to_making, to_plain) = (open(making).await?, open(plain).await?);
    let base = photograph(load.sides, load.noise)?;
    let (mut rates, mut ratios, mut made) = (Vec::new(), Vec::new(), Vec::new());
    // The first round warms up and does not count.
    for round in 0..=ROUNDS {
        let seed = |n| round << 32 | n;
        let pictures = (0..load.images).map(|n| told_apart(&base, seed(n)));
        let pictures: Arc<Vec<Picture>> = Arc::new(pictures.collect());
        let plain = async || small::uploads(&to_plain, &pictures, load.in_flight).await;
        // Which of the two goes first, and finds the disk and memory at rest, changes with the round.
        let before = if round % 2 == 0 { Some(plain().await?) } else { None };
        let begun = Instant::now();
        let with = small::uploads(&to_making, &pictures, load.in_flight).await?;
        // The other server is measured on a machine that does nothing else.
        tokio::task::block_in_place(|| all_made(home))?;
        let seconds = begun.elapsed().as_secs_f64();
        let without = match before {
            Some(without) => without,
            None => plain().await?,
        };
        if round > 0 {
            rates.push(with);
            ratios.push(with / without);
            made.push(pictures.len() as f64 / seconds);
        }
    }
    report.add(load.name, median(&rates), "a second", "");
    report.add(load.ratio, median(&ratios), "", ">= 0.9");
    report.add(
        "  whose pictures are made, from the first upload on",
        median(&made),
        "a second",
        "",
    );
    Ok(())
}

/// Waits until a server has made all its pictures.
fn all_made(home: &Path) -> anyhow::Result<()> {
    let patience = Instant::now() + PATIENCE;
    let mut daemon = control(home)?;
    while Instant::now() < patience {
        let Outcome::Status(status) = daemon.call(&Request::Status)? else { bail!("no status") };
        let pictures = status.server.and_then(|server| server.pictures);
        match pictures {
            Some(pictures) if pictures.waiting == 0 && !pictures.is_searching => return Ok(()),
            Some(_) => std::thread::sleep(Duration::from_millis(50)),
            None => bail!("the server makes no pictures"),
        }
    }
    bail!("the pictures are not made after {} s", PATIENCE.as_secs())
}

/// Kept pictures, given to many at once.
async fn looks(data: &Path, report: &mut Report) -> anyhow::Result<()> {
    let owner = PersonName::parse("bench")?;
    let mut settings = repository::Settings::new(data.to_owned(), owner);
    settings.making = Some(Making { program: imgrepod(), threads: 1, budget_bytes: 1 << 31 });
    let opened = tokio::task::spawn_blocking(|| Repository::open(settings)).await?;
    let repository = opened?;
    let actor = repository.owner();
    let newest = List { limit: Some(LOOKED_AT), ..List::default() };
    let images = repository.list(&actor, newest).await?.images;
    let next = Arc::new(AtomicUsize::new(0));
    let ids: Arc<Vec<_>> = Arc::new(images.iter().map(|image| image.id).collect());
    let started = Instant::now();
    let mut working = tokio::task::JoinSet::new();
    for _ in 0..LOOKING {
        let (repository, actor) = (repository.clone(), actor.clone());
        let (ids, next) = (ids.clone(), next.clone());
        working.spawn(async move {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= LOOKS {
                    return anyhow::Ok(());
                }
                let target = Target::id(ids[at % ids.len()]);
                let view = View { target, variant: Variant::Small };
                repository.variant(&actor, &view).await?;
            }
        });
    }
    while let Some(joined) = working.join_next().await {
        joined??;
    }
    let rate = LOOKS as f64 / started.elapsed().as_secs_f64();
    report.add("kept pictures of 256 pixels, given", rate, "a second", ">= 3000");
    repository.close().await;
    Ok(())
}

/// A JPEG of these sides, smooth but for its noise.
fn photograph((width, height): (u32, u32), noise: u8) -> anyhow::Result<Vec<u8>> {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let image = image::RgbImage::from_fn(width, height, |x, y| {
        let grain = (u32::from(random()) * u32::from(noise) / 255) as u8;
        let shade = |part: u32, of: u32| (part * 200 / of) as u8;
        image::Rgb([
            shade(x, width).saturating_add(grain),
            shade(y, height).saturating_add(grain),
            shade(x + y, width + height).saturating_add(grain),
        ])
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Jpeg)?;
    Ok(bytes.into_inner())
}

/// The same JPEG with a comment of its own.
fn told_apart(base: &[u8], seed: u64) -> Picture {
    let mut content = base[..2].to_vec();
    content.extend([0xff, 0xfe, 0, 10]);
    content.extend(seed.to_be_bytes());
    content.extend(&base[2..]);
    let hash = BlobHash(*blake3::hash(&content).as_bytes());
    Picture { name: format!("{seed}.jpg"), content: content.into(), hash }
}
